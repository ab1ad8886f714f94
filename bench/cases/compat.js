// The faces of other packages beside the originals: the same code, per item. Mappers of p-map are async functions that do
// nothing; iteratees of async call back in a microtask, or (`Promises`) are async functions.

import async from 'async'
import ourAsync from 'millrace/async'
import * as ourPMap from 'millrace/p-map'
import * as pMap from 'p-map'
import { numbers } from '../items.js'

export const sides = {
  millrace: rows(ourPMap, ourAsync),
  original: rows(pMap, async),
}

function rows({ default: map, pMapIterable }, { each, eachLimit, eachSeries, mapLimit, queue }) {
  return {
    pMap: () => perItem((items) => map(items, identity, { concurrency: 16 })),
    pMapInfinity: () => perItem((items) => map(items, identity)),
    pMapIterable: () => perItem((items) => taken(pMapIterable(items, identity, { concurrency: 16 }))),
    pMapGenerator: () => perItem((items) => map(read(items), identity, { concurrency: 16 })),
    mapLimit: () => perItem((items) => mapLimit(items, 16, later)),
    mapLimitPromises: () => perItem((items) => mapLimit(items, 16, identity)),
    eachLimit: () => perItem((items) => eachLimit(items, 16, later)),
    eachSeries: () => perItem((items) => eachSeries(items, later)),
    each: () => perItem((items) => each(items, later)),
    queue: () =>
      perItem(async (items) => {
        const tasks = queue(later, 16)
        tasks.push(items, nothing)
        await tasks.drain()
      }),
    queuePromises: () =>
      perItem(async (items) => {
        const tasks = queue(identity, 16)
        await Promise.all(items.map((item) => tasks.push(item)))
      }),
  }
}

async function perItem(work) {
  const items = [...numbers(ITEMS)]
  await work(items.slice(0, WARM))
  const began = performance.now()
  await work(items)
  return { value: ((performance.now() - began) * 1e6) / ITEMS }
}

async function taken(results) {
  for await (const _ of results);
}

async function identity(item) {
  return item
}

async function* read(items) {
  yield* items
}

function later(item, callback) {
  queueMicrotask(() => callback(null, item))
}

function nothing() {}

const ITEMS = 300_000
const WARM = 50_000
