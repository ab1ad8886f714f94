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
    await digests(items)
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
      await way()
      const began = performance.now()
      await way()
      best.push(performance.now() - began)
    }
    return { value: ITEMS / (Math.min(...best) / 1000) }
  },

  /** As if every processor did nothing but what this thread does. */
  async limit() {
    const items = buffers()
    items.map(hash)
    const began = performance.now()
    items.map(hash)
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
