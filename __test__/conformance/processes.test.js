// The conformance suite for worker processes.

import { after } from 'node:test'
import { workerPool } from '../../index.js'
import { conformance } from './suite.js'

const SIZE = 4
const task = new URL('./mappers.js', import.meta.url)
/** One pool per mapper: an export of the task file. @type {Map<string, ReturnType<typeof workerPool>>} */
const pools = new Map()

after(async () => {
  await Promise.all([...pools.values()].map((pool) => pool.close()))
})

conformance({
  name: 'processes',
  capacity: SIZE,
  mapper(name) {
    let pool = pools.get(name)
    pool ??= workerPool(task, { size: SIZE, exportName: name })
    pools.set(name, pool)
    return pool
  },
})
