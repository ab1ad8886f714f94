// One number out of many workers: each sums a range, the sums are merged as they come. What is added in any order needs
// no order.

import { parallelMap, workerPool } from 'millrace'

const sumOfSquares = ({ from, to }) => {
  let sum = 0n
  for (let number = BigInt(from); number < BigInt(to); number++) sum += number * number
  return sum
}

/** The numbers from 1 to n in ranges of a size. */
function* ranges(n, size) {
  for (let from = 1; from <= n; from += size) yield { from, to: Math.min(from + size, n + 1) }
}

const n = 1_000_000
const pool = workerPool(sumOfSquares)
const sums = parallelMap(ranges(n, 50_000), pool, { preserveOrder: false })
const total = await sums.reduce((merged, sum) => merged + sum, 0n)
await pool.close()

const expected = (BigInt(n) * BigInt(n + 1) * BigInt(2 * n + 1)) / 6n
console.log(`1² + … + ${n}² = ${total}, ${total === expected ? 'as the formula says' : `not ${expected}`}`)
