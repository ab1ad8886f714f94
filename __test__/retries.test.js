// Tries of items in worker processes: what is tried again, where, and what the end of a pool leaves of it. What is the
// same everywhere is in the conformance suite.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { failureOf, parallelMap, WorkerCrashError } from '../index.js'
import { folderWith, isAlive, isSettled, LIMIT, linesOf, openPool, rejection } from './processes.js'

const SOON = { initial: 1, jitter: 0 }
/** Fails until this try. */
const fine = (attempt, note) => ({
  act: 'eval',
  note,
  code: `if (context.attempt < ${attempt}) throw new Error('try ' + context.attempt); return context.attempt`,
})
const exits = (attempt) => ({
  act: 'eval',
  code: `if (context.attempt < ${attempt}) process.exit(7); return context.attempt`,
})

describe('run()', () => {
  test('tries again, and without options it does not', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    assert.equal(await pool.run(fine(3), { retries: 2, backoff: SOON }), 3)
    const error = await rejection(pool.run(fine(3)))
    assert.equal(error.message, 'try 1')
    assert.deepEqual({ ...failureOf(error), worker: 0 }, { index: 0, attempt: 1, worker: 0, errors: [] })
    const last = await rejection(pool.run(fine(9), { retries: 2, backoff: SOON }))
    assert.equal(last.message, 'try 3')
    assert.deepEqual(
      failureOf(last).errors.map(({ message }) => message),
      ['try 1', 'try 2'],
    )
  })

  test('a signal ends the waiting', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const controller = new AbortController()
    const options = { retries: 5, backoff: { initial: 1e9 }, signal: controller.signal }
    const run = pool.run(fine(2), options)
    assert.equal(await isSettled(run), false)
    controller.abort(new Error('enough'))
    assert.equal((await rejection(run)).message, 'enough')
    await pool.close()
  })
})

describe('retries', () => {
  test('only the failed item runs again, whatever the chunk', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const note = join(folderWith(t), 'runs')
    const items = Array.from({ length: 50 }, (_, i) => fine(i % 10 === 3 ? 3 : 1, note))
    for (const chunkSize of [1, 7, 50]) {
      const results = await parallelMap(items, pool, { retries: 2, backoff: SOON, chunkSize }).toArray()
      assert.deepEqual(
        results,
        items.map((_, i) => (i % 10 === 3 ? 3 : 1)),
      )
    }
    assert.equal(linesOf(note).length, 3 * (50 + 2 * 5))
  })

  test('without retryIf the engine goes on while this event loop is blocked', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    await pool.ready()
    const note = join(folderWith(t), 'runs')
    const run = pool.run(fine(20, note), { retries: 30, backoff: { initial: 10, factor: 1 } })
    await sleep(20)
    for (const end = performance.now() + 2000; performance.now() < end; );
    assert.equal(linesOf(note).length, 20)
    assert.equal(await run, 20)
  })

  test('close() waits for tries that are to come, close({ force }) drops them', LIMIT, async (t) => {
    const gentle = openPool(t, undefined, { size: 1 })
    const run = gentle.run(fine(3), { retries: 2, backoff: { initial: 100 } })
    await sleep(60)
    await gentle.close()
    assert.equal(await run, 3)
    const forced = openPool(t, undefined, { size: 1 })
    const dropped = rejection(forced.run(fine(3), { retries: 2, backoff: { initial: 1e9 } }))
    await sleep(100)
    await forced.close({ force: true })
    assert.equal((await dropped).code, 'ERR_POOL_CLOSED')
  })

  test('the window holds: waiting items keep their share', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    let pulled = 0
    const source = (function* () {
      for (;;) {
        pulled++
        yield fine(2)
      }
    })()
    const controller = new AbortController()
    const options = { retries: 1, backoff: { initial: 1e9 }, backpressure: 10, signal: controller.signal }
    const ended = rejection(parallelMap(source, pool, options).toArray())
    await sleep(300)
    assert.equal(pulled, 10)
    controller.abort(new Error('enough'))
    assert.equal((await ended).message, 'enough')
  })
})

describe('crashRetries', () => {
  test('an item that ended its process runs again, so often and no more', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const asked = []
    const retryIf = (error) => asked.push(error)
    const options = { crashRetries: 2, retries: 5, backoff: SOON, retryIf, settled: true }
    const items = [exits(3), exits(4), { act: 'value', value: 'neighbour' }]
    const [survivor, culprit, neighbour] = await parallelMap(items, pool, options).toArray()
    assert.equal(survivor.value, 3)
    assert.equal(neighbour.value, 'neighbour')
    assert.ok(culprit.reason instanceof WorkerCrashError)
    const { attempt, errors } = failureOf(culprit.reason)
    assert.deepEqual([attempt, culprit.reason.attempt, errors.length], [3, 3, 2])
    for (const error of errors) assert.ok(error instanceof WorkerCrashError)
    assert.deepEqual(asked, [])
  })

  test('crashes do not count as retries, nor the other way round', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const code =
      "if (context.attempt === 1) process.exit(1); if (context.attempt === 2) throw new Error('x'); return context.attempt"
    const item = { act: 'eval', code }
    assert.equal(await pool.run(item, { retries: 1, crashRetries: 1, backoff: SOON }), 3)
    assert.ok((await rejection(pool.run(item, { retries: 9 }))) instanceof WorkerCrashError)
    assert.equal((await rejection(pool.run(item, { crashRetries: 9 }))).message, 'x')
  })

  test(
    'with several items in a process, a suspect is tried alone before its crash counts',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 2 })
      const slow = { act: 'sleep', ms: 300, value: 'slow' }
      const code =
        'return new Promise((end) => setTimeout(() => context.attempt < 3 ? process.exit(7) : end(context.attempt), 100))'
      const items = [{ act: 'eval', code }, slow]
      const results = await parallelMap(items, pool, { crashRetries: 1 }).toArray()
      assert.deepEqual(results, [3, 'slow'])
    },
  )
})

test('nothing is left behind', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const pid = await pool.run({ act: 'pid' }, { timeout: 1000, retries: 1 })
  await pool.close()
  assert.equal(isAlive(pid), false)
})
