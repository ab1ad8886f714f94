// `concurrencyPerWorker`: a worker process that runs several items at the same time keeps to the limits exactly, gives
// each lane its next item as soon as it is free, and when it dies the item at fault is found.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { parallelMap, skip, WorkerCrashError, workerPool } from '../index.js'
import { ACTS, folderWith, isSettled, LIMIT, linesOf, openPool, rejection, until } from './processes.js'

describe('how many run at once', () => {
  const CASES = [
    { size: 1, lanes: 3 },
    { size: 1, lanes: 3, concurrency: 2 },
    { size: 2, lanes: 4 },
    { size: 2, lanes: 4, concurrency: 1 },
    { size: 2, lanes: 4, concurrency: 3 },
    { size: 2, lanes: 4, concurrency: 7 },
    { size: 3, lanes: 2, concurrency: 4 },
    { size: 2, lanes: 1 },
    { size: 2, lanes: 2, concurrency: 100 },
    { size: 2, lanes: 4, concurrency: 3, chunkSize: 5 },
    { size: 2, lanes: 3, concurrency: 6, chunkSize: 16 },
    { size: 1, lanes: 128, concurrency: 128 },
  ]
  for (const { size, lanes, concurrency, chunkSize } of CASES) {
    const of = `${size} workers with ${lanes} each, concurrency ${concurrency ?? 'not given'}, chunks of ${chunkSize ?? 'any size'}`
    test(of, LIMIT, async (t) => {
      const pool = openPool(t, ACTS, { size, concurrencyPerWorker: lanes })
      await pool.ready()
      const log = join(folderWith(t), 'log')
      const most = Math.min(concurrency ?? Infinity, size * lanes)
      const items = traces(log, 6 * most, 30)
      const results = await parallelMap(items, pool, { concurrency, chunkSize }).toArray()
      assert.deepEqual(
        results,
        items.map(({ name }) => name),
      )
      const { peak, peaks } = overlap(log)
      assert.equal(peak, most)
      assert.equal(peaks.size, Math.min(size, most), 'all workers have their part')
      for (const [pid, inWorker] of peaks) {
        assert.ok(inWorker <= lanes, `${inWorker} at once in ${pid}`)
        assert.ok(inWorker <= Math.ceil(most / size), `${inWorker} of ${most} at once in ${pid}`)
      }
    })
  }

  test('100 short sleeps fill 2 workers with 8 each', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 8 })
    await pool.ready()
    assert.equal(pool.size, 2)
    const log = join(folderWith(t), 'log')
    await parallelMap(traces(log, 100, 50), pool).toArray()
    const { peak, peaks } = overlap(log)
    assert.equal(peak, 16)
    assert.deepEqual([...peaks.values()], [8, 8])
  })

  test('calls that share a pool each keep to their own', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 4 })
    await pool.ready()
    const folder = folderWith(t)
    const calls = [1, 3, 5].map(async (concurrency) => {
      const log = join(folder, `log ${concurrency}`)
      await parallelMap(traces(log, 30, 10), pool, { concurrency }).toArray()
      assert.ok(overlap(log).peak <= concurrency)
    })
    await Promise.all(calls)
  })

  test('calls that share a worker together keep to its lanes', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 2 })
    await pool.ready()
    const log = join(folderWith(t), 'log')
    const calls = [1, 2, 3].map(() => parallelMap(traces(log, 12, 15), pool, { chunkSize: 4 }).toArray())
    await Promise.all(calls)
    assert.equal(overlap(log).peak, 2)
  })

  test('run() from many callers fills the lanes, and no more', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 4 })
    await pool.ready()
    const log = join(folderWith(t), 'log')
    await Promise.all(traces(log, 40, 20).map((item) => pool.run(item)))
    assert.equal(overlap(log).peak, 8)
  })

  test('a slow source fills the lanes too', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    await pool.ready()
    const log = join(folderWith(t), 'log')
    async function* slowly() {
      for (const item of traces(log, 12, 200)) {
        yield item
        await sleep(5)
      }
    }
    await parallelMap(slowly(), pool).toArray()
    assert.equal(overlap(log).peak, 4)
  })

  test('items that do not await run one after the other', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const items = Array.from({ length: 500 }, (_, value) => ({ act: 'value', value }))
    assert.deepEqual(
      await parallelMap(items, pool).toArray(),
      items.map(({ value }) => value),
    )
  })

  for (const wrong of [0, -1, 1.5, NaN, 129, '4', null]) {
    test(`wrong: ${inspect(wrong)}`, () => {
      const code = typeof wrong === 'number' ? 'ERR_OUT_OF_RANGE' : 'ERR_INVALID_ARG_TYPE'
      const make = () => workerPool(ACTS, { concurrencyPerWorker: wrong })
      assert.throws(make, { code, message: /"concurrencyPerWorker": expected an integer from 1 to 128/ })
    })
  }
})

