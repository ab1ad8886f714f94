// The contract: everything that `millrace` exports, written by hand. Times are milliseconds, sizes are bytes.
/// <reference lib="esnext.disposable" />

import type { Duplex, Readable } from 'node:stream'

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
 * Mapper and `retryIf` are called in the async context of this call: an AsyncLocalStorage holds in them what it held here.
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
 * Gather the items of a source in arrays: for a database that takes fifty rows at a time, or a mapper that does.
 *
 * The arrays come in the order of the source, none is empty, only the last may be short (or one that `wait` or `bytes`
 * cut). The source is pulled only while somebody waits for a batch. An error of the source, or a rejected item, is
 * thrown after the items before it were delivered; `break` closes the source.
 *
 * @param size how many items make a batch, at most; or {@link BatchOptions}.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @example
 * ```js
 * import { batch } from 'millrace'
 *
 * for await (const numbers of batch([1, 2, 3, 4, 5], 2)) console.log(numbers) // [1, 2], then [3, 4], then [5]
 * ```
 */
export function batch<Item>(source: Source<Item>, size: number | BatchOptions): ParallelMap<Awaited<Item>[]>

/**
 * Divide an array evenly: for workers, or fork scripts, that want a share each. The shares are arrays of neighbours in
 * their order; one behind the other they are all items. Their sizes differ by at most one, the larger ones come first.
 * None is empty: of fewer items than parts there are as many shares as items, of an empty array none.
 *
 * @param items an array, which stays as it is.
 * @param parts how many shares, at most: a positive integer.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: `items` is no array, or `parts` no number.
 * @throws {RangeError} ERR_OUT_OF_RANGE: `parts`.
 * @example
 * ```js
 * import { divide } from 'millrace'
 *
 * console.log(divide([1, 2, 3, 4, 5], 2)) // [ [ 1, 2, 3 ], [ 4, 5 ] ]
 * ```
 */
export function divide<Item>(items: readonly Item[], parts: number): Item[][]

/** Options of {@link batch}. At least one of `size` and `bytes` is needed. Unknown names are a `TypeError`. */
export interface BatchOptions {
  /**
   * How many items make a batch, at most. A positive integer.
   * @default no limit
   */
  size?: number | undefined
  /**
   * How many bytes make a batch, at most; one item that is larger is a batch of its own. A string counts its UTF-8
   * bytes, binary data its own, anything else what `v8.serialize` makes of it (what that refuses is an error). A
   * positive integer.
   * @default no limit
   */
  bytes?: number | undefined
  /**
   * Hand out what is there when the source has not yielded the rest within this many milliseconds since the first item
   * of the batch. From 0 to 2,147,483,647.
   * @default none: wait for the rest
   */
  wait?: number | undefined
}

/**
 * Read the lines of a file or stream, as a source: for {@link parallelMap} and {@link batch}, or for its own stages
 * (`lines(file).map(pool)`, `.batch(100)`, `for await`).
 *
 * A file is read by a thread of its own, from its beginning to where it ends when that is reached (also one that grows
 * or shrinks meanwhile), up to 1 MiB ahead of who takes lines. Nothing is opened before the first line is asked for, and
 * the file is closed at its end, or when it is left by `break`. FIFOs, terminals and devices are waited for. Lines cost
 * no promise and no crossing each; a line is a string of its own that keeps nothing else in memory.
 *
 * Lines end with "\n" or "\r\n"; the last one need not, and what follows the last ending is no line if it is empty. A
 * line that is too long, or not UTF-8 with `fatal`, is an error of that item alone: with `settled`, those after it come.
 *
 * @param source the path of a file, a file URL; or a Node `Readable`, a web `ReadableStream` or any other source of
 *   binary data and strings, cut anywhere.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @throws {Error} ENOENT, EACCES, EISDIR … (as a rejection): the file cannot be read; with `errno`, `syscall` and `path`
 *   as `node:fs` has them. Lines before it were delivered.
 * @throws {LineTooLongError} ERR_LINE_TOO_LONG (as a rejection): a line has more than `maxLineBytes`.
 * @throws {InvalidTextError} ERR_INVALID_TEXT (as a rejection): a line is not UTF-8, with `fatal`.
 * @example
 * ```js
 * import { lines } from 'millrace'
 *
 * let longest = 0
 * await lines(new URL(import.meta.url)).forEach((line) => {
 *   longest = Math.max(longest, line.length)
 * })
 * console.log(longest)
 * ```
 */
export function lines(
  source: string | URL | Source<string | NodeJS.ArrayBufferView>,
  options: LineOptions & { encoding: 'buffer' },
): ParallelMap<Buffer>
export function lines(
  source: string | URL | Source<string | NodeJS.ArrayBufferView>,
  options?: LineOptions & { encoding?: 'utf8' | 'latin1' | undefined },
): ParallelMap<string>
export function lines(
  source: string | URL | Source<string | NodeJS.ArrayBufferView>,
  options: LineOptions,
): ParallelMap<string | Buffer>

/** Options of {@link lines}. Unknown names are a `TypeError`. */
export interface LineOptions {
  /**
   * `'utf8'`: strings; a byte order mark at the beginning is left out. `'latin1'`: strings with a character for each
   * byte. `'buffer'`: the bytes of each line, for native operations.
   * @default 'utf8'
   */
  encoding?: 'utf8' | 'latin1' | 'buffer' | undefined
  /**
   * With `'utf8'`: a line that is not valid UTF-8 is an error. `false`: what is not becomes U+FFFD, as in `TextDecoder`.
   * @default false
   */
  fatal?: boolean | undefined
  /**
   * Lines keep their ending.
   * @default false
   */
  keepEnding?: boolean | undefined
  /**
   * Most bytes of a line, without its ending, and without the byte order mark that is left out: an integer from 1 to
   * 503,316,480. It bounds the memory that a file without line endings takes.
   * @default 503316480 (480 MiB, about the longest string)
   */
  maxLineBytes?: number | undefined
}

/**
 * Read a file or stream in blocks of the same size, as a source. Read ahead, opened and closed as {@link lines} does it.
 *
 * Each block is a Buffer of exactly `bytes`, the last one of what is left; an empty file has none. A Buffer has its memory
 * for itself: it can be kept, changed, and transferred.
 *
 * @param source as for {@link lines}.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @throws {Error} ENOENT, EACCES, EISDIR … (as a rejection): the file cannot be read, as for {@link lines}.
 * @example
 * ```js
 * import { blocks, native, parallelMap } from 'millrace'
 *
 * const digests = parallelMap(blocks(new URL(import.meta.url), { bytes: 256 }), native.sha256())
 * for await (const digest of digests) console.log(digest)
 * ```
 */
export function blocks(
  source: string | URL | Source<string | NodeJS.ArrayBufferView>,
  options?: BlockOptions,
): ParallelMap<Buffer>

/** Options of {@link blocks}. Unknown names are a `TypeError`. */
export interface BlockOptions {
  /**
   * Bytes of a block: an integer from 1 to 2,147,483,647.
   * @default 65536 (64 KiB)
   */
  bytes?: number | undefined
}

/**
 * Find files by glob patterns, as a source of their paths. Folders are read by a thread, only so far ahead as paths are
 * taken, so a tree may be as large as it likes: the entries of one folder at a time are held.
 *
 * Paths come folder by folder, in the order of the bytes of names, and none comes twice. They can be opened as they are:
 * relative to this process's directory, or, with `cwd`, beginning with it. Only regular files come, not folders, pipes,
 * sockets and devices.
 *
 * In a pattern `*` and `?` stand for anything within a name, `**` for any folders, `[a-z]` and `[!a-z]` for a character,
 * `{a,b}` for alternatives; a backslash takes the meaning of the next character away. Patterns match whole paths, and
 * tell upper and lower case apart. Names that begin with a dot are left out, also folders, unless `hidden` is set, they
 * stand before the first wildcard of a pattern, or they match one of its parts that begins with a dot.
 *
 * A folder that cannot be read is an error (EACCES, say) at its place, and so is one that a pattern names before its first
 * wildcard and that does not exist (ENOENT), and a name that is not UTF-8. It is an error of that item alone: with
 * `settled`, the rest of the tree comes. What is deleted meanwhile does not come.
 *
 * @param pattern one, or several of which each path matches at least one. `..` can only stand at its beginning.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: a pattern that cannot be understood.
 * @throws {Error} ENOENT, EACCES … (as a rejection): a folder cannot be read; with `errno`, `syscall` and `path`.
 * @throws {InvalidTextError} ERR_INVALID_TEXT (as a rejection): the name of a file is not UTF-8; with `path`.
 * @example
 * ```js
 * import { files } from 'millrace'
 *
 * for await (const path of files(['*.js', '*.json'], { exclude: 'line-*' })) console.log(path)
 * ```
 */
export function files(pattern: string | readonly string[], options?: FilesOptions): ParallelMap<string>

/** Options of {@link files}. Unknown names are a `TypeError`. */
export interface FilesOptions {
  /**
   * What relative patterns are relative to: the path of a directory, or a file URL. Paths begin with it.
   * @default process.cwd(), and paths are relative
   */
  cwd?: string | URL | undefined
  /**
   * Patterns of what is left out, in the same words, relative to `cwd` or absolute. A folder that matches is not entered;
   * one with a slash at its end matches folders only.
   * @default none
   */
  exclude?: string | readonly string[] | undefined
  /**
   * Names that begin with a dot come, too.
   * @default false
   */
  hidden?: boolean | undefined
  /**
   * Symbolic links count as what they lead to; one into a folder that it stands in is left out, as is one to nothing.
   * `false`: links are left out.
   * @default false
   */
  followSymlinks?: boolean | undefined
}

