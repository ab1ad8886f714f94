// The place that never crosses: a function mapper runs on this event loop. Per item it makes one context and one
// reaction to the mapper's promise, nothing else; the conformance suite holds it equal to the other places.
//
// An item is pulled on credit, runs in a slot, ends in an entry of the ring, and leaves to the consumer. With
// preserveOrder its entry is that of its index, otherwise that of its turn to finish.
// `#outstanding` counts from pull to leaving and never exceeds the window, so the ring holds at most a window.

import { heedAbort, ignoreAbort } from './abort-listeners.js'
import { runIn } from './async-context.js'
import { FILTER, FLATTEN } from './chunk-flags.js'
import { collected, notIterable } from './collected.js'
import { CallSignal, Context } from './context.js'
import { ConsumedError } from './errors.js'
import { ItemKeys } from './event-loop-keys.js'
import { ItemTries } from './event-loop-tries.js'
import { noteFailure, withError } from './failure.js'
import { InnerResults } from './flat-run.js'
import { openSource } from './open-source.js'
import { fulfilled, ItemErrors, rejected, skip } from './outcome.js'
import { FAILURE, ResultRing, SKIPPED, VALUE } from './result-ring.js'
import { FAILED, ITEM, isThenable, PENDING, watched } from './source.js'

/**
 * @param {import('./source.js').Source} source
 * @param {(item: any, context: any) => unknown} mapper
 * @param {Readonly<import('./options.js').CallSettings>} settings
 * @returns {import('./outcome.js').Run<any>}
 */
export function startEventLoop(source, mapper, settings) {
  return new EventLoopRun(source, mapper, settings)
}

class EventLoopRun {
  /** The result that the last `poll()` took. @type {any} */
  value = undefined

  /** @type {import('./source.js').Source} */
  #source
  /** @type {(item: any, context: any) => unknown} */
  #mapper
  /** @type {Readonly<import('./options.js').CallSettings>} */
  #settings
  #concurrency
  #window
  #preserveOrder
  #form

  #phase = ACTIVE
  /** ITEM while the source may have more, then DONE or FAILED. */
  #sourceEnd = ITEM
  /** Slots that run nothing. Made as they are needed, at most `concurrency`. @type {Slot[]} */
  #idle = []
  #running = 0
  #outstanding = 0
  /** Slots were left without work for want of credit: whoever takes a result has to fill them. */
  #starved = true
  #filling = false
  #waitingForSource = false

  #ring
  /** Without order: the entry of the next item to finish. */
  #tail = 0

  /** Calls of `next()` that wait, oldest first. @type {Waiter[]} */
  #waiters = []
  /** The error that ends the call, from when it is known until it is thrown. @type {{ error: unknown } | undefined} */
  #failure
  #errors = new ItemErrors()
  /** @type {((error: unknown) => void) | undefined} */
  #tellStop

  #signal = new CallSignal()
  /** @type {Promise<void> | undefined} */
  #closing
  #closed = false
  /** How often items are tried, and how long; undefined: once, and as long as they like. @type {ItemTries | undefined} */
  #tries
  /** Each try has its time. */
  #timed = false
  /** Items of one key run one after the other; undefined: items have no keys. @type {ItemKeys | undefined} */
  #keys
  /** What mappers of a `flatMap()` returned and is still pulled: each has a slot. @type {Set<InnerResults>} */
  #inner = new Set()
  /** `return()` has reported how the closing went. */
  #returned = false
  /** Made when somebody asks for it. @type {Promise<void> | undefined} */
  #finished
  /** @type {(() => void) | undefined} */
  #resolveFinished

