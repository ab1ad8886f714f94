// How an item ended, in the words that every place shares. An outcome is always tagged and never tested for truth:
// `undefined` is a fine result and a fine thing to throw.

/** A mapper that returns this yields nothing for its item. */
export const skip = Symbol.for('millrace.skip')

/** The method that makes an object a mapper: `[startCall](source, settings) → run`. */
export const startCall = Symbol('millrace.startCall')

/** A property of those mappers that items can be given away to: the option `transfer`. */
export const takesAway = Symbol('millrace.takesAway')

/** The method of the same objects for items that are promises: `[openRuns](skipped) → PoolRuns`. */
export const openRuns = Symbol('millrace.openRuns')

/**
 * What a place gives back for one call. All of it belongs to one consumer.
 * @template R
 * @typedef {object} Run
 * @property {() => Promise<IteratorResult<R, undefined>>} next the next result; overlapping calls are answered in order
 * @property {() => boolean} poll take a result without a promise: true, and it stands in `value`
 * @property {R | undefined} value
 * @property {() => Promise<{ done: true, value: undefined }>} return soft cancel: start nothing more, drop what still runs
 * @property {(fn: (error: unknown) => void) => void} onStop `fn` is called the moment a stopping error or an abort is known
 * @property {Promise<void>} finished nothing of this call runs any more; never rejects
 */

/**
 * @template T
 * @param {T} value
 * @param {number} index
 * @returns {{ status: 'fulfilled', value: T, index: number }}
 */
export function fulfilled(value, index) {
  return { status: 'fulfilled', value, index }
}

/**
 * @param {unknown} reason
 * @param {number} index
 * @returns {{ status: 'rejected', reason: any, index: number }}
 */
export function rejected(reason, index) {
  return { status: 'rejected', reason, index }
}

/** The errors of a call with `stopOnError: false`, kept until its end. Grows with the number of failed items. */
export class ItemErrors {
  /** @type {{ index: number, error: unknown }[]} */
  #failed = []

  /**
   * @param {number} index
   * @param {unknown} error
   */
  add(index, error) {
    this.#failed.push({ index, error })
  }

  get size() {
    return this.#failed.length
  }

  /**
   * The one error for the end of the call: item errors in input order, then the source's own error if it failed too.
   * @param {{ error: unknown }} [sourceFailure]
   * @returns {AggregateError}
   */
  toError(sourceFailure) {
    this.#failed.sort((a, b) => a.index - b.index)
    const errors = this.#failed.map((failure) => failure.error)
    const items = `${errors.length} ${errors.length === 1 ? 'item' : 'items'} failed`
    if (sourceFailure === undefined) return new AggregateError(errors, items)
    return new AggregateError([...errors, sourceFailure.error], `${items}, then the source failed`)
  }
}