/**
 * `parallelMap` as a stage of Node streams: a Duplex, in object mode on both sides, that maps what is written to it.
 * Back-pressure, errors and aborts work in both directions, as in any stream. Nothing starts before the first write.
 *
 * A write is called back when its chunk is taken into the window; at its end the stream delivers what still runs. What
 * destroys the stream cancels the work as `break` does, an aborted `signal` as that does (the error is `signal.reason`
 * itself); `'close'` waits for no mapper. The pool stays open.
 *
 * An error of an item (with `stopOnError: false` the `AggregateError`) destroys the stream with it, after the results
 * before it were pushed; those that nobody has read by then are lost, as in every Transform. What is falsy would be no
 * error in a stream: it is the `cause` of a {@link FalsyValueError}. A result of `null` would be the end: it is a
 * `TypeError` (ERR_INVALID_ARG_TYPE) that destroys the stream. `undefined` is carried (a Transform after it drops it,
 * though), and {@link skip} gives nothing.
 *
 * @param mapper a pool, a function or a native operation, as for {@link parallelMap}.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @example
 * ```js
 * import { Readable } from 'node:stream'
 * import { pipeline } from 'node:stream/promises'
 * import { throughWorkers, workerPool } from 'millrace'
 *
 * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 2 })
 * await pipeline(Readable.from([1, 2, 3]), throughWorkers(pool), async (results) => {
 *   for await (const result of results) console.log(result)
 * })
 * await pool.close()
 * ```
 */
export function throughWorkers<Item, Result, AsSettled extends boolean = false>(
  mapper: Mapper<Item, Result>,
  options?: ParallelMapOptions<AsSettled>,
): Duplex

/**
 * Values, or promises of values, in any of the forms that can be iterated. Strings and binary data are refused
 * (ERR_INVALID_ARG_TYPE): wrap them in an array if they are one item.
 */
export type Source<Item> = (Iterable<Item> | AsyncIterable<Item>) & NotText

/** What turns an item into a result, and so decides where that happens. */
export type Mapper<Item, Result> = ((item: Item, context: Context) => Result) | Operation<Item, Result>

/** What a mapper is told beside its item. Ask it, or take it apart: a copy (`{ ...context }`) has the `index` alone. */
export interface Context {
  /** Position of the item in its source, from 0. */
  readonly index: number
  /**
   * Which try at this item it is, from 1. All of them count: retries, and also those of an item whose process ended by
   * no fault of its own.
   */
  readonly attempt: number
  /**
   * Raised when the results of this call are no longer wanted: after `break`, an abort, or an error of another item. With
   * a `timeout`, each try has a signal of its own, which is raised with a {@link TaskTimeoutError} when its time is over,
   * too. In a worker process its `reason` is an AbortError otherwise: that of the caller's signal stays with the caller.
   */
  readonly signal: AbortSignal
  /** The same as the export {@link skip}: `return context.skip` yields nothing for this item. */
  readonly skip: Skip
  /**
   * Tell those who listen to the pool something, in the name of this item: they get a copy, as of a result, by the event
   * {@link WorkerPoolEvents.message message}. It can be called as often as one likes, also after the item has ended. While
   * nobody listens it does nothing; while this item's worker has said 256 KiB that the program has not taken yet, it
   * waits, and the worker's thread with it. On the event loop it does nothing: call what you mean there.
   * @param value anything that a result can be, up to 64 MiB
   * @throws {SerializationError} ERR_SERIALIZATION: it cannot be copied, or is too large. Only while somebody listens.
   * @example
   * ```js
   * import { parallelMap, workerPool } from 'millrace'
   *
   * const pool = workerPool((word, { emit }) => {
   *   if (word.length > 5) emit(`${word} is long`)
   *   return word.length
   * })
   * pool.on('message', (text, { index }) => console.log(index, text)) // 1 rather is long
   * console.log(await parallelMap(['a', 'rather'], pool).toArray()) // [ 1, 6 ]
   * await pool.close()
   * ```
   */
  readonly emit: (value: unknown) => void
  /**
   * Say how far this item is, for the event {@link WorkerPoolEvents.progress progress} of its pool. A store into memory
   * that the pool looks at now and then, so it costs nanoseconds: the latest counts, earlier ones may never be seen. On
   * the event loop, and while nobody listens, it does nothing.
   * @param done a finite number from 0
   * @param total of how much, a finite number over 0, by default 1: then `done` is a fraction. It may be less than `done`.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: no number.
   * @throws {RangeError} ERR_OUT_OF_RANGE: a number that cannot be.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool((count, { progress }) => {
   *   let sum = 0
   *   for (let i = 0; i < count; i++) {
   *     sum += i
   *     progress(i, count)
   *   }
   *   return sum
   * })
   * pool.on('progress', ({ index, done, total }) => console.log(index, `${Math.round((done / total) * 100)} %`))
   * console.log(await pool.run(1e6)) // 499999500000
   * await pool.close()
   * ```
   */
  readonly progress: (done: number, total?: number) => void
}

/** Options of {@link parallelMap}. Unknown names are a `TypeError`. */
export interface ParallelMapOptions<AsSettled extends boolean = boolean> extends TryOptions {
  /**
   * How many items run at once, at most. A positive integer, or `Infinity`.
   * @default 16 for a function; the capacity of a pool (`size` × `concurrencyPerWorker`) or native operation (more than
   *   that is clamped)
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
   * @default 2 × concurrency for a function; automatic for a pool: two chunks per worker, at least 2 × concurrency,
   *   at most 16,384 items
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
   * of an item ends the call then. {@link failureOf} takes the outcomes that are rejected, too.
   * @default false
   */
  settled?: AsSettled | undefined
  /**
   * What goes first where calls share a pool: what waits of a call with a higher number goes before all that other calls
   * have not begun, in worker processes too; what runs goes on. Calls of the same number take turns, also where one of
   * them has items that have to run alone. An integer from -1,000,000 to 1,000,000. On this event loop nothing is shared.
   * @default 0
   */
  priority?: number | undefined
  /**
   * `key(item)` names what the item belongs to (a user, a file): items of one key run one after the other, in the order
   * of the source, and in a pool all in one worker, as long as that lives. An item that is tried again keeps those behind
   * it waiting. Called once for each item, in this process; what it throws, or a key that is no string, number, bigint or
   * boolean (a `TypeError`, ERR_INVALID_ARG_TYPE), is the item's error.
   *
   * In a pool, two keys may share a place: then they wait for each other, too. Each item travels to its worker by
   * itself, which costs some microseconds, and an item that has to run alone (see `crashRetries`) takes any worker.
   * @default none: items run wherever there is room
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const events = [{ user: 1, text: 'a' }, { user: 2, text: 'b' }, { user: 1, text: 'c' }]
   * const store = async ({ user, text }) => `${user}${text}` // never two of one user at once
   * console.log(await parallelMap(events, store, { key: ({ user }) => user }).toArray()) // [ '1a', '2b', '1c' ]
   * ```
   */
  key?: ((item: any) => string | number | bigint | boolean) | undefined
  /**
   * For native operations: items are given away instead of copied. The ArrayBuffer of an item (or of the typed array,
   * Buffer or DataView that is one) is detached when the item is pulled: it has no bytes any more, whatever becomes of
   * the item. That takes no time, however large it is, where a copy holds up the event loop; and `array.sort()` sorts in
   * that very memory, unless `retries` are asked for. Strings have nothing to give away.
   *
   * A view of only a part of its ArrayBuffer is copied all the same, and so is memory that Node.js does not transfer
   * (that of small Buffers, of a WebAssembly.Memory, of native addons, which large results of native operations are):
   * these stay as they are. A SharedArrayBuffer is an error of its item (a `TypeError`, ERR_INVALID_ARG_TYPE); so is
   * memory that is detached already, an item that comes a second time for example. Anything but `false` is a `TypeError`
   * (ERR_INVALID_ARG_TYPE) for a mapper that is no native operation, and in `filter()`, which yields its items.
   * @default false
   * @example
   * ```js
   * import { native, parallelMap } from 'millrace'
   *
   * const samples = [Float64Array.of(3, 1, 2), Float64Array.of(5, 4)]
   * console.log(await parallelMap(samples, native.array.minmax(), { transfer: true }).toArray()) // [ { min: 1, max: 3 }, … ]
   * console.log(samples[0].length) // 0
   * ```
   */
  transfer?: boolean | undefined
}

/**
 * How often an item is tried, and how long: the same wherever it runs. Only an item whose mapper began is tried again,
 * not one that was a rejected promise or that cannot be copied. While it waits for its next try, it keeps its place in
 * the order and its share of the window, but no slot: others run meanwhile. Whatever ends the call drops what waits.
 */
export interface TryOptions {
  /**
   * How often an item that failed is tried again, by itself; the last error arrives, as it was thrown
   * ({@link failureOf} has the earlier ones). Time-outs count, crashes do not: see `crashRetries`. 0, a positive integer,
   * or `Infinity`.
   *
   * A `flatMap()` with `retries` or a `timeout` iterates what a function returned to its end before it yields of it, as
   * worker processes always do.
   * @default 0
   */
  retries?: number | undefined
  /** How long a retry waits. */
  backoff?: BackoffOptions | undefined
  /**
   * Whether an item that failed of this error is tried again, asked in this process as long as it has `retries` left:
   * `retryIf(error, { index, attempt })` returns something true (or a promise of it). What it throws is the item's error.
   * Nobody asks about crashes.
   * @default every error
   */
  retryIf?: ((error: unknown, context: RetryContext) => unknown) | undefined
  /**
   * How often an item is tried again whose process died while it ran (and nothing else did): at its next turn, and alone in
   * a process. After that, {@link WorkerCrashError} is its error. An integer from 0 to 1,000. It does nothing where no
   * process runs.
   * @default 0
   */
  crashRetries?: number | undefined
  /**
   * How many milliseconds one try of an item may take, from its start in the worker (not from its submission): from 1 to
   * 2,147,483,647. When they are over, the item fails with {@link TaskTimeoutError}, or is tried again if it has
   * `retries`, and its `context.signal` is raised. A try is never cut off early; in a pool at most a sixteenth of the time
   * (at least 1 ms) late. (One that holds its process while others run there is known later: see `concurrencyPerWorker`.)
   *
   * A worker process that has not come back from the item after `gracePeriod` more (an endless loop, say) is killed and
   * replaced; the item's next try waits for that, and what else ran there runs again. A mapper on this event loop cannot
   * be stopped, nor a native operation: it goes on, keeps its slot, and `finished` waits for it; an item on this event
   * loop is tried again all the same, so a mapper should end when its signal is raised. One that blocks this event loop
   * fails when it comes back.
   * @default none
   */
  timeout?: number | undefined
}

