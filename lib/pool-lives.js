// How many workers a pool has, and for how long: what callers may ask for, checked once, and the defaults.

import { invalidArgType, outOfRange } from './errors.js'
import { countUpTo, MAX_MILLISECONDS, numberWithin, positiveInteger } from './option-values.js'

/**
 * @typedef {object} Lives
 * @property {number | undefined} maxWorkers undefined: what the machine offers, which the pool asks the system for
 * @property {number} minWorkers
 * @property {number | undefined} idleTimeout milliseconds; undefined: idle workers stay
 * @property {number | undefined} maxTasksPerWorker undefined: any number
 * @property {number | undefined} maxAge milliseconds; undefined: workers grow as old as they like
 * @property {number | undefined} startTimeout milliseconds; undefined: as long as it takes
 * @property {number | undefined} minFreeMemory bytes; undefined: nobody looks
 */

/**
 * @param {Record<string, unknown>} given
 * @returns {Lives}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function livesSettings(given) {
  const settings = {
    maxWorkers: maxWorkers(given),
    minWorkers: countUpTo(given, 'minWorkers', MAX_MIN_WORKERS),
    idleTimeout: time(given, 'idleTimeout', 0, undefined),
    maxTasksPerWorker: positiveInteger(given, 'maxTasksPerWorker', undefined),
    maxAge: time(given, 'maxAge', 1, undefined),
    startTimeout: Number(time(given, 'startTimeout', 1, START_MS)),
    minFreeMemory: positiveInteger(given, 'minFreeMemory', undefined),
  }
  if (settings.maxWorkers !== undefined && settings.minWorkers > settings.maxWorkers)
    throw outOfRange('minWorkers', `at most maxWorkers (${settings.maxWorkers})`, settings.minWorkers)
  return settings
}

/**
 * As the native side takes them.
 * @param {Readonly<Lives>} lives
 */
export function nativeLives(lives) {
  const { minWorkers, idleTimeout, maxTasksPerWorker, maxAge, startTimeout, minFreeMemory } = lives
  // More than it can count is without end.
  const maxTasks = Number(maxTasksPerWorker) <= MAX_COUNT ? maxTasksPerWorker : undefined
  return { minWorkers, idleTimeout, maxTasks, maxAge, startTimeout, minFreeMemory }
}

/** @param {Record<string, unknown>} given */
function maxWorkers(given) {
  if (given.size !== undefined && given.maxWorkers !== undefined)
    throw invalidArgType('size', 'no size: maxWorkers is given, and means the same', given.size)
  return positiveInteger(given, 'maxWorkers', positiveInteger(given, 'size', undefined))
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {number} least
 * @param {number | undefined} byDefault
 * @returns {number | undefined}
 */
function time(given, name, least, byDefault) {
  if (given[name] === undefined) return byDefault
  return numberWithin(given, name, 'milliseconds', least, MAX_MILLISECONDS, 0)
}

export const LIVES_OPTIONS = [
  'size',
  'maxWorkers',
  'minWorkers',
  'idleTimeout',
  'maxTasksPerWorker',
  'maxAge',
  'startTimeout',
  'minFreeMemory',
]
/** Each is a process. */
const MAX_MIN_WORKERS = 65_536
const MAX_COUNT = 2 ** 32 - 1
/** Long for a program that loads, short for one that hangs. */
const START_MS = 60_000
