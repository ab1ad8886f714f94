// One item as a call of its own: where a `run()` has a signal, or says how often and how long.

import { openSource } from './open-source.js'
import { PoolCall } from './pool-call.js'

/**
 * @param {import('./pool-call.js').CallCore} core
 * @param {unknown} item
 * @param {ReturnType<typeof import('./options.js').runSettings>} settings
 * @returns {Promise<any>}
 */
export async function runAlone(core, item, settings) {
  const call = new PoolCall(core, openSource([item]), { ...ONE_RUN, ...settings })
  const { value } = await call.next()
  await call.return()
  return value
}

/** @type {Readonly<import('./options.js').CallSettings>} */
const ONE_RUN = Object.freeze({
  concurrency: 1,
  preserveOrder: true,
  backpressure: undefined,
  maxBytes: Number.MAX_SAFE_INTEGER,
  chunkSize: 1,
  signal: undefined,
  stopOnError: true,
  settled: false,
  tries: undefined,
  priority: 0,
  key: undefined,
  form: 0,
})
