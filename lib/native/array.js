// Operations on numbers in typed arrays; `src/native/array/` does them.

import { invalidArgType, outOfRange } from '../errors.js'
import { NativeOperation } from './operation.js'
import { integer, operationOptions } from './options.js'

export const array = Object.freeze({
  sort: plain('sort', 'array'),
  argsort: plain('argsort', 'array'),
  sum: plain('sum', 'value'),
  mean: plain('mean', 'value'),

  /** @param {unknown} [options] */
  variance(options) {
    const given = operationOptions(options, ['ddof'])
    return operationOf('variance', 'value', { ddof: integer(given, 'ddof', 0, 2 ** 32 - 1, 0) })
  },

  minmax: plain('minmax', 'value'),

  /** @param {unknown} [options] */
  histogram(options) {
    const given = operationOptions(options, ['bins', 'min', 'max'])
    const [min, max] = [finite(given, 'min'), finite(given, 'max')]
    if (min !== undefined && max !== undefined && min >= max)
      throw outOfRange('max', `a number above min (${min})`, max)
    return operationOf('histogram', 'value', { bins: integer(given, 'bins', 1, MOST_BINS, 10), min, max })
  },

  /** @param {unknown} probabilities */
  quantiles(probabilities) {
    if (!Array.isArray(probabilities))
      throw invalidArgType('probabilities', 'an array of numbers', probabilities)
    for (const [i, probability] of probabilities.entries()) {
      const name = `probabilities[${i}]`
      if (typeof probability !== 'number') throw invalidArgType(name, PROBABILITY, probability)
      if (!(probability >= 0 && probability <= 1)) throw outOfRange(name, PROBABILITY, probability)
    }
    return operationOf('quantiles', 'array', { probabilities })
  },

  dot: plain('dot', 'value', 'arrays'),
  cumsum: plain('cumsum', 'array'),
})

/**
 * The maker of an operation that takes no options.
 * @param {string} name
 * @param {'array' | 'value'} gives
 * @param {'array' | 'arrays'} [takes]
 */
function plain(name, gives, takes) {
  return (/** @type {unknown} */ options) => {
    if (options !== undefined) throw invalidArgType('options', 'no options', options)
    return operationOf(name, gives, {}, takes)
  }
}

/**
 * @param {string} name
 * @param {'array' | 'value'} gives
 * @param {Record<string, unknown>} parameters
 * @param {'array' | 'arrays'} [takes]
 */
function operationOf(name, gives, parameters, takes = 'array') {
  const spec = { op: 'array', kernel: { name, ...parameters } }
  return new NativeOperation([{ name: `array.${name}`, spec, takes, gives }])
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @returns {number | undefined}
 */
function finite(given, name) {
  const value = given[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw invalidArgType(name, 'a finite number', value)
  if (!Number.isFinite(value)) throw outOfRange(name, 'a finite number', value)
  return value
}

const PROBABILITY = 'a number from 0 to 1'
/** Every thread has its own, and a histogram is to be looked at. */
const MOST_BINS = 1 << 20
