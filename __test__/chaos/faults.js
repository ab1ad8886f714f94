// What an item of the chaos may do, how often, and what has to come of it. Nothing of the library: workers import it too.

/** What is thrown that is no error, and arrives as it is. */
export const THROWN = [undefined, null, 0, -0, '', false, Number.NaN, 'a string', 7n]

/**
 * Each fault: `cards`, how many it has in its deck, and what is expected of the item, if it does it at every try: the
 * name of an error class, 'thrown' (what it threw), 'nothing' (it was skipped) or 'value'. `dies`: it takes its process
 * with it. `hangs`: it has to be cut off. `flaky`: it does so once. `never`: it does not get as far as a worker.
 */
export const DEADLY = {
  SIGKILL: { cards: 4, dies: true, expect: 'WorkerCrashError', signal: 'SIGKILL' },
  SIGSEGV: { cards: 4, dies: true, expect: 'WorkerCrashError', signal: 'SIGSEGV' },
  exit: { cards: 6, dies: true, expect: 'WorkerCrashError', exitCode: 7 },
  'exit without an error': { cards: 4, dies: true, expect: 'WorkerCrashError', exitCode: 0 },
  abort: { cards: 2, dies: true, expect: 'WorkerCrashError' },
  'uncaught exception': { cards: 3, dies: true, expect: 'WorkerCrashError' },
  'heap exhausted': { cards: 1, dies: true, expect: 'WorkerOutOfMemoryError' },
  'over maxMemory': { cards: 1, dies: true, expect: 'WorkerOutOfMemoryError' },
  SIGSTOP: { cards: 1, hangs: true, expect: 'TaskTimeoutError' },
  'endless loop': { cards: 1, hangs: true, expect: 'TaskTimeoutError' },
  'promise that never settles': { cards: 2, hangs: true, expect: 'TaskTimeoutError' },
}

export const MILD = {
  'thrown error': { cards: 4, expect: 'thrown' },
  'thrown non-error': { cards: 4, expect: 'thrown' },
  'rejected with a non-error': { cards: 3, expect: 'thrown' },
  'fails at first': { cards: 3, expect: 'thrown', flaky: true },
  'unclonable result': { cards: 2, expect: 'SerializationError' },
  'unclonable item': { cards: 2, expect: 'SerializationError', never: true },
  'rejected item': { cards: 2, expect: 'thrown', never: true },
  skipped: { cards: 2, expect: 'nothing' },
  slow: { cards: 3, expect: 'value' },
  'large result': { cards: 1, expect: 'value' },
  'item is a promise': { cards: 2, expect: 'value' },
}

export const FAULTS = { ...DEADLY, ...MILD }
export const DEADLY_DECK = deckOf(DEADLY)
export const MILD_DECK = deckOf(MILD)

/** What an item without a fault gives back: any of several shapes, which follow from its number. */
export function answerOf(number) {
  switch (number % 16) {
    case 0:
      return { number, tags: ['a', `b${number % 7}`], nested: { half: number / 2 } }
    case 1:
      return `text of ${number}`
    case 2:
      return Buffer.alloc(number % 300, number % 251)
    case 3:
      return new Map([[number, new Date(number)]])
    case 4:
      return [number, null, undefined, -0, BigInt(number)]
    default:
      return number * 2
  }
}

export const LARGE_BYTES = 700_000

/** What the item throws, where it throws. */
export function thrownBy(fault, number) {
  if (fault === 'thrown error' || fault === 'fails at first') {
    return Object.assign(new RangeError(`item ${number}`), { number })
  }
  return THROWN[number % THROWN.length]
}

function deckOf(faults) {
  return Object.entries(faults).flatMap(([name, { cards }]) => Array(cards).fill(name))
}
