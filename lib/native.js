// Native operations: mappers that run on Rust threads and never touch JavaScript.

import { array } from './native/array.js'
import { digestOf } from './native/digest.js'
import { pipe } from './native/operation.js'

export const native = Object.freeze({
  sha256: digestOf('sha256'),
  sha512: digestOf('sha512'),
  sha1: digestOf('sha1'),
  md5: digestOf('md5'),
  blake3: digestOf('blake3'),
  xxh3: digestOf('xxh3'),
  crc32: digestOf('crc32'),
  array,
  pipe,
})
