// Options that hold a worker process in, seen from inside real ones.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { describe, test } from 'node:test'
import { WorkerCrashError, WorkerStartError } from '../index.js'
import { LIMIT, openPool, rejection } from './processes.js'

const evaluate = (code) => ({ act: 'eval', code })
const limitsOf = (pid) =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/limits`, 'utf8')
      .split('\n')
      .map((line) => /^(Max .+?) {2,}(\S+) +(\S+)/.exec(line))
      .filter(Boolean)
      .map(([, name, soft, hard]) => [name, [soft, hard]]),
  )

describe('the environment', () => {
  test('inheritEnv: only these variables', LIMIT, async (t) => {
    process.env.MILLRACE_TEST_SECRET = 'secret'
    process.env.MILLRACE_TEST_SHARED = 'shared'
    t.after(() => {
      delete process.env.MILLRACE_TEST_SECRET
      delete process.env.MILLRACE_TEST_SHARED
    })
    const seen = async (options) =>
      openPool(t, undefined, { size: 1, ...options }).run(evaluate('return { ...process.env }'))
    assert.deepEqual(await seen({ inheritEnv: ['MILLRACE_TEST_SHARED'] }), { MILLRACE_TEST_SHARED: 'shared' })
    assert.deepEqual(await seen({ inheritEnv: [] }), {})
    assert.deepEqual(
      await seen({ inheritEnv: ['MILLRACE_TEST_SHARED', 'PATH'], env: { PATH: '/x', A: '1' } }),
      {
        MILLRACE_TEST_SHARED: 'shared',
        PATH: '/x',
        A: '1',
      },
    )
    assert.deepEqual(await seen({}), { ...process.env })
  })
})

describe('niceIncrement', () => {
  test('added to our own, up to 19', LIMIT, async (t) => {
    const pid = await openPool(t, undefined, { size: 1, niceIncrement: 7 }).run({ act: 'pid' })
    assert.equal(getPriority(pid), Math.min(getPriority() + 7, 19))
    const most = await openPool(t, undefined, { size: 1, niceIncrement: 19 }).run({ act: 'pid' })
    assert.equal(getPriority(most), 19)
    const own = await openPool(t, undefined, { size: 1 }).run({ act: 'pid' })
    assert.equal(getPriority(own), getPriority())
  })
})

describe('rlimits', () => {
  test('are those of the process, and only those that were given', LIMIT, async (t) => {
    const own = limitsOf(process.pid)
    const pid = await openPool(t, undefined, { size: 1, rlimits: { openFiles: 200, coreSize: 0 } }).run({
      act: 'pid',
    })
    assert.deepEqual(limitsOf(pid), {
      ...own,
      'Max open files': ['200', '200'],
      'Max core file size': ['0', '0'],
    })
    const timed = await openPool(t, undefined, { size: 1, rlimits: { cpuSeconds: 100 } }).run({ act: 'pid' })
    assert.deepEqual(limitsOf(timed)['Max cpu time'], ['100', '101'])
  })

  test('too many open files are an error of the item that opens them', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { openFiles: 60 } })
    const code = `
      const { openSync } = process.getBuiltinModule('node:fs')
      for (;;) openSync('/dev/null')`
    assert.equal((await rejection(pool.run(evaluate(code)))).code, 'EMFILE')
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('one that has used its processor time is ended, and replaced', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { cpuSeconds: 1 } })
    const error = await rejection(pool.run({ act: 'spin' }))
    assert.ok(error instanceof WorkerCrashError)
    assert.equal(error.signal, 'SIGXCPU')
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
    const caught = await rejection(pool.run(evaluate(`process.on('SIGXCPU', () => {}); for (;;);`)))
    assert.equal(caught.signal, 'SIGKILL')
  })

  test('one that is refused is named: a start error', LIMIT, async (t) => {
    // More than the system allows to anybody (fs.nr_open).
    const pool = openPool(t, undefined, { size: 1, rlimits: { coreSize: 0, openFiles: 2 ** 53 - 1 } })
    const error = await rejection(pool.run({ act: 'pid' }))
    assert.ok(error instanceof WorkerStartError)
    assert.equal(error.code, 'ERR_WORKER_START')
    assert.match(error.message, /could not be started: rlimits\.openFiles was refused: .*\(os error 1\)/)
  })

  test('too few to start with are a start error', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { openFiles: 4 } })
    assert.ok((await rejection(pool.run({ act: 'pid' }))) instanceof WorkerStartError)
  })
})
