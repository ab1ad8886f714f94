// The conformance suite for worker processes that run several items at the same time.

import { after } from 'node:test'
import { workerPool } from '../../index.js'
import { keyConformance } from './keys.js'
import { conformance } from './suite.js'

const task = new URL('./mappers.js', import.meta.url)
/** One pool per mapper: an export of the task file. @type {Map<string, ReturnType<typeof workerPool>>} */
const pools = new Map()

after(async () => {
  await Promise.all([...pools.values()].map((pool) => pool.close()))
})

const place = {
  name: 'processes with lanes',
  capacity: 4,
  mapper(name) {
    let pool = pools.get(name)
    pool ??= workerPool(task, { size: 2, concurrencyPerWorker: 2, exportName: name })
    pools.set(name, pool)
    return pool
  },
}
conformance(place)
keyConformance(place)
