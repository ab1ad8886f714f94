// The contract of `millrace/async`: the collection functions and the queues of async 3.2.6, call for call. What is more: an
// iteratee, or the worker of a queue, may also be a pool or a native operation.
//
// Each collection function takes (collection, iteratee, callback); F`Limit` takes how many at a time after the collection,
// F`Series` takes them one by one. Without a callback it returns a promise. An iteratee is called with a callback, or is an
// async function (a plain function that returns a promise is not one). `callback(error)` ends the call with that error,
// `callback(false)` ends it without a word.

import type { Operation } from 'millrace'

/** What is looped over; of a `Map`, entries. */
export type Collection<T> = ArrayLike<T> | Iterable<T> | AsyncIterable<T> | null | undefined
/** What is looped over by key. */
export type Dictionary<T> = { readonly [key: string]: T }

/** Called at the end, with an error or nothing. */
export type ErrorCallback<E = Error> = (error?: E | null) => void
/** Called at the end, with an error, or null and a result. */
export type AsyncResultCallback<R, E = Error> = (error?: E | null, result?: R) => void
/** Called at the end, with an error, or null and whether it is so. */
export type AsyncBooleanResultCallback<E = Error> = AsyncResultCallback<boolean, E>
/** Called at the end, with an error and the results so far, or null and all of them. */
export type AsyncResultArrayCallback<R, E = Error> = (error?: E | null, results?: (R | undefined)[]) => void
/** Called at the end, with an error and the results so far by key, or null and all of them. */
export type AsyncResultObjectCallback<R, E = Error> = (
  error: E | null | undefined,
  results: { [key: string]: R | undefined },
) => void
/** What an iteratee calls, with an error, or null and a result; `false` ends everything without a word. */
export type IterateeCallback<R, E = Error> = (error?: E | null | false, result?: R) => void
/** Called at the end, with an error and what there is so far, or null and the results. */
export type ResultsCallback<R, E = Error> = (error: E | null | undefined, results: R) => void

// The names that `@types/async` has for these.
/** What is looped over, by value or by key. */
export type IterableCollection<T> = Collection<T> | Dictionary<T>
/** A function for values, with a callback. */
export type AsyncIterator<T, E = Error> = (item: T, callback: ErrorCallback<E>) => void
/** A function for values and their keys, with a callback. */
export type AsyncForEachOfIterator<T, E = Error> = (
  item: T,
  key: number | string,
  callback: ErrorCallback<E>,
) => void
/** A function for values, whose callback gets a result. */
export type AsyncResultIterator<T, R, E = Error> = (item: T, callback: AsyncResultCallback<R, E>) => void
/** The same as a function that returns a promise. */
export type AsyncResultIteratorPromise<T, R> = (item: T) => Promise<R>
/** A function that has the result so far, and whose callback gets the next one. */
export type AsyncMemoIterator<T, R, E = Error> = (
  memo: R | undefined,
  item: T,
  callback: AsyncResultCallback<R, E>,
) => void
/** A function for values, whose callback gets whether it is so. */
export type AsyncBooleanIterator<T, E = Error> = (item: T, callback: AsyncBooleanResultCallback<E>) => void
/** A task of a queue, as `remove()` and `workersList()` show it. */
export interface DataContainer<T> {
  data: T
  priority: number
}

// Both ways have the same parameters, so that TypeScript knows their types from the collection.
/** An iteratee for values. */
export type Iteratee<T, R, E = Error> =
  | ((item: T, callback: IterateeCallback<R, E>) => Promise<R>)
  | ((item: T, callback: IterateeCallback<R, E>) => void)
  | Operation<T, R>
/** An iteratee for values and their keys. A pool or a native operation gets the value alone. */
export type KeyedIteratee<T, K, R, E = Error> =
  | ((item: T, key: K, callback: IterateeCallback<R, E>) => Promise<R>)
  | ((item: T, key: K, callback: IterateeCallback<R, E>) => void)
  | Operation<T, R>
