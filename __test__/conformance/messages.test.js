// The conformance suite for scripts of `child_process.fork`, as the tasks of pools with `protocol: 'message'`. The mappers
// are the same; a script gets no context, a value is what JSON makes of it, and an error ends its process.

import { after } from 'node:test'
import { SerializationError, WorkerCrashError, workerPool } from '../../index.js'
import * as mappers from './mappers.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const SIZE = 2
const script = new URL('../fixtures/message-mappers.js', import.meta.url)
/** @type {Map<string, ReturnType<typeof workerPool>>} */
const pools = new Map()

after(async () => {
  await Promise.all([...pools.values()].map((pool) => pool.close()))
})

/** Mappers whose results are several messages each. */
const SEVERAL = new Set(['times', 'timesShuffled', 'spans'])

const NO_CONTEXT = 'a message has no context: no index, attempt or signal'
const NO_JSON = 'JSON has no undefined and no NaN'
const NO_ERROR = 'what a script throws ends its process, so no error of its own arrives'
const NO_SHAPES = 'a script has no result but its messages, so nothing can be returned in a wrong shape'
const NO_KEYS = 'keys are a matter of pools, and processes.test.js holds them'
const WITHOUT = {
  ...named(NO_CONTEXT, [
    'contextOf',
    'skipAll',
    'untilAborted',
    'untilAbortedOrBad',
    'failBecauseOfItemOne',
    'pairsUntilAborted',
    'failTwice',
    'failTwiceAtOnce',
    'oddTakesLong',
    'slowAtFirst',
  ]),
  ...named(NO_JSON, ['returnFalsy', 'truthOf']),
  ...named(NO_ERROR, [
    'failOdd',
    'throwFalsy',
    'throwFalsyAtOnce',
    'failBeforeSlowOne',
    'failInTheMiddle',
    'slowThree',
  ]),
  ...named(NO_SHAPES, ['inShape', 'inWrongShape']),
  ...named(NO_KEYS, ['keyedSpan', 'failFirstOfKey']),
}

/**
 * @param {string} name
 * @param {string | undefined} last
 */
function place(name, last) {
  const poolOf = (/** @type {string} */ mapper, /** @type {number} */ size) => {
    const key = `${mapper} ${size} ${last}`
    let pool = pools.get(key)
    const env = { MAPPER: mapper, WAY: SEVERAL.has(mapper) ? 'each' : 'one', ...(last ? { LAST: last } : {}) }
    pool ??= workerPool(script, { size, protocol: 'message', lastMessage: last, env })
    pools.set(key, pool)
    return pool
  }
  return {
    name,
    capacity: SIZE,
    mappers: new Set(Object.keys(mappers).filter((mapper) => !(mapper in WITHOUT))),
    without: WITHOUT,
    mapper: (/** @type {string} */ mapper) => poolOf(mapper, SIZE),
    single: (/** @type {string} */ mapper) => poolOf(mapper, 1),
    // No message, so it fails before it leaves.
    badItem: () => {},
    badError: SerializationError,
    badRuns: false,
    textError: WorkerCrashError,
    sendsSeveral: true,
    kept: [{ a: 1 }, [1], 'text', 0, null, false],
    // JSON leaves functions out of objects, and so they are no obstacle.
    uncopied: [() => 1, Symbol('a'), 1n],
  }
}

const withLast = place('messages', 'the end')
conformance(withLast)
stageConformance(withLast)

// Without a last message an item is over with what it has sent, so there is none that sends nothing.
const without = place('messages, without a last one', undefined)
const SENDS_ONE = [
  'double',
  'doubleAtOnce',
  'doubleShuffled',
  'identity',
  'span',
  'isEven',
  'isEvenShuffled',
  'keep',
]
const further = { ...without, mappers: new Set(SENDS_ONE), isFurther: true }
conformance(further)
stageConformance(further)

/**
 * @param {string} reason
 * @param {string[]} names
 */
function named(reason, names) {
  return Object.fromEntries(names.map((name) => [name, reason]))
}
