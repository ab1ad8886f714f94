// commandPool() with perItem: a program for each item, which is one of its arguments.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { failureOf, parallelMap } from '../index.js'
import { openCommand } from './commands.js'
import { children, folderWith, LIMIT, until } from './processes.js'

const perItem = { perItem: true, size: 2 }
const sh = (t, script, options) =>
  openCommand(t, 'sh', ['-c', script, 'sh', '{}'], { ...perItem, ...options })
const NASTY = [
  '; rm -rf x',
  '$(touch x)',
  '`touch x`',
  'two\nlines',
  '-rf',
  '--help',
  "it's",
  '"',
  '',
  '*',
  '{}',
  ' é ',
  '\\',
  '&& false',
  '> x',
]

test('the item is one argument, whatever stands in it', LIMIT, async (t) => {
  const cwd = folderWith(t, { x: 'here' })
  const argument = openCommand(t, 'printf', ['<%s>', '{}'], { ...perItem, cwd })
  assert.deepEqual(
    await parallelMap(NASTY, argument).toArray(),
    NASTY.map((item) => `<${item}>`),
  )
  const last = openCommand(t, 'printf', ['<%s>'], { ...perItem, cwd })
  assert.deepEqual(
    await parallelMap(NASTY, last).toArray(),
    NASTY.map((item) => `<${item}>`),
  )
  const twice = openCommand(t, 'printf', ['%s|%s', 'a={}', '{}{}'], { ...perItem, cwd })
  assert.equal(await twice.run('$x'), 'a=$x|$x$x')
  assert.ok(existsSync(join(cwd, 'x')))
})

test('in a shell, the item is its argument, never its code', LIMIT, async (t) => {
  const cwd = folderWith(t, { x: 'here' })
  const pool = openCommand(t, 'printf "<%s>" "$1" "{}"', [], { ...perItem, shell: true, cwd })
  assert.deepEqual(
    await parallelMap(NASTY, pool).toArray(),
    NASTY.map((item) => `<${item}><{}>`),
  )
  const placed = openCommand(t, 'printf %s "$2"', ['first', 'in {}'], { ...perItem, shell: true, cwd })
  assert.equal(await placed.run('; rm x'), 'in ; rm x')
  assert.ok(existsSync(join(cwd, 'x')))
})

