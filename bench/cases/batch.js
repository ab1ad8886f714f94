// Batches of fifty: three million numbers of a generator, then of an async generator.

import { batch } from 'millrace'
import { batch as streamingBatch } from 'streaming-iterables'
import { numbers } from '../items.js'

export const sides = {
  millrace: () => perItem((source) => batch(source, SIZE)),
  'streaming-iterables': () => perItem((source) => streamingBatch(SIZE, source)),
}

async function perItem(batches) {
  for (const source of [numbers, later]) await count(batches(source(WARM)))
  const began = performance.now()
  for (const source of [numbers, later]) {
    const total = await count(batches(source(ITEMS)))
    if (total !== ITEMS) throw new Error(`expected ${ITEMS} items, got ${total}`)
  }
  return { value: ((performance.now() - began) * 1e6) / (2 * ITEMS) }
}

async function count(batches) {
  let total = 0
  for await (const items of batches) total += items.length
  return total
}

async function* later(count) {
  yield* numbers(count)
}

const SIZE = 50
const ITEMS = 3_000_000
const WARM = 300_000