/**
 * How long a retry waits. Before the n-th, that are min(max, initial × factor^(n-1)) milliseconds, times a random number
 * between 1 - jitter and 1, so that what failed together is not tried again together.
 */
export interface BackoffOptions {
  /**
   * Milliseconds, from 0 to 2,147,483,647.
   * @default 100
   */
  initial?: number | undefined
  /**
   * From 1 to 1,000.
   * @default 2
   */
  factor?: number | undefined
  /**
   * Milliseconds, from 0 to 2,147,483,647.
   * @default 30000
   */
  max?: number | undefined
  /**
   * From 0 (none) to 1.
   * @default 0.5
   */
  jitter?: number | undefined
}

/** What `retryIf` is told beside the error. */
export interface RetryContext {
  /** Position of the item in its source, from 0; 0 for `pool.run()`. */
  readonly index: number
  /** Which try at the item failed, from 1. */
  readonly attempt: number
}

/**
 * The results of one call of {@link parallelMap} or {@link batch}, or a source made by {@link lines}, {@link blocks} or
 * {@link files}. It is lazy, and consumed once: by `for await`,
 * `toArray()`, `forEach()`, `reduce()`, a stream, or a further stage (`map()`, `filter()`, `flatMap()`, `batch()`,
 * `take()`, `drop()`). Stages work at the same time, each within its own window, also where they share a pool. What ends
 * one of them ends those before it: each closes its source. It is no promise; a call that nobody consumes does nothing, and warns once per call site
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
   * Map the results once more: the same as `parallelMap(results, mapper, options)`, without a promise for each of them.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE, as {@link parallelMap}.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const fetched = parallelMap([1, 2, 3], async (id) => ({ id, price: id * 10 }))
   * console.log(await fetched.map(async ({ price }) => price + 1).toArray())
   * ```
   */
  map<Next, AsSettled extends boolean = false>(
    mapper: Mapper<Result, Next>,
    options?: ParallelMapOptions<AsSettled>,
  ): ParallelMap<AsSettled extends true ? Settled<Mapped<Next>> : Mapped<Next>>
  /**
   * Keep the results for which the mapper returns something true (or a promise of it). They are yielded as they are:
   * from a pool, too, come this program's own objects, not copies. With `settled`, `value` is the kept result.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE, as {@link parallelMap}.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const lengths = parallelMap(['a', 'bcd', ''], async (text) => text.length)
   * console.log(await lengths.filter(async (length) => length > 0).toArray()) // [1, 3]
   * ```
   */
  filter<Kept extends Result, AsSettled extends boolean = false>(
    mapper: (item: Result, context: Context) => item is Kept,
    options?: ParallelMapOptions<AsSettled>,
  ): ParallelMap<AsSettled extends true ? Settled<Kept> : Kept>
  filter<AsSettled extends boolean = false>(
    mapper: Mapper<Result, unknown>,
    options?: ParallelMapOptions<AsSettled>,
  ): ParallelMap<AsSettled extends true ? Settled<Result> : Result>
  /**
   * Map each result to any number of results: the mapper returns an array, an iterable or an async iterable (or a
   * promise of one). What it returns is iterated for up to `concurrency` items at once, and yielded in the order of the
   * items or, with `preserveOrder: false`, as it comes. Promises in it are awaited. Anything else that the mapper
   * returns is a `TypeError` of its item; {@link skip} is nothing. With `settled`, every result says the index of the
   * item that it came from.
   *
   * A function's iterables are pulled with back-pressure, so they may be infinite. A worker iterates to the end of what
   * its mapper returned, and sends the results of one item together: they must fit in memory.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE, as {@link parallelMap}.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const pages = parallelMap([1, 2], async (page) => ({ rows: [page * 10, page * 10 + 1] }))
   * console.log(await pages.flatMap(({ rows }) => rows).toArray()) // [10, 11, 20, 21]
   * ```
   */
  flatMap<Many extends FlatMapped, AsSettled extends boolean = false>(
    mapper: Mapper<Result, Many>,
    options?: ParallelMapOptions<AsSettled>,
  ): ParallelMap<AsSettled extends true ? Settled<Flattened<Many>> : Flattened<Many>>
  /**
   * Gather the results in arrays, as {@link batch} does.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE, as {@link batch}.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * const rows = parallelMap([1, 2, 3], async (id) => ({ id }))
   * for await (const some of rows.batch(2)) console.log(some.length) // 2, then 1
   * ```
   */
  batch(size: number | BatchOptions): ParallelMap<Result[]>
  /**
   * Yield the first `count` results, then cancel as `break` does, without waiting to be asked for more. 0, a positive
   * integer or `Infinity`; with 0 nothing starts.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE: `count`.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * function* naturals() {
   *   for (let number = 0; ; number++) yield number
   * }
   * console.log(await parallelMap(naturals(), async (number) => number ** 2).take(3).toArray()) // [0, 1, 4]
   * ```
   */
  take(count: number): ParallelMap<Result>
  /**
   * Leave out the first `count` results. 0, a positive integer or `Infinity`.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE, and RangeError ERR_OUT_OF_RANGE: `count`.
   * @example
   * ```js
   * import { parallelMap } from 'millrace'
   *
   * console.log(await parallelMap(['header', 'a', 'b'], async (line) => line).drop(1).toArray()) // ['a', 'b']
   * ```
   */
  drop(count: number): ParallelMap<Result>
  /**
   * The results as a Node `Readable` in object mode. It pulls as it is read; destroying it cancels the call, and
   * `'close'` comes when the source is closed. An error of the call destroys it, after the results before it were
   * pushed; those that nobody has read by then are lost, as in every Readable. What is falsy would be no error in a
   * stream: it is the `cause` of a {@link FalsyValueError}. A result of `null` would be the end: it is a `TypeError`
   * (ERR_INVALID_ARG_TYPE) that destroys the stream. For a web stream use `ReadableStream.from(results)`.
   * @throws {ConsumedError} ERR_CONSUMED: consumed already.
   * @example
   * ```js
   * import { pipeline } from 'node:stream/promises'
   * import { parallelMap } from 'millrace'
   *
   * const lines = parallelMap([1, 2, 3], async (number) => `${number ** 2}\n`)
   * await pipeline(lines.toReadable(), async (stream) => {
   *   for await (const line of stream) process.stdout.write(line)
   * })
   * ```
   */
  toReadable(): Readable
  /**
   * Settles when no mapper of this call, or of the stages before it, runs any more and the source is closed. Never
   * rejects. Settled for a call that
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
 * Make a pool of worker processes that run one task: a file, or a function. Processes start with the first work (or
 * `ready()`), are replaced when they die, and do not keep the program alive while they are idle.
 *
 * A task file exports the mapper: `export default async function (item, { index, attempt, signal, skip }) { … }`, or
 * `module.exports = fn` in CommonJS; and, if it wants, `setup(setupData)` and `teardown()`, which run once per process.
 * It may be TypeScript where Node strips types, or where the program was started with a loader (`node --import tsx`).
 * Items and results are copied as `v8.serialize` does it, and errors keep class, stack, cause and properties.
 *
 * The types of items and results are those of the mapper in the module that is named; of another export, with its name
 * here and in the options: `workerPool<typeof import('./tasks.js'), 'resize'>(url, { exportName: 'resize' })`. Or they
 * are given, `workerPool<Item, Result>(url)`, or left open.
 *
 * @param task a file URL, or a path, relative to `cwd`; or a function.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option; or a function
 *   that cannot be sent.
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
 * @example
 * ```ts
 * import { workerPool } from 'millrace'
 *
 * const pool = workerPool<typeof import('./double.js')>(new URL('./double.js', import.meta.url))
 * const doubled: number = await pool.run(21)
 * await pool.close()
 * ```
 */
export function workerPool(task: string | URL, options?: WorkerPoolOptions): WorkerPool<any, any>
export function workerPool<Module extends TaskModule<'default'>>(
  task: string | URL,
  options?: WorkerPoolOptions & { exportName?: 'default' | undefined },
): TaskPool<Module, 'default'>
export function workerPool<Module extends TaskModule<Name>, Name extends string>(
  task: string | URL,
  options: WorkerPoolOptions & { exportName: Name },
): TaskPool<Module, Name>
export function workerPool<Item, Result>(
  task: string | URL,
  ...options: ItemOptions<Item, Result>
): WorkerPool<Item, Result>
/**
 * Send a function to the processes by its source, where a file of its own would be too much. It sees nothing from
 * outside itself, no variables and no imports: it gets its item and context, Node's globals, `import()` and `require`,
 * which look from `cwd`. A variable that it misses is a `ReferenceError` of the item that says so.
 *
 * Not every function has a source that stands by itself: native and bound functions, methods in short form, classes, and
 * functions that a coverage tool has changed are refused at once.
 * @example
 * ```js
 * import { parallelMap, workerPool } from 'millrace'
 *
 * const pool = workerPool((number) => number ** 2, { size: 2 })
 * console.log(await parallelMap([1, 2, 3], pool).toArray()) // [1, 4, 9]
 * await pool.close()
 * ```
 */
export function workerPool<Item, Result>(
  fn: (item: Item, context: Context) => Result,
  options?: Omit<WorkerPoolOptions, 'exportName' | 'setupData'>,
): WorkerPool<Item, Mapped<Result>>

/** What `typeof import('./task.js')` of a task file may be: it exports a mapper by that name. */
export type TaskModule<Name extends string = 'default'> =
  | { readonly [Key in Name]: TaskFunction }
  // CommonJS: `module.exports`, and the `exports.default` of files that were compiled from ESM.
  | { readonly default: { readonly [Key in Name]: TaskFunction } }
  | ('default' extends Name ? TaskFunction : never)

/** The pool of a task file, by the types of the mapper that it exports. */
export type TaskPool<Module, Name extends string = 'default'> = 0 extends 1 & Module
  ? WorkerPool<any, any>
  : TaskExport<Module, Name> extends (item: infer Item, context: Context) => infer Result
    ? WorkerPool<Item, Mapped<Result>>
    : never