test('items of other types, and every format of results', LIMIT, async (t) => {
  const values = [1, null, true, { a: [1] }, Buffer.from('bytes')]
  const expected = ['1', 'null', 'true', '{"a":[1]}', 'bytes']
  assert.deepEqual(await parallelMap(values, openCommand(t, 'echo', [], perItem)).toArray(), expected)
  assert.deepEqual(await sh(t, 'echo "[1,"; echo "2]"', { format: 'ndjson' }).run('x'), [1, 2])
  assert.equal(await sh(t, 'echo a; echo b').run('x'), 'a\nb')
  assert.equal(await sh(t, `printf 'a\\n\\0'`, { format: 'nul' }).run('x'), 'a\n')
  assert.deepEqual(
    await sh(t, `printf '\\377\\n'`, { format: 'length-prefixed' }).run('x'),
    Buffer.from([255, 10]),
  )
  const outcomes = await parallelMap(['a\0b', () => {}, undefined], sh(t, 'true'), {
    settled: true,
  }).toArray()
  assert.deepEqual(
    outcomes.map(({ reason }) => reason.code),
    ['ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
  )
})

test('many items, in order, no more at once than size', LIMIT, async (t) => {
  const pool = openCommand(t, 'echo', [], { ...perItem, format: 'ndjson' })
  const items = Array.from({ length: 200 }, (_, i) => i)
  assert.deepEqual(await parallelMap(items, pool).toArray(), items)
  assert.deepEqual(children(), [])
})

test('an exit code is an error of the item, which can be tried again', LIMIT, async (t) => {
  const cwd = folderWith(t)
  const pool = sh(t, 'echo why >&2; mkdir "$1" 2>/dev/null && exit 3; echo fine', { cwd, stderr: 'ignore' })
  await assert.rejects(parallelMap(['a'], pool).toArray(), (error) => {
    assert.deepEqual([error.name, error.code], ['CommandExitError', 'ERR_COMMAND_EXIT'])
    assert.deepEqual([error.exitCode, error.stderr, error.index, error.attempt], [3, 'why\n', 0, 1])
    assert.match(error.message, /sh exited with code 3 for item 0; it wrote: why/)
    assert.equal(failureOf(error).index, 0)
    return true
  })
  assert.deepEqual(await parallelMap(['b', 'c'], pool, { retries: 1, backoff: { initial: 1 } }).toArray(), [
    'fine',
    'fine',
  ])
  await assert.rejects(pool.run('d'), { code: 'ERR_COMMAND_EXIT', exitCode: 3 })
})

test('a signal is a crash; a result may be no JSON, or too large', LIMIT, async (t) => {
  const crash = { code: 'ERR_WORKER_CRASHED', signal: 'SIGSEGV' }
  await assert.rejects(parallelMap([1, 2, 3], sh(t, 'kill -SEGV $$')).toArray(), crash)
  const nonsense = { code: 'ERR_COMMAND_PROTOCOL', line: 'oops\n' }
  await assert.rejects(sh(t, 'echo oops', { format: 'ndjson' }).run(1), nonsense)
  const large = sh(t, 'head -c "$1" /dev/zero | tr "\\0" x', { maxLineBytes: 100_000 })
  assert.equal((await large.run(100_000)).length, 100_000)
  await assert.rejects(large.run(100_001), {
    code: 'ERR_COMMAND_PROTOCOL',
    message: /more than 100000 bytes/,
  })
  // What comes first is more than it may be.
  await assert.rejects(sh(t, 'head -c 5000 /dev/zero | tr "\\0" x', { maxLineBytes: 1000 }).run('x'), {
    code: 'ERR_COMMAND_PROTOCOL',
    line: `${'x'.repeat(200)}…`,
  })
  await assert.rejects(large.run('x'.repeat(3_000_000)), { code: 'ERR_WORKER_START' })
  assert.equal(await large.run(3), 'xxx')
})

test(
  'a time-out and an abort end the program with SIGTERM, one that does not hear with SIGKILL',
  LIMIT,
  async (t) => {
    const cwd = folderWith(t)
    const polite = sh(t, 'trap "touch ended; exit 1" TERM; touch begun; sleep 1000 & wait', {
      cwd,
      gracePeriod: 10_000,
    })
    await assert.rejects(parallelMap([1], polite, { timeout: 200 }).toArray(), { code: 'ERR_TASK_TIMEOUT' })
    await until(() => existsSync(join(cwd, 'ended')))
    const deaf = sh(t, 'trap "" TERM; touch deaf; while :; do sleep 1; done', { cwd, gracePeriod: 20 })
    const controller = new AbortController()
    const results = parallelMap([1], deaf, { signal: controller.signal })
    const ended = results.toArray()
    await until(() => existsSync(join(cwd, 'deaf')))
    controller.abort(new Error('enough'))
    await assert.rejects(ended, /enough/)
    await results.finished
    await until(() => children().length === 0)
  },
)

test('events tell of each process', LIMIT, async (t) => {
  const pool = openCommand(t, 'true', [], { ...perItem, size: 1 })
  const told = []
  pool.on('workerStart', ({ pid }) => told.push(pid))
  pool.on('workerExit', ({ pid, exitCode }) => told.push(-pid, exitCode))
  await pool.ready()
  await parallelMap([1, 2], pool).toArray()
  await pool.close()
  const [first, firstEnd, code, second, secondEnd] = told
  assert.deepEqual([told.length, firstEnd, code, secondEnd], [6, -first, 0, -second])
})
