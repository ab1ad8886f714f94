// Codecs: compression, base64 and hexadecimal.

import { constants } from 'node:buffer'
import { NativeOperation } from './operation.js'
import { choice, integer, operationOptions } from './options.js'

/**
 * What makes an operation that compresses.
 * @param {string} op also the name
 * @param {{ least: number, most: number, byDefault: number }} [levels] none: there is one way only
 */
export function compression(op, levels) {
  return (/** @type {unknown} */ options) => {
    const given = operationOptions(options, levels === undefined ? [] : ['level'])
    const { least, most, byDefault } = levels ?? { least: 0, most: 0, byDefault: 0 }
    const spec =
      levels === undefined ? { op } : { op, level: integer(given, 'level', least, most, byDefault) }
    return new NativeOperation([{ name: op, spec, takes: 'bytes', gives: 'bytes' }])
  }
}

/** @param {string} op also the name */
export function decompression(op) {
  return (/** @type {unknown} */ options) => {
    const maxOutputBytes = outputLimit(operationOptions(options, ['maxOutputBytes']))
    return new NativeOperation([{ name: op, spec: { op, maxOutputBytes }, takes: 'bytes', gives: 'bytes' }])
  }
}

/**
 * @param {'base64' | 'unbase64'} op
 * @param {'text' | 'bytes'} gives
 */
export function base64(op, gives) {
  return (/** @type {unknown} */ options) => {
    const alphabet = choice(
      operationOptions(options, ['alphabet']),
      'alphabet',
      ['standard', 'url'],
      'standard',
    )
    return new NativeOperation([{ name: op, spec: { op, alphabet }, takes: 'bytes', gives }])
  }
}

/**
 * @param {'hex' | 'unhex'} op
 * @param {'text' | 'bytes'} gives
 */
export function hexadecimal(op, gives) {
  return (/** @type {unknown} */ options) => {
    operationOptions(options, [])
    return new NativeOperation([{ name: op, spec: { op }, takes: 'bytes', gives }])
  }
}

/**
 * @param {Record<string, unknown>} given
 * @returns {number}
 */
export function outputLimit(given) {
  return integer(given, 'maxOutputBytes', 1, constants.MAX_LENGTH, 2 ** 30)
}
