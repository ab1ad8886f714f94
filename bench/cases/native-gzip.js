// Packing many buffers with gzip: on Rust threads, and on those of libuv, as many as there are processors.

import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { gunzipSync, gzip, gzipSync } from 'node:zlib'
import { native, parallelMap } from 'millrace'
import { withDelay } from '../event-loop-delay.js'
import { text } from '../text.js'

// Read when libuv's pool starts, with its first work.
process.env.UV_THREADPOOL_SIZE = String(availableParallelism())

export const sides = {
  async millrace() {
    const operation = native.gzip({ level: LEVEL })
    const pack = (items) => parallelMap(items, operation).toArray()
    const items = buffers()
    await pack(items.slice(0, WARM))
    const { ms, delay } = await withDelay(() => pack(items).then((all) => check(items, all)))
    return { value: ITEMS / (ms / 1000), delay }
  },

  async node() {
    const pack = promisify(gzip)
    const items = buffers()
    const all = (items) => Promise.all(items.map((item) => pack(item, { level: LEVEL })))
    await all(items.slice(0, WARM))
    const began = performance.now()
    await all(items)
    return { value: ITEMS / ((performance.now() - began) / 1000) }
  },

  /** As if every processor did nothing but what this thread does: the same library, without a pool. */
  async limit() {
    const operation = native.gzip({ level: LEVEL })
    const items = buffers()
    for (const item of items.slice(0, WARM)) operation.runSync(item)
    const began = performance.now()
    for (const item of items) operation.runSync(item)
    return { value: (ITEMS / ((performance.now() - began) / 1000)) * availableParallelism() }
  },
}

function buffers() {
  const bytes = Buffer.from(text(ITEMS * BYTES))
  return Array.from({ length: ITEMS }, (_, at) => bytes.subarray(at * BYTES, (at + 1) * BYTES))
}

function check(items, packed) {
  for (let at = 0; at < ITEMS; at += 97) {
    if (!gunzipSync(packed[at]).equals(items[at])) throw new Error(`another text at ${at}`)
    // Not faster by packing less.
    if (packed[at].length > gzipSync(items[at], { level: LEVEL }).length * 1.1)
      throw new Error('packed badly')
  }
}

const ITEMS = 400
const BYTES = 64 << 10
const LEVEL = 6
const WARM = 40
