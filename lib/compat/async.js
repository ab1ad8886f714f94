// The face of async: `import async from 'millrace/async'`. The collection functions are rows of a table and run through
// one loop; the queues are one queue with three ways to hold tasks.

import { loop } from './async-loop.js'
import { cargo, cargoQueue, priorityQueue, queue } from './async-queue.js'
import { BLANK, LIMIT, PLAIN, SERIES, TABLE } from './async-table.js'

/** By form. */
const SUFFIXES = ['', 'Limit', 'Series']

/** @type {Record<string, (...args: any[]) => any>} */
const functions = {}
for (const [name, described] of Object.entries(TABLE)) {
  // All rows have the same members in the same order: V8 reads those faster.
  const row = { ...BLANK, ...described }
  for (const form of row.forms) {
    const made = functionOf(name + SUFFIXES[form], row, form)
    for (const each of [name, ...row.aliases]) functions[each + SUFFIXES[form]] = made
  }
}

export const {
  all,
  allLimit,
  allSeries,
  any,
  anyLimit,
  anySeries,
  concat,
  concatLimit,
  concatSeries,
  detect,
  detectLimit,
  detectSeries,
  each,
  eachLimit,
  eachOf,
  eachOfLimit,
  eachOfSeries,
  eachSeries,
  every,
  everyLimit,
  everySeries,
  filter,
  filterLimit,
  filterSeries,
  find,
  findLimit,
  findSeries,
  flatMap,
  flatMapLimit,
  flatMapSeries,
  foldl,
  foldr,
  forEach,
  forEachLimit,
  forEachOf,
  forEachOfLimit,
  forEachOfSeries,
  forEachSeries,
  groupBy,
  groupByLimit,
  groupBySeries,
  inject,
  map,
  mapLimit,
  mapSeries,
  mapValues,
  mapValuesLimit,
  mapValuesSeries,
  reduce,
  reduceRight,
  reject,
  rejectLimit,
  rejectSeries,
  select,
  selectLimit,
  selectSeries,
  some,
  someLimit,
  someSeries,
  sortBy,
  transform,
} = functions

export { cargo, cargoQueue, priorityQueue, queue }

export default { ...functions, cargo, cargoQueue, priorityQueue, queue }

/**
 * @param {string} name
 * @param {import('./async-table.js').Row} row
 * @param {number} form
 */
function functionOf(name, row, form) {
  const before = 1 + (form === LIMIT ? 1 : 0) + (row.initial === undefined ? 0 : 1)
  /** @param {any[]} args collection, limit or initial value, iteratee, callback */
  const collectionFunction = (...args) => {
    if (row.initial === 'optional' && args.length <= 3 && typeof args[1] === 'function') {
      args.splice(1, 0, Array.isArray(args[0]) ? [] : {})
    }
    const [given, second] = args
    const job = {
      row,
      collection: row.prepare === undefined ? given : row.prepare(given),
      limit: form === LIMIT ? second : form === SERIES || row.series ? 1 : Infinity,
      initial: second,
      iteratee: args[before],
      callback: args[before + 1],
      everything: form === PLAIN && row.eager === true,
    }
    if (typeof job.callback === 'function') {
      loop(job)
      return undefined
    }
    return new Promise((resolve, reject) => {
      job.callback = (/** @type {any} */ error, /** @type {any} */ result) =>
        error ? reject(error) : resolve(result)
      loop(job)
    })
  }
  return Object.defineProperty(collectionFunction, 'name', { value: name })
}
