// An async function that does nothing, on the event loop, 16 at a time.

import { parallelMap } from 'millrace'
import pMap from 'p-map'
import { numbers } from '../items.js'

export const sides = {
  millrace: () => perItem((items) => parallelMap(items, identity, { concurrency: 16 }).toArray()),
  'p-map': () => perItem((items) => pMap(items, identity, { concurrency: 16 })),
}

async function identity(item) {
  return item
}

async function perItem(map) {
  const items = [...numbers(ITEMS)]
  await map(items.slice(0, WARM))
  const began = performance.now()
  const { length } = await map(items)
  const ms = performance.now() - began
  if (length !== ITEMS) throw new Error(`expected ${ITEMS} results, got ${length}`)
  return { value: (ms * 1e6) / ITEMS }
}

const ITEMS = 500_000
const WARM = 50_000
