// The mappers that the conformance suite names. A module of its own, because worker processes load it as their task
// file: nothing here may close over a test.

import { setTimeout as sleep } from 'node:timers/promises'
import { skip } from '../../lib/outcome.js'

/** The one that most tests use. Anything but a number is an error of its item. */
export async function double(item) {
  if (typeof item !== 'number') throw new TypeError(`${item} is no number`)
  return item * 2
}

export function doubleAtOnce(item) {
  return item * 2
}

/** Finishes in another order than it starts. */
export async function doubleShuffled(item) {
  await sleep((item * 7) % 5)
  return item * 2
}

export async function identity(item) {
  return item
}

export async function failOdd(item) {
  await sleep(item % 3)
  if (item % 2 === 1) throw new Error(`item ${item}`)
  return item
}

/** Throws what looks like nothing at all. */
export async function throwFalsy(item) {
  throw [undefined, null, 0, '', false, NaN][item]
}

export function throwFalsyAtOnce(item) {
  throw [undefined, null, 0, '', false, NaN][item]
}

export async function returnFalsy(item) {
  return [undefined, null, 0, '', false, NaN][item]
}

export async function skipOdd(item) {
  return item % 2 === 1 ? skip : item
}

export function skipAll(_item, context) {
  return context.skip
}

export async function contextOf(_item, context) {
  const { index, attempt, signal, skip: contextSkip } = context
  return { index, attempt, aborted: signal.aborted, skips: contextSkip === Symbol.for('millrace.skip') }
}

/** When it ran, on a clock that all processes share. */
export async function span() {
  const start = performance.timeOrigin + performance.now()
  await sleep(3)
  return { start, end: performance.timeOrigin + performance.now() }
}

/** Returns at once for 0, for every other item when the results are not wanted any more. */
export async function untilAborted(item, { signal }) {
  if (item !== 0) await aborted(signal)
  return item
}

/** The same, but what is no number fails. */
export async function untilAbortedOrBad(item, { signal }) {
  await sleep(5)
  if (typeof item !== 'number') throw new Error('bad')
  await aborted(signal)
}

/** Item 1 fails; the others fail because of that, when its error stops the call. */
export async function failBecauseOfItemOne(item, { signal }) {
  if (item === 1) {
    await sleep(20)
    throw new Error('item 1 failed first')
  }
  await aborted(signal)
  throw new Error('a consequence')
}

/** Item 0 is slow and fine, item 1 fails before that. */
export async function failBeforeSlowOne(item) {
  await sleep(item === 0 ? 100 : 5)
  if (item === 1) throw new Error('item 1')
  return item
}

