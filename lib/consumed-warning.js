// A call does nothing until somebody consumes it, so `await parallelMap(items, send)` alone would do nothing in
// silence. Such a call is reported once per call site: when it is collected as garbage, or at the latest at exit. One
// that is stored and consumed later is fine, so nothing earlier than that can be taken as proof.
//
// The price of a call that is consumed in the turn that made it, as nearly all are: one captured frame (not formatted)
// and an entry in a list that a microtask empties. Only what is left then gets a formatted line and is watched. The
// watch holds that line alone: a captured frame would keep the caller's variables alive, the call itself among them.

import { MILLRACE_UNCONSUMED } from './errors.js'

/**
 * Begin to watch a call.
 * @param {object} call
 * @param {Function} maker the public function that made it: the frame that called this one is the call site
 * @returns {Consumption} whose `consumed` the call sets
 */
export function watchConsumption(call, maker) {
  const consumption = new Consumption(call, capturedFrame(maker))
  if (fresh.push(consumption) === 1) queueMicrotask(watchFresh)
  return consumption
}

class Consumption {
  consumed = false
  /** The call site, for one that was not consumed at once. */
  site = ''
  /** @type {object | undefined} */
  call
  /** @type {{ stack?: unknown } | undefined} */
  frame

  /**
   * @param {object} call
   * @param {{ stack?: unknown }} frame
   */
  constructor(call, frame) {
    this.call = call
    this.frame = frame
  }

  /** Somebody consumes the call, or has closed it without: both are a decision. */
  settle() {
    this.consumed = true
    this.call = this.frame = undefined
    if (watched.delete(this)) registry.unregister(this)
  }
}

function watchFresh() {
  const made = fresh
  fresh = []
  for (const consumption of made) {
    const { call, frame } = consumption
    if (call === undefined) continue
    consumption.site = formatted(frame)
    consumption.call = consumption.frame = undefined
    watched.add(consumption)
    registry.register(call, consumption, consumption)
  }
  if (watched.size !== 0 && !watchingExit) {
    watchingExit = true
    process.once('exit', warnAtExit)
  }
}

/** @param {Consumption} consumption */
function warnCollected(consumption) {
  watched.delete(consumption)
  if (isNews(consumption))
    process.emitWarning(MESSAGE, { type: TYPE, code: MILLRACE_UNCONSUMED, detail: consumption.site })
}

function warnAtExit() {
  for (const consumption of watched) {
    if (!isNews(consumption)) continue
    const warning = Object.assign(new Error(MESSAGE), {
      name: TYPE,
      code: MILLRACE_UNCONSUMED,
      detail: consumption.site,
    })
    // emitWarning() would wait for the next tick, and there is none any more.
    process.emit('warning', warning)
  }
}

/** @param {Consumption} consumption */
function isNews(consumption) {
  if (consumption.consumed || reported.has(consumption.site)) return false
  reported.add(consumption.site)
  return true
}

/**
 * @param {Function} maker
 * @returns {{ stack?: unknown }}
 */
function capturedFrame(maker) {
  /** @type {{ stack?: unknown }} */
  const frame = {}
  const limit = Error.stackTraceLimit
  try {
    Error.stackTraceLimit = 1
    Error.captureStackTrace(frame, maker)
    Error.stackTraceLimit = limit
  } catch {
    // Frozen intrinsics: then there is no call site to tell.
  }
  return frame
}

/** @param {{ stack?: unknown } | undefined} frame */
function formatted(frame) {
  try {
    const line = String(frame?.stack).match(/^\s+at .*$/m)
    return line === null ? '' : line[0]
  } catch {
    return ''
  }
}

/** Calls of this turn. @type {Consumption[]} */
let fresh = []
/** Calls that were not consumed in the turn that made them, and are not yet. @type {Set<Consumption>} */
const watched = new Set()
/** Call sites that a warning has named. @type {Set<string>} */
const reported = new Set()
const registry = new FinalizationRegistry(warnCollected)
let watchingExit = false

const TYPE = 'MillraceWarning'
const MESSAGE =
  'A call of parallelMap() was never consumed, so it did nothing: use `for await`, `.toArray()` or `.forEach()`'