describe('a lane is never idle for another one', () => {
  test('one slow item keeps neither its chunk nor those behind it', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 2 })
    const items = [{ act: 'untilAborted' }, ...values(41)]
    const seen = []
    for await (const value of parallelMap(items, pool, { preserveOrder: false, chunkSize: 4 })) {
      seen.push(value)
      if (seen.length === 41) break
    }
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      values(41).map(({ value }) => value),
    )
  })

  test('nor the other calls, even where it has a lane of each worker', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 2 })
    const slow = parallelMap(Array(2).fill({ act: 'untilAborted' }), pool, { concurrency: 2 })
    const slowest = slow[Symbol.asyncIterator]().next()
    await Promise.all([pool.run({ act: 'sleep', ms: 5 }), pool.run({ act: 'sleep', ms: 5 })])
    assert.equal((await parallelMap(values(300), pool).toArray()).length, 300)
    await slow[Symbol.asyncDispose]()
    await slowest
  })

  test('what a worker has not begun goes to one that is idle', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 2 })
    await pool.ready()
    const log = join(folderWith(t), 'log')
    await parallelMap(traces(log, 12, 40), pool, { chunkSize: 12 }).toArray()
    assert.deepEqual([...overlap(log).peaks.values()], [2, 2])
  })
})

describe('order and errors', () => {
  test('results come in the order of the source, or as they finish', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 4 })
    const items = Array.from({ length: 60 }, (_, value) => ({ act: 'sleep', ms: (value * 7) % 23, value }))
    const expected = items.map(({ value }) => value)
    assert.deepEqual(await parallelMap(items, pool, { chunkSize: 3 }).toArray(), expected)
    const unordered = await parallelMap(items, pool, { preserveOrder: false }).toArray()
    assert.notDeepEqual(unordered, expected)
    assert.deepEqual(
      unordered.sort((a, b) => a - b),
      expected,
    )
  })

  test('errors, skips and values that cannot be copied disturb no other lane', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 3 })
    const later = (code) => ({ act: 'eval', code: `return Promise.resolve().then(() => { ${code} })` })
    const kinds = [
      { act: 'sleep', ms: 3, value: 'slow' },
      later('throw new RangeError("late")'),
      { act: 'throw', message: 'at once' },
      later('return context.skip'),
      { act: 'skip' },
      later('return () => 1'),
    ]
    const items = Array.from({ length: 90 }, (_, i) => kinds[i % kinds.length])
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    const shown = (index) => outcomes.find((outcome) => outcome.index === index)
    for (let i = 0; i < 90; i += kinds.length) {
      assert.equal(shown(i).value, 'slow')
      assert.equal(shown(i + 1).reason.message, 'late')
      assert.equal(shown(i + 2).reason.message, 'at once')
      assert.equal(shown(i + 3), undefined)
      assert.equal(shown(i + 4), undefined)
      assert.equal(shown(i + 5).reason.code, 'ERR_SERIALIZATION')
    }
    assert.equal(outcomes.length, 60)
    assert.equal(await pool.run({ act: 'skip' }), undefined)
    assert.equal(typeof skip, 'symbol')
  })

  test('context.signal is that of the call', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const controller = new AbortController()
    const folder = folderWith(t)
    const [first, second] = ['first', 'second'].map((name) => join(folder, name))
    const waiting = (noteEnd) => [{ act: 'untilAborted', noteEnd, note: noteEnd }]
    const one = parallelMap(waiting(first), pool, { signal: controller.signal }).toArray()
    const other = parallelMap(waiting(second), pool)
    const iterator = other[Symbol.asyncIterator]()
    const next = iterator.next()
    await until(() => linesOf(first).length === 1 && linesOf(second).length === 1, 'both run')
    controller.abort(new Error('enough'))
    assert.equal((await rejection(one)).message, 'enough')
    await until(() => linesOf(first).length === 2, 'the first hears of it')
    assert.equal(await isSettled(next), false)
    assert.equal(linesOf(second).length, 1)
    await iterator.return()
    await other.finished
    assert.equal(linesOf(second).length, 2)
  })

  test('break raises the signal in every lane, and `finished` waits for all of them', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 2 })
    await pool.ready()
    const [note, noteEnd] = ['begun', 'ended'].map((name) => join(folderWith(t), name))
    const items = [{ act: 'value', value: 1 }, ...Array(50).fill({ act: 'pastAbort', note, noteEnd, ms: 50 })]
    const results = parallelMap(items, pool)
    for await (const _ of results) {
      await until(() => linesOf(note).length === 4, 'all lanes run')
      break
    }
    await results.finished
    assert.equal(linesOf(noteEnd).length, 4)
    assert.equal(linesOf(note).length, 4, 'nothing started after the break')
  })

  test('close() lets all lanes end', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 3 })
    const running = Array.from({ length: 7 }, (_, value) => pool.run({ act: 'sleep', ms: 20, value }))
    await pool.close()
    assert.deepEqual(await Promise.all(running), [0, 1, 2, 3, 4, 5, 6])
  })
})

