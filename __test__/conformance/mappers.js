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
