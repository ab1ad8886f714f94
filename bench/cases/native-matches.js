// Counting addresses in 100 MB of text.

import { availableParallelism } from 'node:os'
import { native, parallelMap } from 'millrace'
import { withDelay } from '../event-loop-delay.js'
import { text } from '../text.js'

export const sides = {
  async millrace() {
    const operation = native.countMatches(PATTERN)
    const count = async (items) => sum(await parallelMap(items, operation).toArray())
    const items = pieces()
    await count(items.slice(0, WARM))
    const { ms, delay } = await withDelay(() => count(items).then(check))
    return { value: (ITEMS * CHARACTERS) / 1e3 / ms, delay }
  },

  async matchAll() {
    const items = pieces()
    count(items.slice(0, WARM))
    const began = performance.now()
    check(count(items))
    return { value: (ITEMS * CHARACTERS) / 1e3 / (performance.now() - began) }
  },

  /** As if every processor did nothing but what this thread does: the same library, without a pool. */
  async limit() {
    const operation = native.countMatches(PATTERN)
    const items = pieces()
    for (const item of items.slice(0, WARM)) operation.runSync(item)
    const began = performance.now()
    check(sum(items.map((item) => operation.runSync(item))))
    return { value: ((ITEMS * CHARACTERS) / 1e3 / (performance.now() - began)) * availableParallelism() }
  },
}

function pieces() {
  const whole = text(ITEMS * CHARACTERS)
  return Array.from({ length: ITEMS }, (_, at) => whole.slice(at * CHARACTERS, (at + 1) * CHARACTERS))
}

function count(items) {
  let matches = 0
  for (const item of items) for (const _ of item.matchAll(PATTERN)) matches++
  return matches
}

function sum(counts) {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** A line has one address; some are cut by the end of an item. */
function check(matches) {
  const lines = (ITEMS * CHARACTERS) / 500
  if (matches < lines * 0.5 || matches > lines * 2) throw new Error(`${matches} matches`)
}

const PATTERN = /[A-Za-z]+@[a-z]+\.com/g
const ITEMS = 1600
const CHARACTERS = 62_500
const WARM = 100
