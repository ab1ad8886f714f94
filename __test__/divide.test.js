// Shares of a list.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { divide } from '../index.js'

test('even shares in order, the larger ones first', () => {
  assert.deepEqual(divide([1, 2, 3, 4, 5, 6, 7], 3), [
    [1, 2, 3],
    [4, 5],
    [6, 7],
  ])
  assert.deepEqual(divide(['a', 'b'], 1), [['a', 'b']])
})

test('no share is empty', () => {
  assert.deepEqual(divide([1, 2], 5), [[1], [2]])
  assert.deepEqual(divide([], 3), [])
})

test('every item once, in order, and sizes that differ by at most one', () => {
  fc.assert(
    fc.property(fc.array(fc.anything()), fc.integer({ min: 1, max: 1000 }), (items, parts) => {
      const shares = divide(items, parts)
      assert.equal(shares.length, Math.min(parts, items.length))
      const all = shares.flat(1)
      assert.equal(all.length, items.length)
      assert.ok(all.every((item, at) => Object.is(item, items[at])))
      const sizes = shares.map((share) => share.length)
      if (items.length > 0) assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1 && Math.min(...sizes) > 0)
    }),
  )
})

test('what was given stays as it is', () => {
  const items = Object.freeze([1, 2, 3])
  const [first] = divide(items, 1)
  assert.notEqual(first, items)
})

test('wrong arguments', () => {
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /expected .+, got / }
  for (const items of [undefined, null, 'abc', { length: 1 }, new Set([1]), new Uint8Array(2)])
    assert.throws(() => divide(items, 2), type)
  for (const parts of [undefined, null, '2', 2n]) assert.throws(() => divide([1], parts), type)
  for (const parts of [0, -1, 1.5, NaN, Infinity])
    assert.throws(() => divide([1], parts), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
})
