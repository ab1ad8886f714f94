// Text: what the methods of strings do, with regular expressions that take time linear in the text.

import { types } from 'node:util'
import { invalidArgType, invalidPattern } from '../errors.js'
import { outputLimit } from './codec.js'
import { NativeOperation } from './operation.js'
import { operationOptions } from './options.js'

/**
 * `text.match(pattern)`
 * @param {unknown} pattern
 * @param {unknown} [options]
 */
export function match(pattern, options) {
  const { source, flags } = patternOf('match', 'pattern', pattern, itself)
  const maxOutputBytes = outputLimit(operationOptions(options, ['maxOutputBytes']))
  const spec = { op: 'match', source, flags, maxOutputBytes }
  return new NativeOperation([{ name: 'match', spec, takes: 'text', gives: 'value' }])
}

/** @param {unknown} pattern */
export function countMatches(pattern) {
  const spec = { op: 'countMatches', ...patternOf('countMatches', 'pattern', pattern, itself) }
  return new NativeOperation([{ name: 'countMatches', spec, takes: 'text', gives: 'value' }])
}

/**
 * `text.split(separator)`
 * @param {unknown} separator
 * @param {unknown} [options]
 */
export function split(separator, options) {
  const { source, flags } = patternOf('split', 'separator', separator, literal)
  const maxOutputBytes = outputLimit(operationOptions(options, ['maxOutputBytes']))
  const spec = { op: 'split', source, flags, maxOutputBytes }
  return new NativeOperation([{ name: 'split', spec, takes: 'text', gives: 'value' }])
}

/**
 * `text.replace(pattern, replacement)`
 * @param {unknown} pattern
 * @param {unknown} replacement
 * @param {unknown} [options]
 */
export function replace(pattern, replacement, options) {
  const { source, flags } = patternOf('replace', 'pattern', pattern, literal)
  if (typeof replacement !== 'string') throw invalidArgType('replacement', 'a string', replacement)
  const maxOutputBytes = outputLimit(operationOptions(options, ['maxOutputBytes']))
  const spec = { op: 'replace', source, flags, replacement: wellFormed(replacement), maxOutputBytes }
  return new NativeOperation([{ name: 'replace', spec, takes: 'text', gives: 'text' }])
}

/**
 * @param {string} operation
 * @param {string} name of the argument
 * @param {unknown} pattern
 * @param {(text: string) => string} sourceOf what a string is
 * @returns {{ source: string, flags: string }}
 */
function patternOf(operation, name, pattern, sourceOf) {
  let regex
  if (typeof pattern === 'string') {
    try {
      regex = new RegExp(sourceOf(pattern))
    } catch (error) {
      throw invalidPattern(`native.${operation}(): ${/** @type {Error} */ (error).message}`, 0)
    }
  } else if (types.isRegExp(pattern)) regex = pattern
  else throw invalidArgType(name, 'a RegExp or a string', pattern)
  const { source, flags } = regex
  const lone = source.search(LONE_SURROGATE)
  if (lone >= 0) throw invalidPattern(`native.${operation}(): half of a surrogate pair in the pattern`, lone)
  return { source, flags }
}

/** @param {string} text that is the source of a pattern */
function itself(text) {
  return text
}

/** @param {string} text that is searched for as it stands */
function literal(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}

/** @param {string} text with U+FFFD in the place of what UTF-8 cannot hold */
function wellFormed(text) {
  return Buffer.from(text).toString()
}

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/
