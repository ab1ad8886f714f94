// The async context of a caller, which is what its AsyncLocalStorage holds: kept from when a function is given to when it
// is called. Who gave none of it pays nothing for each item.

import { AsyncResource } from 'node:async_hooks'

/** @returns {AsyncResource | undefined} undefined: nothing is stored in the context that runs */
export function callerContext() {
  const resource = new AsyncResource('Millrace')
  // It has two ids. What else it has is stored in the context: one symbol for each AsyncLocalStorage, or one for all of
  // them, as Node's version has it (a test says whether that is still so), or it concerns hooks, which is no harm.
  let stored = -2
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    if (/** @type {any} */ (resource)[symbol] !== undefined) stored++
  }
  return stored > 0 ? resource : undefined
}

/**
 * A function that is called in the context of the caller, or itself where there is none.
 * @template {(...args: any[]) => any} Fn
 * @param {AsyncResource | undefined} context
 * @param {Fn} fn
 * @returns {Fn}
 */
export function heldIn(context, fn) {
  if (context === undefined) return fn
  const held = (/** @type {any[]} */ ...args) => context.runInAsyncScope(fn, undefined, ...args)
  return /** @type {Fn} */ (held)
}

/**
 * @template Returned
 * @param {AsyncResource | undefined} context undefined: that which runs
 * @param {() => Returned} fn
 * @returns {Returned}
 */
export function runIn(context, fn) {
  return context === undefined ? fn() : context.runInAsyncScope(fn)
}

/**
 * Call a function so that what it enters (`enterWith()`) does not stay for all that comes after: in the context that runs,
 * but apart from it. What rings from outside of JavaScript has none at all.
 * @param {() => void} fn
 */
export function runApart(fn) {
  new AsyncResource('Millrace').runInAsyncScope(fn)
}
