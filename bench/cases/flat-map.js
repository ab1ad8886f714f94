// An async mapper that returns two results for each number, on the event loop, 16 at a time.

import { Readable } from 'node:stream'
import { parallelMap } from 'millrace'
import { numbers } from '../items.js'

export const sides = {
  millrace: () => rate((items) => parallelMap(items, itself).flatMap(twice, { concurrency: CONCURRENCY })),
  Readable: () => rate((items) => Readable.from(items).flatMap(twice, { concurrency: CONCURRENCY })),
}

const itself = (number) => number
const twice = async (number) => [number, number]

async function rate(flatMap) {
  await count(flatMap(numbers(WARM)))
  const began = performance.now()
  const results = await count(flatMap(numbers(ITEMS)))
  const ms = performance.now() - began
  if (results !== 2 * ITEMS) throw new Error(`expected ${2 * ITEMS} results, got ${results}`)
  return { value: ITEMS / (ms / 1000) }
}

async function count(results) {
  let total = 0
  for await (const _ of results) total++
  return total
}

const CONCURRENCY = 16
const ITEMS = 300_000
const WARM = 30_000
