// What went wrong in an operation, as an error: `src/native/failure.rs` lists the kinds.

import { getSystemErrorMap } from 'node:util'
import {
  CorruptDataError,
  InvalidTextError,
  invalidPattern,
  MillraceError,
  OutputTooLargeError,
  unfitItem,
  unfitValue,
} from '../errors.js'

/** @typedef {{ kind: string, message: string, limit?: number, at?: number, errno?: number, syscall?: string, path?: string }} Failure */

/**
 * @param {string} label of the operation
 * @param {Failure} failure
 * @param {import('../errors.js').FailureDetails} [where] it was, as far as it is known
 * @returns {Error}
 */
export function failureError(label, failure, where) {
  const { kind, at, limit } = failure
  const message = `${label}: ${failure.message}`
  switch (kind) {
    case 'corrupt':
      return new CorruptDataError(message, where)
    case 'text':
      return new InvalidTextError(message, where)
    case 'too large':
      return new OutputTooLargeError(message, { ...where, limit })
    case 'range':
      return unfitValue(message)
    case 'type':
      return unfitItem(message)
    case 'pattern':
      return invalidPattern(message, Number(at))
    case 'system':
      return systemError(failure)
    case 'no file':
      return systemError(failure, failure.message)
    default:
      return new MillraceError(message, where)
  }
}

/**
 * An error that crossed as a message: the record of a failure, in JSON.
 * @param {string} label
 * @param {unknown} error
 */
export function thrownFailure(label, error) {
  const message = error instanceof Error ? error.message : String(error)
  try {
    return failureError(label, JSON.parse(message))
  } catch {
    return new MillraceError(`${label}: ${message}`)
  }
}

/**
 * As Node's own: `ENOENT: no such file or directory, open 'path'`.
 * @param {Failure} failure
 * @param {string} [why] in the place of what the system says of all such errors
 */
function systemError({ errno = 0, syscall, path, message }, why) {
  const [code, description] = getSystemErrorMap().get(-errno) ?? ['EIO', message]
  const error = new Error(`${code}: ${why ?? description}, ${syscall} '${path}'`)
  return Object.assign(error, { errno: -errno, code, syscall, path })
}
