// What is between source and consumer stays within maxBytes for native operations, items and results that are large: a
// source counts what it has given, a consumer that stands still what it has taken.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { native, parallelMap } from '../index.js'
import { settledNumber } from './conformance/sources.js'

const LARGE = 4 << 20

/** Most items that were between source and consumer at once, of `length` of them. */
async function mostBetween(operation, item, options, length = 60) {
  let [pulled, taken, most] = [0, 0, 0]
  function* source() {
    while (pulled < length) {
      pulled++
      yield item
    }
  }
  for await (const _ of parallelMap(source(), operation, options)) {
    taken++
    // Everything has time to go wrong while nothing is taken.
    if (taken % 10 === 1) await settledNumber(() => pulled)
    most = Math.max(most, pulled - taken)
  }
  assert.equal(taken, length)
  return most
}

for (const preserveOrder of [true, false]) {
  const order = preserveOrder ? 'in order' : 'in any order'
  test(`large items and results as large, ${order}`, async () => {
    const item = new Float64Array(LARGE / 8)
    for (const count of [1, 2, 4, 8]) {
      const options = { maxBytes: count * LARGE, preserveOrder }
      const most = await mostBetween(native.array.sort(), item, options)
      // The last one is pulled while there is room, and what room it takes shows then.
      assert.ok(most <= count + 1, `${most} items, where ${count} have room`)
    }
  })

  test(`results larger than their items, ${order}`, async () => {
    const item = Buffer.alloc(LARGE)
    const most = await mostBetween(native.hex(), item, { maxBytes: 4 * LARGE, preserveOrder })
    assert.ok(most <= 5, `${most} items, where 4 have room`)
  })

  test(`small items whose results are large, ${order}`, async () => {
    const bomb = native.gzip().runSync(Buffer.alloc(LARGE))
    // Nobody knows what an item becomes before it has: what is on its way by then may come on top.
    const options = { maxBytes: 4 * LARGE, preserveOrder, backpressure: 6 }
    const most = await mostBetween(native.gunzip(), bomb, options, 120)
    assert.ok(most <= 6, `${most} items in a window of 6`)
  })
}

test('less than one item: one after the other', async () => {
  assert.ok((await mostBetween(native.sha256(), Buffer.alloc(LARGE), { maxBytes: 1 })) <= 2)
})

test('one pipe: what is between its steps does not count, and does not stay', async () => {
  const { array, gzip, pipe, unhex, hex } = native
  const item = new Float64Array(LARGE / 8)
  const operation = pipe(array.sort(), hex(), unhex(), gzip(), native.gunzip())
  const most = await mostBetween(operation, item, { maxBytes: 4 * LARGE }, 24)
  assert.ok(most <= 5, `${most} items, where 4 have room`)
})
