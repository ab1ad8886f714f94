// A native operation: a pipe of steps that run in Rust, one after the other, with one crossing in and one out. All
// operations share one pool of threads, as many as there are processors; it is made when the first one runs, and what
// runs for the items of a call is said when the call begins.

import { constants } from 'node:buffer'
import { availableParallelism, NativeOperation as Compiled, NativePool } from '../binding.js'
import { invalidArgType } from '../errors.js'
import { nativeRunSettings } from '../options.js'
import { openRuns, startCall, takesAway } from '../outcome.js'
import { PoolCall } from '../pool-call.js'
import { PoolCore } from '../pool-core.js'
import { PoolRuns } from '../pool-runs.js'
import { runAlone } from '../single-run.js'
import { NativeDecoder } from './decoder.js'
import { failureError, thrownFailure } from './failure.js'
import { NativeItemWriter, SingleItem } from './item-writer.js'

/**
 * One step. `spec` is what Rust is told (`src/native/spec.rs`), `takes` and `gives` say what may stand before and after
 * it in a pipe; 'value' is what no step takes.
 * @typedef {object} Step
 * @property {string} name as in `native.sha256`
 * @property {{ op: string, [parameter: string]: unknown }} spec
 * @property {keyof typeof TAKES} takes
 * @property {'bytes' | 'text' | 'array' | 'value'} gives
 */

export class NativeOperation {
  #steps
  /** @type {Compiled} */
  #compiled
  /** @type {OperationCore | undefined} */
  #core
  /** @type {PoolRuns | undefined} */
  #runs
  /** @type {SingleItem | undefined} */
  #single

  /**
   * @param {readonly Step[]} steps
   * @throws {SyntaxError} ERR_INVALID_PATTERN
   */
  constructor(steps) {
    this.#steps = steps
    try {
      const spec = JSON.stringify(steps.map(({ spec }) => spec))
      this.#compiled = new Compiled(spec, constants.MAX_LENGTH, constants.MAX_STRING_LENGTH)
    } catch (error) {
      throw thrownFailure(this.#label, error)
    }
  }

  /**
   * @param {unknown} operation
   * @returns {readonly Step[] | undefined} undefined: it is none
   */
  static steps(operation) {
    return typeof operation === 'object' && operation !== null && #steps in operation
      ? operation.#steps
      : undefined
  }

  /**
   * @param {unknown} item
   * @param {unknown} [options]
   * @returns {Promise<any>}
   */
  async run(item, options) {
    const settings = nativeRunSettings(options)
    const { signal, tries, priority, transfer } = settings
    if (signal !== undefined || tries !== undefined || priority !== 0 || transfer)
      return runAlone(this.#opened, item, settings)
    if (this.#runs === undefined || this.#runs.over) this.#runs = new PoolRuns(this.#opened)
    const runs = this.#runs
    try {
      return await runs.run(item)
    } finally {
      // Operations come and go: none leaves an open call behind.
      if (runs.idle && !runs.over) runs.end()
    }
  }

  /**
   * @param {unknown} item
   * @returns {any}
   */
  runSync(item) {
    this.#single ??= new SingleItem(TAKES[this.#steps[0].takes])
    return this.#single.with(item, (row, large) => {
      try {
        return this.#compiled.runSync(row, large)
      } catch (error) {
        throw thrownFailure(this.#label, error)
      }
    })
  }

  /**
   * @param {import('../source.js').Source} source
   * @param {Readonly<import('../options.js').CallSettings>} settings
   */
  [startCall](source, settings) {
    return new PoolCall(this.#opened, source, settings)
  }

  get [takesAway]() {
    return true
  }

  /** @param {unknown} skipped */
  [openRuns](skipped) {
    return new PoolRuns(this.#opened, skipped)
  }

  get #opened() {
    this.#core ??= new OperationCore(this.#label, this.#compiled, TAKES[this.#steps[0].takes])
    return this.#core
  }

  get #label() {
    const names = this.#steps.map(({ name }) => name)
    return names.length === 1 ? `native.${names[0]}()` : `native.pipe(${names.join(', ')})`
  }
}

/**
 * @param {readonly unknown[]} operations
 * @returns {NativeOperation} one that does the work of all, one after the other
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function pipe(...operations) {
  const steps = operations.flatMap((operation, at) => {
    const steps = NativeOperation.steps(operation)
    if (steps === undefined) throw invalidArgType(`operations[${at}]`, 'a native operation', operation)
    return steps
  })
  if (steps.length === 0) throw invalidArgType('operations', 'one native operation at least', undefined)
  for (const [at, { name, takes }] of steps.entries()) {
    if (at === 0) continue
    const before = steps[at - 1]
    if (!FITS[takes].includes(before.gives)) {
      const expected = `an operation that takes what native.${before.name}() gives (${WORDS[before.gives]})`
      throw invalidArgType('operations', expected, `native.${name}(), which takes ${WORDS[takes]}`)
    }
  }
  return new NativeOperation(steps)
}

/** What a call sees of the pool that all operations share. */
class OperationCore {
  #shared
  #compiled
  #takes

  /**
   * @param {string} label
   * @param {Compiled} compiled
   * @param {import('./item-writer.js').ItemKind} takes
   */
  constructor(label, compiled, takes) {
    this.#shared = sharedCore()
    this.#compiled = compiled
    this.#takes = takes
    this.label = label
    this.native = this.#shared.native
    this.capacity = this.#shared.capacity
  }

  /** @param {Readonly<import('../options.js').CallSettings>} [settings] */
  itemWriter(settings) {
    return new NativeItemWriter(this.native, this.#takes, settings ?? NO_TRANSFER)
  }

  /** @param {import('../pool-core.js').PoolCall} call */
  add(call) {
    this.native.bind(call.id, this.#compiled)
    this.#shared.add(call)
  }

  /** @param {1 | -1} change */
  hold(change) {
    this.#shared.hold(change)
  }

  keep() {
    this.#shared.keep()
  }

  /** @param {number} worker */
  decoder(worker) {
    return this.#shared.decoder(worker)
  }

  takeBesideBytes() {
    return this.#shared.takeBesideBytes()
  }

  /**
   * @param {any} failure its record, or what could not be decoded
   * @param {{ index?: number, attempt: number, worker: number }} where
   */
  toError(failure, where) {
    return failure instanceof Error ? failure : failureError(this.label, failure, where)
  }
}

/** @type {PoolCore | undefined} */
let shared

function sharedCore() {
  const threads = availableParallelism()
  const make = (/** @type {() => void} */ onWake) => NativePool.threads(threads, onWake)
  shared ??= new PoolCore('native', threads, make, undefined, {}, () => new NativeDecoder())
  return shared
}

const NO_TRANSFER = Object.freeze({ transfer: false, tries: undefined })

/** How an item of an operation that takes this becomes bytes. */
const TAKES = Object.freeze({
  bytes: /** @type {const} */ ('bytes'),
  text: /** @type {const} */ ('bytes'),
  array: /** @type {const} */ ('array'),
  arrays: /** @type {const} */ ('arrays'),
  path: /** @type {const} */ ('path'),
})

/** What a step may follow: bytes that are not UTF-8 are an error of the item. @type {Record<keyof typeof TAKES, readonly string[]>} */
const FITS = {
  bytes: ['bytes', 'text', 'array'],
  text: ['bytes', 'text'],
  array: ['array'],
  arrays: [],
  path: ['text'],
}

/** @type {Record<string, string>} */
const WORDS = {
  bytes: 'bytes',
  text: 'text',
  array: 'a typed array',
  arrays: 'several typed arrays',
  path: 'a path',
  value: 'a value that no operation takes',
}
