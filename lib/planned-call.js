// What a call is to do, checked when it is made; it can begin on any source later. Where it runs is the mapper's business.

import { callerContext, heldIn } from './async-context.js'
import { FLATTEN } from './chunk-flags.js'
import { startEventLoop } from './event-loop.js'
import { FlatRun } from './flat-run.js'
import { mapperKind, parallelMapSettings } from './options.js'
import { startCall } from './outcome.js'

/**
 * @param {unknown} mapper
 * @param {unknown} options
 * @param {number} [form] 0, FILTER or FLATTEN
 * @returns {{ settings: Readonly<Settings>, start: (source: Source) => Run }}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function plannedCall(mapper, options, form = 0) {
  const kind = mapperKind(mapper)
  const context = callerContext()
  const checked = parallelMapSettings(options, kind, form)
  const settings = context === undefined ? checked : Object.freeze({ ...checked, context })
  const map = (/** @type {Source} */ source) =>
    kind === 'function'
      ? startEventLoop(source, heldIn(context, /** @type {MapperFunction} */ (mapper)), settings)
      : /** @type {StartsCalls} */ (mapper)[startCall](source, settings)
  return {
    settings,
    start: form === FLATTEN ? (source) => new FlatRun(map(source), settings) : map,
  }
}

/** @typedef {import('./outcome.js').Run<any>} Run */
/** @typedef {import('./source.js').Source} Source */
/** @typedef {(item: any, context: any) => unknown} MapperFunction */
/** @typedef {import('./options.js').CallSettings} Settings */
/** @typedef {{ [startCall](source: Source, settings: Readonly<Settings>): Run }} StartsCalls */