describe('a worker that dies with several items', () => {
  const ENDINGS = {
    'process.exit()': [{ code: 9 }, { exitCode: 9 }],
    SIGKILL: [{ signal: 'SIGKILL' }, { signal: 'SIGKILL' }],
  }
  for (const [name, [ending, expected]] of Object.entries(ENDINGS)) {
    test(`${name}: each runs again alone, and the one that does it again is charged`, LIMIT, async (t) => {
      const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 4 })
      const log = join(folderWith(t), 'log')
      const items = traces(log, 40, 30)
      // Sooner than its neighbours: lanes go in step, and one that dies when they have just ended is alone.
      Object.assign(items[13], ending, { ms: 5 })
      const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(({ index }) => index),
        items.map((_, index) => index),
      )
      for (const { index, status, value, reason } of outcomes) {
        if (index !== 13) assert.deepEqual([status, value], ['fulfilled', items[index].name])
        else {
          assert.ok(reason instanceof WorkerCrashError)
          assert.equal(reason.index, 13)
          assert.equal(reason.attempt, 2)
          assert.equal(reason.exitCode, expected.exitCode)
          assert.equal(reason.signal, expected.signal)
        }
      }
      const { runs, alone } = overlap(log)
      assert.deepEqual(runs.get('item13'), [1, 2])
      const again = [...runs].filter(([, attempts]) => attempts.length > 1)
      assert.ok(again.length > 1 && again.length <= 4, `${again.length} run again: at most a worker's lanes`)
      for (const [item, attempts] of again) {
        assert.deepEqual(attempts, [1, 2], item)
        assert.ok(alone.has(`${item} 2`), `${item} runs alone the second time`)
      }
    })
  }

  test('one that ran alone is charged at once', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const log = join(folderWith(t), 'log')
    const error = await rejection(pool.run({ act: 'trace', log, name: 'only', ms: 1, code: 3 }))
    assert.ok(error instanceof WorkerCrashError)
    assert.equal(error.attempt, 1)
    assert.deepEqual(overlap(log).runs.get('only'), [1])
  })

  test(
    'every item kills its worker: each is charged, none hangs, and the pool lives on',
    LIMIT,
    async (t) => {
      const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 3 })
      const log = join(folderWith(t), 'log')
      const items = traces(log, 9, 5).map((item) => ({ ...item, code: 1 }))
      const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
      for (const { reason } of outcomes) assert.equal(reason.code, 'ERR_WORKER_CRASHED')
      assert.equal(outcomes.length, 9)
      for (const [item, attempts] of overlap(log).runs)
        assert.ok(attempts.length <= 2, `${item}: ${attempts}`)
      assert.equal(await pool.run({ act: 'value', value: 'alive' }), 'alive')
    },
  )

  test('an item that blocks its worker and then kills it', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const items = Array.from({ length: 12 }, (_, value) => ({ act: 'sleep', ms: 20, value }))
    items[5] = { act: 'kill', signal: 'SIGKILL' }
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    for (const { index, status, value, reason } of outcomes) {
      if (index === 5) assert.equal(reason.code, 'ERR_WORKER_CRASHED')
      else assert.deepEqual([status, value], ['fulfilled', index])
    }
  })

  test('the cause that nobody caught is on the error', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const items = Array.from({ length: 4 }, (_, value) => ({ act: 'sleep', ms: 300, value }))
    items[2] = { act: 'uncaught', message: 'nobody' }
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    assert.equal(outcomes[2].reason.cause.message, 'nobody')
    assert.equal(outcomes[2].reason.attempt, 2)
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    )
  })

  test('suspects of one call do not keep another from its results', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, concurrencyPerWorker: 2 })
    const log = join(folderWith(t), 'log')
    const crashing = traces(log, 10, 20).map((item, i) => ({ ...item, ...(i % 3 === 1 ? { code: 1 } : {}) }))
    const [outcomes, others] = await Promise.all([
      parallelMap(crashing, pool, { settled: true }).toArray(),
      parallelMap(values(500), pool, { preserveOrder: false }).toArray(),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      crashing.map(({ code }) => (code === undefined ? 'fulfilled' : 'rejected')),
    )
    assert.equal(others.length, 500)
  })

  test('an abort drops suspects that wait', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const log = join(folderWith(t), 'log')
    const controller = new AbortController()
    const items = traces(log, 4, 100)
    items[0].code = 1
    items[0].ms = 20
    // The first suspect, run again, never ends by itself: those behind it wait.
    items[0].act = 'eval'
    items[0].code = `
      require = process.getBuiltinModule('node:module').createRequire('/')
      require('node:fs').appendFileSync(${JSON.stringify(log)}, 'begin first ' + process.pid + ' ' + context.attempt + '\\n')
      if (context.attempt === 1) setTimeout(() => process.exit(1), 30)
      return new Promise((resolve) => context.signal.addEventListener('abort', resolve))`
    const results = parallelMap(items, pool, { signal: controller.signal })
    const rejected = rejection(results.toArray())
    await until(() => linesOf(log).some((line) => /^begin first \d+ 2$/.test(line)), 'the second try')
    controller.abort(new Error('enough'))
    assert.equal((await rejected).message, 'enough')
    await results.finished
    assert.ok(linesOf(log).every((line) => line.startsWith('begin first') || line.endsWith(' 1')))
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('a hard cancel of one call runs the items of another again, and charges nobody', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, concurrencyPerWorker: 4 })
    const log = join(folderWith(t), 'log')
    const controller = new AbortController()
    const stubborn = rejection(
      parallelMap([{ act: 'never', note: log, name: 'begin stubborn 0 1' }], pool, {
        signal: controller.signal,
      }).toArray(),
    )
    const others = parallelMap(traces(log, 2, 800), pool, { settled: true }).toArray()
    await until(() => linesOf(log).length === 3, 'all run')
    controller.abort(new Error('cut off'))
    assert.equal((await stubborn).message, 'cut off')
    assert.deepEqual(
      (await others).map(({ value }) => value),
      ['item0', 'item1'],
    )
    const { runs } = overlap(log)
    assert.deepEqual(runs.get('item0'), [1, 2])
    assert.deepEqual(runs.get('item1'), [1, 2])
  })
})

