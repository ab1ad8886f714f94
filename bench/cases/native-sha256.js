// SHA-256 of many buffers: on Rust threads, and in both ways that Node has.

import { createHash, randomBytes, webcrypto } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { native, parallelMap } from 'millrace'
import { withDelay } from '../event-loop-delay.js'

export const sides = {
  async millrace() {
    const operation = native.sha256()
    const digests = (items) => parallelMap(items, operation).toArray()
    const items = buffers()
    for (let round = 0; round < WARM_ROUNDS; round++) await digests(items)
    const { ms, delay } = await withDelay(() => digests(items).then((all) => check(items, all)))
    return { value: ITEMS / (ms / 1000), delay }
  },

  async node() {
    const items = buffers()
    const ways = [
      () => items.map(hash),
      () => Promise.all(items.map((item) => webcrypto.subtle.digest('SHA-256', item))),
    ]
    const best = []
    for (const way of ways) {
      for (let round = 0; round < WARM_ROUNDS; round++) await way()
      const began = performance.now()
      await way()
      best.push(performance.now() - began)
    }
    return { value: ITEMS / (Math.min(...best) / 1000) }
  },

  /** As if every processor did nothing but what one thread does, two items at once, whose items another one copies. */
  async limit() {
    const operation = native.sha256()
    const digests = (items) => parallelMap(items, operation, { concurrency: 1 }).toArray()
    const items = buffers()
    for (let round = 0; round < WARM_ROUNDS; round++) await digests(items)
    const began = performance.now()
    check(items, await digests(items))
    return { value: (ITEMS / ((performance.now() - began) / 1000)) * availableParallelism() }
  },
}

function buffers() {
  return Array.from({ length: ITEMS }, () => randomBytes(BYTES))
}

function hash(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}

function check(items, digests) {
  for (let at = 0; at < ITEMS; at += 397)
    if (digests[at] !== hash(items[at])) throw new Error(`a wrong digest at ${at}`)
}

const ITEMS = 2000
const BYTES = 64 << 10
/** Until V8 has compiled what it will compile: beside a whole round of some 50 ms, that counts. */
const WARM_ROUNDS = 5
