// What the process of the chaos holds, so that before and after can be compared.

import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { heldAfter, holdings, settled } from '../holdings.js'

/** Descriptors, shared memory, processes, and listeners on what lives as long as the program. */
function census(signal) {
  return {
    ...holdings(),
    listeners: Object.fromEntries(
      process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
    ),
    onSignal: getEventListeners(signal, 'abort').length,
  }
}

/** The same when nothing changes any more. */
export function settledCensus(signal) {
  return settled(() => census(signal))
}

/** What is still different after some seconds. */
export async function leftSince(before, signal) {
  const now = await heldAfter(before, () => census(signal))
  return Object.keys(now)
    .filter((key) => !isDeepStrictEqual(now[key], before[key]))
    .map((key) => `${key}: ${JSON.stringify(now[key])}, before: ${JSON.stringify(before[key])}`)
}

/** Bytes of memory in use after a collection: the heap, what is outside of it, and of the whole process. */
export async function memory() {
  // Finalizers run on later turns.
  for (let turn = 0; turn < 4; turn++) {
    globalThis.gc()
    await sleep(20)
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage()
  return { heap: heapUsed, outside: external + arrayBuffers, rss }
}