/** Items that say when they begin and end. */
function traces(log, length, ms) {
  return Array.from({ length }, (_, i) => ({ act: 'trace', log, name: `item${i}`, ms }))
}

function values(length) {
  return Array.from({ length }, (_, value) => ({ act: 'value', value }))
}

/**
 * What such items have said: how many ran at once, in all and by process; the tries of each item; and which of them had
 * their process to themselves. The file is appended to, so its lines are in the order in which things happened.
 */
function overlap(log) {
  const running = new Map()
  const peaks = new Map()
  const runs = new Map()
  const alone = new Set()
  let [count, peak] = [0, 0]
  for (const line of linesOf(log)) {
    const [what, name, pid, attempt] = line.split(' ')
    if (!running.has(pid)) running.set(pid, new Set())
    const here = running.get(pid)
    const run = `${name} ${attempt}`
    if (what === 'end') {
      here.delete(run)
      count--
      continue
    }
    here.add(run)
    count++
    runs.set(name, [...(runs.get(name) ?? []), Number(attempt)])
    peak = Math.max(peak, count)
    peaks.set(pid, Math.max(peaks.get(pid) ?? 0, here.size))
    if (here.size === 1) alone.add(run)
    else for (const other of here) alone.delete(other)
  }
  return { peak, peaks, runs, alone }
}
