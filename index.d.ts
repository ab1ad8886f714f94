// The contract: everything that `millrace` exports, written by hand. Times are milliseconds, sizes are bytes.
/// <reference lib="esnext.disposable" />

/**
 * Map every item of a source, many at a time.
 *
 * The mapper says where the work runs: a function runs on this event loop, a pool in its worker processes, a native
 * operation on Rust threads. Order, back-pressure, errors and cancelling are the same everywhere.
 *
 * Items go in as the source yields them (promises are awaited), results come out as the mapper returns them, in source
 * order. Nothing starts before the returned object is consumed. `break`, an abort or an error starts nothing more,
 * `return()`s the source once and raises `context.signal`; mappers that run then may go on to their end, their results
 * are dropped (`finished` waits for them).
 *
 * @param source any iterable, async iterable, Node `Readable` or web `ReadableStream`, also an infinite one. It is
 *   pulled one item at a time, and only when there is room for what it yields.
 * @param mapper called as `(item, context)`; what it throws is an error of that item.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @example
 * ```js
 * import { parallelMap } from 'millrace'
 *
 * const double = async (number) => number * 2
 * for await (const result of parallelMap([1, 2, 3], double, { concurrency: 2 })) console.log(result)
 * ```
 */
export function parallelMap<Item, Result, AsSettled extends boolean = false>(
  source: Source<Item>,
  mapper: Mapper<Awaited<Item>, Result>,
  options?: ParallelMapOptions<AsSettled>,
): ParallelMap<AsSettled extends true ? Settled<Mapped<Result>> : Mapped<Result>>

/**
 * Values, or promises of values, in any of the forms that can be iterated. Strings and binary data are refused
 * (ERR_INVALID_ARG_TYPE): wrap them in an array if they are one item.
 */
export type Source<Item> = (Iterable<Item> | AsyncIterable<Item>) & NotText

/** What turns an item into a result, and so decides where that happens. */
export type Mapper<Item, Result> = ((item: Item, context: Context) => Result) | Operation<Item, Result>

/** What a mapper is told beside its item. */
export interface Context {
  /** Position of the item in its source, from 0. */
  readonly index: number
  /** Which try at this item it is, from 1. */
  readonly attempt: number
  /** Raised when the results of this call are no longer wanted: after `break`, an abort, or an error of another item. */
  readonly signal: AbortSignal
  /** The same as the export {@link skip}: `return context.skip` yields nothing for this item. */
  readonly skip: Skip
}

/** Options of {@link parallelMap}. Unknown names are a `TypeError`. */
export interface ParallelMapOptions<AsSettled extends boolean = boolean> {
  /**
   * How many items run at once, at most. A positive integer, or `Infinity`.
   * @default 16 for a function; the capacity of a pool or native operation (more than that is clamped)
   */
  concurrency?: number | undefined
  /**
   * Yield results in the order of the source, an error at its place; `false`: as they finish.
   * @default true
   */
  preserveOrder?: boolean | undefined
  /**
   * The window: how many items, at most, are between the source and the consumer at once. A positive integer (or
   * `Infinity`, for a function), not less than `concurrency`.
   * @default 2 × concurrency for a function; automatic for a pool: two chunks per worker, at most 16,384 items
   */
  backpressure?: number | undefined
  /**
   * The window in bytes, for pools: encoded items and results between the source and the consumer. One item that is
   * larger still goes through, alone. A positive integer.
   * @default 67108864 (64 MiB)
   */
  maxBytes?: number | undefined
  /**
   * How many items travel to a worker together, for pools: from 1 to 16,384. It changes speed, never results.
   * @default 'auto': grows while items are fast, shrinks while they are slow
   */
  chunkSize?: number | 'auto' | undefined
  /**
   * Ends the call: it rejects at once with `signal.reason` itself. If it is aborted already, nothing starts.
   * @default none
   */
  signal?: AbortSignal | undefined
  /**
   * `true`: the first error of an item ends the call and is thrown as it is. `false`: every other item still runs, and
   * after the last result an `AggregateError` with all errors, in input order, is thrown. It keeps those errors until
   * then; for many of them use `settled`. An error of the source itself ends the call either way.
   * @default true
   */
  stopOnError?: boolean | undefined
  /**
   * Yield how each item ended, `{ status, value, index }` or `{ status, reason, index }`, instead of its result. No error
   * of an item ends the call then.
   * @default false
   */
  settled?: AsSettled | undefined
}

