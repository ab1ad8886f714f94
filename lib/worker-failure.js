// Errors for what happened to a worker process. Rust tells what it saw as JSON (`src/place/mod.rs`, Exit), followed by
// the error that the worker itself could still report.

import { getSystemErrorName } from 'node:util'
import { TaskTimeoutError, WorkerCrashError, WorkerOutOfMemoryError, WorkerStartError } from './errors.js'

/**
 * @typedef {object} Exit
 * @property {number} worker
 * @property {number | null} pid
 * @property {number | null} exitCode
 * @property {string | null} signal
 * @property {string} stderr
 * @property {string | null} spawnError
 * @property {number | null} spawnErrno the system's number for that
 * @property {string | null} violation
 * @property {boolean} starting
 * @property {{ rss: number | null, limit: number | null } | null} outOfMemory
 * @property {number} attempt at the item that it is charged to, from 1; 0: there is none
 */

/**
 * How a process ended, whatever it ran.
 * @param {Uint8Array} row
 */
export function exitOf(row) {
  return split(row).exit
}

/**
 * @param {Uint8Array} row
 * @param {number | undefined} index of the item that ran
 * @param {string} label of the pool
 * @param {(bytes: Uint8Array) => unknown} decode
 * @returns {WorkerCrashError | WorkerOutOfMemoryError}
 */
export function crashError(row, index, label, decode) {
  const { exit, details } = read(row, decode)
  const item = index === undefined ? 'an item' : `item ${index}`
  const ErrorClass = exit.outOfMemory === null ? WorkerCrashError : WorkerOutOfMemoryError
  return new ErrorClass(
    `Worker ${exit.worker} of ${label} ${how(exit)} while it ran ${item}${because(exit, details)}`,
    {
      ...details,
      ...(index === undefined ? {} : { index }),
      attempt: exit.attempt,
    },
  )
}

/**
 * @param {Uint8Array} row JSON of what the process had written to stderr by then; nothing where there is none
 * @param {string} label of the pool
 * @param {number} timeout milliseconds
 * @param {{ index: number, attempt: number, worker: number }} where
 * @returns {TaskTimeoutError}
 */
export function timeoutError(row, label, timeout, where) {
  const written = Buffer.from(row.buffer, row.byteOffset, row.byteLength)
  const stderr = written.length === 0 ? {} : { stderr: JSON.parse(written.toString()) }
  return new TaskTimeoutError(
    `Item ${where.index} took worker ${where.worker} of ${label} longer than ${timeout} ms`,
    { ...where, ...stderr },
  )
}

/**
 * @param {Uint8Array} row
 * @param {string} label of the pool
 * @param {(bytes: Uint8Array) => unknown} decode
 * @returns {WorkerStartError}
 */
export function startError(row, label, decode) {
  const { exit, details } = read(row, decode)
  if (exit.spawnError !== null) {
    return new WorkerStartError(`A worker of ${label} could not be started: ${exit.spawnError}`, {
      ...details,
      ...systemCause(label, exit.spawnError, exit.spawnErrno),
    })
  }
  const when = exit.starting ? 'before it was ready' : 'again and again, before it had finished anything'
  return new WorkerStartError(
    `Worker ${exit.worker} of ${label} ${how(exit)} ${when}${because(exit, details)}${typescriptHint(details.cause)}`,
    details,
  )
}

/**
 * The system's error behind a start that failed, as `child_process` reports it.
 * @param {string} command
 * @param {string} reason
 * @param {number | null} errno
 */
export function systemCause(command, reason, errno) {
  if (!errno) return {}
  const code = getSystemErrorName(-errno)
  const cause = Object.assign(new Error(`spawn ${command} ${code}: ${reason}`), {
    code,
    errno: -errno,
    syscall: 'spawn',
  })
  return { cause }
}

/**
 * @param {Uint8Array} row
 * @param {(bytes: Uint8Array) => unknown} decode of the worker's own words
 * @returns {{ exit: Exit, details: import('./errors.js').FailureDetails }}
 */
function read(row, decode) {
  const { exit, said } = split(row)
  return {
    exit,
    details: {
      worker: exit.worker,
      ...(exit.exitCode === null ? {} : { exitCode: exit.exitCode }),
      ...(exit.signal === null ? {} : { signal: exit.signal }),
      stderr: exit.stderr,
      ...(exit.outOfMemory?.limit ? { rss: exit.outOfMemory.rss ?? 0, limit: exit.outOfMemory.limit } : {}),
      ...(said.length > 0 ? { cause: decode(said) } : {}),
    },
  }
}

/** @param {Uint8Array} row */
function split(row) {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength)
  const length = bytes.readUInt32LE(0)
  /** @type {Exit} */
  const exit = JSON.parse(bytes.toString('utf8', 4, 4 + length))
  return { exit, said: bytes.subarray(4 + length) }
}

/**
 * What to do where this Node cannot run a TypeScript file.
 * @param {unknown} cause
 */
function typescriptHint(cause) {
  if (!(cause instanceof Error) || !('code' in cause)) return ''
  const loader =
    'start the program with a loader (node --import tsx main.ts), whose flags the workers take over, or build the file to JavaScript'
  if (cause.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return ` (Node only strips types: ${loader})`
  const extension = /** @type {RegExpExecArray | null} */ (
    cause.code === 'ERR_UNKNOWN_FILE_EXTENSION' ? /"\.([cm]?ts|tsx)"/.exec(cause.message) : null
  )?.[1]
  if (extension === undefined) return ''
  const stripping = extension === 'tsx' ? '' : ', use a Node that strips types (22.18 or newer, 24, 26)'
  return ` (Node ${process.version} cannot run it: ${loader}${stripping})`
}

/** @param {Exit} exit */
function how(exit) {
  const { outOfMemory } = exit
  if (outOfMemory?.limit)
    return `was killed (it had ${outOfMemory.rss} bytes of memory, more than ${outOfMemory.limit})`
  if (outOfMemory !== null) return 'ran out of memory (its heap was full)'
  if (exit.violation !== null) return `was killed (${exit.violation})`
  return exit.signal === null ? `exited with code ${exit.exitCode}` : `was ended by ${exit.signal}`
}

/**
 * @param {Exit} exit
 * @param {import('./errors.js').FailureDetails} details
 */
function because({ outOfMemory }, { cause, stderr }) {
  if (cause instanceof Error) return `: ${cause.message}`
  // That is the reason already, and what Node writes of a full heap ends with addresses.
  if (outOfMemory !== null) return ''
  const line = stderr?.trim().split('\n').at(-1)
  return line ? `; it wrote: ${line}` : ''
}
