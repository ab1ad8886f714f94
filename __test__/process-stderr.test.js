// What a process has written to stderr is on each error that is about it: its own, the end of it, as far as it was written.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { failureOf, parallelMap } from '../index.js'
import { openCommand, openPython } from './commands.js'
import { folderWith, LIMIT, openPool, rejection } from './processes.js'

/** A shell that reads items and, before anything else, says why it is going to fail. */
const sh = (t, script, options) =>
  openCommand(t, 'sh', ['-c', script], { size: 1, gracePeriod: 20, stderr: 'ignore', ...options })
const hangs = 'sleep 1000 & wait'
const perItem = { perItem: true }

describe('the errors of programs', () => {
  /** What a program does, what its item fails of, options of the pool and of the call. */
  const ends = [
    ['is too slow', hangs, 'ERR_TASK_TIMEOUT', {}, { timeout: 500 }],
    ['is too slow, alone', hangs, 'ERR_TASK_TIMEOUT', perItem, { timeout: 500 }],
    ['is killed', 'kill -9 $$', 'ERR_WORKER_CRASHED'],
    ['is killed, alone', 'kill -9 $$', 'ERR_WORKER_CRASHED', perItem],
    ['exits', 'exit 3', 'ERR_WORKER_CRASHED'],
    ['exits, alone', 'exit 3', 'ERR_COMMAND_EXIT', perItem],
    [
      'has had its processor time',
      'while :; do :; done',
      'ERR_WORKER_CRASHED',
      { rlimits: { cpuSeconds: 1 } },
    ],
    ['answers nonsense', 'echo oops', 'ERR_COMMAND_PROTOCOL'],
    ['answers nonsense, alone', 'echo oops', 'ERR_COMMAND_PROTOCOL', { perItem: true, format: 'ndjson' }],
    ['answers twice', 'echo 1; echo 2', 'ERR_COMMAND_PROTOCOL'],
    ['answers nothing', 'exit 0', 'ERR_COMMAND_PROTOCOL'],
    ['holds on to its input', 'cat >/dev/null', 'ERR_STALLED', { stallTimeout: 30 }],
  ]
  for (const [what, script, code, options, callOptions] of ends) {
    test(`one that ${what}`, LIMIT, async (t) => {
      const reads = options?.perItem ? '' : 'read line; '
      for (const [says, stderr] of [
        ['echo one >&2; printf why >&2; ', 'one\nwhy'],
        ['', ''],
      ]) {
        const pool = sh(t, `${reads}${says}${script}`, options)
        const call = parallelMap([0], pool, callOptions).toArray()
        const run = pool.run(0, callOptions)
        for (const error of [await rejection(call), await rejection(run)]) {
          assert.equal(error.code, code, error.message)
          assert.equal(error.stderr, stderr)
        }
      }
    })
  }

  test('one that takes too much memory, and one that cannot start', LIMIT, async (t) => {
    const source =
      'import sys,time\nsys.stdin.readline()\nsys.stderr.write("why")\nsys.stderr.flush()\nx = bytearray(300 << 20)\ntime.sleep(1000)'
    const large = openPython(t, source, { maxMemory: 100 * 2 ** 20, stderr: 'ignore' })
    const { code, stderr } = await rejection(large.run(0))
    assert.deepEqual([code, stderr], ['ERR_WORKER_OUT_OF_MEMORY', 'why'])
    const dead = await rejection(sh(t, 'echo why >&2; exit 1').run(0))
    assert.deepEqual([dead.code, dead.stderr], ['ERR_WORKER_START', 'why\n'])
  })
})

