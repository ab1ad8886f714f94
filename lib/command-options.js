// What may be said of a pool of programs, checked as in `options.js`, with the same words.

import path from 'node:path'
import { CONTAINMENT_OPTIONS, containment, fileURLPath } from './containment.js'
import { invalidArgType, outOfRange } from './errors.js'
import { flag, integerUpTo, milliseconds, text } from './option-values.js'
import { optionsObject } from './options.js'
import { LIVES_OPTIONS, livesSettings } from './pool-lives.js'
import { directory, GRACE_MS, shown } from './worker-pool-options.js'

/**
 * @typedef {import('./containment.js').Containment & import('./pool-lives.js').Lives & CommandFields} CommandSettings
 */

/**
 * @typedef {object} CommandFields
 * @property {string} program
 * @property {readonly string[]} args
 * @property {number} shellArgs how many of them, from the first one on, are for the shell
 * @property {1} concurrencyPerWorker
 * @property {import('./command-codec.js').Format} format
 * @property {boolean} perItem
 * @property {number} readAhead 0: automatic
 * @property {number} maxLineBytes
 * @property {number} stallTimeout milliseconds
 * @property {number} gracePeriod milliseconds
 * @property {string} cwd
 * @property {string} label
 */

/**
 * @param {unknown} command
 * @param {unknown} args
 * @param {unknown} options
 * @returns {Readonly<CommandSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function commandPoolSettings(command, args, options) {
  refuse(options, NOT_OF_PROGRAMS)
  const given = optionsObject(options, OPTIONS) ?? {}
  const cwd = directory(given)
  const named = programOf(command)
  const listed = argumentsOf(args)
  const shell = flag(given, 'shell', false)
  const perItem = flag(given, 'perItem', false)
  if (perItem) refuse(given, NOT_PER_ITEM)
  const held = containment(given, cwd)
  return Object.freeze({
    ...held,
    env: environment(given, held.env),
    program: shell ? SHELL : named,
    // The shell gets arguments as "$1", "$2" and so on: no text of theirs is ever its code.
    args: Object.freeze(shell ? ['-c', named, 'sh', ...listed] : listed),
    shellArgs: shell ? 3 : 0,
    ...livesSettings(given),
    // It is ready as soon as it is started: it does not say when it has loaded.
    startTimeout: undefined,
    concurrencyPerWorker: /** @type {1} */ (1),
    format: format(given, perItem ? 'lines' : 'ndjson'),
    perItem,
    readAhead: readAhead(given),
    maxLineBytes: integerUpTo(given, 'maxLineBytes', MOST_LINE_BYTES, DEFAULT_LINE_BYTES),
    stallTimeout: milliseconds(given, 'stallTimeout', STALL_MS),
    gracePeriod: milliseconds(given, 'gracePeriod', GRACE_MS),
    cwd,
    label: text(given, 'label', shell ? named : path.basename(named) || named),
  })
}

/**
 * Options that other pools have, and that would change nothing here: whoever gives one expects something else.
 * @param {unknown} options
 * @param {Record<string, string>} reasons
 */
function refuse(options, reasons) {
  if (typeof options !== 'object' || options === null) return
  for (const [name, why] of Object.entries(reasons)) {
    const value = /** @type {Record<string, unknown>} */ (options)[name]
    if (value !== undefined) throw invalidArgType(name, `no ${name}: ${why}`, value)
  }
}

/** @param {unknown} command */
function programOf(command) {
  const expected = 'the name or path of a program, or its file URL'
  if (typeof command !== 'string') {
    const file = fileURLPath(command)
    if (file === undefined) throw invalidArgType('command', expected, shown(command))
    return file
  }
  if (command === '' || command.includes('\0')) throw outOfRange('command', expected, command)
  return command
}

/** @param {unknown} args */
function argumentsOf(args) {
  if (args === undefined) return []
  if (!Array.isArray(args)) throw invalidArgType('args', 'an array of strings', args)
  return args.map((arg, i) => {
    if (typeof arg !== 'string') throw invalidArgType(`args[${i}]`, 'a string', arg)
    if (arg.includes('\0')) throw outOfRange(`args[${i}]`, 'a string without NUL', arg)
    return arg
  })
}

/**
 * @param {Record<string, unknown>} given
 * @param {import('./command-codec.js').Format} byDefault
 * @returns {import('./command-codec.js').Format}
 */
function format({ format: value }, byDefault) {
  if (value === undefined) return byDefault
  const expected = "'ndjson', 'lines', 'nul' or 'length-prefixed'"
  if (typeof value !== 'string') throw invalidArgType('format', expected, value)
  if (value !== 'ndjson' && value !== 'lines' && value !== 'nul' && value !== 'length-prefixed')
    throw outOfRange('format', expected, value)
  return value
}

/** @param {Record<string, unknown>} given */
function readAhead(given) {
  const value = given.readAhead
  if (value === undefined || value === 'auto') return 0
  const expected = `'auto' or an integer from 1 to ${MOST_READ_AHEAD}`
  if (typeof value !== 'number') throw invalidArgType('readAhead', expected, value)
  if (!Number.isInteger(value) || value < 1 || value > MOST_READ_AHEAD)
    throw outOfRange('readAhead', expected, value)
  return value
}

/**
 * Python writes to a pipe in blocks; this lets it answer each line, unless somebody has said something about it.
 * @param {Record<string, unknown>} given
 * @param {Readonly<Record<string, string>>} env
 */
function environment(given, env) {
  const said = typeof given.env === 'object' && given.env !== null && PYTHON in given.env
  return said || PYTHON in env ? env : Object.freeze({ ...env, [PYTHON]: '1' })
}

const NOT_OF_PROGRAMS = {
  startTimeout: 'a program does not say when it is ready',
  concurrencyPerWorker: 'a program answers one item after the other (size says how many programs there are)',
  stdout: 'what a program writes there is its results',
  permission: 'it is for Node.js processes',
}
const ONE_ITEM = 'with perItem a program ends with its item'
const NO_STDIN = 'with perItem a program has its item as an argument, and an empty stdin'
const NOT_PER_ITEM = {
  minWorkers: ONE_ITEM,
  idleTimeout: ONE_ITEM,
  maxTasksPerWorker: ONE_ITEM,
  maxAge: ONE_ITEM,
  readAhead: NO_STDIN,
  stallTimeout: NO_STDIN,
}
const OPTIONS = [
  ...LIVES_OPTIONS.filter((name) => !(name in NOT_OF_PROGRAMS)),
  'format',
  'perItem',
  'shell',
  'readAhead',
  'maxLineBytes',
  'stallTimeout',
  'gracePeriod',
  'cwd',
  ...CONTAINMENT_OPTIONS.filter((name) => !(name in NOT_OF_PROGRAMS)),
  'label',
]
const SHELL = '/bin/sh'
const PYTHON = 'PYTHONUNBUFFERED'
const MOST_READ_AHEAD = 16_384
/** Lengths of outcomes are counted in 32 bits. */
const MOST_LINE_BYTES = 2 ** 30
const DEFAULT_LINE_BYTES = 64 * 1024 * 1024
/** Long against the time in which a program that has been told something comes to run. */
const STALL_MS = 250
