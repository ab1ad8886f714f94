// A worker that dies fails the item that ran, with all that is known about it, and is replaced. Its neighbours in the
// chunk run elsewhere if they had not begun, and keep their outcome if they had ended.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MillraceError, parallelMap, WorkerCrashError } from '../index.js'
import { children, folderWith, isAlive, LIMIT, linesOf, openPool, rejection, until } from './processes.js'

/** How a worker can die, and what the error says of it. */
const DEATHS = {
  'process.exit(0)': [{ act: 'exit', code: 0 }, { exitCode: 0 }],
  'process.exit(7)': [{ act: 'exit', code: 7 }, { exitCode: 7 }],
  SIGKILL: [{ act: 'kill', signal: 'SIGKILL' }, { signal: 'SIGKILL' }],
  SIGTERM: [{ act: 'kill', signal: 'SIGTERM' }, { signal: 'SIGTERM' }],
  SIGSEGV: [{ act: 'kill', signal: 'SIGSEGV' }, { signal: 'SIGSEGV' }],
  'process.abort()': [{ act: 'abort' }, { signal: 'SIGABRT' }],
}

describe('a worker that dies fails its item', () => {
  for (const [name, [death, expected]] of Object.entries(DEATHS)) {
    test(name, LIMIT, async (t) => {
      const pool = openPool(t, undefined, { size: 1, label: 'mill' })
      const error = await rejection(pool.run(death))
      assert.ok(error instanceof WorkerCrashError)
      assert.ok(error instanceof MillraceError)
      assert.equal(error.name, 'WorkerCrashError')
      assert.equal(error.code, 'ERR_WORKER_CRASHED')
      assert.equal(error.exitCode, expected.exitCode)
      assert.equal('exitCode' in error, 'exitCode' in expected)
      assert.equal(error.signal, expected.signal)
      assert.equal('signal' in error, 'signal' in expected)
      assert.equal(error.worker, 0)
      assert.equal(error.attempt, 1)
      assert.equal(typeof error.stderr, 'string')
      const how = expected.signal
        ? `was ended by ${expected.signal}`
        : `exited with code ${expected.exitCode}`
      assert.ok(error.message.startsWith(`Worker 0 of mill ${how} while it ran an item`), error.message)
      assert.equal('cause' in error, false)

      assert.equal(await pool.run({ act: 'value', value: 'replaced' }), 'replaced')
    })
  }

  test('the item is named by its index', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = values(100)
    items[42] = { act: 'exit', code: 1 }
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    for (const { index, status, reason, value } of outcomes) {
      if (index !== 42) assert.deepEqual([status, value], ['fulfilled', index])
      else {
        assert.ok(reason instanceof WorkerCrashError)
        assert.equal(reason.index, 42)
        assert.match(reason.message, /while it ran item 42/)
      }
    }
    assert.equal(outcomes.length, 100)
  })

  test(
    'stopOnError: the crash ends the call; false: it is one of the errors of the AggregateError',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 2 })
      const items = [{ act: 'exit', code: 4 }, ...values(3)]
      const stopped = await rejection(parallelMap(items, pool, { chunkSize: 2 }).toArray())
      assert.equal(stopped.exitCode, 4)
      assert.equal(stopped.index, 0)

      items.push({ act: 'throw', message: 'plain' })

      const all = await rejection(parallelMap(items, pool, { stopOnError: false }).toArray())
      assert.ok(all instanceof AggregateError)
      assert.deepEqual(
        all.errors.map((error) => error.exitCode ?? error.message),
        [4, 'plain'],
      )
    },
  )

  test('the next worker has the next number', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    for (const number of [0, 1, 2]) {
      assert.equal((await rejection(pool.run({ act: 'exit', code: 1 }))).worker, number)
    }
  })

  test('many workers die, one after the other', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = Array.from({ length: 60 }, (_, i) =>
      i % 2 ? { act: 'value', value: i } : { act: 'kill', signal: 'SIGKILL' },
    )
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    assert.equal(outcomes.length, 60)
    for (const { index, status, reason, value } of outcomes) {
      if (index % 2) assert.equal(value, index)
      else assert.equal(reason?.signal, 'SIGKILL', `${index} ${status}`)
    }
    assert.ok(children().length <= 2, 'dead workers are waited for')
  })
})