/** Options of {@link workerPool}. Unknown names are a `TypeError`. */
export interface WorkerPoolOptions {
  /**
   * How many processes, at most. A positive integer; `pool.size` changes it while the pool runs.
   * @default the available parallelism of the machine, or of the cgroup (container) if that is less
   */
  maxWorkers?: number | undefined
  /** Another name for `maxWorkers`: a `TypeError` with both. */
  size?: number | undefined
  /**
   * How many processes there are at least, from the first use of the pool to its end, also without anything to do: from 0
   * to `maxWorkers`. Where `pool.size` is made less than that, it is that many.
   * @default 0: processes start when there is work for them
   */
  minWorkers?: number | undefined
  /**
   * How many milliseconds a process more than `minWorkers` stays without anything to do: from 0 to 2,147,483,647. Then it
   * ends (`teardown()` runs), and another one starts when there is more work.
   * @default none: they stay until the pool is closed
   */
  idleTimeout?: number | undefined
  /**
   * How many items one process runs, at most; then another one takes its place. A positive integer. That one is started
   * so early that it is ready before the last items are through, by how long starts have taken lately (twice that, to be
   * sure) and how fast the process is; as long as both are there, the pool has a process more. Where all these items take
   * less than a start does, it is started as soon as they have begun, no process has more than one successor, and
   * the pool waits for it.
   * @default no limit
   */
  maxTasksPerWorker?: number | undefined
  /**
   * How many milliseconds after it was ready a process is replaced, between items: from 1 to 2,147,483,647. Its successor
   * is started before that, as with `maxTasksPerWorker`, and it goes on until that is ready.
   * @default no limit
   */
  maxAge?: number | undefined
  /**
   * How many milliseconds a process may take to become ready, with loading the task file and its `setup()`: from 1 to
   * 2,147,483,647. One that takes longer is killed: {@link WorkerStartError}. As long it may take to end, with its
   * `teardown()`, when it is told to: then it is killed.
   *
   * Where a process just ends while it starts, another follows after a rest of 0.1 s, 0.2 s, 0.4 s, up to 25.6 s; after
   * three in a row, or at once where one says why it cannot start, everything that waits fails.
   * @default 60000
   */
  startTimeout?: number | undefined
  /**
   * Bytes of memory that the machine (its control group, if that has less left) must have available. With less, no chunk
   * of items is begun and processes without anything to do end, until there is more again; what runs goes on. A positive
   * integer. Looked at 20 times a second.
   * @default none: nobody looks
   */
  minFreeMemory?: number | undefined
  /**
   * How many items one process runs at the same time, for tasks that await something: an integer from 1 to 128. The
   * capacity of the pool is `size` × this; `concurrency` of a call counts items. Tasks that await nothing still run one
   * after the other in their process.
   *
   * A process that dies while it runs one item is that item's crash. With several, nobody knows whose: each of them runs
   * again, alone in a process (its `context.attempt` is one more), and only one that ends its process again fails, with
   * {@link WorkerCrashError}. So with more than 1, what ran beside the culprit runs twice: at least once, not at most
   * once. An item that has ended never runs again.
   *
   * Likewise an item that holds its process (an endless loop) makes those beside it late. Where the process is killed
   * because it has not even heard of a `timeout`, each runs again alone, and only one that is late again fails. They run
   * one after the other where the pool has no other process, so that is told as much later. What is late because a
   * neighbour held the process for less than `gracePeriod` fails of its own `timeout`.
   * @default 1
   */
  concurrencyPerWorker?: number | undefined
  /**
   * How many milliseconds an item may go on that was cut off, by an aborted `signal`, its `timeout` or
   * `close({ force: true })`, before its process is killed: from 0 to 2,147,483,647.
   * @default 200
   */
  gracePeriod?: number | undefined
  /**
   * The whole environment of the processes, as in `child_process.fork()`; with `inheritEnv`, variables over those.
   * Undefined values are left out.
   * @default process.env, as it is when the pool is made
   */
  env?: Record<string, string | undefined> | undefined
  /**
   * Names of the variables of process.env that the processes have, as they are when the pool is made; those of `env` come
   * on top, and win. `[]` is none at all. Names that are not set are left out.
   * @default all of them, or none where `env` is given
   */
  inheritEnv?: readonly string[] | undefined
  /**
   * Added to the niceness of this program: an integer from 0 to 19. The processes then give way to others.
   * @default 0
   */
  niceIncrement?: number | undefined
  /**
   * Resource limits of each process (`setrlimit`), soft and hard. One that the system refuses is a
   * {@link WorkerStartError} that names it.
   */
  rlimits?:
    | {
        /**
         * Processor time of one process, in seconds: 0 or a positive integer, of which the system makes at least 1. Then
         * it is ended by SIGXCPU, and replaced; it counts from the start of the process, over all of its items.
         * @default as for this program
         */
        cpuSeconds?: number | undefined
        /**
         * Descriptors that are open at the same time: 0 or a positive integer. Node needs about 30 to start.
         * @default as for this program
         */
        openFiles?: number | undefined
        /**
         * Most bytes of a core dump: 0 (none) or a positive integer.
         * @default as for this program
         */
        coreSize?: number | undefined
      }
    | undefined
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
  /**
   * What becomes of what the processes write to stdout. 'inherit': it goes to this program's own stdout, straight from
   * the process. 'ignore': nowhere. 'pipe': the pool tells it as `stdout` events.
   * @default 'inherit'
   */
  stdout?: 'inherit' | 'ignore' | 'pipe' | undefined
  /**
   * The same for stderr, except that 'inherit' is passed on by this program. In every case the last 8 KiB are kept
   * for the `stderr` of errors.
   * @default 'inherit'
   */
  stderr?: 'inherit' | 'ignore' | 'pipe' | undefined
  /**
   * Node's permission model for the processes: what is not said is denied, with an error of its item whose code is
   * ERR_ACCESS_DENIED. This package, the task file and the package.json files above it can always be read; what the task
   * imports has to be listed (an import that is denied is a {@link WorkerStartError}). The network is not restricted.
   *
   * Native addons can be loaded no more once the task begins on Node 24 and newer, as long as `worker` and `childProcess`
   * are false. On Node 20 and 22 this cannot be forbidden, because ours is one: a task can load any addon of the machine,
   * whether `fsRead` lists it or not, and that can do everything. So there it guards against mistakes, not against hostile
   * code. On newer ones it is as good as Node's own, which does not promise to stop hostile code either: a process that
   * runs such code needs a guard of the system around it. Node calls the permission model experimental in version 20, and
   * its part for the network in 26: the processes print no ExperimentalWarning there.
   *
   * Nothing can be written that `fsWrite` does not list, so that no report tells of a full heap: it is a
   * {@link WorkerCrashError} here, not a {@link WorkerOutOfMemoryError}. `maxMemory` works as ever.
   * @default none: everything is permitted
   */
  permission?:
    | {
        /**
         * Files and directories with all that is in them: paths, relative to `cwd`, or file URLs. A path that ends with
         * `*` stands for all that begin like it; a directory that does not exist yet needs that. '*': every file.
         * @default []
         */
        fsRead?: readonly (string | URL)[] | undefined
        /**
         * The same for writing.
         * @default []
         */
        fsWrite?: readonly (string | URL)[] | undefined
        /**
         * Whether the task may start processes.
         * @default false
         */
        childProcess?: boolean | undefined
        /**
         * Whether it may start worker threads.
         * @default false
         */
        worker?: boolean | undefined
      }
    | undefined
  /**
   * Most memory of one process, in bytes: a positive integer. Counted is what is its own (RssAnon: heap, buffers, stacks),
   * not what it shares or maps from files, and not the processes that it starts. A process that is over it, looked at 20
   * times a second, is killed and replaced, and the item that it ran fails with {@link WorkerOutOfMemoryError}. Node
   * itself needs about 40 MB.
   * @default none; V8's own limit for its heap applies in any case (`execArgv: ['--max-old-space-size=…']`)
   */
  maxMemory?: number | undefined
  /**
   * How the task file works. 'function': it exports the mapper. 'message': it is a script for `child_process.fork`, as it
   * stands: each item is a message that its `process.on('message')` hears, and the next `process.send()` is the result.
   * What it sends while no item runs is the pool's {@link WorkerPoolEvents.message message} event. For `flatMap()`
   * each message that it sends is one result; the item ends with `lastMessage`. Without that, it ends when something was
   * sent, what the listeners have returned (promises) has settled, and the event loop has turned once more.
   *
   * The script is loaded as a main file (`require.main`), and has `process.connected`, `channel`, `disconnect()` and the
   * event 'disconnect' when the pool needs it no more. What a listener throws ends the process, and is the crash of its
   * item. A script that never answers needs a `timeout`. One that has disconnected, or taken its listener away, may end
   * in peace, at most a second while items wait; then they go to a new process. Handles (sockets) cannot be sent.
   *
   * One item runs at a time: `concurrencyPerWorker` is 1, a `RangeError` otherwise. `setupData` and `exportName` are
   * `TypeError`s.
   * @default what the file shows: it is a script if it exports no function and, once it is loaded, listens for messages.
   *   Its items have travelled as they do for functions, then, and become JSON in the worker.
   */
  protocol?: 'function' | 'message' | undefined
  /**
   * How messages of a fork script travel. 'json': they become what JSON makes of them, as by default in `fork()`:
   * undefined and functions are dropped, a Date is a string, a Map is {}. 'advanced': as items and results of functions.
   * A `TypeError` with a task that is no fork script.
   * @default 'json'
   */
  serialization?: 'json' | 'advanced' | undefined
  /**
   * The message by which a fork script says that an item is over: one that is equal to this, written as JSON. It is no
   * result. The item then has any number of results for `flatMap()`, none too; for others the first message is the
   * result, and an item without one is skipped. A value that JSON can carry; a `TypeError` with a task that is no fork
   * script.
   * @default none
   * @example
   * ```js
   * import { writeFileSync } from 'node:fs'
   * import { parallelMap, workerPool } from 'millrace'
   *
   * writeFileSync('./rows.cjs', `process.on('message', ({ rows }) => {
   *   for (let row = 0; row < rows; row++) process.send({ row })
   *   process.send('done')
   * })`)
   * const pool = workerPool('./rows.cjs', { protocol: 'message', lastMessage: 'done' })
   * const shares = parallelMap([{ rows: 2 }, { rows: 0 }], (share) => share)
   * console.log(await shares.flatMap(pool).toArray()) // [ { row: 0 }, { row: 1 } ]
   * await pool.close()
   * ```
   */
  lastMessage?: unknown
  /** Handed to the task file's `setup()`, copied as items are. A `TypeError` with a function, which has no `setup()`. */
  setupData?: unknown
  /**
   * The export of the task file that is the mapper. A `TypeError` with a function.
   * @default 'default'
   */
  exportName?: string | undefined
  /**
   * A name for messages and process lists.
   * @default the name of the task file; that of the function, or 'function'
   */
  label?: string | undefined
}

