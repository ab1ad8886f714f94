// The table of the collection functions: what each makes of its iteratee's answers.
//
// A row's `start` makes the state of one call, `note` puts an answer into it (true: the search is over), `result` is what
// the callback gets at the end. `forms` are the functions it gives: F, FLimit, FSeries.

import { ACCUMULATE, KEYED, REDUCE, VALUE } from './async-iteratee.js'
import { isArrayLike } from './async-values.js'

export const PLAIN = 0
export const LIMIT = 1
export const SERIES = 2
const FORMS = [PLAIN, LIMIT, SERIES]

/**
 * @typedef {object} Row
 * @property {readonly string[]} aliases
 * @property {readonly number[]} forms
 * @property {number} shape the arguments of the iteratee
 * @property {boolean} [eager] without a limit, an array's iteratees are all called, whatever the first ones answer
 * @property {boolean} [partial] an error comes with the results so far
 * @property {boolean} [many] `note` gets all that the iteratee calls back with, as an array
 * @property {boolean} [series] one at a time in every form
 * @property {'required' | 'optional'} [initial] a value to begin with stands before the iteratee
 * @property {(collection: any) => any} [prepare] what is looped over
 * @property {(collection: any, initial: any) => any} start
 * @property {(state: any, order: number, key: any, value: any, result: any, error: any) => boolean | void} [note]
 * @property {(state: any, collection: any) => any} [result] none: the callback gets an error or nothing
 */

/** What a row is where it says nothing. @type {Row} */
export const BLANK = {
  aliases: [],
  forms: FORMS,
  shape: VALUE,
  eager: false,
  partial: false,
  many: false,
  series: false,
  initial: undefined,
  prepare: undefined,
  start: nothing,
  note: undefined,
  result: undefined,
}

/** @type {Row} */
const each = { aliases: ['forEach'], forms: FORMS, shape: VALUE, eager: true, start: nothing }

/** @type {Row} */
const map = {
  aliases: [],
  forms: FORMS,
  shape: VALUE,
  eager: true,
  partial: true,
  start: () => [],
  note(results, order, _key, _value, result) {
    results[order] = result
  },
  result: (results) => results,
}

/** @type {Row} Arrays are read again at the end, as they are then. */
const filter = {
  aliases: ['select'],
  forms: FORMS,
  shape: VALUE,
  eager: true,
  start: (collection) => ({
    flags: isArrayLike(collection) ? new Array(collection.length) : undefined,
    kept: [],
  }),
  note: (state, _order, key, value, result) => keep(state, key, value, Boolean(result)),
  result: kept,
}

/** @type {Row} */
const detect = {
  aliases: ['find'],
  forms: FORMS,
  shape: VALUE,
  eager: true,
  start: () => ({ over: false, found: undefined }),
  note: (state, _order, _key, value, result, error) => find(state, Boolean(result), value, error),
  result: ({ found }) => found,
}

/** @type {Row} */
const concat = {
  aliases: ['flatMap'],
  forms: FORMS,
  shape: VALUE,
  partial: true,
  start: () => [],
  many: true,
  note(state, order, _key, _value, results, error) {
    state[order] = error ? undefined : results
  },
  result: joined,
}

/** @type {Row} */
const mapValues = {
  aliases: [],
  forms: FORMS,
  shape: KEYED,
  partial: true,
  start: () => ({}),
  note(state, _order, key, _value, result, error) {
    if (!error) state[key] = result
  },
  result: (state) => state,
}

/** @type {Row} */
const reduce = {
  aliases: ['inject', 'foldl'],
  forms: [PLAIN],
  shape: REDUCE,
  partial: true,
  series: true,
  initial: 'required',
  start: (_collection, initial) => ({ memo: initial }),
  note(state, _order, _key, _value, result) {
    state.memo = result
  },
  result: ({ memo }) => memo,
}

/** @type {Readonly<Record<string, Row>>} */
export const TABLE = {
  each,
  eachOf: { ...each, aliases: ['forEachOf'], shape: KEYED },
  map,
  mapValues,
  filter,
  reject: {
    ...filter,
    aliases: [],
    note: (state, _order, key, value, result) => keep(state, key, value, !result),
  },
  detect,
  some: {
    ...detect,
    aliases: ['any'],
    start: () => ({ over: false, found: false }),
    note: (state, _order, _key, _value, result, error) => find(state, Boolean(result), true, error),
  },
  every: {
    ...detect,
    aliases: ['all'],
    start: () => ({ over: false, found: true }),
    note: (state, _order, _key, _value, result, error) => find(state, !result, false, error),
  },
  concat,
  groupBy: {
    ...concat,
    aliases: [],
    many: false,
    note(state, order, _key, value, result, error) {
      state[order] = error ? undefined : { group: result, value }
    },
    result: groups,
  },
  sortBy: {
    ...map,
    forms: [PLAIN],
    partial: false,
    note(state, order, _key, value, criteria) {
      state[order] = { value, criteria }
    },
    result: sorted,
  },
  reduce,
  reduceRight: { ...reduce, aliases: ['foldr'], prepare: (collection) => [...collection].reverse() },
  transform: {
    ...reduce,
    aliases: [],
    shape: ACCUMULATE,
    eager: true,
    series: false,
    initial: 'optional',
    note: undefined,
  },
}

/**
 * @param {{ flags: boolean[] | undefined, kept: { key: any, value: any }[] }} state
 * @param {any} key
 * @param {any} value
 * @param {boolean} wanted
 */
function keep({ flags, kept }, key, value, wanted) {
  if (flags !== undefined) flags[key] = wanted
  else if (wanted) kept.push({ key, value })
}

/**
 * @param {{ flags: boolean[] | undefined, kept: { key: any, value: any }[] }} state
 * @param {any} collection
 */
function kept({ flags, kept }, collection) {
  if (flags === undefined) return kept.sort((a, b) => a.key - b.key).map(({ value }) => value)
  const values = []
  for (let index = 0; index < collection.length; index++) if (flags[index]) values.push(collection[index])
  return values
}

/**
 * @param {{ over: boolean, found: any }} state
 * @param {boolean} hit
 * @param {any} found
 * @param {any} error
 */
function find(state, hit, found, error) {
  if (error || error === false || !hit || state.over) return false
  state.over = true
  state.found = found
  return true
}

/** @param {any[][]} state what each iteratee called back with; arrays among it are opened */
function joined(state) {
  /** @type {any[]} */
  const all = []
  for (const results of state) {
    for (const result of results ?? []) for (const value of [].concat(result)) all.push(value)
  }
  return all
}

/** @param {({ group: any, value: any } | undefined)[]} state */
function groups(state) {
  /** @type {Record<string, any[]>} */
  const result = {}
  for (const answer of state) {
    if (answer === undefined) continue
    const { group, value } = answer
    if (Object.hasOwn(result, group)) result[group].push(value)
    else result[group] = [value]
  }
  return result
}

/** @param {{ value: any, criteria: any }[]} state */
function sorted(state) {
  return state
    .sort(({ criteria: a }, { criteria: b }) => (a < b ? -1 : a > b ? 1 : 0))
    .map(({ value }) => value)
}

function nothing() {}