/** An iteratee that gives any number of results, and arrays of them. */
export type ManyIteratee<T, R, E = Error> =
  | ((item: T, callback: (error?: E | null | false, ...results: (R | R[])[]) => void) => Promise<R | R[]>)
  | ((item: T, callback: (error?: E | null | false, ...results: (R | R[])[]) => void) => void)
  | Operation<T, R | R[]>
/** An iteratee that has the result so far. */
export type ReduceIteratee<T, R, E = Error> =
  | ((memo: R, item: T, callback: IterateeCallback<R, E>) => Promise<R>)
  | ((memo: R, item: T, callback: IterateeCallback<R, E>) => void)
/** An iteratee that changes an accumulator. */
export type TransformIteratee<T, K, A, E = Error> =
  | ((accumulator: A, item: T, key: K, callback: (error?: E | null | false) => void) => Promise<void>)
  | ((accumulator: A, item: T, key: K, callback: (error?: E | null | false) => void) => void)

interface EachFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, E = Error>(collection: Collection<T> | Dictionary<T>, iteratee: Iteratee<T, unknown, E>): Promise<void>
}
interface EachLimitFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<void>
}
interface MapFunction {
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, R, E>,
    callback: ResultsCallback<(R | undefined)[], E>,
  ): void
  <T, R, E = Error>(collection: Collection<T> | Dictionary<T>, iteratee: Iteratee<T, R, E>): Promise<R[]>
}
interface MapLimitFunction {
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, R, E>,
    callback: ResultsCallback<(R | undefined)[], E>,
  ): void
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, R, E>,
  ): Promise<R[]>
}
interface FilterFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<T[], E>,
  ): void
  <T, E = Error>(collection: Collection<T> | Dictionary<T>, iteratee: Iteratee<T, unknown, E>): Promise<T[]>
}
interface FilterLimitFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<T[], E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<T[]>
}
interface DetectFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<T, E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<T | undefined>
}
interface DetectLimitFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<T, E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<T | undefined>
}
interface TestFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<boolean, E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<boolean>
}
interface TestLimitFunction {
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
    callback: AsyncResultCallback<boolean, E>,
  ): void
  <T, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, unknown, E>,
  ): Promise<boolean>
}
interface ConcatFunction {
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: ManyIteratee<T, R, E>,
    callback: ResultsCallback<R[], E>,
  ): void
  <T, R, E = Error>(collection: Collection<T> | Dictionary<T>, iteratee: ManyIteratee<T, R, E>): Promise<R[]>
}
interface ConcatLimitFunction {
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: ManyIteratee<T, R, E>,
    callback: ResultsCallback<R[], E>,
  ): void
  <T, R, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: ManyIteratee<T, R, E>,
  ): Promise<R[]>
}
interface GroupByFunction {
  <T, K extends PropertyKey, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, K, E>,
    callback: ResultsCallback<{ [key: string]: T[] }, E>,
  ): void
  <T, K extends PropertyKey, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, K, E>,
  ): Promise<{ [key: string]: T[] }>
}
interface GroupByLimitFunction {
  <T, K extends PropertyKey, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, K, E>,
    callback: ResultsCallback<{ [key: string]: T[] }, E>,
  ): void
  <T, K extends PropertyKey, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    limit: number,
    iteratee: Iteratee<T, K, E>,
  ): Promise<{ [key: string]: T[] }>
}
interface EachOfFunction {
  <T, E = Error>(
    collection: Collection<T>,
    iteratee: KeyedIteratee<T, number, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, E = Error>(collection: Collection<T>, iteratee: KeyedIteratee<T, number, unknown, E>): Promise<void>
  <T, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    iteratee: KeyedIteratee<T, K, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    iteratee: KeyedIteratee<T, K, unknown, E>,
  ): Promise<void>
}
interface EachOfLimitFunction {
  <T, E = Error>(
    collection: Collection<T>,
    limit: number,
    iteratee: KeyedIteratee<T, number, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, E = Error>(
    collection: Collection<T>,
    limit: number,
    iteratee: KeyedIteratee<T, number, unknown, E>,
  ): Promise<void>
  <T, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    limit: number,
    iteratee: KeyedIteratee<T, K, unknown, E>,
    callback: ErrorCallback<E>,
  ): void
  <T, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    limit: number,
    iteratee: KeyedIteratee<T, K, unknown, E>,
  ): Promise<void>
}
interface MapValuesFunction {
  <T, R, E = Error>(
    collection: Collection<T>,
    iteratee: KeyedIteratee<T, number, R, E>,
    callback: ResultsCallback<{ [key in number]: R }, E>,
  ): void
  <T, R, E = Error>(
    collection: Collection<T>,
    iteratee: KeyedIteratee<T, number, R, E>,
  ): Promise<{ [key in number]: R }>
  <T, R, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    iteratee: KeyedIteratee<T, K, R, E>,
    callback: ResultsCallback<{ [key in K]: R }, E>,
  ): void
  <T, R, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    iteratee: KeyedIteratee<T, K, R, E>,
  ): Promise<{ [key in K]: R }>
}
interface MapValuesLimitFunction {
  <T, R, E = Error>(
    collection: Collection<T>,
    limit: number,
    iteratee: KeyedIteratee<T, number, R, E>,
    callback: ResultsCallback<{ [key in number]: R }, E>,
  ): void
  <T, R, E = Error>(
    collection: Collection<T>,
    limit: number,
    iteratee: KeyedIteratee<T, number, R, E>,
  ): Promise<{ [key in number]: R }>
  <T, R, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    limit: number,
    iteratee: KeyedIteratee<T, K, R, E>,
    callback: ResultsCallback<{ [key in K]: R }, E>,
  ): void
  <T, R, K extends string, E = Error>(
    collection: { readonly [key in K]: T },
    limit: number,
    iteratee: KeyedIteratee<T, K, R, E>,
  ): Promise<{ [key in K]: R }>
}

