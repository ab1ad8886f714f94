// Pools that grow and shrink, with real processes.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parallelMap, workerPool } from '../index.js'
import { ACTS, folderWith, LIMIT, linesOf, openPool, until } from './processes.js'

/** The processes of a pool that are up, by pid. */
function processesOf(pool) {
  const alive = new Set()
  pool.on('workerStart', ({ pid }) => alive.add(pid))
  pool.on('workerExit', ({ pid }) => alive.delete(pid))
  return alive
}

describe('size', () => {
  test('is what maxWorkers says, and changes only to what it can be', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { maxWorkers: 3 })
    assert.equal(pool.size, 3)
    pool.size = 2
    assert.equal(pool.size, 2)
    for (const wrong of ['2', null, undefined, 2n])
      assert.throws(() => (pool.size = wrong), { code: 'ERR_INVALID_ARG_TYPE', message: /size/ })
    for (const wrong of [0, -1, 1.5, NaN, Infinity])
      assert.throws(() => (pool.size = wrong), { code: 'ERR_OUT_OF_RANGE', message: /size/ })
    assert.equal(pool.size, 2)
    assert.throws(() => workerPool(ACTS, { size: 2, maxWorkers: 2 }), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /maxWorkers/,
    })
  })

  test('larger: calls under way get more workers', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1 })
    const log = join(folderWith(t), 'log')
    const running = parallelMap(
      Array.from({ length: 3 }, () => ({ act: 'untilAborted', note: log })),
      pool,
    ).toArray()
    running.catch(() => {})
    const runs = [1, 2, 3].map((value) => pool.run({ act: 'value', value }))
    await until(() => linesOf(log).length === 1, 'one item runs')
    pool.size = 4
    // All three at once, and room for one more.
    await until(() => linesOf(log).length === 3, 'three items run')
    assert.deepEqual(await Promise.all(runs), [1, 2, 3])
    await pool.close({ force: true })
    await assert.rejects(running, { code: 'ERR_POOL_CLOSED' })
  })

  test('smaller: workers go between items, and nothing is lost or runs twice', LIMIT, async (t) => {
    const log = join(folderWith(t), 'log')
    const pool = openPool(t, ACTS, { size: 4 })
    const alive = processesOf(pool)
    await pool.ready()
    await until(() => alive.size === 4, 'four workers')
    const items = Array.from({ length: 400 }, (_, i) => ({
      act: 'busy',
      ms: 1,
      value: i,
      note: log,
      name: i,
    }))
    const results = []
    for await (const value of parallelMap(items, pool)) {
      results.push(value)
      if (results.length === 50) pool.size = 1
      if (results.length === 200) pool.size = 3
      if (results.length === 300) pool.size = 2
    }
    assert.deepEqual(
      results,
      items.map((_, i) => i),
    )
    assert.deepEqual(
      linesOf(log)
        .map(Number)
        .sort((a, b) => a - b),
      results,
    )
    await until(() => alive.size <= 2, 'two workers at most')
  })

  test('smaller while everything runs: what has begun ends where it is', LIMIT, async (t) => {
    const log = join(folderWith(t), 'log')
    const pool = openPool(t, ACTS, { size: 3, concurrencyPerWorker: 2 })
    const alive = processesOf(pool)
    const items = Array.from({ length: 12 }, (_, name) => ({ act: 'trace', log, name, ms: 200 }))
    const results = parallelMap(items, pool).toArray()
    await until(() => linesOf(log).length >= 6, 'six items run')
    pool.size = 1
    const names = items.map(({ name }) => name)
    assert.deepEqual(await results, names)
    for (const what of ['begin', 'end']) {
      const lines = linesOf(log).filter((line) => line.startsWith(what))
      assert.deepEqual(
        lines.map((line) => Number(line.split(' ')[1])).sort((a, b) => a - b),
        names,
      )
    }
    await until(() => alive.size === 1, 'one worker')
    assert.equal(await pool.run({ act: 'value', value: 'still' }), 'still')
  })

  test(
    'smaller than minWorkers: that many stay, and minWorkers are there again when it grows',
    LIMIT,
    async (t) => {
      const pool = openPool(t, ACTS, { minWorkers: 3, maxWorkers: 4, idleTimeout: 0 })
      const alive = processesOf(pool)
      await pool.run({ act: 'pid' })
      await until(() => alive.size === 3, 'three workers')
      pool.size = 1
      await until(() => alive.size === 1, 'one worker')
      const [stays] = alive
      for (let i = 0; i < 3; i++) {
        assert.equal(await pool.run({ act: 'pid' }), stays, 'it is not idle for too long')
        assert.deepEqual([...alive], [stays])
      }
      process.kill(stays, 'SIGKILL')
      await until(() => alive.size === 1 && !alive.has(stays), 'another one has come for it')
      pool.size = 4
      await until(() => alive.size === 3, 'three workers again')
      assert.equal(pool.size, 4)
    },
  )

  test('while ready() waits: for as many workers as there are to be', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 8 })
    const alive = processesOf(pool)
    const ready = pool.ready()
    pool.size = 2
    await ready
    await until(() => alive.size === 2, 'two workers')
    pool.size = 3
    await pool.ready()
    await until(() => alive.size === 3, 'three workers')
  })

  test('while the pool closes: it does, and the size is only a number', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2 })
    const running = pool.run({ act: 'sleep', ms: 100, value: 1 })
    const closed = pool.close()
    pool.size = 1
    await closed
    assert.equal(await running, 1)
    pool.size = 5
    assert.equal(pool.size, 5)
    await assert.rejects(pool.run({}), { code: 'ERR_POOL_CLOSED' })
  })

  test('closed while workers go', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 3 })
    const running = [1, 2, 3].map((value) => pool.run({ act: 'sleep', ms: 300, value }))
    pool.size = 1
    await pool.close()
    assert.deepEqual(await Promise.all(running), [1, 2, 3])
  })
})