describe('what it wrote and what ended it', () => {
  test('the tail of stderr', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'exit', code: 1, stderr: 'first\nlast words\n' }))
    assert.equal(error.stderr, 'first\nlast words\n')
    assert.match(error.message, /; it wrote: last words$/)
  })

  test('of much, the end', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'stderrFlood', bytes: 300_000, last: '\nthe end' }))
    assert.ok(error.stderr.endsWith('xxx\nthe end'), error.stderr.slice(-50))
    assert.ok(
      error.stderr.length >= 4096 && error.stderr.length <= 64 << 10,
      `${error.stderr.length} characters`,
    )
  })

  test('a tail is cut between characters, not inside one', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'exit', code: 1, stderr: `x${'€'.repeat(20_000)}` }))
    assert.ok(/^€+$/.test(error.stderr), error.stderr.slice(0, 10))
  })

  test('stderr that a grandchild holds open does not delay the error', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const grandchild = await pool.run({ act: 'grandchild', stdio: ['ignore', 'ignore', 'inherit'] })
    assert.ok(isAlive(grandchild))
    const error = await rejection(pool.run({ act: 'exit', code: 5, stderr: 'held' }))
    assert.equal(error.exitCode, 5)
    assert.equal(error.stderr, 'held')
    await until(() => !isAlive(grandchild), 'the grandchild to go with its worker')
  })

  test('stderr that a grandchild in another group holds open does not delay the error', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const options = { stdio: ['ignore', 'ignore', 'inherit'], detached: true }
    const grandchild = await pool.run({ act: 'grandchild', ...options })
    t.after(() => process.kill(grandchild, 'SIGKILL'))
    const error = await rejection(pool.run({ act: 'exit', code: 5, stderr: 'held' }))
    assert.equal(error.stderr, 'held')
    assert.ok(isAlive(grandchild), 'it has left the group, and was to live on')
  })

  test('an uncaught exception is the cause', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'uncaught', message: 'too late' }))
    assert.ok(error instanceof WorkerCrashError)
    assert.equal(error.exitCode, 1)
    assert.ok(error.cause instanceof RangeError)
    assert.equal(error.cause.message, 'too late')
    assert.deepEqual(error.cause.extra, { deep: [1, 2] })
    assert.match(error.cause.stack, /acts\.js/)
    assert.match(error.message, /: too late$/)
    assert.match(error.stderr, /RangeError: too late/, 'what Node prints of it stays')
  })

  test('an unhandled rejection is the cause', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'unhandled', message: 'nobody listens' }))
    assert.ok(error instanceof WorkerCrashError)
    assert.ok(error.cause instanceof RangeError)
    assert.equal(error.cause.message, 'nobody listens')
  })

  test('an unhandled rejection of no error is the cause, as Node reports it', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const { cause } = await rejection(pool.run({ act: 'unhandledValue', value: 17 }))
    assert.equal(cause.code, 'ERR_UNHANDLED_REJECTION')
    assert.match(cause.message, /17/)
  })

  test('an exception that the task survived is not the cause of a later crash', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'surviveUncaught' })
    assert.equal(await pool.run({ act: 'pid' }), pid)
    const error = await rejection(pool.run({ act: 'exit', code: 3 }))
    assert.equal(error.exitCode, 3)
    assert.equal('cause' in error, false)
  })

  test('an exception whose own handler of the task ends the process is the cause', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'exitOfUncaught' }))
    assert.equal(error.exitCode, 8)
    assert.equal(error.cause.message, 'handled by exit')
  })

  test('what comes later than its item is charged to the item that runs then', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const outcomes = await parallelMap([{ act: 'exitLater', ms: 50 }, { act: 'never' }], pool, {
      settled: true,
    }).toArray()
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    )
    assert.equal(outcomes[1].reason.exitCode, 0)
  })
})