/**
 * The results of one call of {@link parallelMap}. It is lazy, and consumed once: by `for await`, `toArray()`,
 * `forEach()` or `reduce()`. It is no promise; a call that nobody consumes does nothing, and warns once per call site
 * (process warning MILLRACE_UNCONSUMED).
 */
export interface ParallelMap<Result> extends AsyncIterable<Result> {
  /**
   * Iterate over the results.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * for await (const length of parallelMap(['a', 'bc'], async (text) => text.length)) console.log(length)
   * ```
   */
  [Symbol.asyncIterator](): ParallelMapIterator<Result>
  /**
   * Collect all results in an array. Rejects at once when the call stops, without waiting for what still runs.
   * @throws {ConsumedError} ERR_CONSUMED (as a rejection): consumed already.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * console.log(await parallelMap([1, 2, 3], async (number) => number ** 2).toArray())
   * ```
   */
  toArray(): Promise<Result[]>
  /**
   * Call `fn(result, index)` for each result, one after the other: a promise that it returns is awaited. `index` counts
   * results, from 0. What `fn` throws cancels the call and is the rejection.
   * @throws {ConsumedError} ERR_CONSUMED (as a rejection): consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE (as a rejection): `fn` is no function.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * await parallelMap(new Set([1, 2]), async (number) => -number).forEach((result) => console.log(result))
   * ```
   */
  forEach(fn: (result: Result, index: number) => unknown): Promise<void>
  /**
   * Fold the results into one value: `fn(accumulator, result, index)` returns the next accumulator, or a promise of it.
   * @throws {ConsumedError} ERR_CONSUMED (as a rejection): consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE (as a rejection): `fn` is no function, or `initial` is missing.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * console.log(await parallelMap([1, 2, 3], async (number) => number * 2).reduce((sum, number) => sum + number, 0))
   * ```
   */
  reduce<Accumulator>(
    fn: (accumulator: Accumulator, result: Result, index: number) => Accumulator | PromiseLike<Accumulator>,
    initial: Accumulator,
  ): Promise<Accumulator>
  /**
   * Settles when no mapper of this call runs any more and its source is closed. Never rejects. Settled for a call that
   * has not started: read it after the consumption has begun.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const results = parallelMap([1, 2, 3], async (number) => number)
   * for await (const result of results) if (result === 1) break
   * await results.finished // what ran at the break has ended
   * ```
   */
  readonly finished: Promise<void>
  /**
   * Cancel: start nothing more, close the source, drop what still runs. Rejects with what the source's `return()` threw.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const results = parallelMap([1, 2, 3], async (number) => number)
   * await results[Symbol.asyncDispose]() // or `await using results = …`
   * ```
   */
  [Symbol.asyncDispose](): Promise<void>
}

/** What `for await` holds. Overlapping calls of `next()` are answered in order. */
export interface ParallelMapIterator<Result> extends AsyncIterableIterator<Result, undefined, unknown> {
  next(): Promise<IteratorResult<Result, undefined>>
  /** Cancel, as `break` does. Does not wait for an item that the source is still to yield. */
  return(): Promise<IteratorResult<Result, undefined>>
  [Symbol.asyncIterator](): ParallelMapIterator<Result>
  [Symbol.asyncDispose](): Promise<void>
}

/** How an item ended, with `settled: true`. */
export type Settled<Result> =
  | { status: 'fulfilled'; value: Result; index: number }
  | { status: 'rejected'; reason: any; index: number }

/**
 * Returned by a mapper: yields nothing for its item. It is `Symbol.for('millrace.skip')`.
 * @example
 * ```js
 * import { parallelMap, skip } from 'millrace'
 *
 * console.log(await parallelMap([1, 2, 3], (number) => (number % 2 ? number : skip)).toArray())
 * ```
 */
