// Native operations: mappers that run on Rust threads and never touch JavaScript.

import { array } from './native/array.js'
import { base64, compression, decompression, hexadecimal } from './native/codec.js'
import { digestFile, digestOf } from './native/digest.js'
import { pipe } from './native/operation.js'
import { countMatches, match, replace, split } from './native/text.js'

export const native = Object.freeze({
  sha256: digestOf('sha256'),
  sha512: digestOf('sha512'),
  sha1: digestOf('sha1'),
  md5: digestOf('md5'),
  blake3: digestOf('blake3'),
  xxh3: digestOf('xxh3'),
  crc32: digestOf('crc32'),
  array,
  digestFile,
  gzip: compression('gzip', { least: 0, most: 12, byDefault: 6 }),
  gunzip: decompression('gunzip'),
  deflate: compression('deflate', { least: 0, most: 12, byDefault: 6 }),
  inflate: decompression('inflate'),
  zstd: compression('zstd', { least: 1, most: 22, byDefault: 3 }),
  unzstd: decompression('unzstd'),
  brotli: compression('brotli', { least: 0, most: 11, byDefault: 5 }),
  unbrotli: decompression('unbrotli'),
  lz4: compression('lz4'),
  unlz4: decompression('unlz4'),
  base64: base64('base64', 'text'),
  unbase64: base64('unbase64', 'bytes'),
  hex: hexadecimal('hex', 'text'),
  unhex: hexadecimal('unhex', 'bytes'),
  match,
  countMatches,
  split,
  replace,
  pipe,
})