describe('a time-out', { concurrency: true }, () => {
  test('of many lines has the end, at most 8 KiB, cut between characters', LIMIT, async (t) => {
    for (const options of [{}, perItem]) {
      const reads = options.perItem ? '' : 'read line; '
      const script = `${reads}i=0; while [ $i -lt 3000 ]; do echo ééé$i; i=$((i+1)); done >&2; echo last >&2; ${hangs}`
      const error = await rejection(sh(t, script, options).run(0, { timeout: 3000 }))
      assert.equal(error.code, 'ERR_TASK_TIMEOUT')
      const bytes = Buffer.byteLength(error.stderr)
      assert.ok(bytes > 8180 && bytes <= 8192, `${bytes} bytes`)
      assert.ok(error.stderr.endsWith('\nééé2999\nlast\n'))
      assert.doesNotMatch(error.stderr, /\ufffd/)
    }
  })

  test('has what was written until then, whatever becomes of stderr', LIMIT, async (t) => {
    for (const stderr of ['inherit', 'ignore', 'pipe']) {
      const script = `trap 'echo after; exit 1' TERM; echo before >&2; ${hangs}`
      const pool = sh(t, script, { perItem: true, stderr, gracePeriod: 10_000 })
      const error = await rejection(pool.run('x', { timeout: 500 }))
      assert.deepEqual([error.code, error.stderr], ['ERR_TASK_TIMEOUT', 'before\n'], stderr)
    }
  })

  test('of several programs has that of its own', LIMIT, async (t) => {
    for (const options of [{}, perItem]) {
      const script = options.perItem
        ? `echo "mine: $1" >&2; ${hangs}`
        : `read line; echo "mine: $line" >&2; ${hangs}`
      const pool = openCommand(t, 'sh', ['-c', script, 'sh'], {
        size: 3,
        gracePeriod: 20,
        stderr: 'ignore',
        ...options,
      })
      const call = { timeout: 1000, settled: true, chunkSize: 1 }
      const outcomes = await parallelMap([0, 1, 2, 3, 4, 5], pool, call).toArray()
      for (const { index, reason } of outcomes) {
        assert.deepEqual([reason.code, reason.stderr], ['ERR_TASK_TIMEOUT', `mine: ${index}\n`])
      }
    }
  })

  test('of each try has that of its own process, for retryIf and failureOf, too', LIMIT, async (t) => {
    for (const options of [{}, perItem]) {
      const pool = sh(t, `${options.perItem ? '' : 'read line; '}echo $$ >&2; ${hangs}`, options)
      const pids = []
      pool.on('workerStart', ({ pid }) => pids.push(`${pid}\n`))
      for (const asks of [false, true]) {
        const asked = []
        const retryIf = (error) => {
          asked.push(error.stderr)
          return asked.length < 2
        }
        pids.length = 0
        const call = {
          timeout: 500,
          backoff: { initial: 1 },
          ...(asks ? { retries: 5, retryIf } : { retries: 1 }),
        }
        const error = await rejection(parallelMap([0], pool, call).toArray())
        const all = [...failureOf(error).errors, error].map(({ stderr }) => stderr)
        assert.equal(new Set(all).size, 2)
        assert.deepEqual(all, pids.slice(0, 2))
        if (asks) assert.deepEqual(asked, all)
      }
    }
  })

  test('of a worker has it, too; where no process runs there is none', LIMIT, async (t) => {
    const task =
      "import { writeSync } from 'node:fs'\nexport default (item) => { writeSync(2, item); for (;;); }"
    const file = join(folderWith(t, { 'task.mjs': task }), 'task.mjs')
    const pool = openPool(t, file, { size: 1, gracePeriod: 20, stderr: 'ignore' })
    for (const item of ['why', 'and why']) {
      const error = await rejection(pool.run(item, { timeout: 1000 }))
      assert.deepEqual([error.code, error.stderr], ['ERR_TASK_TIMEOUT', item])
    }
    const here = await rejection(parallelMap([0], () => new Promise(() => {}), { timeout: 20 }).toArray())
    assert.deepEqual([here.code, 'stderr' in here], ['ERR_TASK_TIMEOUT', false])
  })
})
