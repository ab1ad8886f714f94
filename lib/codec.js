// The codec: values to bytes and back. The same two classes run in parent and worker, in both directions; the native
// operations write the tags 0, 1, 4, 5 and 11 themselves.
//
// A value lies in two byte areas: `rows` (tags, numbers, binary) and `text` (the latin1 characters of strings, in the
// order of their lengths in `rows`), so that the reader makes one string of the text of a whole batch and takes
// substrings of it. All numbers are little-endian and unaligned. A value is a tag (u8) and what belongs to it:
//
//  0 undefined   1 null   2 false   3 true
//  4 number      f64
//  5 string      u32 length; characters in `text`
//  6 string      u32 length in bytes, UTF-8 (only read, never written by the encoder)
//  7 string      u32 length in bytes, UTF-16
//  8 array       u32 count, values
//  9 record      u32 id of the shape; first the fields of fixed size in the order of the keys (n: f64, b: u8,
//                s: u8 length with the characters in `text`), then the others (v) as values
// 10 Date        f64
// 11 binary      u8 kind (the index in BINARY_TYPES, lib/codec/binary.js), u32 length in bytes, bytes
// 12 error       u32 length, v8.serialize of a description (lib/codec/error.js)
// 13 clone       u32 length, v8.serialize of the whole item; only as the whole item
// 14 object      u32 count, pairs of a string value (the key) and a value
//
// The definition of a shape is the JSON of [kinds, ...keys], with one letter of `nsbv` per key.

export { Decoder } from './codec/decoder.js'
export { Encoder, encodedAlone } from './codec/encoder.js'
