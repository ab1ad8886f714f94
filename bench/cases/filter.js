// An async predicate on the event loop, 16 at a time, over the numbers of a generator.

import { Readable } from 'node:stream'
import { parallelMap } from 'millrace'
import { numbers } from '../items.js'

export const sides = {
  millrace: () => rate((items) => parallelMap(items, itself).filter(isEven, { concurrency: CONCURRENCY })),
  Readable: () => rate((items) => Readable.from(items).filter(isEven, { concurrency: CONCURRENCY })),
}

const itself = (number) => number
const isEven = async (number) => number % 2 === 0

async function rate(filter) {
  await count(filter(numbers(WARM)))
  const began = performance.now()
  const kept = await count(filter(numbers(ITEMS)))
  const ms = performance.now() - began
  if (kept !== ITEMS / 2) throw new Error(`expected ${ITEMS / 2} results, got ${kept}`)
  return { value: ITEMS / (ms / 1000) }
}

async function count(results) {
  let total = 0
  for await (const _ of results) total++
  return total
}

const CONCURRENCY = 16
const ITEMS = 500_000
const WARM = 50_000