export const skip: Skip

/** The type of {@link skip}. */
export type Skip = symbol & { readonly [skipBrand]: true }

/**
 * Make a pool of worker processes that run one task file. Processes start with the first work (or `ready()`), are
 * replaced when they die, and do not keep the program alive while they are idle.
 *
 * The task file exports the mapper: `export default async function (item, { index, attempt, signal, skip }) { … }`, or
 * `module.exports = fn` in CommonJS; and, if it wants, `setup(setupData)` and `teardown()`, which run once per process.
 * Items and results are copied as `v8.serialize` does it, and errors keep class, stack, cause and properties.
 *
 * @param task a file URL, or a path, relative to `cwd`.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @throws {WorkerStartError} ERR_WORKER_START: called at the top of the task file itself (see {@link isWorker}).
 * @example
 * ```js
 * import { parallelMap, workerPool } from 'millrace'
 *
 * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 2 })
 * for await (const result of parallelMap([1, 2, 3], pool)) console.log(result)
 * await pool.close()
 * ```
 */
export function workerPool<Item = any, Result = any>(
  task: string | URL,
  options?: WorkerPoolOptions,
): WorkerPool<Item, Result>

/** Options of {@link workerPool}. Unknown names are a `TypeError`. */
export interface WorkerPoolOptions {
  /**
   * How many processes, at most. A positive integer.
   * @default the available parallelism of the machine, or of the cgroup (container) if that is less
   */
  size?: number | undefined
  /**
   * The whole environment of the processes, as in `child_process.fork()`. Undefined values are left out.
   * @default process.env, as it is when the pool is made
   */
  env?: Record<string, string | undefined> | undefined
  /**
   * Flags for `node`.
   * @default the parent's own (`--import tsx` works), without `--inspect*`, `--test*`, `--watch*`, `--eval` and the like
   */
  execArgv?: readonly string[] | undefined
  /**
   * Working directory of the processes: a file URL or a path.
   * @default process.cwd(), as it is when the pool is made
   */
  cwd?: string | URL | undefined
  /** Handed to the task file's `setup()`, copied as items are. */
  setupData?: unknown
  /**
   * The export that is the mapper.
   * @default 'default'
   */
  exportName?: string | undefined
  /**
   * A name for messages and process lists.
   * @default the name of the task file
   */
  label?: string | undefined
}

/**
 * Worker processes that run one task file: a mapper for {@link parallelMap}. Calls of it share the pool fairly.
 */
