// What native operations take and give, and which of them a pipe joins.

import { type Bytes, type DigestAlgorithm, type NativeOperation, native, parallelMap } from 'millrace'
import { type Equal, expect } from './expect.js'

const { countMatches, gunzip, gzip, match, pipe, replace, sha256, split } = native

const digest = sha256()
expect<Equal<typeof digest, NativeOperation<Bytes, string>>>()
const digestBytes = sha256({ encoding: 'buffer' }).runSync(new DataView(new ArrayBuffer(1)))
expect<Equal<typeof digestBytes, Buffer>>()
const ofFile = native.digestFile('blake3').run(new URL('file:///etc/hostname'))
expect<Equal<typeof ofFile, Promise<string>>>()
const algorithm: DigestAlgorithm = 'crc32'
const ofFileBytes = native.digestFile(algorithm, { encoding: 'buffer' }).runSync(Buffer.from('a'))
expect<Equal<typeof ofFileBytes, Buffer>>()
declare const encoding: 'hex' | 'buffer'
const eitherOfFile = native.digestFile('md5', { encoding }).run('a')
expect<Equal<typeof eitherOfFile, Promise<string | Buffer>>>()
const either = sha256({ encoding }).run('a')
expect<Equal<typeof either, Promise<string | Buffer>>>()
// @ts-expect-error: an encoding that there is not
native.digestFile('md5', { encoding: 'utf8' })
const packed = gzip({ level: 9 }).runSync('a')
expect<Equal<typeof packed, Buffer>>()
const text = native.base64({ alphabet: 'url' }).runSync(packed)
expect<Equal<typeof text, string>>()
const found = match(/a/, { maxOutputBytes: 1000 }).runSync('a')
expect<Equal<typeof found, (string | undefined)[] | null>>()
const parts = split(',', { maxOutputBytes: 1000 }).runSync('a,b')
expect<Equal<typeof parts, (string | undefined)[]>>()
const counts = parallelMap(['a', Buffer.from('b')], countMatches(/a/))
counts.map((count) => expect<Equal<typeof count, number>>())
const replaced = replace('a', 'b', { maxOutputBytes: 100 }).run('a', { timeout: 100 })
expect<Equal<typeof replaced, Promise<string>>>()

// Items that are given away.
const given = native.array.sort().run(Float64Array.of(1), { transfer: true, retries: 1 })
expect<Equal<typeof given, Promise<Float64Array>>>()
parallelMap([Buffer.from('a')], sha256(), { transfer: true })
// @ts-expect-error a boolean
parallelMap(['a'], sha256(), { transfer: 1 })
// @ts-expect-error likewise
sha256().run('a', { transfer: 'all' })

// Pipes of each length.
const one = pipe(gzip())
expect<Equal<typeof one, NativeOperation<Bytes, Buffer>>>()
const two = pipe(gunzip(), countMatches(/x/))
expect<Equal<typeof two, NativeOperation<Bytes, number>>>()
const three = pipe(native.array.sort(), gzip(), native.base64())
expect<Equal<typeof three, NativeOperation<Float64Array, string>>>()
const four = pipe(gunzip(), replace(/a/g, 'b'), gzip(), sha256())
expect<Equal<typeof four, NativeOperation<Bytes, string>>>()
const five = pipe(native.unhex(), gunzip(), replace(/a/g, 'b'), gzip(), match(/a/))
expect<Equal<typeof five, NativeOperation<Bytes, (string | undefined)[] | null>>>()
const six = pipe(native.unhex(), gunzip(), replace(/a/g, 'b'), gzip(), gunzip(), split(','))
expect<Equal<typeof six, NativeOperation<Bytes, any>>>()
const file = pipe(native.hex(), native.digestFile('md5'))
expect<Equal<typeof file, NativeOperation<Bytes, string>>>()
const joined = [gzip(), gunzip()].reduce((all, one) => pipe(all, one))
expect<Equal<typeof joined, NativeOperation<Bytes, Buffer>>>()

// @ts-expect-error nothing takes a number
pipe(countMatches(/a/), gzip())
// @ts-expect-error nothing takes a list
pipe(split(','), countMatches(/a/))
// @ts-expect-error text is no array
pipe(native.hex(), native.array.sum())
// @ts-expect-error one array is no product
pipe(native.array.sort(), native.array.dot())
// @ts-expect-error in the middle
pipe(gunzip(), countMatches(/a/), gzip(), gunzip(), sha256())
// @ts-expect-error at the end
pipe(gunzip(), gzip(), gunzip(), match(/a/), sha256())
// @ts-expect-error also in a longer one
pipe(gunzip(), match(/a/), gunzip(), gzip(), gunzip(), sha256())
// @ts-expect-error a function is no native operation
pipe(gunzip(), (bytes: Buffer) => bytes)
// @ts-expect-error nor is what makes one
pipe(gunzip, sha256())
// @ts-expect-error a pipe of nothing
pipe()
// @ts-expect-error numbers have no bytes
sha256().runSync(42)
// @ts-expect-error items of the wrong type
parallelMap([1, 2], gzip())
// @ts-expect-error there is no such encoding
sha256({ encoding: 'latin1' })
// @ts-expect-error there is no such algorithm
native.digestFile('sha3')
// @ts-expect-error lz4 has one level
native.lz4({ level: 1 })
// @ts-expect-error the option belongs to what decompresses
gzip({ maxOutputBytes: 1 })
// @ts-expect-error there is no such alphabet
native.base64({ alphabet: 'base64url' })
// @ts-expect-error a limit is a number
match(/a/, { maxOutputBytes: '1' })
// @ts-expect-error there is no such option
split(',', { limit: 1 })
// @ts-expect-error a function is no replacement
replace(/a/g, (found: string) => found)
// @ts-expect-error a pattern is a RegExp or a string
match(1)