/**
 * Worker processes that run one task file: a mapper for {@link parallelMap}. Calls of it share the pool fairly.
 */
export interface WorkerPool<Item = any, Result = any> extends Operation<Item, Result> {
  /**
   * How many processes, at most: a positive integer. Each of them runs up to `concurrencyPerWorker` items at the same time.
   *
   * It may be changed at any time, and calls under way follow: a call without a `concurrency` of its own runs as many items
   * at once as the pool can, one with it no more than that. Where the pool grows, processes start as soon as there is work
   * for them. Where it shrinks, processes end between items: what they have begun ends there, what they have not goes to
   * others; nothing is lost or run twice. Until then more items may run than the new size has room for. It may be less than
   * `minWorkers`, which are only so many then; made larger again, they are back. After `close()` nothing follows it.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE
   * @throws {RangeError} ERR_OUT_OF_RANGE
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 1 })
   * pool.size = 2
   * console.log(await Promise.all([pool.run(1), pool.run(2)]))
   * await pool.close()
   * ```
   */
  size: number
  /** The name that it was given, or that of its task file. */
  readonly label: string
  /**
   * Run one item.
   * @param options `signal`: rejects at once with its reason; the item is withdrawn, or its `context.signal` is raised.
   *   And how often, and how long, the item is tried.
   * @throws {WorkerCrashError} ERR_WORKER_CRASHED (as a rejection): the process died while it ran the item (and no other).
   * @throws {WorkerOutOfMemoryError} ERR_WORKER_OUT_OF_MEMORY (as a rejection): it ran out of memory meanwhile.
   * @throws {TaskTimeoutError} ERR_TASK_TIMEOUT (as a rejection): it took longer than its `timeout`.
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
   * Send a value to every process that is up or starts, for the function `onMessage(value)` that the task file exports;
   * a file that exports none does not hear it. A process gets messages in order, before the items that are given to
   * the pool after them, and when its event loop turns: between items, or while one awaits something. One that starts
   * later gets nothing of what was sent before: use `setupData`, or send it again on `workerStart`. What `onMessage`
   * throws, or rejects with, is an uncaught error of its process.
   * @param value anything that an item can be, up to 64 MiB
   * @returns to how many processes it was sent. One that has not read its last 64 MiB is left out.
   * @throws {SerializationError} ERR_SERIALIZATION: the value cannot be copied, or is too large.
   * @throws {PoolClosedError} ERR_POOL_CLOSED: the pool was closed before.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: the task of the pool is a function, which exports nothing.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool(new URL('./double.js', import.meta.url), { size: 1 })
   * await pool.ready()
   * console.log(pool.postMessage({ verbose: true })) // 1
   * await pool.close()
   * ```
   */
  postMessage(value: unknown): number
  /**
   * Start all processes now, and settle when each of them is ready for work. While `minFreeMemory` is not there none is
   * started, and this waits as well.
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
  /**
   * Call a function when something happens to the processes; {@link WorkerPoolEvents} says what. Listeners do not keep
   * the program alive. They are called in the async context (AsyncLocalStorage) of the one who made the pool. What one
   * throws is an uncaught exception.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: an event that does not exist, or a listener that is no function.
   * @example
   * ```js
   * import { workerPool } from 'millrace'
   *
   * const pool = workerPool((name) => console.log(`Hello, ${name}`), { size: 1, stdout: 'pipe' })
   * pool.on('stdout', (chunk, worker) => process.stdout.write(`worker ${worker}: ${chunk}`))
   * await pool.run('Ada') // worker 0: Hello, Ada
   * await pool.close()
   * ```
   */
  on<Event extends keyof WorkerPoolEvents>(
    event: Event,
    listener: (...args: WorkerPoolEvents[Event]) => void,
  ): this
  /** The same as `on()`, for the first time only. */
  once<Event extends keyof WorkerPoolEvents>(
    event: Event,
    listener: (...args: WorkerPoolEvents[Event]) => void,
  ): this
  /** Do not call a function any more that `on()` or `once()` was given. */
  off<Event extends keyof WorkerPoolEvents>(
    event: Event,
    listener: (...args: WorkerPoolEvents[Event]) => void,
  ): this
  /** The same as `off()`: `events.once(pool, …)` and `events.on(pool, …)` of Node call it. */
  removeListener<Event extends keyof WorkerPoolEvents>(
    event: Event,
    listener: (...args: WorkerPoolEvents[Event]) => void,
  ): this
}

/**
 * Make any program a worker: a mapper for {@link parallelMap}. It gets one item per line on its stdin, and writes one
 * result per line to its stdout, in the same order. What a pool promises holds for it: order, window, cancelling, time-outs,
 * retries, crashes that are charged to the item that ran. docs/commands.md says what a program has to keep to.
 *
 * The program is found as the system finds it (`PATH`, or relative to `cwd`), and no shell has a part in it. The first
 * item without an answer is the one that runs; lines that were sent ahead and had no answer when their program ended run
 * again elsewhere: a program may see them twice. PYTHONUNBUFFERED is set to 1, unless `env` names it.
 *
 * @param command name, path or file URL of the program.
 * @param args its arguments.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an unknown option.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @example
 * ```js
 * import { commandPool, parallelMap } from 'millrace'
 *
 * const upper = commandPool('sed', ['-u', 's/a/A/g'], { format: 'lines' })
 * console.log(await parallelMap(['banana', 'apple'], upper).toArray()) // [ 'bAnAnA', 'Apple' ]
 * await upper.close()
 * ```
 */
export function commandPool<Item = any, Result = any>(
  command: string | URL,
  args?: readonly string[],
  options?: CommandPoolOptions,
): CommandPool<Item, Result>

/** What {@link commandPool} makes: a pool whose workers are programs. Its `stdout` is where results come from. */
export interface CommandPool<Item = any, Result = any>
  extends Omit<WorkerPool<Item, Result>, 'postMessage'> {}

/**
 * Options of {@link commandPool}. Unknown names are a `TypeError`, and so are those of worker pools that mean nothing here:
 * `startTimeout` (a program does not say when it is ready: it counts as ready when it is started, and `maxAge` counts from
 * then on), `concurrencyPerWorker`, `stdout` and `permission`. With `perItem` a program ends with its item, so
 * `minWorkers`, `idleTimeout`, `maxTasksPerWorker`, `maxAge`, `readAhead` and `stallTimeout` are a `TypeError`, too.
 */
export interface CommandPoolOptions
  extends Pick<
    WorkerPoolOptions,
    | 'size'
    | 'maxWorkers'
    | 'minWorkers'
    | 'idleTimeout'
    | 'maxTasksPerWorker'
    | 'maxAge'
    | 'minFreeMemory'
    | 'gracePeriod'
    | 'env'
    | 'inheritEnv'
    | 'niceIncrement'
    | 'rlimits'
    | 'cwd'
    | 'stderr'
    | 'maxMemory'
  > {
  /**
   * What goes through the pipes. 'ndjson': a JSON text per line. 'lines': strings without a newline. 'nul': strings, each
   * with a NUL behind it. 'length-prefixed': binary data in, Buffers out, each with its length before it (4 bytes,
   * little-endian). An item that does not fit is an error of its own (ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE); an answer
   * that does not is a {@link CommandProtocolError}, and its program is started again.
   * @default 'ndjson'; 'lines' with `perItem`
   */
  format?: 'ndjson' | 'lines' | 'nul' | 'length-prefixed' | undefined
  /**
   * Start the program once for each item. The item is put in place of every `{}` in `args`, or behind them where there is
   * none: a string or binary data as it is, anything else as JSON. All of its stdout is the result, by `format` (less one
   * newline or NUL at its end); its stdin is empty. An exit code that is not 0 is a {@link CommandExitError}, a signal a
   * {@link WorkerCrashError}. A raised signal sends SIGTERM.
   * @default false
   */
  perItem?: boolean | undefined
  /**
   * `command` is a command line for `/bin/sh`. It sees `args` (and the item, with `perItem`) as "$1", "$2" and so on:
   * never put data into the command line itself.
   * @default false
   */
  shell?: boolean | undefined
  /**
   * Items that a program is sent before it has answered: an integer from 1 to 16,384. What was sent cannot be given to
   * another one, unless the program ends.
   * @default 'auto': as many as take it about 4 ms, at least 1; more are sent when these are answered
   */
  readAhead?: number | 'auto' | undefined
  /**
   * Most bytes of one answer: from 1 to 1,073,741,824. More is a {@link CommandProtocolError}.
   * @default 67108864 (64 MiB)
   */
  maxLineBytes?: number | undefined
  /**
   * After how many milliseconds a program has stalled that has read all it was sent, waits for more, and has not answered:
   * from 0 to 2,147,483,647. Its stdin is closed then, so that it writes what it holds back, and it is started again; see
   * {@link StalledError} for one that does not answer even so. Where the system does not say what it waits for, 40 times
   * as long.
   * @default 250
   */
  stallTimeout?: number | undefined
  /**
   * A name for messages.
   * @default the name of the program
   */
  label?: string | undefined
}

