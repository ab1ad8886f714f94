// A map that is bound by the CPU: worker processes do the work, results come in the order of the items. The mapper needs
// nothing from outside, so it is shipped by its source; one with imports of its own stands in a task file.

import { parallelMap, workerPool } from 'millrace'

/** How many primes there are below a limit: trial division, slow on purpose. */
function countPrimes(limit) {
  let primes = 0
  for (let number = 2; number < limit; number++) {
    let divisor = 2
    while (divisor * divisor <= number && number % divisor !== 0) divisor++
    if (divisor * divisor > number) primes++
  }
  return primes
}

const limits = [10_000, 100_000, 200_000, 50_000, 20_000]
const pool = workerPool(countPrimes)
let at = 0
for await (const primes of parallelMap(limits, pool)) {
  console.log(`${primes} primes below ${limits[at++]}`)
}
await pool.close()
