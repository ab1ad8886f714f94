// The plan of the chaos: pools, calls, items and their faults, all of it made of the seed. What real processes make of it
// is another matter; what has to come out is not.

import { Dice, mixed } from './dice.js'
import { DEADLY_DECK, FAULTS, MILD_DECK } from './faults.js'

/** Milliseconds: memory has to be full before. */
export const TIMEOUT = 1000
export const MAX_MEMORY = 160 * 2 ** 20

/** The options of each pool. */
export const POOLS = [
  { size: 2, concurrencyPerWorker: 1, gracePeriod: 100, maxTasksPerWorker: 5000, idleTimeout: 500 },
  { size: 2, concurrencyPerWorker: 4, gracePeriod: 50, maxAge: 3000, minWorkers: 1 },
]

export class Plan {
  #seed
  /** One item of so many is deadly. */
  #rarity
  /** How many items a call may have. */
  #counts

  /**
   * @param {number} seed
   * @param {number} items in all, and how many of them are deadly
   * @param {number} deaths
   */
  constructor(seed, items, deaths) {
    this.#seed = seed
    this.#rarity = Math.max(20, Math.floor(items / deaths))
    this.#counts = [0, 1, 7, 300, ...[500, 200, 100, 100, 50].map((part) => Math.ceil(items / part))]
  }

  /** What the call of this number does. Its items are numbered from `first`. */
  call(place, first) {
    const dice = new Dice(this.#seed, place)
    const pool = dice.below(POOLS.length)
    const count = dice.pick(this.#counts)
    const retries = dice.pick([2, 3])
    const errors = dice.pick(['settled', 'settled', 'settled', 'collected', 'stop'])
    const consumer = dice.pick(['for await', 'for await', 'toArray', 'forEach', 'stages', 'run'])
    const keys = dice.pick([0, 0, 0, 1, 3, 200])
    return {
      place,
      first,
      pool,
      count,
      errors,
      // An array that never came says nothing of the items that did well.
      consumer: consumer === 'toArray' && errors === 'collected' ? 'forEach' : consumer,
      ending: count > 50 ? dice.pick(['end', 'end', 'end', 'end', 'break', 'abort', 'abort later']) : 'end',
      endsAfter: dice.below(Math.max(1, count)),
      stalls: dice.pick([0, 0, 0, 1, 3]),
      keys,
      options: {
        preserveOrder: !dice.once(3),
        chunkSize: dice.pick(['auto', 'auto', 'auto', 1, 16, 300]),
        backpressure: dice.pick([undefined, undefined, 64, 5000]),
        retries,
        crashRetries: dice.pick([0, 1, 2]),
        timeout: TIMEOUT,
        priority: dice.pick([0, 0, 0, 7, -7]),
        backoff: { initial: dice.pick([0, 1, 20]), jitter: 0.5 },
        settled: errors === 'settled',
        stopOnError: errors !== 'collected',
      },
    }
  }

  /**
   * What an item does: `fault`, at the first `tries` tries; and `expect`, what has to come of it. Nearly all do nothing.
   * Calls that end at an error have few faults, or they would all be short.
   */
  item(call, index) {
    const number = call.first + index
    const dice = mixed(this.#seed ^ 0x5bd1e995, number)
    const rarity = call.errors === 'stop' ? this.#rarity * 4 : this.#rarity
    const name = dice % rarity === 0 ? deadly(dice) : dice % 97 === 5 ? mild(dice) : undefined
    if (name === undefined || (call.errors === 'stop' && name in FAULTS && mixed(dice, 9) % 8 !== 0)) {
      return { number, fault: undefined, tries: 0, expect: 'value' }
    }
    const { expect, dies, flaky, never } = FAULTS[name]
    const { retries, crashRetries } = call.options
    // Once, so that the next try is the right answer; or for ever.
    const mends = flaky || mixed(dice, 3) % 2 === 0
    const allowed = dies ? crashRetries : retries
    if (mends && !never && allowed > 0 && MENDING.has(expect))
      return { number, fault: name, tries: 1, expect: 'value' }
    return { number, fault: name, tries: Number.MAX_SAFE_INTEGER, expect }
  }
}

const MENDING = new Set(['WorkerCrashError', 'WorkerOutOfMemoryError', 'TaskTimeoutError', 'thrown'])
const deadly = (dice) => DEADLY_DECK[mixed(dice, 1) % DEADLY_DECK.length]
const mild = (dice) => MILD_DECK[mixed(dice, 2) % MILD_DECK.length]