/** What a pool tells its listeners, and with which arguments. */
export interface WorkerPoolEvents {
  /**
   * With `stdout: 'pipe'`: bytes as they come, cut anywhere, and the number of the worker that wrote them. All that a
   * worker wrote comes before its `workerExit`; nothing is said about results. While this program has not taken 256 KiB
   * of a worker's stream, the worker waits; without a listener they are dropped.
   */
  stdout: [chunk: Buffer, worker: number]
  /** The same with `stderr: 'pipe'`. */
  stderr: [chunk: Buffer, worker: number]
  /**
   * What a mapper has given to {@link Context.emit}, who ran it, and the index of its item. Those of one process come in
   * its order. Those of one try at an item come before what becomes of it, an error and the end of the process too:
   * before its result is yielded, or its promise settles. What was said later comes before `workerExit`. What a fork
   * script sends while no item runs (`{ ready: true }` at its start, say) comes without an index.
   */
  message: [value: any, from: { worker: number; index: number | undefined }]
  /**
   * How far an item is that runs, as of {@link Context.progress}: the latest, looked at 20 times a second, and told once.
   * Of several items whose indexes differ by a multiple of 64, and which run in the same process at the same time, only
   * the one that spoke last is seen. The last word of an item may come after its result, or never.
   */
  progress: [event: { worker: number; index: number; done: number; total: number }]
  /** A process is ready for work. */
  workerStart: [event: { worker: number; pid: number }]
  /**
   * A process goes because an option says so, which is the `reason`: it ends now, or was killed (`'maxMemory'`), and its
   * `workerExit` follows.
   */
  workerRecycle: [
    event: {
      worker: number
      pid: number
      reason: 'size' | 'idleTimeout' | 'maxTasksPerWorker' | 'maxAge' | 'minFreeMemory' | 'maxMemory'
    },
  ]
  /** A process has ended, whether it had become ready or not: by itself (`exitCode`) or by a signal. */
  workerExit: [event: { worker: number; pid: number; exitCode: number | null; signal: string | null }]
  /**
   * Never told: what fails is told by the call that it belongs to. Node's `events.once(pool, 'workerExit')` and
   * `events.on(pool, 'message')` listen to it, too, so it may be listened to.
   */
  error: [error: Error]
}

/** Options of `pool.run()`. */
export interface RunOptions extends TryOptions {
  /**
   * Withdraws the item.
   * @default none
   */
  signal?: AbortSignal | undefined
  /**
   * The run goes before all waiting work of a lower number: see {@link ParallelMapOptions.priority}.
   * @default 0
   */
  priority?: number | undefined
}

