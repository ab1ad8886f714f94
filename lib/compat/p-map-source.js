// What `pMap` and `pMapIterable` share: the checks of their arguments, the source that they pull, and the mapper.

import { skip } from '../outcome.js'
import { isThenable } from '../source.js'
import { isOperation, MOST_AT_ONCE, OperationRuns } from './operation-runs.js'

/** A mapper that returns this adds nothing to the results. */
export const pMapSkip = Symbol('skip')

/** A mapper that returns this ends the call at its element. */
export const pMapStop = Symbol('stop')

/**
 * @param {any} input
 * @param {unknown} mapper
 * @param {unknown} concurrency
 * @throws {TypeError} with the words of p-map
 */
export function checkArguments(input, mapper, concurrency) {
  if (input?.[Symbol.iterator] === undefined && input?.[Symbol.asyncIterator] === undefined) {
    throw new TypeError(
      `Expected \`input\` to be either an \`Iterable\` or \`AsyncIterable\`, got (${typeof input})`,
    )
  }
  checkMapper(mapper)
  if (!isLimit(concurrency, 1)) {
    throw new TypeError(
      `Expected \`concurrency\` to be an integer from 1 and up or \`Infinity\`, got \`${String(concurrency)}\` (${typeof concurrency})`,
    )
  }
}

/** @param {unknown} mapper */
export function checkMapper(mapper) {
  if (typeof mapper !== 'function' && !isOperation(mapper)) throw new TypeError('Mapper function is required')
}

/**
 * @param {unknown} value
 * @param {number} least
 */
export function isLimit(value, least) {
  return value === Infinity || (Number.isSafeInteger(value) && Number(value) >= least)
}

/**
 * A mapper for one call. One that is no function is given a bounded number of items at once.
 * @param {any} mapper
 * @param {number} concurrency
 * @returns {{ map: (element: any, index: any) => any, concurrency: number, end: (reason?: unknown) => void }}
 *   `end` is told when nothing more is mapped
 */
export function mapperOf(mapper, concurrency) {
  if (!isOperation(mapper)) return { map: mapper, concurrency, end: nothing }
  const runs = new OperationRuns(mapper)
  return {
    map: async (element) => {
      const result = await runs.run(element)
      return result === skip ? pMapSkip : result
    },
    concurrency: Math.min(concurrency, MOST_AT_ONCE),
    end: (reason) => runs.cancel(reason),
  }
}

/** Pulls an input. Several pulls may be under way at once; the first end that is seen is the end. */
export class Pulls {
  /** It has said that it is at its end: it is not asked again. */
  #ended = false
  /** Whoever pulled has seen that: there is nothing to close. What ends the call in the turn before still closes. */
  seen = false
  #iterator

  /** @param {any} input */
  constructor(input) {
    // As `for await` chooses.
    this.#iterator =
      input[Symbol.asyncIterator] === undefined ? input[Symbol.iterator]() : input[Symbol.asyncIterator]()
  }

  /**
   * @returns {any} a result, or a promise of one; throws what `next()` throws. No `next()` is called after the end,
   *   a queue would wait in it for ever.
   */
  pull() {
    if (this.#ended) return END
    const result = this.#iterator.next()
    if (!isThenable(result)) {
      if (result.done) this.#ended = true
      return result
    }
    const promise = Promise.resolve(/** @type {PromiseLike<any>} */ (result))
    promise.then(this.#onResult, nothing)
    return promise
  }

  /** Nobody waits for it: a source may be stuck in `next()`. */
  close() {
    if (this.seen) return
    try {
      Promise.resolve(this.#iterator.return?.()).catch(nothing)
    } catch {
      // What it throws on leaving would hide what ended the call.
    }
  }

  #onResult = (/** @type {IteratorResult<any>} */ result) => {
    if (result?.done) this.#ended = true
  }
}

const END = Object.freeze({ done: true, value: undefined })

function nothing() {}
