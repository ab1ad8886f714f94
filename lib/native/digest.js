// Digests: of items, and of files.

import { invalidArgType, outOfRange } from '../errors.js'
import { NativeOperation } from './operation.js'
import { choice, operationOptions } from './options.js'

/** @param {string} algorithm also the name of the operation */
export function digestOf(algorithm) {
  return (/** @type {unknown} */ options) => digest(algorithm, 'digest', 'bytes', algorithm, options)
}

/**
 * @param {unknown} algorithm
 * @param {unknown} [options]
 */
export function digestFile(algorithm, options) {
  const expected = ALGORITHMS.map((name) => `'${name}'`).join(' or ')
  if (typeof algorithm !== 'string') throw invalidArgType('algorithm', expected, algorithm)
  if (!ALGORITHMS.includes(algorithm)) throw outOfRange('algorithm', expected, algorithm)
  return digest('digestFile', 'digestFile', 'path', algorithm, options)
}

/**
 * @param {string} name
 * @param {string} op
 * @param {'bytes' | 'path'} takes
 * @param {string} algorithm
 * @param {unknown} options
 */
function digest(name, op, takes, algorithm, options) {
  const encoding = choice(operationOptions(options, ['encoding']), 'encoding', ENCODINGS, 'hex')
  const gives = encoding === 'buffer' ? 'bytes' : 'text'
  return new NativeOperation([{ name, spec: { op, algorithm, encoding }, takes, gives }])
}

const ALGORITHMS = ['sha256', 'sha512', 'sha1', 'md5', 'blake3', 'xxh3', 'crc32']
const ENCODINGS = ['hex', 'base64', 'buffer']