function aborted(signal) {
  if (signal.aborted) return undefined
  return new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

export async function isEven(item) {
  if (typeof item !== 'number') throw new TypeError(`${item} is no number`)
  return item % 2 === 0
}

export async function isEvenShuffled(item) {
  await sleep((item * 7) % 5)
  return item % 2 === 0
}

export function keep() {
  return true
}

/** As truthy or falsy as it comes. */
export function truthOf(item) {
  return [0, 1, '', 'a', null, {}, undefined, Symbol.iterator.description, NaN, -1, false, true][item]
}

/** An item as often as its remainder by 4 says. */
export async function times(item) {
  if (typeof item !== 'number') throw new TypeError(`${item} is no number`)
  return Array.from({ length: item % 4 }, (_, i) => item * 10 + i)
}

export async function timesShuffled(item) {
  await sleep((item * 7) % 5)
  return times(item)
}

/** What a mapper of `flatMap()` may return, by name. */
export function inShape(shape) {
  return SHAPES[shape]()
}

/** And what it may not. */
export function inWrongShape(shape) {
  return WRONG_SHAPES[shape]()
}

/** Two results; item 1 fails after its first, or with `promise` in the place of its second. */
export function failInTheMiddle({ item, how }) {
  const fails = () => {
    throw new Error(`item ${item}`)
  }
  if (how === 'generator') {
    return (function* () {
      yield `${item}a`
      if (item === 1) fails()
      yield `${item}b`
    })()
  }
  if (how === 'async generator') {
    return (async function* () {
      yield `${item}a`
      await sleep(1)
      if (item === 1) fails()
      yield `${item}b`
    })()
  }
  const second = async () => (item === 1 ? fails() : `${item}b`)
  if (how === 'promises') return [sleep(5, `${item}a`), second(), ...(item === 1 ? [second()] : [])]
  return (function* () {
    yield `${item}a`
    yield second()
    if (item === 1 && how === 'generator that throws after a promise') fails()
  })()
}

export async function spans() {
  return [await span()]
}

/** The span of the stage before, and its own. */
export async function spanAfter(before) {
  return { before, own: await span() }
}

/** Iterates until the results are not wanted any more, but for item 0, which comes with it. */
export function pairsUntilAborted(item, { signal }) {
  if (item === 0) return [0, 0]
  return (async function* () {
    yield item
    await aborted(signal)
    yield item
  })()
}

const SHAPES = {
  array: () => [1, 2],
  'empty array': () => [],
  'nested arrays': () => [[1], [[2]], []],
  'promise of an array': async () => [1, 2],
  'array of promises': () => [sleep(3, 1), Promise.resolve(2), 3],
  set: () => new Set([1, 2]),
  'set of promises': () => new Set([Promise.resolve(1), 2]),
  map: () => new Map([['a', 1]]),
  generator: () =>
    (function* () {
      yield 1
      yield 2
    })(),
  'empty generator': () => (function* () {})(),
  'generator of promises': () =>
    (function* () {
      yield sleep(2, 1)
      yield 2
    })(),
  'async generator': () =>
    (async function* () {
      yield 1
      await sleep(1)
      yield sleep(1, 2)
    })(),
  'promise of an async generator': async () =>
    (async function* () {
      yield 1
    })(),
  'async iterator of promises': () => {
    const values = [Promise.resolve(1), 2]
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () =>
          values.length > 0 ? { done: false, value: values.shift() } : { done: true, value: undefined },
      }),
    }
  },
  'falsy values': () => [undefined, null, 0, '', false],
  skip: () => skip,
  'promise of skip': async () => skip,
}
const WRONG_SHAPES = {
  number: () => 1,
  undefined: () => undefined,
  null: async () => null,
  string: () => 'text',
  'String object': () => Object('text'),
  Buffer: () => Buffer.from('text'),
  'typed array': async () => new Float64Array(2),
  ArrayBuffer: () => new ArrayBuffer(2),
  object: () => ({ length: 1, 0: 1 }),
}

/** A filter: skips some, refuses others, keeps none of the rest but for the odd ones. */
export async function skipEvenObject({ i }) {
  await sleep(1)
  return i % 2 === 0 ? skip : true
}

/** Fails twice, the third try is fine. */
export async function failTwice(item, { index, attempt }) {
  await sleep(item % 3)
  if (attempt < 3) throw new Error(`try ${attempt} of ${index}`)
  return item
}

export function failTwiceAtOnce(item, { attempt }) {
  if (attempt < 3) throw new Error(`try ${attempt}`)
  return [item, item]
}

/** Items that are odd end only when their signal is raised, and tell its reason. */
export async function oddTakesLong(item, { signal }) {
  if (item % 2 === 1) {
    await aborted(signal)
    return signal.reason?.code
  }
  return item
}

/** The same, at the first try. */
export async function slowAtFirst(item, { attempt, signal }) {
  if (attempt === 1) await aborted(signal)
  return item
}

/** Item 0 yields three results while item 1 fails. */
export async function slowThree(item) {
  if (item === 1) {
    await sleep(15)
    throw new Error('item 1')
  }
  return (async function* () {
    for (const part of ['a', 'b', 'c']) {
      yield part
      await sleep(20)
    }
  })()
}

/** Where and when an item with a `key` ran; `fails` tries fail before that. */
export async function keyedSpan({ key, fails = 0 }, { index, attempt }) {
  const { start, end } = await span()
  if (attempt <= fails) throw new Error(`try ${attempt} of ${index}`)
  return { key, index, pid: process.pid, start, end }
}

/** Item 0 fails, after the others of its key were pulled. */
export async function failFirstOfKey({ key }, { index }) {
  await sleep(10)
  if (index === 0) throw new Error('item 0')
  return key
}
