// The conformance suite for worker processes.

import { after } from 'node:test'
import { workerPool } from '../../index.js'
import { keyConformance } from './keys.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const SIZE = 4
const task = new URL('./mappers.js', import.meta.url)
/** One pool per mapper: an export of the task file. @type {Map<string, ReturnType<typeof workerPool>>} */
const pools = new Map()

after(async () => {
  await Promise.all([...pools.values()].map((pool) => pool.close()))
})

function poolOf(name, size) {
  const key = `${name} ${size}`
  let pool = pools.get(key)
  pool ??= workerPool(task, { size, exportName: name })
  pools.set(key, pool)
  return pool
}

const place = {
  name: 'processes',
  capacity: SIZE,
  mapper: (name) => poolOf(name, SIZE),
  single: (name) => poolOf(name, 1),
}
conformance(place)
stageConformance(place)
keyConformance(place)