/** Options of `run()` of a native operation. */
export interface NativeRunOptions extends RunOptions {
  /**
   * The item is given away instead of copied: see {@link ParallelMapOptions.transfer}.
   * @default false
   */
  transfer?: boolean | undefined
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

/**
 * Operations that run on Rust threads, without any JavaScript: mappers for {@link parallelMap}, which can also be run by
 * themselves. All of them share as many threads as there are processors. An item is copied when it is pulled (or given to
 * `run()`), so what becomes of it afterwards in JavaScript changes nothing. An item of another type is a `TypeError`
 * (ERR_INVALID_ARG_TYPE) of that item. A lone surrogate in a string counts as U+FFFD. docs/native.md has it all.
 */
export const native: {
  /**
   * Hash each item with SHA-256: its bytes (of a string, its UTF-8) in, the digest out, as lower-case hexadecimal text.
   * @param options `encoding`: 'hex' (the default), 'base64', or 'buffer'.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: an option is not what it should be. So do all operations.
   * @throws {RangeError} ERR_OUT_OF_RANGE: an option has a value that it cannot have. So do all operations.
   * @example
   * ```js
   * import { native, parallelMap } from 'millrace'
   *
   * console.log(await parallelMap(['a', Buffer.from('b')], native.sha256()).toArray())
   * console.log(native.sha256({ encoding: 'base64' }).runSync('a'))
   * ```
   */
  sha256: DigestMaker
  /** Hash each item with SHA-512, as {@link native.sha256} does it. */
  sha512: DigestMaker
  /** Hash each item with SHA-1, as {@link native.sha256} does it. Not for security. */
  sha1: DigestMaker
  /** Hash each item with MD5, as {@link native.sha256} does it. Not for security. */
  md5: DigestMaker
  /** Hash each item with BLAKE3 (32 bytes), as {@link native.sha256} does it. */
  blake3: DigestMaker
  /** Hash each item with XXH3 (64 bits, seed 0, most significant byte first), as {@link native.sha256} does it. Not for security. */
  xxh3: DigestMaker
  /** The CRC-32 of each item (that of zlib; most significant byte first), as {@link native.sha256} does it. Not for security. */
  crc32: DigestMaker
  /** Operations on numbers in typed arrays. */
  array: ArrayOperations
  /**
   * Hash files: an item is a path (a string, a Buffer, or a file URL), and the file is read in Rust, piece by piece. Only
   * regular files are: a pipe, a socket or a device, which may have no end, is an error of its item (EINVAL).
   * @param algorithm one of the operations above: 'sha256', 'sha512', 'sha1', 'md5', 'blake3', 'xxh3', 'crc32'.
   * @throws as Node's own (of the item): an error with `code` (such as ENOENT), `errno`, `syscall` and `path`.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE (of the item): it is no path, or has a null byte in it.
   * @example
   * ```js
   * import { native, parallelMap } from 'millrace'
   *
   * const file = new URL(import.meta.url)
   * console.log(await parallelMap([file], native.digestFile('blake3')).toArray())
   * ```
   */
  digestFile: FileDigestMaker
  /**
   * Compress each item as a gzip file.
   * @param options `level`: an integer from 0 (stored) to 12 (default 6). From 1 to 9 they mean about what they mean in
   *   zlib; the bytes are not those of zlib.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const packed = await native.gzip({ level: 9 }).run('a'.repeat(1000))
   * console.log(native.gunzip().runSync(packed).length) // 1000
   * ```
   */
  gzip(options?: { level?: number | undefined }): NativeOperation<Bytes, Buffer>
  /**
   * Decompress each item, which is a gzip file, also one of several members. As in Node, zeroes may follow.
   * @throws {CorruptDataError} ERR_CORRUPT_DATA (of the item): it is no gzip file, or is cut off.
   * @throws {OutputTooLargeError} ERR_OUTPUT_TOO_LARGE (of the item): it would be larger than `maxOutputBytes`.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const bomb = native.gzip().runSync(Buffer.alloc(1e6))
   * await native.gunzip({ maxOutputBytes: 1000 }).run(bomb).catch(({ code }) => console.log(code)) // ERR_OUTPUT_TOO_LARGE
   * ```
   */
  gunzip(options?: OutputLimit): NativeOperation<Bytes, Buffer>
  /**
   * Compress each item in the zlib format, as `zlib.deflate` of Node does.
   * @param options `level`: an integer from 0 (stored) to 12 (default 6).
   */
  deflate(options?: { level?: number | undefined }): NativeOperation<Bytes, Buffer>
  /**
   * Decompress each item, which is in the zlib format.
   * @throws as {@link native.gunzip} does.
   */
  inflate(options?: OutputLimit): NativeOperation<Bytes, Buffer>
  /**
   * Compress each item as a Zstandard frame, with a checksum.
   * @param options `level`: an integer from 1 to 22 (default 3).
   */
  zstd(options?: { level?: number | undefined }): NativeOperation<Bytes, Buffer>
  /**
   * Decompress each item, which is one Zstandard frame or several.
   * @throws as {@link native.gunzip} does.
   */
  unzstd(options?: OutputLimit): NativeOperation<Bytes, Buffer>
  /**
   * Compress each item with Brotli.
   * @param options `level`: an integer from 0 to 11 (default 5; `zlib.brotliCompress` of Node takes 11, which is some hundred times as slow).
   */
  brotli(options?: { level?: number | undefined }): NativeOperation<Bytes, Buffer>
  /**
   * Decompress each item, which is compressed with Brotli.
   * @throws as {@link native.gunzip} does.
   */
  unbrotli(options?: OutputLimit): NativeOperation<Bytes, Buffer>
  /** Compress each item as an LZ4 frame (that of the `lz4` program), with a checksum. It has one level. */
  lz4(options?: Record<string, never>): NativeOperation<Bytes, Buffer>
  /**
   * Decompress each item, which is one LZ4 frame or several.
   * @throws as {@link native.gunzip} does.
   */
  unlz4(options?: OutputLimit): NativeOperation<Bytes, Buffer>
  /**
   * Write the bytes of each item in base64 (RFC 4648).
   * @param options `alphabet`: 'standard' (the default), with padding, or 'url', with `-` and `_` and without padding.
   */
  base64(options?: { alphabet?: 'standard' | 'url' | undefined }): NativeOperation<Bytes, string>
  /**
   * Read each item as base64, with or without padding.
   * @param options `alphabet`: 'standard' (the default) or 'url'.
   * @throws {CorruptDataError} ERR_CORRUPT_DATA (of the item): a character does not belong there, also a space.
   */
  unbase64(options?: { alphabet?: 'standard' | 'url' | undefined }): NativeOperation<Bytes, Buffer>
  /** Write the bytes of each item in lower-case hexadecimal. */
  hex(options?: Record<string, never>): NativeOperation<Bytes, string>
  /**
   * Read each item as hexadecimal, of either case.
   * @throws {CorruptDataError} ERR_CORRUPT_DATA (of the item): a character does not belong there, or half a byte is left.
   */
  unhex(options?: Record<string, never>): NativeOperation<Bytes, Buffer>
  /**
   * What `text.match(pattern)` gives, without its `index`, `input` and `groups`: with the flag `g` all matches, otherwise
   * the first one, followed by its groups; null if there is none. One search takes time linear in the text, whatever the
   * pattern; docs/native.md says what that means for all matches of a text, and what of regular expressions differs.
   * @param pattern a RegExp, or the source of one.
   * @throws {SyntaxError} ERR_INVALID_PATTERN: it looks around, refers back, or is otherwise not supported; `position`
   *   says where in its source. Thrown when the operation is made. So do all that take a pattern.
   * @throws {InvalidTextError} ERR_INVALID_TEXT (of the item): its bytes are not UTF-8. So do all that take text.
   * @throws {OutputTooLargeError} ERR_OUTPUT_TOO_LARGE (of the item): it would be larger than `maxOutputBytes`. Each string
   *   counts for its bytes and 128 more, which is what it takes to be one; so does a group that took no part.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(await native.match(/\d+/g).run('1 and 22')) // [ '1', '22' ]
   * ```
   */
  match(
    pattern: RegExp | string,
    options?: OutputLimit,
  ): NativeOperation<Bytes, (string | undefined)[] | null>
  /**
   * Count how often a pattern is found, with or without the flag `g`; matches do not overlap.
   * @param pattern a RegExp, or the source of one.
   * @throws as {@link native.match} does.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const { countMatches, gunzip, gzip, pipe } = native
   * const packed = gzip().runSync('one two three')
   * console.log(await pipe(gunzip(), countMatches(/[a-z]+/)).run(packed)) // 3
   * ```
   */
  countMatches(pattern: RegExp | string): NativeOperation<Bytes, number>
  /**
   * What `text.split(separator)` gives: groups of the separator are among the parts.
   * @param separator a RegExp, or a text that stands for itself.
   * @throws as {@link native.match} does.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const characters = native.split('', { maxOutputBytes: 1000 })
   * console.log(characters.runSync('a💡')) // [ 'a', '💡' ]
   * await characters.run('a'.repeat(8)).catch(({ code, limit }) => console.log(code, limit)) // ERR_OUTPUT_TOO_LARGE 1000
   * ```
   */
  split(separator: RegExp | string, options?: OutputLimit): NativeOperation<Bytes, (string | undefined)[]>
  /**
   * What `text.replace(pattern, replacement)` gives: with the flag `g` for all matches, otherwise for the first.
   * @param pattern a RegExp, or a text that stands for itself.
   * @param replacement text with `$$`, `$&`, `` $` ``, `$'`, `$1` and `$<name>`.
   * @throws as {@link native.match} does.
   * @throws {OutputTooLargeError} ERR_OUTPUT_TOO_LARGE (of the item): it would be larger than `maxOutputBytes`.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(native.replace(/(\w+) (\w+)/, '$2 $1').runSync('one two')) // two one
   * ```
   */
  replace(
    pattern: RegExp | string,
    replacement: string,
    options?: OutputLimit,
  ): NativeOperation<Bytes, string>
  /**
   * Join operations to one: each takes what the one before gives. One crossing in and one out; nothing between them
   * reaches JavaScript. To join a list of any length, `list.reduce((all, one) => native.pipe(all, one))`.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: something is no native operation, or does not take what the one before gives.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const { pipe, sha256, md5 } = native
   * console.log(await pipe(sha256({ encoding: 'buffer' }), md5()).run('a'))
   * ```
   */
  pipe<A, B>(first: NativeOperation<A, B>): NativeOperation<A, B>
  pipe<A, B extends B2, B2, C>(
    first: NativeOperation<A, B>,
    second: NativeOperation<B2, C>,
  ): NativeOperation<A, C>
  pipe<A, B extends B2, B2, C extends C2, C2, D>(
    first: NativeOperation<A, B>,
    second: NativeOperation<B2, C>,
    third: NativeOperation<C2, D>,
  ): NativeOperation<A, D>
  pipe<A, B extends B2, B2, C extends C2, C2, D extends D2, D2, E>(
    first: NativeOperation<A, B>,
    second: NativeOperation<B2, C>,
    third: NativeOperation<C2, D>,
    fourth: NativeOperation<D2, E>,
  ): NativeOperation<A, E>
  pipe<A, B extends B2, B2, C extends C2, C2, D extends D2, D2, E extends E2, E2, F>(
    first: NativeOperation<A, B>,
    second: NativeOperation<B2, C>,
    third: NativeOperation<C2, D>,
    fourth: NativeOperation<D2, E>,
    fifth: NativeOperation<E2, F>,
  ): NativeOperation<A, F>
  pipe<A, B extends B2, B2, C extends C2, C2, D extends D2, D2, E extends E2, E2, F>(
    first: NativeOperation<A, B>,
    second: NativeOperation<B2, C>,
    third: NativeOperation<C2, D>,
    fourth: NativeOperation<D2, E>,
    fifth: NativeOperation<E2, F>,
    ...more: [NativeOperation<any, any>, ...NativeOperation<any, any>[]]
  ): NativeOperation<A, any>
}

/** What has bytes: a string (its UTF-8), a Buffer, any typed array, a DataView, an ArrayBuffer. */
export type Bytes = string | ArrayBufferLike | ArrayBufferView

/** What makes an operation that hashes. */
export interface DigestMaker {
  (options?: { encoding?: 'hex' | 'base64' | undefined }): NativeOperation<Bytes, string>
  (options: { encoding: 'buffer' }): NativeOperation<Bytes, Buffer>
  (options?: { encoding?: 'hex' | 'base64' | 'buffer' | undefined }): NativeOperation<Bytes, string | Buffer>
}

/** What an {@link ArrayOperations} takes: numbers, or bigints. A Buffer is a Uint8Array. */
export type NumberArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
export type BigIntArray = BigInt64Array | BigUint64Array

/**
 * Operations on the numbers of a typed array, each on all Rust threads, also for one array: `await native.array.sort()
 * .run(array)`. The array itself is never changed. Results do not depend on the number of threads.
 *
 * NaN is the last of all in an order, and where a result depends on one, it is NaN. An item that is no typed array of
 * numbers is a `TypeError` (ERR_INVALID_ARG_TYPE) of that item. Of bigints, sums are bigints, and what has a fraction is a
 * number. TypeScript is told of other arrays by `sort<Int32Array>()`.
 */
export interface ArrayOperations {
  /**
   * Sort, into a new array of the same type, as `TypedArray.prototype.sort` does it: ascending, -0 before 0, NaN last.
   * Source: radix sort of keys that order as the numbers do (M. Herf, "Radix Tricks", 2001).
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(await native.array.sort().run(Float64Array.of(3, NaN, -1))) // Float64Array(3) [ -1, 3, NaN ]
   * ```
   */
  sort<Elements extends NumberArray | BigIntArray = Float64Array>(): NativeOperation<Elements, Elements>
  /**
   * Where the elements of the sorted array are, from 0. Equal ones stay in their order; so do several NaN.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(native.array.argsort().runSync(Int32Array.of(30, 10, 20))) // Uint32Array(3) [ 1, 2, 0 ]
   * ```
   */
  argsort(): NativeOperation<NumberArray | BigIntArray, Uint32Array>
  /**
   * Add up; nothing is 0. Floating point is compensated: nearly always the sum as if rounded once (A. Neumaier, 1974); it
   * is infinite where it passes the largest number on the way. Integers are exact, and rounded once where the sum is a
   * number above 2^53.
   */
  sum<Elements extends NumberArray | BigIntArray = NumberArray>(): NativeOperation<
    Elements,
    ElementOf<Elements>
  >
  /**
   * The sum, as {@link ArrayOperations.sum} has it, by how many there are; NaN for none. The mean of finite numbers is
   * finite, also where their sum is not.
   */
  mean(): NativeOperation<NumberArray | BigIntArray, number>
  /**
   * The variance: of all (`ddof: 0`), or estimated from a sample (`ddof: 1`). NaN for no more than `ddof` elements,
   * and where an element is NaN or infinite; Infinity where the squares of deviations pass the largest number.
   * Source: two passes, corrected (T. Chan, G. Golub, R. LeVeque, 1983).
   * @param options `ddof`: what is taken from the number of elements; an integer from 0, which is the default.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: `ddof` is no number.
   * @throws {RangeError} ERR_OUT_OF_RANGE: `ddof` is no integer from 0 to 4,294,967,295.
   */
  variance(options?: { ddof?: number | undefined }): NativeOperation<NumberArray | BigIntArray, number>
  /**
   * The least and the greatest, as `Math.min` and `Math.max`: NaN where there is one, and -0 is less than 0. Both are
   * undefined for an empty array.
   */
  minmax<Elements extends NumberArray | BigIntArray = NumberArray>(): NativeOperation<
    Elements,
    Limits<ElementOf<Elements>>
  >
  /**
   * Count how many elements are in each of so many parts of a range, all as wide. A part has its lower limit, the last one
   * its upper limit, too. What is NaN or not in the range counts as `outside`. Bigints count by the nearest number.
   * @param options `bins`: how many, from 1 to 1,048,576, 10 by default. `min`, `max`: the range, finite numbers; by
   *   default the least and the greatest finite element. Where all are the same, or none is beyond the one limit that was
   *   given, the range is as wide as 1, on both sides of the element, or from the limit; of numbers so large that 1 is too
   *   little for them, as wide as it takes for each part to have two limits.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: an option of the wrong type.
   * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range, or `max` that is not above `min`.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * const { counts, edges } = native.array.histogram({ bins: 2 }).runSync(Float64Array.of(0, 1, 2, 3, 4))
   * console.log(counts, edges) // Uint32Array(2) [ 2, 3 ] Float64Array(3) [ 0, 2, 4 ]
   * ```
   */
  histogram(options?: {
    bins?: number | undefined
    min?: number | undefined
    max?: number | undefined
  }): NativeOperation<NumberArray | BigIntArray, Histogram>
  /**
   * Quantiles, one for each probability, in proportion between the two elements next to it. All are NaN for an empty array,
   * and where there is a NaN. Source: definition 7 of R. Hyndman and Y. Fan, 1996, as NumPy and R have it by default.
   * @param probabilities from 0 to 1, in any order.
   * @throws {TypeError} ERR_INVALID_ARG_TYPE: no array of numbers.
   * @throws {RangeError} ERR_OUT_OF_RANGE: one is not from 0 to 1.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(native.array.quantiles([0, 0.5, 1]).runSync(Uint8Array.of(4, 1, 2))) // Float64Array(3) [ 1, 2, 4 ]
   * ```
   */
  quantiles(probabilities: readonly number[]): NativeOperation<NumberArray | BigIntArray, Float64Array>
  /**
   * The dot product of the two arrays of an item, which have the same type and length (a `RangeError` or `TypeError` of
   * the item, if not). Floating point as if computed with twice the precision (T. Ogita, S. Rump, S. Oishi, 2005),
   * integers exact; of bigints, what does not fit into a signed 128-bit number, also on the way, is a `RangeError`
   * (ERR_OUT_OF_RANGE) of the item.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(native.array.dot().runSync([Float32Array.of(1, 2), Float32Array.of(3, 4)])) // 11
   * ```
   */
  dot<Elements extends NumberArray | BigIntArray = NumberArray>(): NativeOperation<
    readonly [Elements, Elements],
    ElementOf<Elements>
  >
  /**
   * The sum of each element and all before it: a Float32Array or Float64Array gives its own type, compensated as in
   * {@link ArrayOperations.sum}; other numbers give a Float64Array, exact up to 2^53; bigints their own type, and a sum that
   * does not fit is a `RangeError` (ERR_OUT_OF_RANGE) of the item.
   */
  cumsum<Elements extends NumberArray | BigIntArray = Float64Array>(): NativeOperation<
    Elements,
    Elements extends Float32Array | BigIntArray ? Elements : Float64Array
  >
}

/** What an array consists of. */
export type ElementOf<Elements extends NumberArray | BigIntArray> = Elements extends BigIntArray
  ? bigint
  : number

/** The least and the greatest element; undefined if there is none. */
export interface Limits<Element> {
  min: Element | undefined
  max: Element | undefined
}

/** How many elements are where. */
export interface Histogram {
  /** Elements of each part. */
  counts: Uint32Array
  /** Limits of the parts: one more than there are. */
  edges: Float64Array
  /** Elements that are not in the range, or NaN. */
  outside: number
}

/** What makes an operation that hashes files. */
export interface FileDigestMaker {
  (
    algorithm: DigestAlgorithm,
    options?: { encoding?: 'hex' | 'base64' | undefined },
  ): NativeOperation<string | Uint8Array | URL, string>
  (
    algorithm: DigestAlgorithm,
    options: { encoding: 'buffer' },
  ): NativeOperation<string | Uint8Array | URL, Buffer>
  (
    algorithm: DigestAlgorithm,
    options?: { encoding?: 'hex' | 'base64' | 'buffer' | undefined },
  ): NativeOperation<string | Uint8Array | URL, string | Buffer>
}

/** The operations that hash, by name. */
export type DigestAlgorithm = 'sha256' | 'sha512' | 'sha1' | 'md5' | 'blake3' | 'xxh3' | 'crc32'

/** Options of operations whose results may be much larger than their items. */
export interface OutputLimit {
  /**
   * Most bytes of a result: an integer from 1 to `buffer.constants.MAX_LENGTH`. What would be larger is an error of its
   * item as soon as that shows: nothing more is decompressed, replaced or found.
   * @default 1,073,741,824 (1 GiB)
   */
  maxOutputBytes?: number | undefined
}

/** An operation on Rust threads. Only {@link native} makes them. It holds nothing that would have to be closed. */
export interface NativeOperation<Item, Result> extends Operation<Item, Result> {
  /**
   * Run one item, on another thread.
   * @param options `signal`: rejects at once with its reason; how often, and how long, the item is tried; `transfer`: it
   *   is given away instead of copied.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(await native.blake3().run('a'))
   * ```
   */
  run(item: Item, options?: NativeRunOptions): Promise<Result>
  /**
   * Run one item here and now, for what is small: the event loop stands still meanwhile.
   * @throws what `run()` rejects with.
   * @example
   * ```js
   * import { native } from 'millrace'
   *
   * console.log(native.crc32().runSync('a')) // e8b7be43
   * ```
   */
  runSync(item: Item): Result
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
  /**
   * The last part, at most 8 KiB, of what the worker process, or the program, wrote to stderr: all that it wrote until it
   * ended, or, of one that took too long, until its time was over.
   */
  readonly stderr?: string
  constructor(message: string, details?: FailureDetails)
}

/**
 * A worker process ended (exit, signal) while it ran an item, and no other. The pool replaces it. See
 * `concurrencyPerWorker` for what happens where it ran several.
 */
export class WorkerCrashError extends MillraceError {
  readonly code: 'ERR_WORKER_CRASHED'
}

/**
 * A worker process ran out of memory while it ran an item, and no other: V8's heap was full, or it had more than its
 * pool's `maxMemory`; then `rss` and `limit` are set. Not a {@link WorkerCrashError}: the item is at fault, and would do
 * it again. The pool replaces the process.
 */
export class WorkerOutOfMemoryError extends MillraceError {
  readonly code: 'ERR_WORKER_OUT_OF_MEMORY'
  /** Bytes of memory of its own that the process had, where it was over its limit. */
  readonly rss?: number
  /** That limit, in bytes. */
  readonly limit?: number
}

/** A worker process could not get ready; the `cause` says why. */
export class WorkerStartError extends MillraceError {
  readonly code: 'ERR_WORKER_START'
}

/** A value cannot be copied to or from a worker process; the message names the path to it. */
export class SerializationError extends MillraceError {
  readonly code: 'ERR_SERIALIZATION'
}

/**
 * An item took longer than the `timeout` of its call. Where it ran in a process, `stderr` is the end of what that had
 * written by then.
 */
export class TaskTimeoutError extends MillraceError {
  readonly code: 'ERR_TASK_TIMEOUT'
}

/**
 * A program of {@link commandPool} answered too much, too little, or what is none of its format. It is started again.
 */
export class CommandProtocolError extends MillraceError {
  readonly code: 'ERR_COMMAND_PROTOCOL'
  /** The line in question, cut after 200 bytes. */
  readonly line?: string
}

/** A program that was started for one item (`perItem`) ended with an exit code that is not 0. */
export class CommandExitError extends MillraceError {
  readonly code: 'ERR_COMMAND_EXIT'
}

/** A program had read all that it was sent, waited for more, and did not answer when its stdin was closed. */
export class StalledError extends MillraceError {
  readonly code: 'ERR_STALLED'
}

/** The pool was closed before the work was given to it. */
export class PoolClosedError extends MillraceError {
  readonly code: 'ERR_POOL_CLOSED'
}

/** A native operation was to decode what is not what it should be, or is cut off. */
export class CorruptDataError extends MillraceError {
  readonly code: 'ERR_CORRUPT_DATA'
}

/** Bytes that should be text are not UTF-8: of a native operation's item, of a line, of a file's name. */
export class InvalidTextError extends MillraceError {
  readonly code: 'ERR_INVALID_TEXT'
}

/** The result of a native operation would be larger than it may become. */
export class OutputTooLargeError extends MillraceError {
  readonly code: 'ERR_OUTPUT_TOO_LARGE'
  /** Most bytes that it may have. */
  readonly limit?: number
}

/** A line that {@link lines} has read is longer than it may be: `limit` bytes. */
export class LineTooLongError extends MillraceError {
  readonly code: 'ERR_LINE_TOO_LONG'
  /** The most bytes that a line may have. */
  readonly limit?: number
}

/** The results of a call were asked for a second time. */
export class ConsumedError extends MillraceError {
  readonly code: 'ERR_CONSUMED'
}

/** Something falsy was thrown, and a Node stream takes that for no error: the `cause` is what it was. */
export class FalsyValueError extends MillraceError {
  readonly code: 'ERR_FALSY_VALUE'
}

/**
 * What is known about the error of an item, beside the error itself, which stays as it was thrown. Of errors that are no
 * objects nothing can be found; the outcomes of a call with `settled` can be asked instead of their reasons.
 *
 * @param error of an item of `parallelMap` or `pool.run()`, also an earlier one, or in `retryIf`; or a settled outcome.
 * @returns undefined if it is none.
 * @example
 * ```js
 * import { failureOf, parallelMap } from 'millrace'
 *
 * const flaky = async (number, { attempt }) => {
 *   throw new Error(`attempt ${attempt} at ${number}`)
 * }
 * const backoff = { initial: 1 }
 * const [outcome] = await parallelMap([5], flaky, { retries: 2, backoff, settled: true }).toArray()
 * console.log(outcome.reason.message, failureOf(outcome).errors.length) // attempt 3 at 5 2
 * ```
 */
export function failureOf(error: unknown): Failure | undefined

/** What is known about the error of an item. */
export interface Failure {
  /** Position of the item in its source, from 0; 0 for `pool.run()`. */
  readonly index: number
  /** Which try at the item it was, from 1. */
  readonly attempt: number
  /** Number of the worker in its pool, from 0, where it ran in one. */
  readonly worker?: number
  /** The errors of earlier tries, oldest first: the last 100 of them. */
  readonly errors: readonly unknown[]
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
  rss?: number | undefined
  limit?: number | undefined
  line?: string | undefined
}

/** What a mapper's return value yields: awaited, and nothing for {@link skip}. */
export type Mapped<Result> = Exclude<Awaited<Result>, Skip>

/** What the mapper of `flatMap()` may return: values in any form that can be iterated, or {@link skip}. */
export type FlatMapped = Many | PromiseLike<Many>

/** What is iterated of what such a mapper returns. Of one without types, anything. */
export type Flattened<Returned> = 0 extends 1 & Returned
  ? any
  : Mapped<Returned> extends infer Values
    ? Values extends Iterable<infer Value> | AsyncIterable<infer Value>
      ? Awaited<Value>
      : never
    : never

type Many = ((Iterable<unknown> | AsyncIterable<unknown>) & NotText) | Skip

/** Any mapper, whatever its item. */
type TaskFunction = (item: never, context: Context) => unknown

/** The export of a module that a worker takes, found in the same order. */
type TaskExport<Module, Name extends string> = Module extends TaskFunction
  ? Module
  : Module extends { readonly [Key in Name]: infer Fn extends TaskFunction }
    ? Fn
    : Module extends { readonly default: { readonly [Key in Name]: infer Fn extends TaskFunction } }
      ? Fn
      : never

/**
 * The options of a pool with the types of items and results. Refuses what was meant as a module and the name of its
 * export, but is none: objects in, one literal string out, and an `exportName`.
 */
type ItemOptions<Item, Result> =
  IsLiteral<Result> extends true
    ? Item extends { readonly [Key in Result & string]: (...args: never) => unknown }
      ? [options: WorkerPoolOptions & { exportName: NoMapper<Result & string> }]
      : Item extends object
        ? [options?: WorkerPoolOptions & { exportName?: NoMapper<Result & string> | undefined }]
        : [options?: WorkerPoolOptions]
    : [options?: WorkerPoolOptions]

/** What the compiler says instead of an export's name. */
type NoMapper<Name extends string> = `the module exports no mapper ${Name}`

/** Whether it is the type of one string, like 'done': not of several, or of every string, or anything else. */
type IsLiteral<Text, Each = Text> = [Text] extends [never]
  ? false
  : Each extends string
    ? [Text] extends [Each]
      ? string extends Text
        ? false
        : true
      : false
    : false

/** Strings and binary data are iterable, but by character or byte, which is never what was meant. */
interface NotText {
  readonly charAt?: never
  readonly BYTES_PER_ELEMENT?: never
}

declare const skipBrand: unique symbol
declare const operation: unique symbol