describe('the other items of its chunk', () => {
  for (const size of [1, 2]) {
    test(`each ended item ran once, each unstarted one runs elsewhere (size ${size})`, LIMIT, async (t) => {
      const note = join(folderWith(t), 'ran')
      const pool = openPool(t, undefined, { size })
      const items = values(1000).map((item) => ({ ...item, note }))
      for (const at of [100, 101, 500, 999]) items[at] = { act: 'exit', code: 9, note }
      const outcomes = await parallelMap(items, pool, {
        settled: true,
        chunkSize: 1000,
        backpressure: 1000,
      }).toArray()

      assert.deepEqual(
        outcomes.map(({ index }) => index),
        items.map((_, i) => i),
      )
      const failed = outcomes.filter(({ status }) => status === 'rejected')
      assert.deepEqual(
        failed.map(({ index, reason }) => [index, reason.index, reason.exitCode]),
        [100, 101, 500, 999].map((at) => [at, at, 9]),
      )
      for (const { status, value, index } of outcomes) if (status === 'fulfilled') assert.equal(value, index)
      const runs = linesOf(note).map(Number)
      assert.equal(runs.length, 1000, 'nothing ran twice')
      assert.equal(new Set(runs).size, 1000, 'nothing was left out')
    })
  }

  test('results of the chunk that were published before the crash are delivered', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const items = [...values(500), { act: 'kill', signal: 'SIGKILL' }]
    const seen = []
    const results = parallelMap(items, pool, { chunkSize: 501, backpressure: 501 })
    const consume = async () => {
      for await (const value of results) seen.push(value)
    }
    const error = await rejection(consume())
    assert.equal(error.signal, 'SIGKILL')
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, i) => i),
    )
  })

  test('results with shapes of their own, text and big values survive their worker', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const row = (i) => ({ id: i, [`name${i % 5}`]: `é${i}`, big: i === 7 ? 'x'.repeat(2 << 20) : '' })
    const items = Array.from({ length: 50 }, (_, i) => ({ act: 'value', value: row(i) }))
    items.push({ act: 'exit', code: 1 })
    const outcomes = await parallelMap(items, pool, {
      chunkSize: 51,
      backpressure: 51,
      settled: true,
    }).toArray()
    for (const { index, value, reason } of outcomes) {
      if (index === 50) assert.equal(reason.exitCode, 1)
      else assert.deepEqual(value, row(index))
    }
  })

  test('without order, too', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 2 })
    const items = values(400).map((item) => ({ ...item, note }))
    items[200] = { act: 'kill', signal: 'SIGKILL', note }
    const options = { settled: true, chunkSize: 400, backpressure: 400, preserveOrder: false }
    const outcomes = await parallelMap(items, pool, options).toArray()
    assert.equal(new Set(outcomes.map(({ index }) => index)).size, 400)
    assert.equal(outcomes.length, 400)
    assert.equal(linesOf(note).length, 400)
  })

  test('many runs at once: only the one that killed its worker fails', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 2 })
    const runs = Array.from({ length: 300 }, (_, i) =>
      pool.run(
        i === 150 ? { act: 'exit', code: 6, note, name: i } : { act: 'value', value: i, note, name: i },
      ),
    )
    const outcomes = await Promise.allSettled(runs)
    for (const [i, { status, value, reason }] of outcomes.entries()) {
      if (i === 150) assert.equal(reason.exitCode, 6)
      else assert.deepEqual([status, value], ['fulfilled', i])
    }
    assert.equal(linesOf(note).length, 300)
  })
})

describe('a pool goes on', () => {
  test('after all its workers were killed while they were idle', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    await pool.ready()
    for (let round = 0; round < 3; round++) {
      const pids = children()
      assert.equal(pids.length, 2)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      const results = await parallelMap(values(50), pool).toArray()
      assert.equal(results.length, 50)
      await pool.ready()
      assert.ok(pids.every((pid) => !isAlive(pid)))
    }
  })

  test('after an idle worker ended by itself', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'exitLater', ms: 1 })
    await until(() => !isAlive(pid), 'the worker to end')
    assert.notEqual(await pool.run({ act: 'pid' }), pid)
  })

  test('work that is there while workers die in their idle time is done once each', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 2 })
    for (let round = 0; round < 10; round++) {
      await pool.ready()
      for (const pid of children()) process.kill(pid, 'SIGKILL')
      const outcomes = await Promise.allSettled(
        [0, 1, 2, 3].map((i) => pool.run({ act: 'value', value: i, note })),
      )
      // Whether the item had begun when its worker was killed is a race; then it is a crash, and nothing else.
      for (const { status, reason } of outcomes)
        if (status === 'rejected') assert.equal(reason.signal, 'SIGKILL')
    }
    assert.ok(linesOf(note).length <= 40)
  })

  test('closing waits for the work of a worker that is replaced meanwhile', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const runs = [
      pool.run({ act: 'exit', code: 1 }),
      pool.run({ act: 'value', value: 1 }),
      pool.run({ act: 'exit', code: 2 }),
    ]
    const outcomes = Promise.allSettled(runs)
    await pool.close()
    assert.deepEqual(
      (await outcomes).map(({ value, reason }) => value ?? reason.exitCode),
      [1, 1, 2],
    )
    assert.deepEqual(children(), [])
  })
})

const values = (count) => Array.from({ length: count }, (_, value) => ({ act: 'value', value }))
