// Shares of a list, for workers that want one each.

import { invalidArgType, outOfRange } from './errors.js'

/**
 * @template Item
 * @param {readonly Item[]} items
 * @param {number} parts
 * @returns {Item[][]}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function divide(items, parts) {
  if (!Array.isArray(items)) throw invalidArgType('items', 'an array', items)
  const expected = 'a positive integer'
  if (typeof parts !== 'number') throw invalidArgType('parts', expected, parts)
  if (!Number.isSafeInteger(parts) || parts < 1) throw outOfRange('parts', expected, parts)
  const count = Math.min(parts, items.length)
  const size = Math.floor(items.length / count)
  const larger = items.length % count
  // Where a share begins: those before it have one more each, as far as there are larger ones.
  const start = (/** @type {number} */ share) => share * size + Math.min(share, larger)
  return Array.from({ length: count }, (_, share) => items.slice(start(share), start(share + 1)))
}