export interface WorkerPool<Item = any, Result = any> extends Operation<Item, Result> {
  /** How many processes, at most. */
  readonly size: number
  /** The name that it was given, or that of its task file. */
  readonly label: string
  /**
   * Run one item.
   * @param options `signal`: rejects at once with its reason; the item is withdrawn, or its `context.signal` is raised.
   * @throws {WorkerCrashError} ERR_WORKER_CRASHED (as a rejection): the process died while it ran the item.
   * @throws {WorkerStartError} ERR_WORKER_START (as a rejection): no process could get ready.
   * @throws {SerializationError} ERR_SERIALIZATION (as a rejection): the item or its result cannot be copied.
   * @throws {PoolClosedError} ERR_POOL_CLOSED (as a rejection): the pool was closed before.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 1 })
   * console.log(await pool.run(21))
   * await pool.close()
   * ```
   */
  run(item: Item, options?: RunOptions): Promise<Mapped<Result>>
  /**
   * Start all processes now, and settle when each of them is ready for work.
   * @throws {WorkerStartError} ERR_WORKER_START (as a rejection): a process could not get ready.
   * @throws {PoolClosedError} ERR_POOL_CLOSED (as a rejection): the pool was closed before.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 2 })
   * await pool.ready()
   * await pool.close()
   * ```
   */
  ready(): Promise<void>
  /**
   * Close the pool: nothing new is accepted, queued and running work ends, then the processes do. With `force: true`,
   * the work is cancelled. Idempotent; a later `force` still applies.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 1 })
   * await pool.close({ force: true })
   * ```
   */
  close(options?: CloseOptions): Promise<void>
  /** The same as `close()`, for `await using pool = workerPool(…)`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options of `pool.run()`. */
export interface RunOptions {
  /**
   * Withdraws the item.
   * @default none
   */
  signal?: AbortSignal | undefined
}

/** Options of `pool.close()`. */
export interface CloseOptions {
  /**
   * Cancel queued and running work instead of letting it end.
   * @default false
   */
  force?: boolean | undefined
}

/**
 * Whether this process is a worker of a pool. A file that is its own task file makes its pool only if it is not:
 * a pool made at the top of its own task file is an error, not a fork bomb.
 * @example
 * ```js
 * import { isWorker } from 'millrace'
 *
 * console.log(isWorker) // false: this is the parent
 * ```
 */
export const isWorker: boolean

/** Operations that run on Rust threads, without any JavaScript. Each is a mapper for {@link parallelMap}. */
export const native: {
  /**
   * Hash each item with SHA-256: a string (its UTF-8 bytes) or binary data in, lower-case hexadecimal text out. Any
   * other item is a `TypeError` (ERR_INVALID_ARG_TYPE) of that item.
   * @example
   * ```js
   * import { native, parallelMap } from 'millrace'
   *
   * console.log(await parallelMap(['a', Buffer.from('b')], native.sha256()).toArray())
   * ```
   */
  sha256(): Operation<string | ArrayBuffer | ArrayBufferView, string>
}

/** A mapper that is no function: a pool, or a native operation. Only Millrace makes them. */
export interface Operation<Item, Result> {
  readonly [operation]: (item: Item) => Result
}

/** Base class of all errors that Millrace itself makes. What a mapper throws arrives as it was thrown, not as one of these. */
export class MillraceError extends Error {
  /** Stable, unlike the message. All codes are listed in docs/errors.md. */
  readonly code: string
  /** Position of the item in the source, from 0, where an item is concerned. */
  readonly index?: number
  /** Which try at the item it was, from 1. */
  readonly attempt?: number
  /** Number of the worker in its pool, from 0. */
  readonly worker?: number
  /** Exit code of the worker process, if it exited. */
  readonly exitCode?: number
  /** Signal that ended the worker process, if one did. */
  readonly signal?: string
  /** The last part of what the worker process wrote to stderr. */
  readonly stderr?: string
  constructor(message: string, details?: FailureDetails)
}

/** A worker process ended (exit, signal, out of memory) while it ran an item. The pool replaces it. */
export class WorkerCrashError extends MillraceError {
  readonly code: 'ERR_WORKER_CRASHED'
}

/** A worker process could not get ready; the `cause` says why. */
export class WorkerStartError extends MillraceError {
  readonly code: 'ERR_WORKER_START'
}

/** A value cannot be copied to or from a worker process; the message names the path to it. */
export class SerializationError extends MillraceError {
  readonly code: 'ERR_SERIALIZATION'
}

/** The pool was closed before the work was given to it. */
export class PoolClosedError extends MillraceError {
  readonly code: 'ERR_POOL_CLOSED'
}

/** The results of a call were asked for a second time. */
export class ConsumedError extends MillraceError {
  readonly code: 'ERR_CONSUMED'
}

/** What is known about a failure. */
export interface FailureDetails {
  cause?: unknown
  index?: number | undefined
  attempt?: number | undefined
  worker?: number | undefined
  exitCode?: number | undefined
  signal?: string | undefined
  stderr?: string | undefined
}

/** What a mapper's return value yields: awaited, and nothing for {@link skip}. */
export type Mapped<Result> = Exclude<Awaited<Result>, Skip>

/** Strings and binary data are iterable, but by character or byte, which is never what was meant. */
interface NotText {
  readonly charAt?: never
  readonly BYTES_PER_ELEMENT?: never
}

declare const skipBrand: unique symbol
declare const operation: unique symbol
