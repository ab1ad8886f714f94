// Time-outs in worker processes: what does not come back is cut off, whoever is busy, and nothing else is lost.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { failureOf, parallelMap, TaskTimeoutError } from '../index.js'
import { children, folderWith, isAlive, LIMIT, linesOf, openPool, rejection, until } from './processes.js'

const value = (number) => ({ act: 'value', value: number })

describe('a time-out', () => {
  for (const act of ['spin', 'never']) {
    test(`${act}: the item fails, its process is replaced`, LIMIT, async (t) => {
      const pool = openPool(t, undefined, { size: 1, gracePeriod: 50 })
      const pid = await pool.run({ act: 'pid' })
      const error = await rejection(pool.run({ act }, { timeout: 100 }))
      assert.ok(error instanceof TaskTimeoutError)
      assert.deepEqual([error.code, error.index, error.attempt, error.worker], ['ERR_TASK_TIMEOUT', 0, 1, 0])
      assert.deepEqual({ ...failureOf(error) }, { index: 0, attempt: 1, worker: 0, errors: [] })
      assert.notEqual(await pool.run({ act: 'pid' }), pid)
      assert.equal(isAlive(pid), false)
    })
  }

  test('a mapper that ends when its signal is raised keeps its process', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 20_000 })
    const noteEnd = join(folderWith(t), 'ends')
    const pid = await pool.run({ act: 'pid' })
    const error = await rejection(pool.run({ act: 'untilAborted', noteEnd }, { timeout: 50 }))
    assert.ok(error instanceof TaskTimeoutError)
    assert.equal(await pool.run({ act: 'pid' }), pid)
    assert.deepEqual(linesOf(noteEnd), ['TaskTimeoutError'])
  })

  test('one that returns within the grace period has failed all the same', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 20_000 })
    const noteEnd = join(folderWith(t), 'ends')
    const pid = await pool.run({ act: 'pid' })
    const items = [{ act: 'pastAbort', ms: 100, noteEnd }, value(1)]
    const results = parallelMap(items, pool, { timeout: 50, settled: true, chunkSize: 2 })
    const outcomes = await results.toArray()
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    )
    assert.ok(outcomes[0].reason instanceof TaskTimeoutError)
    await results.finished
    assert.deepEqual(linesOf(noteEnd), [String(pid)])
  })

  test('it counts from the start of the item, not from its submission', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    await pool.ready()
    const items = Array.from({ length: 8 }, () => ({ act: 'sleep', ms: 150, value: 'slept' }))
    const results = await parallelMap(items, pool, { timeout: 1000, chunkSize: 8, backpressure: 8 }).toArray()
    assert.deepEqual(
      results,
      items.map(() => 'slept'),
    )
  })

  test('the other items of the chunk run, each once', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 20 })
    const note = join(folderWith(t), 'runs')
    const items = Array.from({ length: 20 }, (_, i) => ({ ...(i === 7 ? { act: 'spin' } : value(i)), note }))
    const outcomes = await parallelMap(items, pool, { timeout: 100, settled: true, chunkSize: 20 }).toArray()
    for (const { index, status } of outcomes) assert.equal(status, index === 7 ? 'rejected' : 'fulfilled')
    assert.deepEqual(
      linesOf(note)
        .map(Number)
        .sort((a, b) => a - b),
      Object.keys(items).map(Number),
    )
  })

  test('neighbours in the same process run again, and are charged nothing', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 2, gracePeriod: 20 })
    await pool.ready()
    const neighbour = {
      act: 'eval',
      code: 'return new Promise((end) => setTimeout(end, context.attempt === 1 ? 1e6 : 1, context.attempt))',
    }
    const run = pool.run(neighbour)
    assert.ok((await rejection(pool.run({ act: 'never' }, { timeout: 100 }))) instanceof TaskTimeoutError)
    assert.equal(await run, 2)
  })

  test('neighbours that an item has held up run again, and are charged nothing', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 4, gracePeriod: 50 })
    await pool.ready()
    const neighbour = {
      act: 'eval',
      code: 'return new Promise((end) => setTimeout(end, 20, context.attempt))',
    }
    const items = [neighbour, neighbour, neighbour, { act: 'spin' }]
    const outcomes = await parallelMap(items, pool, { timeout: 1000, settled: true, chunkSize: 4 }).toArray()
    assert.deepEqual(
      outcomes.slice(0, 3).map(({ value }) => value),
      [2, 2, 2],
    )
    const { reason } = outcomes[3]
    assert.ok(reason instanceof TaskTimeoutError, String(reason))
    // Nobody knew that it was this one, so it ran again alone.
    assert.equal(reason.attempt, 2)
  })

  test('a neighbour that this happens to twice runs alone, so that it ends', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 2, gracePeriod: 20 })
    await pool.ready()
    const code = 'return new Promise((end) => setTimeout(end, 600, context.attempt))'
    let ended = false
    const long = pool.run({ act: 'eval', code }).finally(() => {
      ended = true
    })
    while (!ended) await Promise.race([long, rejection(pool.run({ act: 'never' }, { timeout: 100 }))])
    assert.equal(await long, 3)
  })

  test('beside others it is charged at once where the event loop goes on', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 3, gracePeriod: 20_000 })
    await pool.ready()
    const code =
      'return new Promise((end) => context.signal.addEventListener("abort", () => setTimeout(end, 100)))'
    const items = [{ act: 'eval', code }, { act: 'eval', code }, { act: 'pid' }]
    const outcomes = await parallelMap(items, pool, { timeout: 100, settled: true, chunkSize: 3 }).toArray()
    for (const { reason } of outcomes.slice(0, 2)) {
      assert.ok(reason instanceof TaskTimeoutError, String(reason))
      assert.equal(reason.attempt, 1)
    }
    assert.equal(await pool.run({ act: 'pid' }), outcomes[2].value)
  })

  test('beside others, one that ends late has failed, whatever it returns', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 2, gracePeriod: 20_000 })
    await pool.ready()
    const waits = rejection(pool.run({ act: 'untilAborted' }))
    const code = 'const end = Date.now() + 300; while (Date.now() < end); return 1'
    const error = await rejection(pool.run({ act: 'eval', code }, { timeout: 100, retries: 1 }))
    assert.ok(error instanceof TaskTimeoutError, String(error))
    assert.deepEqual(
      failureOf(error).errors.map(({ name }) => name),
      ['TaskTimeoutError'],
    )
    await pool.close({ force: true })
    await waits
  })

  test('a try after it waits until the one before is gone', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2, gracePeriod: 300 })
    await pool.ready()
    const log = join(folderWith(t), 'log')
    const item = { act: 'trace', log, name: 'item', ms: 300 }
    const error = await rejection(pool.run(item, { timeout: 100, retries: 1, backoff: { initial: 0 } }))
    assert.equal(failureOf(error).attempt, 2)
    await until(() => linesOf(log).length === 4)
    assert.deepEqual(
      linesOf(log).map((line) => line.replace(/ \d+ /, ' ')),
      ['begin item 1', 'end item 1', 'begin item 2', 'end item 2'],
    )
  })

  test('after break, too', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 20 })
    const pid = await pool.run({ act: 'pid' })
    const note = join(folderWith(t), 'runs')
    const results = parallelMap([value(0), { act: 'spin', note }], pool, { timeout: 300, chunkSize: 1 })
    for await (const _ of results) {
      await until(() => linesOf(note).length > 0)
      break
    }
    await results.finished
    assert.equal(isAlive(pid), false)
    assert.equal(await pool.run(value(1)), 1)
  })

  test(
    'an item that crashes in its grace period has timed out, and is charged to nobody',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1, gracePeriod: 20_000 })
      const code = "return new Promise(() => context.signal.addEventListener('abort', () => process.exit(3)))"
      const error = await rejection(pool.run({ act: 'eval', code }, { timeout: 50, crashRetries: 0 }))
      assert.ok(error instanceof TaskTimeoutError)
      assert.equal(await pool.run(value(1)), 1)
    },
  )
})