/**
 * Call an iteratee for every value.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * await async.each(['a', 'b'], async (name) => console.log(name))
 * ```
 */
export const each: EachFunction
/** The same, up to `limit` at a time. */
export const eachLimit: EachLimitFunction
/** The same, one by one. */
export const eachSeries: EachFunction
/** Another name of {@link each}. */
export const forEach: typeof each
/** Another name of {@link eachLimit}. */
export const forEachLimit: typeof eachLimit
/** Another name of {@link eachSeries}. */
export const forEachSeries: typeof eachSeries

/**
 * Call an iteratee for every value and its key or index.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * await async.eachOf({ a: 1, b: 2 }, async (value, key) => console.log(key, value))
 * ```
 */
export const eachOf: EachOfFunction
/** The same, up to `limit` at a time. */
export const eachOfLimit: EachOfLimitFunction
/** The same, one by one. */
export const eachOfSeries: EachOfFunction
/** Another name of {@link eachOf}. */
export const forEachOf: typeof eachOf
/** Another name of {@link eachOfLimit}. */
export const forEachOfLimit: typeof eachOfLimit
/** Another name of {@link eachOfSeries}. */
export const forEachOfSeries: typeof eachOfSeries

/**
 * Collect what an iteratee calls back with, in the order of the collection. An error comes with the results so far.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.mapLimit([1, 2, 3], 2, async (number) => number * 2)) // [ 2, 4, 6 ]
 * ```
 */
export const map: MapFunction
/** The same, up to `limit` at a time. */
export const mapLimit: MapLimitFunction
/** The same, one by one. */
export const mapSeries: MapFunction

/**
 * The same for the values of an object, under their keys.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.mapValues({ a: 1, b: 2 }, async (value, key) => `${key}${value}`)) // { a: 'a1', b: 'b2' }
 * ```
 */
export const mapValues: MapValuesFunction
/** The same, up to `limit` at a time. */
export const mapValuesLimit: MapValuesLimitFunction
/** The same, one by one. */
export const mapValuesSeries: MapValuesFunction

/**
 * Collect the values for which the iteratee calls back with something true.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.filter([1, 2, 3], async (number) => number > 1)) // [ 2, 3 ]
 * ```
 */
