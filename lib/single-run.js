// One item as a call of its own: where a `run()` has a signal, or says how often and how long.

import { openSource } from './open-source.js'
import { parallelMapSettings } from './options.js'
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
  ...parallelMapSettings(undefined, 'pool'),
  concurrency: 1,
  maxBytes: Number.MAX_SAFE_INTEGER,
  chunkSize: 1,
})