describe('a blocked event loop keeps nobody from cutting off what takes too long', () => {
  const BLOCKS = {
    'by a loop': (ms) => {
      for (const end = performance.now() + ms; performance.now() < end; );
    },
    'by Atomics.wait()': (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
  }
  for (const [name, block] of Object.entries(BLOCKS)) {
    test(`${name}: workers end meanwhile, and nothing is lost`, LIMIT, async (t) => {
      const pool = openPool(t, undefined, { size: 3, gracePeriod: 100 })
      await pool.ready()
      const watched = watchEnds(t, children())
      const note = join(folderWith(t), 'runs')
      const hanging = [{ act: 'spin' }, { act: 'never' }, { act: 'kill', signal: 'SIGSTOP' }]
      const items = [
        ...hanging.map((item) => ({ ...item, note })),
        ...Array.from({ length: 100 }, (_, i) => value(i)),
      ]
      const outcomes = parallelMap(items, pool, { timeout: 1000, settled: true, chunkSize: 1 }).toArray()
      await until(() => linesOf(note).length === hanging.length)
      await watched.begun
      const began = Date.now()
      block(5000)
      const ended = Date.now()
      // Of another thread, which has seen when they ended.
      for (const at of watched.ends())
        assert.ok(began < at && at < ended, `${at} is not in ${began}..${ended}`)
      const settled = await outcomes
      for (const { reason } of settled.slice(0, 3)) assert.ok(reason instanceof TaskTimeoutError)
      assert.deepEqual(
        settled.slice(3).map((outcome) => outcome.value),
        items.slice(3).map((item) => item.value),
      )
    })
  }
})

describe('a blocked event loop takes nobody the time', () => {
  /** Block the event loop until the mapper has begun so many items, or for as long as no test would wait. */
  const blockUntilBegun = (note, count) => {
    for (const end = performance.now() + 20_000; linesOf(note).length < count && performance.now() < end; );
    assert.equal(linesOf(note).length, count, 'items begun while the event loop is blocked')
  }

  test('a large result that is there within its time arrives', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 100 })
    await pool.ready()
    const note = join(folderWith(t), 'runs')
    const bytes = 128 << 20
    const outcomes = parallelMap(
      [
        { act: 'make', bytes, note },
        { ...value(1), note },
      ],
      pool,
      { timeout: 10_000, settled: true, chunkSize: 1 },
    ).toArray()
    await until(() => linesOf(note).length > 0)
    // The second one begins when the result of the first one has been handed over.
    blockUntilBegun(note, 2)
    const [large, small] = await outcomes
    assert.equal(large.status, 'fulfilled', String(large.reason))
    assert.ok(large.value.equals(Buffer.alloc(bytes, 7)))
    assert.equal(small.value, 1)
  })

  test('what a process that was killed has left runs in the next one', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 100 })
    await pool.ready()
    const note = join(folderWith(t), 'runs')
    const items = [
      { act: 'spin', note },
      { ...value(1), note },
    ]
    const outcomes = parallelMap(items, pool, { timeout: 100, settled: true, chunkSize: 1 }).toArray()
    await until(() => linesOf(note).length > 0)
    blockUntilBegun(note, 2)
    const [hung, other] = await outcomes
    assert.ok(hung.reason instanceof TaskTimeoutError, String(hung.reason))
    assert.equal(other.value, 1)
  })
})

