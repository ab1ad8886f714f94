// The contract of `millrace/p-map`: what p-map 7.1.1 exports, call for call. What is more: a mapper may also be a pool or
// a native operation.

import type { Operation } from 'millrace'

/** What one element or value becomes; called with the element, awaited, and its index in the input, from 0. */
export type Mapper<Element = any, NewElement = unknown> = (
  element: Element,
  index: number,
) => NewElement | typeof pMapSkip | typeof pMapStop | Promise<NewElement | typeof pMapSkip | typeof pMapStop>

/** A mapper of {@link pMapKeyed}: called with the value, awaited, and its key. */
export type KeyedMapper<Input extends object = any, NewValue = unknown> = (
  value: KeyedValue<Input>,
  key: KeyedKey<Input>,
) => NewValue | typeof pMapSkip | typeof pMapStop | Promise<NewValue | typeof pMapSkip | typeof pMapStop>

/** What all of them take. */
interface BaseOptions {
  /**
   * Mappers at a time: a positive integer or `Infinity`. A pool or a native operation is given 512 at once at most.
   * @default Infinity
   */
  readonly concurrency?: number
}

/** Options of {@link pMap} and {@link pMapKeyed}. */
export interface Options extends BaseOptions {
  /**
   * Whether the first error of a mapper ends the call. `false`: every element is mapped, then the call rejects with an
   * `AggregateError` of all errors, in the order of the input.
   * @default true
   */
  readonly stopOnError?: boolean
  /**
   * Rejects the call with its reason and closes the input. Mappers that run are not stopped; what a pool has not begun
   * is withdrawn.
   * @default none
   */
  readonly signal?: AbortSignal | undefined
}

/** Options of {@link pMapSettled} and {@link pMapSettledKeyed}, which no error of a mapper ends. */
export type SettledOptions = Omit<Options, 'stopOnError'>

/** Options of {@link pMapIterable}. */
export interface IterableOptions extends BaseOptions {
  /**
   * Elements that were taken from the input and whose results were not consumed yet, at most: an integer from
   * `concurrency` up, or `Infinity`. Above `concurrency`, elements are read ahead while mappers run.
   * @default concurrency
   */
  readonly backpressure?: number
  /**
   * `false`: results, and an error, come as soon as they are there.
   * @default true
   */
  readonly preserveOrder?: boolean
}

/**
 * Map every element of an input, several at a time. Elements that are promises are awaited; results stand in the order
 * of the input.
 * @param input any iterable or async iterable. It is closed when the call ends before it.
 * @param mapper a function, a pool or a native operation
 * @throws {TypeError} (as a rejection): an argument that is none, with the words of p-map.
 * @throws {AggregateError} (as a rejection): with `stopOnError: false`, the errors of all elements that failed.
 * @example
 * ```js
 * import pMap from 'millrace/p-map'
 *
 * console.log(await pMap([1, Promise.resolve(2)], async (number) => number * 2, { concurrency: 16 })) // [ 2, 4 ]
 * ```
 */
export default function pMap<Element, NewElement>(
  input: Input<Element>,
  mapper: Mapper<Element, NewElement> | Operation<Element, NewElement>,
  options?: Options,
): Promise<Kept<NewElement>[]>

/**
 * The same as {@link pMap}, with a `{ status, value }` or `{ status, reason }` for each element: no error of a mapper, and
 * no element that rejects, ends the call. An error of the input itself does.
 * @example
 * ```js
 * import { pMapSettled } from 'millrace/p-map'
 *
 * const [one, two] = await pMapSettled(['1', 'x'], (text) => JSON.parse(text))
 * console.log(one.status, two.status) // fulfilled rejected
 * ```
 */
export function pMapSettled<Element, NewElement>(
  input: Input<Element>,
  mapper: Mapper<Element, NewElement> | Operation<Element, NewElement>,
  options?: SettledOptions,
): Promise<PromiseSettledResult<Kept<NewElement>>[]>

/**
 * Map the values of an object or a `Map`, and keep the keys. All values are read at once, and awaited; those of an object
 * are its own enumerable ones, symbols too.
 * @returns an object without prototype, or a new `Map`, with the keys in the same order.
 * @throws {TypeError} (as a rejection): the input is no object.
 * @example
 * ```js
 * import { pMapKeyed } from 'millrace/p-map'
 *
 * const { one, two } = await pMapKeyed({ one: 1, two: 2 }, async (number, key) => `${key} is ${number}`)
 * console.log(one, two) // one is 1 two is 2
 * ```
 */
