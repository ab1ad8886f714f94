// `priority`: what waits of a call with a higher number goes before what other calls have not begun.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { parallelMap } from '../index.js'
import { folderWith, LIMIT, linesOf, openPool, until } from './processes.js'

/** Items that note their name in a file and take a while. */
const noted = (note, name, ms = 5) => ({ act: 'busy', ms, value: name, note, name })

test('run() goes before a batch, the rest of which a worker holds already', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const note = join(folderWith(t), 'order')
  const items = Array.from({ length: 40 }, (_, i) => noted(note, `batch ${i}`, 10))
  const batch = parallelMap(items, pool, { priority: -1, chunkSize: 40, backpressure: 40 }).toArray()
  await until(() => linesOf(note).length > 0)
  assert.equal(await pool.run(noted(note, 'first')), 'first')
  const before = linesOf(note).indexOf('first')
  assert.ok(before < 39, `the run came after ${before} of 40 items`)
  assert.equal((await batch).length, 40)
  assert.equal(linesOf(note).length, 41, 'nothing ran twice')
})

test('the highest of what waits goes first; equals take turns', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const note = join(folderWith(t), 'order')
  const blocker = pool.run({ act: 'busy', ms: 100, note, name: 'blocker' })
  await until(() => linesOf(note).length > 0)
  const runs = [3, -2, 1, 2, 0, -1].map((priority) => pool.run(noted(note, `${priority}`), { priority }))
  await Promise.all([blocker, ...runs])
  assert.deepEqual(linesOf(note), ['blocker', '3', '2', '1', '0', '-1', '-2'])
})

test('a call of a low priority ends all the same, and in order', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 2 })
  const numbers = (base) => Array.from({ length: 500 }, (_, i) => ({ act: 'value', value: base + i }))
  const calls = [5, 0, -5, 5].map((priority) => parallelMap(numbers(priority), pool, { priority }).toArray())
  for (const [i, results] of (await Promise.all(calls)).entries()) {
    const base = [5, 0, -5, 5][i]
    assert.deepEqual(
      results,
      [...Array(500).keys()].map((n) => base + n),
    )
  }
})

test('what gave way is dropped with its call', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const note = join(folderWith(t), 'order')
  const items = Array.from({ length: 40 }, (_, i) => noted(note, `low ${i}`, 10))
  const low = parallelMap(items, pool, { priority: -1, chunkSize: 40, backpressure: 40 })
  const first = low[Symbol.asyncIterator]()
  await first.next()
  const high = pool.run({ act: 'busy', ms: 50, value: 'high', note, name: 'high' })
  await first.return()
  assert.equal(await high, 'high')
  await low.finished
  const left = linesOf(note)
  assert.ok(left.length < 40, 'most of it never ran')
  assert.ok(left.includes('high'))
})
