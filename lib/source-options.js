// What `lines()`, `blocks()` and `files()` may be given, checked once, and their defaults.

import { fileURLPath } from './containment.js'
import { invalidArgType, outOfRange } from './errors.js'
import { flag, positiveInteger } from './option-values.js'
import { optionsObject } from './options.js'
import { directory } from './worker-pool-options.js'

/**
 * @typedef {object} LineSettings
 * @property {'utf8' | 'latin1' | 'buffer'} encoding
 * @property {boolean} fatal
 * @property {boolean} keepEnding
 * @property {number} maxLineBytes
 */

/**
 * @typedef {object} FileSettings
 * @property {string[]} patterns
 * @property {string[]} exclude
 * @property {string} cwd
 * @property {boolean} withCwd names begin with it
 * @property {boolean} hidden
 * @property {boolean} followSymlinks
 */

/**
 * @param {unknown} options
 * @returns {Readonly<LineSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function lineSettings(options) {
  const given = optionsObject(options, LINE_OPTIONS) ?? {}
  const { encoding = 'utf8' } = given
  if (typeof encoding !== 'string') throw invalidArgType('encoding', ENCODINGS, encoding)
  if (encoding !== 'utf8' && encoding !== 'latin1' && encoding !== 'buffer')
    throw outOfRange('encoding', ENCODINGS, encoding)
  const maxLineBytes = positiveInteger(given, 'maxLineBytes', LONGEST_LINE)
  if (maxLineBytes > LONGEST_LINE)
    throw outOfRange('maxLineBytes', `an integer from 1 to ${LONGEST_LINE}`, maxLineBytes)
  return Object.freeze({
    encoding,
    fatal: flag(given, 'fatal', false),
    keepEnding: flag(given, 'keepEnding', false),
    maxLineBytes,
  })
}

/**
 * @param {unknown} options
 * @returns {number} of bytes
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function blockSize(options) {
  const given = optionsObject(options, BLOCK_OPTIONS) ?? {}
  const bytes = positiveInteger(given, 'bytes', BLOCK_BYTES)
  if (bytes > LARGEST_BLOCK) throw outOfRange('bytes', `an integer from 1 to ${LARGEST_BLOCK}`, bytes)
  return bytes
}

/**
 * @param {unknown} pattern
 * @param {unknown} options
 * @returns {Readonly<FileSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function fileSettings(pattern, options) {
  const given = optionsObject(options, FILE_OPTIONS) ?? {}
  const wanted = patterns('pattern', pattern)
  if (wanted.length === 0) throw invalidArgType('pattern', PATTERNS, pattern)
  return Object.freeze({
    patterns: wanted,
    exclude: given.exclude === undefined ? [] : patterns('exclude', given.exclude),
    cwd: directory(given),
    withCwd: given.cwd !== undefined,
    hidden: flag(given, 'hidden', false),
    followSymlinks: flag(given, 'followSymlinks', false),
  })
}

/**
 * @param {unknown} source
 * @returns {string | undefined} the path of a file; undefined: it is something else
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function filePath(source) {
  const isUrl = typeof (/** @type {URL | null | undefined} */ (source)?.href) === 'string'
  if (typeof source !== 'string' && !isUrl) return undefined
  const expected = 'the path of a file, a file URL or a stream'
  const path = isUrl ? fileURLPath(source) : /** @type {string} */ (source)
  if (path === undefined) throw invalidArgType('source', expected, String(source))
  if (path === '' || path.includes('\0')) throw invalidArgType('source', expected, path)
  return path
}

/**
 * @param {string} name
 * @param {unknown} value
 * @returns {string[]}
 */
function patterns(name, value) {
  const list = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list)) throw invalidArgType(name, PATTERNS, value)
  for (const [i, pattern] of list.entries())
    if (typeof pattern !== 'string') throw invalidArgType(`${name}[${i}]`, 'a string', pattern)
  return [...list]
}

const LINE_OPTIONS = ['encoding', 'fatal', 'keepEnding', 'maxLineBytes']
const BLOCK_OPTIONS = ['bytes']
const FILE_OPTIONS = ['cwd', 'exclude', 'hidden', 'followSymlinks']
const ENCODINGS = "'utf8', 'latin1' or 'buffer'"
const PATTERNS = 'a glob pattern, or an array of them'
/** V8 has no string above 512 MiB; the rest is for what a line is put together with. */
export const LONGEST_LINE = 480 << 20
const BLOCK_BYTES = 64 << 10
/** Node 20 has no larger Buffer that can be relied on. */
const LARGEST_BLOCK = 2 ** 31 - 1