export const filter: FilterFunction
/** The same, up to `limit` at a time. */
export const filterLimit: FilterLimitFunction
/** The same, one by one. */
export const filterSeries: FilterFunction
/** Another name of {@link filter}. */
export const select: typeof filter
/** Another name of {@link filterLimit}. */
export const selectLimit: typeof filterLimit
/** Another name of {@link filterSeries}. */
export const selectSeries: typeof filterSeries

/**
 * Collect the other values.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.reject([1, 2, 3], async (number) => number > 1)) // [ 1 ]
 * ```
 */
export const reject: FilterFunction
/** The same, up to `limit` at a time. */
export const rejectLimit: FilterLimitFunction
/** The same, one by one. */
export const rejectSeries: FilterFunction

/**
 * Find a value for which the iteratee calls back with something true: the first one to do so, not the first in order.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.detect([1, 2, 3], async (number) => number > 1)) // 2
 * ```
 */
export const detect: DetectFunction
/** The same, up to `limit` at a time. */
export const detectLimit: DetectLimitFunction
/** The same, one by one. */
export const detectSeries: DetectFunction
/** Another name of {@link detect}. */
export const find: typeof detect
/** Another name of {@link detectLimit}. */
export const findLimit: typeof detectLimit
/** Another name of {@link detectSeries}. */
export const findSeries: typeof detectSeries

/**
 * Whether the iteratee calls back with something true for any value.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.some([1, 2, 3], async (number) => number > 2)) // true
 * ```
 */
export const some: TestFunction
/** The same, up to `limit` at a time. */
export const someLimit: TestLimitFunction
/** The same, one by one. */
export const someSeries: TestFunction
/** Another name of {@link some}. */
export const any: typeof some
/** Another name of {@link someLimit}. */
export const anyLimit: typeof someLimit
/** Another name of {@link someSeries}. */
export const anySeries: typeof someSeries

/**
 * Whether it does for every value.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.every([1, 2, 3], async (number) => number > 2)) // false
 * ```
 */
export const every: TestFunction
/** The same, up to `limit` at a time. */
export const everyLimit: TestLimitFunction
/** The same, one by one. */
export const everySeries: TestFunction
/** Another name of {@link every}. */
export const all: typeof every
/** Another name of {@link everyLimit}. */
export const allLimit: typeof everyLimit
/** Another name of {@link everySeries}. */
export const allSeries: typeof everySeries

/**
 * Join what the iteratee calls back with, arrays opened, in the order of the collection.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.concat([1, 2], async (number) => [number, number])) // [ 1, 1, 2, 2 ]
 * ```
 */
export const concat: ConcatFunction
/** The same, up to `limit` at a time. */
export const concatLimit: ConcatLimitFunction
/** The same, one by one. */
export const concatSeries: ConcatFunction
/** Another name of {@link concat}. */
export const flatMap: typeof concat
/** Another name of {@link concatLimit}. */
export const flatMapLimit: typeof concatLimit
/** Another name of {@link concatSeries}. */
export const flatMapSeries: typeof concatSeries

/**
 * Gather the values in arrays, by what the iteratee calls back with.
 * @throws {Error} 'expected a function': the iteratee is none.
 * @throws {RangeError} (of the `Limit` form): the limit is not above 0. Without a callback, both are rejections.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.groupBy([1, 2, 3], async (number) => (number % 2 ? 'odd' : 'even'))) // { odd: [ 1, 3 ], even: [ 2 ] }
 * ```
 */
export const groupBy: GroupByFunction
/** The same, up to `limit` at a time. */
export const groupByLimit: GroupByLimitFunction
/** The same, one by one. */
export const groupBySeries: GroupByFunction

