// The contract of `millrace/fork`: `child_process.fork`, whose messages go through our channel: many of them cross
// together. Times are milliseconds.
/// <reference lib="esnext.disposable" />

import type { ChildProcess, SendHandle, Serializable } from 'node:child_process'
import type { Readable } from 'node:stream'

/** What a child can be sent: with 'advanced' more than JSON has, see {@link ForkOptions.serialization}. */
export type Message = Serializable | null

/** The options of `child_process.fork` that a supervised worker can have. Every other one is a `TypeError`. */
export interface ForkOptions {
  /**
   * Working directory of the child: a path or a file URL. A `modulePath` that is relative is looked for there.
   * @default process.cwd()
   */
  cwd?: string | URL | undefined
  /**
   * The whole environment of the child. Undefined values are left out, others become text.
   * @default process.env
   */
  env?: Record<string, unknown> | undefined
  /**
   * The Node to run it with. It has to be able to load this package's addon.
   * @default process.execPath
   */
  execPath?: string | undefined
  /**
   * Flags for `node`.
   * @default this program's own, without `--inspect*`, `--test*`, `--watch*`, `--eval` and the like
   */
  execArgv?: readonly string[] | undefined
  /**
   * 'json': a message is what JSON makes of it. 'advanced': as items of a pool are copied, so Dates, Maps and Buffers stay.
   * @default 'json'
   */
  serialization?: 'json' | 'advanced' | undefined
  /**
   * Kills the child when it is aborted, and is an 'error' event then (AbortError).
   * @default none
   */
  signal?: AbortSignal | undefined
  /**
   * What `signal` and `timeout` kill with.
   * @default 'SIGTERM'
   */
  killSignal?: NodeJS.Signals | number | undefined
  /**
   * Kills the child after so many milliseconds: from 0 (never) to 2,147,483,647.
   * @default 0
   */
  timeout?: number | undefined
  /**
   * Give what the child writes as `stdout` and `stderr` of the object, instead of passing it on. (There is no `stdin`: a
   * child reads nothing there.)
   * @default false
   */
  silent?: boolean | undefined
  /**
   * 'inherit', 'pipe' or 'ignore' for all; or `[stdin, stdout, stderr, 'ipc']`, where 0, 1 and 2 in their own places are
   * 'inherit'. The stdin of a child is empty in every case, and `child.stdin` is null.
   * @default 'inherit', or 'pipe' with `silent`
   */
  stdio?: 'inherit' | 'pipe' | 'ignore' | readonly (string | number | null | undefined)[] | undefined
  /** Only false. */
  detached?: false | undefined
}

