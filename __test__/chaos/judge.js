// Holds what came of a call against the plan: every item exactly one outcome, and the right one.

import { isDeepStrictEqual } from 'node:util'
import { failureOf } from '../../index.js'
import { answerOf, FAULTS, LARGE_BYTES, thrownBy } from './faults.js'

export class Discrepancy extends Error {
  name = 'Discrepancy'
}

/** What all calls have come through, together. */
export class Tally {
  items = 0
  /** Of each fault, how many items ended as they had to. */
  faults = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]))
  /** Items that were hit by what was meant for others, as often as they had tries. */
  hit = { crashed: 0, timedOut: 0 }
}

export class Judge {
  #plan
  #call
  #tally
  #seen
  #last = -1
  #count = 0

  constructor(plan, call, tally) {
    this.#plan = plan
    this.#call = call
    this.#tally = tally
    this.#seen = new Uint8Array(call.count)
  }

  get count() {
    return this.#count
  }

  /** An outcome of a call with `settled`. */
  outcome(outcome) {
    const item = this.#mark(outcome.index)
    if (outcome.status === 'fulfilled') this.#value(item, outcome.value)
    else this.#reason(item, outcome.reason, failureOf(outcome)?.attempt)
  }

  /** A result that says its number. */
  tagged(result) {
    const item = this.#mark(result?.number - this.#call.first)
    this.#value(item, result.answer)
  }

  /** How one `run()` ended. */
  run(index, { status, value, reason }) {
    const item = this.#mark(index)
    if (status === 'rejected') this.#reason(item, reason, failureOf(reason)?.attempt ?? Infinity)
    else if (item.expect === 'nothing' && value === undefined) this.#survived(item)
    else this.#value(item, value)
  }

  /** What a call with `stopOnError: false` has thrown at its end. */
  collected(error) {
    const { errors } = error instanceof AggregateError ? error : { errors: undefined }
    if (errors === undefined) throw this.#wrong('an AggregateError', error)
    const left = errors[Symbol.iterator]()
    for (let index = 0; index < this.#call.count; index++) {
      if (this.#seen[index] === 1 || this.#plan.item(this.#call, index).expect === 'nothing') continue
      const { done, value } = left.next()
      if (done)
        throw this.#wrong('an error of every item that has no result', `${errors.length} errors`, index)
      this.#reason(this.#mark(index, false), value, failureOf(value)?.attempt ?? Infinity)
    }
    if (!left.next().done) throw this.#wrong('no error of an item that has a result', error)
  }

  /** What has ended a call with `stopOnError`. */
  stopped(error) {
    const { count } = this.#call
    // What is no object says nothing of its item: it is that of any.
    const index = failureOf(error)?.index
    for (let at = index ?? 0; at < (index === undefined ? count : index + 1); at++) {
      const item = this.#plan.item(this.#call, at)
      if (this.#seen[at] === 0 && this.#isRight(item, error)) return this.#survived(item)
    }
    if (index === undefined || !this.#wasHit(error, failureOf(error).attempt)) {
      throw this.#wrong('the error of an item that has one', error, index)
    }
    return undefined
  }

  /** Nothing more comes: whatever was not withdrawn has its outcome. */
  complete() {
    for (let index = 0; index < this.#call.count; index++) {
      if (this.#seen[index] === 1) continue
      const item = this.#plan.item(this.#call, index)
      if (item.expect !== 'nothing') throw this.#wrong('an outcome of every item', 'none', index)
      this.#survived(item)
    }
  }

  #mark(index, inOrder = this.#call.options.preserveOrder && this.#call.consumer !== 'run') {
    if (!(index >= 0 && index < this.#call.count)) throw this.#wrong('an item of the call', index)
    if (this.#seen[index] === 1) throw this.#wrong('one outcome', 'a second one', index)
    this.#seen[index] = 1
    this.#count++
    this.#tally.items++
    if (inOrder) this.#follows(index)
    return this.#plan.item(this.#call, index)
  }

  /** In the order of the source; what is left out between yields nothing, or has failed and is told at the end. */
  #follows(index) {
    if (index < this.#last)
      throw this.#wrong(`nothing after item ${this.#last} that is before it`, index, index)
    for (let at = this.#last + 1; at < index && this.#call.errors !== 'collected'; at++) {
      const { expect } = this.#plan.item(this.#call, at)
      if (expect !== 'nothing') throw this.#wrong('its outcome before others', `item ${index}`, at)
    }
    this.#last = index
  }

  #value(item, value) {
    const { number, fault, expect } = item
    const expected = fault === 'large result' ? undefined : answerOf(number)
    const right =
      expect === 'value' &&
      (expected === undefined
        ? isLarge(value, number)
        : value === expected || isDeepStrictEqual(value, expected))
    if (!right) throw this.#wrong(expect === 'value' ? expected : expect, value, number - this.#call.first)
    this.#survived(item)
  }

  #reason(item, reason, attempt) {
    if (this.#isRight(item, reason)) this.#survived(item)
    else if (!this.#wasHit(reason, attempt)) {
      throw this.#wrong(item.expect, reason, item.number - this.#call.first)
    }
  }

  #isRight({ number, fault, expect }, reason) {
    if (expect === 'value' || expect === 'nothing') return false
    if (expect !== 'thrown') return reason?.name === expect && endedAsIn(FAULTS[fault], reason)
    const thrown = thrownBy(fault, number)
    if (!(thrown instanceof Error)) return Object.is(reason, thrown)
    return reason instanceof RangeError && reason.message === thrown.message && reason.number === number
  }

  /** Signals from outside hit anyone: but only as often as it has tries. */
  #wasHit(reason, attempt) {
    const { retries, crashRetries, timeout } = this.#call.options
    if (reason?.name === 'WorkerCrashError' && reason.signal === 'SIGKILL' && attempt > crashRetries) {
      this.#tally.hit.crashed++
      return true
    }
    if (reason?.name === 'TaskTimeoutError' && timeout > 0 && attempt > retries) {
      this.#tally.hit.timedOut++
      return true
    }
    return false
  }

  #survived({ fault }) {
    if (fault !== undefined) this.#tally.faults[fault]++
  }

  #wrong(expected, got, index) {
    const { place, first } = this.#call
    const item = index === undefined ? undefined : this.#plan.item(this.#call, index)
    const error = new Discrepancy(`call ${place}${item ? `, item ${index} (number ${first + index})` : ''}`)
    return Object.assign(error, { call: this.#call, item, expected, got })
  }
}

function isLarge(value, number) {
  return (
    Buffer.isBuffer(value) && value.length === LARGE_BYTES && value.every((byte) => byte === number % 251)
  )
}

/** Where the fault says how its process ends, the error says the same, unless a signal from outside was faster. */
function endedAsIn({ signal, exitCode }, reason) {
  if (reason.signal === 'SIGKILL') return true
  if (signal !== undefined) return reason.signal === signal
  return exitCode === undefined || reason.exitCode === exitCode
}