interface SortByFunction {
  <T, V, E = Error>(
    collection: Collection<T> | Dictionary<T>,
    iteratee: Iteratee<T, V, E>,
    callback: AsyncResultCallback<T[], E>,
  ): void
  <T, V, E = Error>(collection: Collection<T> | Dictionary<T>, iteratee: Iteratee<T, V, E>): Promise<T[]>
}
/**
 * Sort the values by what the iteratee calls back with.
 * @throws {Error} 'expected a function': the iteratee is none. Without a callback, a rejection.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.sortBy([1, 3, 2], async (number) => -number)) // [ 3, 2, 1 ]
 * ```
 */
export const sortBy: SortByFunction

interface ReduceFunction {
  <T, R, E = Error>(
    collection: Collection<T>,
    memo: R,
    iteratee: ReduceIteratee<T, R, E>,
    callback: ResultsCallback<R, E>,
  ): void
  <T, R, E = Error>(collection: Collection<T>, memo: R, iteratee: ReduceIteratee<T, R, E>): Promise<R>
}
/**
 * Reduce the values to one, one by one. The iteratee is a function: what is so far stays here.
 * @throws {Error} 'expected a function': the iteratee is none, or a pool or a native operation. Without a callback, a rejection.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.reduce([1, 2, 3], 0, async (sum, number) => sum + number)) // 6
 * ```
 */
export const reduce: ReduceFunction
/** Another name of {@link reduce}. */
export const inject: typeof reduce
/** Another name of {@link reduce}. */
export const foldl: typeof reduce
/** The same, from the last value to the first. */
export const reduceRight: ReduceFunction
/** Another name of {@link reduceRight}. */
export const foldr: typeof reduceRight

interface TransformFunction {
  // Without an accumulator first: an iteratee in its place would be taken for one, and have no types.
  <T, R, E = Error>(
    collection: readonly T[],
    iteratee: TransformIteratee<T, number, R[], E>,
    callback: ResultsCallback<R[], E>,
  ): void
  <T, R, E = Error>(collection: readonly T[], iteratee: TransformIteratee<T, number, R[], E>): Promise<R[]>
  <T, A, E = Error>(
    collection: readonly T[],
    accumulator: A,
    iteratee: TransformIteratee<T, number, A, E>,
    callback: ResultsCallback<A, E>,
  ): void
  <T, A, E = Error>(
    collection: readonly T[],
    accumulator: A,
    iteratee: TransformIteratee<T, number, A, E>,
  ): Promise<A>
  <T, R, E = Error>(
    collection: Dictionary<T>,
    iteratee: TransformIteratee<T, string, { [key: string]: R }, E>,
    callback: ResultsCallback<{ [key: string]: R }, E>,
  ): void
  <T, R, E = Error>(
    collection: Dictionary<T>,
    iteratee: TransformIteratee<T, string, { [key: string]: R }, E>,
  ): Promise<{ [key: string]: R }>
  <T, A, E = Error>(
    collection: Dictionary<T>,
    accumulator: A,
    iteratee: TransformIteratee<T, string, A, E>,
    callback: ResultsCallback<A, E>,
  ): void
  <T, A, E = Error>(
    collection: Dictionary<T>,
    accumulator: A,
    iteratee: TransformIteratee<T, string, A, E>,
  ): Promise<A>
}
/**
 * Let an iteratee change an accumulator for every value: one that is given, or a new array or object, like the collection.
 * @throws {Error} 'expected a function': the iteratee is none. Without a callback, a rejection.
 * @example
 * ```js
 * import async from 'millrace/async'
 *
 * console.log(await async.transform([1, 2], async (doubled, number) => void doubled.push(number * 2))) // [ 2, 4 ]
 * ```
 */
export const transform: TransformFunction

/** The worker of a queue: called with a task, or (of a cargo) an array of tasks. */
export type AsyncWorker<T, R = any, E = Error> =
  | ((task: T, callback: (error?: E | null, ...results: R[]) => void) => Promise<R>)
  | ((task: T, callback: (error?: E | null, ...results: R[]) => void) => void)
  | Operation<T, R>

/** One event of a queue: set its handler, replacing others, or wait for it once. */
interface QueueEvent<Handler> {
  (handler: Handler): void
  (): Promise<void>
}