  /**
   * @param {import('./source.js').Source} source
   * @param {(item: any, context: any) => unknown} mapper
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  constructor(source, mapper, settings) {
    this.#source = source
    this.#mapper = mapper
    this.#settings = settings
    this.#concurrency = Number(settings.concurrency)
    this.#window = Number(settings.backpressure)
    this.#preserveOrder = settings.preserveOrder
    this.#form = settings.form
    if (settings.tries !== undefined) {
      this.#timed = settings.tries.timeout > 0
      this.#tries = new ItemTries(settings.tries, this.#signal, {
        failed: (slot, error) => this.#fail(slot, error),
        concluded: (index, error, attempt, errors) => this.#conclude(index, error, attempt, errors),
        goOn: () => this.#goOn(),
      })
    }
    if (settings.key !== undefined) this.#keys = new ItemKeys(settings.key, () => this.#goOn())
    this.#ring = new ResultRing(this.#window)
    if (settings.signal?.aborted) this.#onAbort()
    else if (settings.signal !== undefined) heedAbort(settings.signal, this.#onAbort)
  }

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  next() {
    if (this.poll()) return Promise.resolve({ done: false, value: this.value })
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#answer()
    })
  }

  poll() {
    if (this.#waiters.length !== 0) return false
    if (!this.#take()) {
      if (!this.#starved) return false
      this.#fill()
      if (!this.#take()) return false
    }
    if (this.#starved) {
      const { value } = this
      this.#fill()
      // A mapper that takes results of its own call has written it meanwhile.
      this.value = value
    }
    return true
  }

  /** @returns {Promise<{ done: true, value: undefined }>} */
  return() {
    this.#failure = undefined
    if (this.#phase !== OVER) {
      this.#end()
      this.#closeSource()
      this.#raise(undefined)
      this.#answer()
    }
    return this.#afterClosing()
  }

  /** @param {(error: unknown) => void} fn */
  onStop(fn) {
    this.#tellStop = fn
    // With stopOnError: false the errors of items that still run belong to what will be thrown.
    if (this.#settings.settled || this.#settings.stopOnError) this.#source.onStop(fn)
    if (this.#failure !== undefined) fn(this.#failure.error)
  }

  get finished() {
    this.#finished ??= new Promise((resolve) => {
      this.#resolveFinished = resolve
    })
    this.#checkFinished()
    return this.#finished
  }

