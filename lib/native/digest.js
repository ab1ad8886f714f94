// Digests: of items, and of files.

import { NativeOperation } from './operation.js'
import { choice, operationOptions } from './options.js'

/** @param {string} algorithm also the name of the operation */
export function digestOf(algorithm) {
  return (/** @type {unknown} */ options) => {
    const encoding = choice(operationOptions(options, ['encoding']), 'encoding', ENCODINGS, 'hex')
    const gives = encoding === 'buffer' ? 'bytes' : 'text'
    return new NativeOperation([
      { name: algorithm, spec: { op: 'digest', algorithm, encoding }, takes: 'bytes', gives },
    ])
  }
}

const ENCODINGS = ['hex', 'base64', 'buffer']
