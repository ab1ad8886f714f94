// A program written for async: only the import is another. Where the work computes instead of waiting, the iteratee, or
// the worker of a queue, may be a pool.

import { workerPool } from 'millrace'
import async from 'millrace/async'

const prices = { apple: 3, pear: 4, plum: 5 }

async.mapLimit(
  Object.keys(prices),
  2,
  (name, callback) => setImmediate(callback, null, `${name} ${prices[name]}`), // a request
  (error, labels) => console.log(error ?? labels.join(', ')),
)

const total = await async.reduce(Object.values(prices), 0, async (sum, price) => sum + price)
console.log(`${total} in all`)

const pool = workerPool((number) => {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return number > 1
})
console.log(await async.filter([1_000_003, 1_000_005, 1_000_033], pool))

const queue = async.queue(pool, 4)
queue.push([7, 8, 9], (error, isPrime) => console.log(error ?? isPrime))
await queue.drain()
await pool.close()