/** Have another thread note when processes end. */
function watchEnds(t, pids) {
  const ends = new Float64Array(new SharedArrayBuffer(8 * pids.length))
  const thread = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
     const { pids, ends, from } = workerData
     const look = async () => {
       const { isAlive } = await import(from)
       parentPort.postMessage('begun')
       setInterval(() => {
         for (const [at, pid] of pids.entries()) if (ends[at] === 0 && !isAlive(pid)) ends[at] = Date.now()
       }, 10)
     }
     look()`,
    { eval: true, workerData: { pids, ends, from: new URL('./processes.js', import.meta.url).href } },
  )
  t.after(() => thread.terminate())
  return { begun: once(thread, 'message'), ends: () => [...ends] }
}

describe('on this event loop', () => {
  test('the item fails at its time, and keeps its slot until it has ended', LIMIT, async () => {
    let running = 0
    let most = 0
    const mapper = async (item) => {
      most = Math.max(most, ++running)
      await sleep(item === 0 ? 400 : 1)
      running--
      return item
    }
    const results = parallelMap([0, 1, 2, 3], mapper, { timeout: 100, concurrency: 2, settled: true })
    const outcomes = await results.toArray()
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
    )
    assert.equal(running, 1, 'it still runs')
    assert.equal(most, 2)
    await results.finished
    assert.equal(running, 0)
  })

  test('a mapper that blocks the event loop has failed when it comes back', LIMIT, async () => {
    const mapper = () => {
      for (const end = performance.now() + 60; performance.now() < end; );
      return 'late'
    }
    const error = await rejection(parallelMap([1], mapper, { timeout: 20 }).toArray())
    assert.ok(error instanceof TaskTimeoutError)
  })

  test('a mapper that never ends is tried again', LIMIT, async () => {
    const mapper = (item, { attempt }) => (attempt === 1 ? new Promise(() => {}) : item)
    const options = { timeout: 30, retries: 1, backoff: { initial: 1 } }
    assert.deepEqual(await parallelMap([5], mapper, options).toArray(), [5])
  })
})