/** A child, as `child_process.fork` gives it: it fits wherever a `ChildProcess` of Node is expected. */
export interface ForkedChild extends ChildProcess {
  /** Its number; undefined if it could not be started. */
  readonly pid: number | undefined
  /** Whether messages can be sent. */
  readonly connected: boolean
  /** Whether `kill()` has sent it a signal. */
  readonly killed: boolean
  /** Its exit code, once it has exited. */
  readonly exitCode: number | null
  /** The signal that ended it. */
  readonly signalCode: NodeJS.Signals | null
  readonly stdin: null
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  readonly stdio: [null, Readable | null, Readable | null, null, undefined]
  readonly spawnfile: string
  readonly spawnargs: string[]
  /** Whether the channel keeps this program alive, beside the child; null once it is disconnected. */
  readonly channel: Exclude<ChildProcess['channel'], undefined>
  /**
   * Send a message; the child hears it by `process.on('message')`. The callback is called when it has left.
   * @returns false where it was not sent, or so many wait that it is better to send no more for now.
   * @throws {TypeError} ERR_MISSING_ARGS, ERR_INVALID_ARG_TYPE: it is none; or what JSON says of it.
   * @throws {TypeError} ERR_INVALID_HANDLE_TYPE: handles (sockets, servers) cannot be sent.
   * @throws {SerializationError} ERR_SERIALIZATION: with 'advanced', it cannot be copied.
   * @example
   * ```js
   * import { writeFileSync } from 'node:fs'
   * import { fork } from 'millrace/fork'
   *
   * writeFileSync('./send-child.cjs', `process.on('message', (text) => process.send(text.length))`)
   * const child = fork('./send-child.cjs')
   * child.on('message', (length) => {
   *   console.log(length) // 5
   *   child.disconnect()
   * })
   * child.send('hello', (error) => console.log(error)) // null
   * ```
   */
  send(message: Message, callback?: (error: Error | null) => void): boolean
  send(message: Message, handle?: SendHandle | null, callback?: (error: Error | null) => void): boolean
  send(
    message: Message,
    handle?: SendHandle | null,
    options?: object,
    callback?: (error: Error | null) => void,
  ): boolean
  /** Send nothing more, and hear nothing more; what was sent arrives. The child ends when it has nothing to do. */
  disconnect(): void
  /**
   * Send the child a signal.
   * @returns whether it was there to get it.
   * @throws {TypeError} ERR_UNKNOWN_SIGNAL
   */
  kill(signal?: NodeJS.Signals | number): boolean
  /** Keep this program alive while the child runs, as it is from the start. */
  ref(): void
  /** Do not, as far as the child is concerned; see `channel` for the other part. */
  unref(): void
  /** The same as `kill()`, for `using child = fork(…)`. */
  [Symbol.dispose](): void

  on(event: 'message', listener: (message: any, handle: undefined) => void): this
  on(event: 'exit' | 'close', listener: (code: number | null, signal: NodeJS.Signals | null) => void): this
  on(event: 'error', listener: (error: Error) => void): this
  on(event: 'disconnect' | 'spawn', listener: () => void): this
  on(event: string | symbol, listener: (...args: any[]) => void): this
  once(event: 'message', listener: (message: any, handle: undefined) => void): this
  once(event: 'exit' | 'close', listener: (code: number | null, signal: NodeJS.Signals | null) => void): this
  once(event: 'error', listener: (error: Error) => void): this
  once(event: 'disconnect' | 'spawn', listener: () => void): this
  once(event: string | symbol, listener: (...args: any[]) => void): this
}

/**
 * Start a script as a child that talks by messages: `child_process.fork`, call for call, with its import changed.
 *
 * What is different: messages cross many at a time, through shared memory; a child dies with this program, however that
 * ends, and what a child has started dies with the child; it reads nothing from stdin; handles cannot be sent; while this
 * program's event loop has not taken 256 KiB of a child's messages, its `send()` waits. Of the options, `detached`, `uid`,
 * `gid`, `argv0` and `shell` are not there.
 *
 * @param modulePath a path or a file URL.
 * @param args the script's own, `process.argv` from 2 on.
 * @throws {TypeError} ERR_INVALID_ARG_TYPE: an argument or option of the wrong type, or an option that is not there.
 * @throws {TypeError} ERR_UNKNOWN_SIGNAL: `killSignal` is none.
 * @throws {RangeError} ERR_OUT_OF_RANGE: an option out of its range.
 * @example
 * ```js
 * import { writeFileSync } from 'node:fs'
 * import { fork } from 'millrace/fork'
 *
 * writeFileSync('./sum.cjs', `process.on('message', ({ data }) => {
 *   process.send(data.reduce((sum, number) => sum + number, 0))
 *   process.disconnect()
 * })`)
 * const child = fork('./sum.cjs')
 * child.on('message', (sum) => console.log(sum)) // 6
 * child.on('exit', (code, signal) => console.log(code, signal)) // 0 null
 * child.send({ data: [1, 2, 3] })
 * ```
 */
export function fork(modulePath: string | URL, args?: readonly string[], options?: ForkOptions): ForkedChild
export function fork(modulePath: string | URL, options?: ForkOptions): ForkedChild
