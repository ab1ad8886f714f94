// Who hears of the abort of a signal: all calls and streams that were given it, through one listener of its own. A signal
// may live as long as the program and belong to thousands of calls: that is no leak to warn about.

/** @typedef {{ fns: Set<() => void>, tell: () => void }} Heard */

/** Signals that somebody listens to, or did. @type {WeakMap<AbortSignal, Heard>} */
const heard = new WeakMap()

/**
 * Call a function when a signal is aborted.
 * @param {AbortSignal} signal that is not aborted
 * @param {() => void} fn
 */
export function heedAbort(signal, fn) {
  let one = heard.get(signal)
  if (one === undefined) {
    one = heardBy(new Set())
    heard.set(signal, one)
  }
  if (one.fns.size === 0) signal.addEventListener('abort', one.tell)
  one.fns.add(fn)
}

/**
 * Do not call it any more. The last one takes the listener with it.
 * @param {AbortSignal} signal
 * @param {() => void} fn
 */
export function ignoreAbort(signal, fn) {
  const one = heard.get(signal)
  if (one?.fns.delete(fn) && one.fns.size === 0) signal.removeEventListener('abort', one.tell)
}

/**
 * @param {Set<() => void>} fns
 * @returns {Heard}
 */
function heardBy(fns) {
  const tell = () => {
    for (const fn of [...fns]) {
      // What was called before may have ended it.
      if (!fns.has(fn)) continue
      try {
        fn()
      } catch (error) {
        // As of any listener: an uncaught exception, and the others hear of the abort all the same.
        process.nextTick(() => {
          throw error
        })
      }
    }
  }
  return { fns, tell }
}