export function pMapKeyed<Input extends object, NewValue extends AnyValue>(
  input: KeyedInput<Input>,
  mapper: KeyedFunction<Input, NewValue> | Operation<KeyedValue<Input>, NewValue>,
  options?: Options,
): Promise<KeyedResult<Input, NewValue, Kept<NewValue>>>

/**
 * The same as {@link pMapKeyed}, with a `{ status, value }` or `{ status, reason }` for each key.
 * @example
 * ```js
 * import { pMapSettledKeyed } from 'millrace/p-map'
 *
 * const { good, bad } = await pMapSettledKeyed({ good: '1', bad: 'x' }, (text) => JSON.parse(text))
 * console.log(good.status, bad.status) // fulfilled rejected
 * ```
 */
export function pMapSettledKeyed<Input extends object, NewValue extends AnyValue>(
  input: KeyedInput<Input>,
  mapper: KeyedFunction<Input, NewValue> | Operation<KeyedValue<Input>, NewValue>,
  options?: SettledOptions,
): Promise<KeyedResult<Input, NewValue, PromiseSettledResult<Kept<NewValue>>>>

/**
 * Map every element of an input while its results are iterated. Nothing starts before the first result is asked for, and
 * each iteration begins anew. A `break` closes the input.
 * @throws {TypeError} at once: an argument that is none, with the words of p-map.
 * @example
 * ```js
 * import { pMapIterable } from 'millrace/p-map'
 *
 * for await (const square of pMapIterable([1, 2, 3], async (number) => number ** 2, { concurrency: 2 })) {
 *   console.log(square)
 * }
 * ```
 */
export function pMapIterable<Element, NewElement>(
  input: Input<Element>,
  mapper: Mapper<Element, NewElement> | Operation<Element, NewElement>,
  options?: IterableOptions,
): AsyncIterable<Kept<NewElement>>

/**
 * Returned by a mapper: its element adds nothing to the results. In the task of a pool, return `skip` of its context.
 * @example
 * ```js
 * import pMap, { pMapSkip } from 'millrace/p-map'
 *
 * console.log(await pMap([1, 2, 3], (number) => (number === 2 ? pMapSkip : number))) // [ 1, 3 ]
 * ```
 */
export const pMapSkip: unique symbol

/**
 * Returned by a mapper: the results end before its element, as a loop does at `break`. Earlier elements still finish, and
 * an error of theirs counts.
 * @example
 * ```js
 * import pMap, { pMapStop } from 'millrace/p-map'
 *
 * console.log(await pMap([1, 2, 3], (number) => (number === 2 ? pMapStop : number))) // [ 1 ]
 * ```
 */
export const pMapStop: unique symbol

type Input<Element> = AsyncIterable<Element | Promise<Element>> | Iterable<Element | Promise<Element>>

type Control = typeof pMapSkip | typeof pMapStop

/** What is left in the results. */
type Kept<NewElement> = Exclude<NewElement, Control>

/** Keys as a mapper gets them: those that are numbers in a type are strings by then. Of a union, those of each member. */
type KeyedKey<Input> =
  Input extends ReadonlyMap<infer Key, unknown>
    ? Key
    : Exclude<keyof Input, number> | `${Extract<keyof Input, number>}`

type KeyedValue<Input> = Awaited<Input extends ReadonlyMap<unknown, infer Value> ? Value : Input[keyof Input]>

/** Skip and stop stay in `NewValue`, so that the result knows whether keys may be missing. */
type KeyedFunction<Input, NewValue> = (
  value: KeyedValue<Input>,
  key: KeyedKey<Input>,
) => NewValue | Promise<NewValue>

/** Arrays and Sets have no keys that the types could tell. */
type KeyedInput<Input> = Input & (ReadonlyMap<unknown, unknown> | { readonly [Symbol.iterator]?: never })

type KeyedResult<Input, NewValue, Value> =
  Input extends ReadonlyMap<infer Key, unknown>
    ? Map<Key, Value>
    : [NewValue] extends [Exclude<NewValue, Control>]
      ? { -readonly [Key in keyof Input]: Value }
      : { -readonly [Key in keyof Input]?: Value }

/** `unknown`, written so that the symbols of skip and stop keep their own types. */
type AnyValue = {} | null | undefined | Control