/** What all queues have. Its functions need no `this`. */
export interface BaseQueue<T> extends Iterable<T> {
  /** How many workers run at once; may be changed at any time. */
  concurrency: number
  /** How many tasks a worker gets at once; undefined: all that wait. */
  payload: number | undefined
  /** `unsaturated` comes when no more than `concurrency - buffer` workers run. A quarter of the concurrency. */
  buffer: number
  /** Whether a task was ever added. */
  readonly started: boolean
  /** Whether it is paused; what is set here is seen when the next task would start. */
  paused: boolean
  /** How many tasks wait. */
  length(): number
  /** How many workers run. */
  running(): number
  /** The tasks that run. */
  workersList(): { readonly data: T; readonly priority?: number }[]
  /** Whether nothing waits or runs. */
  idle(): boolean
  /** Start no more workers. */
  pause(): void
  /** Go on. */
  resume(): void
  /** Drop all handlers and all tasks that wait. */
  kill(): void
  /** Drop the tasks that wait for which `test` is true. */
  remove(test: (task: { data: T; priority?: number }) => boolean): void
  /** Start workers, as far as there are tasks and room; done by itself. */
  process(): void
  /** The last task has ended, or an empty array was added to an idle queue. */
  readonly drain: QueueEvent<() => void>
  /** The last task that waited has started. */
  readonly empty: QueueEvent<() => void>
  /** As many workers run as may. */
  readonly saturated: QueueEvent<() => void>
  /** There is room again. */
  readonly unsaturated: QueueEvent<() => void>
  /** A task has failed. The promise, `q.error()`, rejects. */
  readonly error: QueueEvent<(error: Error, task: T) => void>
}

/** Adds tasks. Without a callback, a promise of each task's result; one that fails is undefined, `error` hears of it. */
interface Push<T> {
  <R>(task: T extends readonly unknown[] ? never : T): Promise<R>
  <R>(tasks: readonly T[]): Promise<R>[]
  <R, E = Error>(task: T | readonly T[], callback: (error?: E | null, ...results: R[]) => void): void
}
/** The same, where the promise of a task that fails rejects. */
interface PushAsync<T> {
  <R>(task: T extends readonly unknown[] ? never : T): Promise<R>
  <R>(tasks: readonly T[]): Promise<R>[]
}

/** A queue of tasks, in their order. */
export interface QueueObject<T> extends BaseQueue<T> {
  readonly push: Push<T>
  readonly pushAsync: PushAsync<T>
  /** Adds tasks in front. */
  readonly unshift: Push<T>
  readonly unshiftAsync: PushAsync<T>
}
/** A queue whose worker gets arrays of tasks. */
export type QueueCargo<T = any> = QueueObject<T>
/** The same, by the names that `@types/async` has for it. */
export type AsyncQueue<T> = QueueObject<T>
/** The same, by the names that `@types/async` has for it. */
export type AsyncCargoQueue<T = any> = QueueObject<T>

/** A queue of tasks with priorities. */
export interface AsyncPriorityQueue<T> extends BaseQueue<T> {
  /** Adds tasks with a priority, 0 unless given. The lowest goes first. */
  push<R, E = Error>(
    task: T | readonly T[],
    priority: number | undefined,
    callback: (error?: E | null, ...results: R[]) => void,
  ): void
  push<R>(task: T extends readonly unknown[] ? never : T, priority?: number): Promise<R>
  push<R>(tasks: readonly T[], priority?: number): Promise<R>[]
  /** The same, where the promise of a task that fails rejects. */
  pushAsync<R>(task: T extends readonly unknown[] ? never : T, priority?: number): Promise<R>
  pushAsync<R>(tasks: readonly T[], priority?: number): Promise<R>[]
}

/**
 * Make a queue of tasks for a worker, `concurrency` of which run at a time: 1 unless given.
 * @throws {Error} 'expected a function': the worker is none. Of `push`: the callback is none.
 * @throws {RangeError} 'Concurrency must not be zero'.
 * @example
 * ```js
 * import { queue } from 'millrace/async'
 *
 * const q = queue(async (number) => number * 2, 2)
 * console.log(await Promise.all(q.push([1, 2, 3]))) // [ 2, 4, 6 ]
 * ```
 */