  /** Start items while there is a free slot, credit and a source. */
  #fill() {
    // A mapper or a source that calls back into this run finds the loop below at work.
    if (this.#filling) return
    this.#filling = true
    this.#starved = false
    while (this.#phase === ACTIVE && this.#running < this.#concurrency) {
      const retry = this.#tries?.takeDue()
      if (retry !== undefined) {
        this.#startAgain(retry)
        continue
      }
      const keyed = this.#keys?.take()
      if (keyed !== undefined) {
        this.#startKeyed(keyed)
        continue
      }
      if (this.#sourceEnd !== ITEM) break
      if (this.#outstanding >= this.#window) {
        this.#starved = true
        break
      }
      if (this.#waitingForSource || !this.#pull()) break
    }
    this.#filling = false
    if (this.#waiters.length !== 0) this.#answer()
  }

  /** @returns {boolean} whether an item came */
  #pull() {
    const source = this.#source
    const { settled, stopOnError } = this.#settings
    const pulled = source.pull()
    if (pulled === ITEM) {
      // The source may have stopped its own call while it made this item.
      if (this.#phase !== ACTIVE) watched(source.value)
      else if (this.#keys === undefined) this.#start(source.value, source.index)
      else {
        this.#outstanding++
        this.#keys.add(source.value)
      }
      return true
    }
    if (pulled === PENDING) {
      this.#waitingForSource = true
      source.whenReady(this.#onSourceReady)
      return false
    }
    this.#sourceEnd = pulled
    // With stopOnError: false the errors of items that still run belong to what will be thrown.
    if (pulled === FAILED && (settled || stopOnError)) this.#tellStop?.(source.error)
    this.#checkFinished()
    return false
  }

  #onSourceReady = () => {
    this.#waitingForSource = false
    this.#fill()
  }

  /**
   * @param {any} item
   * @param {number} index
   */
  #start(item, index) {
    const slot = this.#idle.pop() ?? this.#makeSlot()
    slot.index = index
    slot.attempt = 0
    slot.errors = NO_ERRORS
    this.#running++
    this.#outstanding++
    if (isThenable(item)) Promise.resolve(item).then(slot.onItem, slot.onError)
    else this.#map(slot, item)
  }

  /**
   * An item whose key is free. It counts as outstanding since it was pulled.
   * @param {import('./event-loop-keys.js').KeyedItem} item
   */
  #startKeyed({ index, value, failed }) {
    if (failed) {
      this.#conclude(index, value, 1, NO_ERRORS)
      return
    }
    const slot = this.#idle.pop() ?? this.#makeSlot()
    slot.index = index
    slot.attempt = 0
    slot.errors = NO_ERRORS
    this.#running++
    this.#map(slot, value)
  }

  /**
   * @param {Slot} slot
   * @param {any} item
   */
  #map(slot, item) {
    const mapper = this.#mapper
    if (this.#form === FILTER || this.#tries !== undefined) slot.item = item
    slot.attempt++
    const signal = (this.#timed && this.#tries?.time(slot)) || this.#signal
    let result
    try {
      result = mapper(item, new Context(slot.index, signal, slot.attempt))
      // As in a worker: an item of which results were taken could not be tried again.
      if (this.#form === FLATTEN && this.#tries !== undefined) result = collected(result, signal)
    } catch (error) {
      this.#onError(slot, error)
      return
    }
    if (isThenable(result)) Promise.resolve(result).then(slot.onValue, slot.onError)
    else this.#onValue(slot, result)
  }

  /** @returns {Slot} with its reactions made once, for all the items that it will run */
  #makeSlot() {
    /** @type {Slot} */
    const slot = {
      index: 0,
      item: undefined,
      attempt: 0,
      errors: NO_ERRORS,
      clock: undefined,
      cutOff: false,
      onItem: (item) => {
        // Nothing new starts after a stop. This item's place in the order is then a place to throw at.
        if (this.#phase === ACTIVE) this.#map(slot, item)
        else this.#settle(slot, FAILURE, undefined)
      },
      onValue: (value) => this.#onValue(slot, value),
      onError: (error) => this.#onError(slot, error),
    }
    return slot
  }

  /**
   * @param {Slot} slot
   * @param {unknown} value
   */
  #onValue(slot, value) {
    if (this.#timed && this.#isLate(slot)) return
    if (value === skip) {
      slot.item = undefined
      this.#settle(slot, SKIPPED, undefined)
    } else if (this.#form === FILTER) {
      const { item } = slot
      slot.item = undefined
      if (value) this.#settle(slot, VALUE, this.#outcome(item, slot.index))
      else this.#settle(slot, SKIPPED, undefined)
    } else if (this.#form === FLATTEN && !(Array.isArray(value) && !value.some(isThenable))) {
      this.#iterate(slot, value)
    } else {
      this.#settle(slot, VALUE, this.#outcome(value, slot.index))
    }
  }

  /**
   * @param {unknown} value
   * @param {number} index
   */
  #outcome(value, index) {
    return this.#settings.settled ? fulfilled(value, index) : value
  }

  /**
   * The mapper of a `flatMap()` returned what has to be iterated: it keeps its slot until that is through.
   * @param {Slot} slot
   * @param {unknown} returned
   */
  #iterate(slot, returned) {
    let source
    try {
      // All promises of an array are there already: one that fails before its turn is no unhandled rejection.
      source = openSource(Array.isArray(returned) ? Array.from(returned, watched) : returned)
    } catch (error) {
      this.#onError(slot, error instanceof ConsumedError ? error : notIterable(returned))
      return
    }
    const { index } = slot
    const failureOf = (/** @type {unknown} */ error) => {
      noteFailure(error, { index, attempt: 1, errors: NO_ERRORS })
      return this.#failureOf(error, index)
    }
    const inner = new InnerResults(source, index, this.#ahead, failureOf, () => {
      this.#inner.delete(inner)
      this.#keys?.end(index)
      this.#release(slot)
    })
    this.#inner.add(inner)
    if (this.#phase === OVER) {
      inner.close()
      return
    }
    this.#put(index, VALUE, this.#outcome(inner, index))
    inner.pump()
    if (this.#waiters.length !== 0) this.#answer()
  }

  /** How many results are pulled from an iterable before anyone takes them: together no more than the window has items. */
  get #ahead() {
    // Of Infinity by Infinity nothing can be said.
    const each = Math.floor(this.#window / this.#concurrency) || MOST_AHEAD
    return Math.min(each, MOST_AHEAD)
  }

  /**
   * @param {Slot} slot
   * @param {unknown} error
   */
  #onError(slot, error) {
    if (this.#timed && this.#isLate(slot)) return
    this.#fail(slot, error)
    this.#release(slot)
  }

  /**
   * A try has failed: there is another, or the item has.
   * @param {Slot} slot
   * @param {unknown} error
   */
  #fail(slot, error) {
    const { index, attempt, errors } = slot
    const again = this.#phase === ACTIVE && this.#tries?.keep(slot, error)
    slot.item = undefined
    if (!again) this.#conclude(index, error, Math.max(attempt, 1), errors)
  }

  /**
   * The item has failed for good.
   * @param {number} index
   * @param {unknown} error
   * @param {number} attempt
   * @param {readonly unknown[]} errors of the tries before
   */
  #conclude(index, error, attempt, errors) {
    if (this.#phase === OVER) return
    this.#keys?.end(index)
    const failure = { index, attempt, errors }
    noteFailure(error, failure)
    if (this.#settings.settled) {
      const outcome = rejected(error, index)
      noteFailure(outcome, failure)
      this.#put(index, VALUE, outcome)
    } else this.#put(index, this.#failureOf(error, index) === undefined ? SKIPPED : FAILURE, undefined)
  }

  /**
   * An item has failed. What is to be thrown for it, if anything is.
   * @param {unknown} error
   * @param {number} index
   * @returns {{ error: unknown } | undefined}
   */
  #failureOf(error, index) {
    if (this.#settings.settled) return { error }
    if (this.#settings.stopOnError) {
      // Errors after the first are what a raised signal makes of items that still run: the first one is thrown.
      if (this.#phase === ACTIVE) this.#stop(error)
      return this.#failure ?? { error }
    }
    if (this.#phase === ACTIVE) this.#errors.add(index, error)
    return undefined
  }

  /**
   * The item of a slot has ended.
   * @param {Slot} slot
   * @param {number} state
   * @param {unknown} value
   */
  #settle(slot, state, value) {
    if (this.#phase !== OVER) this.#put(slot.index, state, value)
    this.#keys?.end(slot.index)
    this.#release(slot)
  }

  /**
   * Nothing of the slot's item runs any more.
   * @param {Slot} slot
   */
  #release(slot) {
    this.#running--
    this.#keys?.release(slot.index)
    this.#idle.push(slot)
    if (this.#waiters.length !== 0) this.#answer()
    this.#fill()
    if (this.#running === 0) this.#checkFinished()
  }

  /**
   * @param {number} index
   * @param {number} state
   * @param {unknown} value
   */
  #put(index, state, value) {
    if (!this.#preserveOrder && state === SKIPPED) {
      this.#outstanding--
      return
    }
    const position = this.#preserveOrder ? index : this.#tail++
    this.#ring.put(position, state, value)
    if (state === SKIPPED) this.#outstanding -= this.#ring.passSkipped()
  }

  /** Move the next result into `value`, if it is there. */
  #take() {
    if (this.#ring.state !== VALUE) return false
    this.value = this.#ring.take()
    this.#outstanding -= 1 + this.#ring.passSkipped()
    return true
  }

  /** Answer the waiting `next()` calls as far as there is something to say. */
  #answer() {
    while (this.#waiters.length !== 0) {
      if (this.#take()) {
        this.#waiters.shift()?.resolve({ done: false, value: this.value })
        continue
      }
      if (!this.#isOver()) return
      const waiter = this.#waiters.shift()
      if (this.#failure === undefined) {
        waiter?.resolve({ done: true, value: undefined })
      } else {
        waiter?.reject(this.#failure.error)
        this.#failure = undefined
      }
    }
  }

  /** Nothing more is to be delivered, now that no VALUE is at the head: then only a failure is left to throw. */
  #isOver() {
    if (this.#phase === OVER) return true
    if (this.#ring.state !== FAILURE) {
      // What is still iterated has left the ring, but it can fail.
      if (this.#sourceEnd === ITEM || this.#outstanding !== 0 || this.#inner.size !== 0) return false
      this.#failure = this.#failureAtEnd()
    }
    this.#end()
    return true
  }

  #failureAtEnd() {
    const sourceFailure = this.#sourceEnd === FAILED ? { error: this.#source.error } : undefined
    return this.#errors.size === 0 ? sourceFailure : { error: this.#errors.toError(sourceFailure) }
  }

  /** @param {import('./event-loop-tries.js').Retry} retry whose slot is free, and whose place in the order was kept */
  #startAgain({ index, item, attempt, errors, error }) {
    const slot = this.#idle.pop() ?? this.#makeSlot()
    slot.index = index
    slot.attempt = attempt
    slot.errors = withError(errors, error)
    this.#running++
    this.#keys?.startAgain(index)
    this.#map(slot, item)
  }

  /** Nothing waits any more, for another try or its key; the items' places in the order are places to throw at. */
  #dropWaiting() {
    const dropped = [...(this.#tries?.drop() ?? []), ...(this.#keys?.drop() ?? [])]
    for (const index of dropped) if (this.#phase === STOPPED) this.#put(index, FAILURE, undefined)
  }

  /**
   * A mapper has come back. True: too late, and its slot is free again.
   * @param {Slot} slot
   */
  #isLate(slot) {
    if (!this.#tries?.isLate(slot)) return false
    this.#release(slot)
    return true
  }

  /** Something has ended, or is due, that no slot waits for. */
  #goOn() {
    if (this.#waiters.length !== 0) this.#answer()
    this.#fill()
  }

  /** @param {unknown} reason the results are no longer wanted */
  #raise(reason) {
    this.#signal.raise(reason)
    this.#tries?.raise(reason)
  }

  /**
   * A stopping error: nothing new starts, what was there before it is still delivered (invariant 2).
   * @param {unknown} error
   */
  #stop(error) {
    this.#phase = STOPPED
    this.#failure = { error }
    this.#dropWaiting()
    this.#closeSource()
    this.#tellStop?.(error)
    this.#raise(undefined)
    this.#checkFinished()
  }

  #onAbort = () => runIn(this.#settings.context, this.#abort)

  #abort = () => {
    const reason = this.#settings.signal?.reason
    // First, because what is closed at the end may ask for more at once.
    this.#failure = { error: reason }
    this.#end()
    this.#closeSource()
    this.#tellStop?.(reason)
    this.#raise(reason)
    this.#answer()
  }

  /** From here on results are dropped. `#failure`, if there is one, is what the next `next()` throws. */
  #end() {
    this.#phase = OVER
    this.#dropWaiting()
    this.#tries?.unref()
    this.#ring.clear()
    for (const inner of this.#inner) inner.close()
    if (this.#settings.signal !== undefined) ignoreAbort(this.#settings.signal, this.#onAbort)
    this.#errors = new ItemErrors()
    this.#checkFinished()
  }

  #closeSource() {
    if (this.#sourceEnd !== ITEM || this.#closing !== undefined) return
    const closed = () => {
      this.#closed = true
      this.#checkFinished()
    }
    this.#closing = this.#source.close()
    this.#closing.then(closed, closed)
  }

  /** @returns {Promise<{ done: true, value: undefined }>} */
  async #afterClosing() {
    const closing = this.#closing
    // A source that never answers must not hold up the one who leaves; `finished` waits for it.
    if (closing !== undefined && !this.#source.pending && !this.#returned) {
      this.#returned = true
      await closing
    }
    return { done: true, value: undefined }
  }

  #checkFinished() {
    if (this.#running !== 0 || (this.#sourceEnd === ITEM && !this.#closed)) return
    if (this.#phase === ACTIVE && (this.#tries?.waits || this.#keys?.waits)) return
    this.#resolveFinished?.()
  }
}

/**
 * @typedef {object} Slot
 * @property {number} index of the item that it runs
 * @property {any} item what `filter()` yields, or what is tried again
 * @property {number} attempt which try at it runs, from 1; 0: the item is a promise, and not there yet
 * @property {readonly unknown[]} errors of the tries before
 * @property {import('./event-loop-tries.js').Clock | undefined} clock while its time runs
 * @property {boolean} cutOff its time is over, and its mapper is not
 * @property {(item: unknown) => void} onItem the item was a promise, now it is here
 * @property {(value: unknown) => void} onValue
 * @property {(error: unknown) => void} onError
 */
/** @typedef {{ resolve: (result: IteratorResult<any, undefined>) => void, reject: (error: unknown) => void }} Waiter */

// Phases: a STOPPED run starts nothing more but delivers what was before its error, an OVER one delivers nothing.
const ACTIVE = 0
const STOPPED = 1
const OVER = 2
/** However large the window. */
const MOST_AHEAD = 256
/** @type {readonly unknown[]} */
const NO_ERRORS = Object.freeze([])
