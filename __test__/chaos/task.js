// The task of the chaos: does to its process what the item says.

import { setTimeout as sleep } from 'node:timers/promises'
import { answerOf, LARGE_BYTES, thrownBy } from './faults.js'

export default function act(item, { attempt, skip }) {
  const { number, fault, tries, tagged } = item
  const answer = fault === undefined || attempt > tries ? answerOf(number) : ACTS[fault](number, skip)
  return tagged ? numbered(number, answer, skip) : answer
}

/** Where results do not come with their index, they say their number. */
function numbered(number, answer, skip) {
  if (typeof answer?.then === 'function') return answer.then((value) => ({ number, answer: value }))
  return answer === skip ? skip : { number, answer }
}

const ACTS = {
  SIGKILL: () => killed('SIGKILL'),
  SIGSEGV: () => killed('SIGSEGV'),
  exit: () => process.exit(7),
  'exit without an error': () => process.exit(0),
  abort: () => process.abort(),
  'uncaught exception': (number) => {
    setImmediate(() => {
      throw new Error(`uncaught at ${number}`)
    })
    return new Promise(() => {})
  },
  'heap exhausted': () => {
    const held = []
    for (;;) held.push(new Array(1e5).fill(held.length))
  },
  'over maxMemory': () => {
    const held = []
    for (;;) held.push(Buffer.alloc(8 << 20, 1))
  },
  SIGSTOP: (number) => {
    process.kill(process.pid, 'SIGSTOP')
    return sleep(1e6, number)
  },
  'endless loop': () => {
    for (;;);
  },
  'promise that never settles': () => new Promise(() => {}),

  'thrown error': (number) => {
    throw thrownBy('thrown error', number)
  },
  'thrown non-error': (number) => {
    throw thrownBy('thrown non-error', number)
  },
  'rejected with a non-error': async (number) => {
    await sleep(number % 3)
    throw thrownBy('rejected with a non-error', number)
  },
  'fails at first': (number) => {
    throw thrownBy('fails at first', number)
  },
  'unclonable result': (number) => ({ number, deep: [() => number] }),
  skipped: (_, skip) => skip,
  slow: (number) => sleep(1 + (number % 20), answerOf(number)),
  'large result': (number) => Buffer.alloc(LARGE_BYTES, number % 251),
  'item is a promise': answerOf,
}

function killed(signal) {
  process.kill(process.pid, signal)
  // A signal to oneself may take a moment.
  for (;;);
}