export function queue<T, R = any, E = Error>(
  worker: AsyncWorker<T, R, E>,
  concurrency?: number | null,
): QueueObject<T>
/**
 * Make a queue whose tasks have priorities.
 * @example
 * ```js
 * import { priorityQueue } from 'millrace/async'
 *
 * const q = priorityQueue(async (name) => console.log(name))
 * q.push('later', 2)
 * q.push('soon', 1)
 * await q.drain()
 * ```
 */
export function priorityQueue<T, R = any, E = Error>(
  worker: AsyncWorker<T, R, E>,
  concurrency?: number | null,
): AsyncPriorityQueue<T>
/**
 * Make a queue whose worker, one at a time, gets all tasks that wait, or up to `payload` of them, as an array.
 * @example
 * ```js
 * import { cargo } from 'millrace/async'
 *
 * const c = cargo(async (rows) => console.log(rows), 2)
 * c.push(['a', 'b', 'c'])
 * await c.drain() // [ 'a', 'b' ], then [ 'c' ]
 * ```
 */
export function cargo<T, R = any, E = Error>(worker: AsyncWorker<T[], R, E>, payload?: number): QueueCargo<T>
/** The same, with several workers at a time. */
export function cargoQueue<T, R = any, E = Error>(
  worker: AsyncWorker<T[], R, E>,
  concurrency?: number | null,
  payload?: number,
): QueueCargo<T>

declare const async: {
  each: typeof each
  eachLimit: typeof eachLimit
  eachSeries: typeof eachSeries
  forEach: typeof forEach
  forEachLimit: typeof forEachLimit
  forEachSeries: typeof forEachSeries
  eachOf: typeof eachOf
  eachOfLimit: typeof eachOfLimit
  eachOfSeries: typeof eachOfSeries
  forEachOf: typeof forEachOf
  forEachOfLimit: typeof forEachOfLimit
  forEachOfSeries: typeof forEachOfSeries
  map: typeof map
  mapLimit: typeof mapLimit
  mapSeries: typeof mapSeries
  mapValues: typeof mapValues
  mapValuesLimit: typeof mapValuesLimit
  mapValuesSeries: typeof mapValuesSeries
  filter: typeof filter
  filterLimit: typeof filterLimit
  filterSeries: typeof filterSeries
  select: typeof select
  selectLimit: typeof selectLimit
  selectSeries: typeof selectSeries
  reject: typeof reject
  rejectLimit: typeof rejectLimit
  rejectSeries: typeof rejectSeries
  detect: typeof detect
  detectLimit: typeof detectLimit
  detectSeries: typeof detectSeries
  find: typeof find
  findLimit: typeof findLimit
  findSeries: typeof findSeries
  some: typeof some
  someLimit: typeof someLimit
  someSeries: typeof someSeries
  any: typeof any
  anyLimit: typeof anyLimit
  anySeries: typeof anySeries
  every: typeof every
  everyLimit: typeof everyLimit
  everySeries: typeof everySeries
  all: typeof all
  allLimit: typeof allLimit
  allSeries: typeof allSeries
  concat: typeof concat
  concatLimit: typeof concatLimit
  concatSeries: typeof concatSeries
  flatMap: typeof flatMap
  flatMapLimit: typeof flatMapLimit
  flatMapSeries: typeof flatMapSeries
  groupBy: typeof groupBy
  groupByLimit: typeof groupByLimit
  groupBySeries: typeof groupBySeries
  sortBy: typeof sortBy
  reduce: typeof reduce
  inject: typeof inject
  foldl: typeof foldl
  reduceRight: typeof reduceRight
  foldr: typeof foldr
  transform: typeof transform
  queue: typeof queue
  priorityQueue: typeof priorityQueue
  cargo: typeof cargo
  cargoQueue: typeof cargoQueue
}
/** All of them. */
export default async
