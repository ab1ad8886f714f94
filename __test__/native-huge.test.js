// Native operations on more than 2 GiB, where sizes pass what 31 bits count: files, items, arrays; and results that
// JavaScript cannot hold. Memory that nobody has written costs nothing to read, so that most of it is never there.

import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { native } from '../index.js'
import { LIMIT } from './processes.js'

const { array, base64, crc32, digestFile, gunzip, gzip, hex, pipe, xxh3 } = native
/** 2 GiB of zeroes, and an x behind them. */
const ZEROES = 2 ** 31
/** As sha256sum of GNU coreutils and crc32 of Python's zlib have them. */
const SHA256 = '4ec7c05249cde176c7277af25f400dc66e87fabf7158179a191562d4338c42d3'
const CRC32 = '9890f73e'

const folder = mkdtempSync(path.join(tmpdir(), 'millrace-huge-'))
after(() => rmSync(folder, { recursive: true }))

function huge() {
  const bytes = new Uint8Array(ZEROES + 1)
  bytes[ZEROES] = 'x'.charCodeAt(0)
  return bytes
}

test('a file and an item of more than 2 GiB have the same digests', LIMIT, async () => {
  const file = path.join(folder, 'sparse')
  const descriptor = openSync(file, 'w')
  ftruncateSync(descriptor, ZEROES)
  writeSync(descriptor, 'x', ZEROES)
  closeSync(descriptor)
  const [sha256, ofFile] = await Promise.all([digestFile('sha256').run(file), digestFile('xxh3').run(file)])
  assert.equal(sha256, SHA256)
  const item = huge()
  assert.equal(crc32().runSync(item), CRC32)
  assert.equal(await xxh3().run(item, { transfer: true }), ofFile)
  assert.equal(item.length, 0)
})

test('an array of more than 2 GiB', LIMIT, async () => {
  const numbers = new Float64Array(ZEROES / 8 + 1)
  numbers[ZEROES / 8] = 7
  assert.equal(array.sum().runSync(numbers), 7)
  assert.deepEqual(await array.minmax().run(numbers, { transfer: true }), { min: 0, max: 7 })
})

test('what is larger than an item can be keeps its memory', LIMIT, async () => {
  const most = 2 ** 32 - 2 ** 16
  const item = new Uint8Array(most + 1)
  const expected = {
    name: 'RangeError',
    code: 'ERR_OUT_OF_RANGE',
    message: new RegExp(`at most ${most} bytes`),
  }
  await assert.rejects(crc32().run(item, { transfer: true }), expected)
  await assert.rejects(crc32().run(item), expected)
  assert.throws(() => crc32().runSync(item), expected)
  assert.equal(item.length, most + 1)
})

test('a result that is longer than a string can be', LIMIT, async () => {
  const expected = { code: 'ERR_OUTPUT_TOO_LARGE', limit: constants.MAX_STRING_LENGTH }
  // It is not made: that of hex() would have 4 GiB.
  await assert.rejects(hex().run(huge(), { transfer: true }), expected)
  assert.throws(() => base64().runSync(huge()), expected)
})

test('more than 2 GiB that come out of a few MB, between the steps of a pipe', LIMIT, async () => {
  const part = gzip().runSync(Buffer.alloc(2 ** 24))
  const packed = Buffer.concat([...Array(ZEROES / 2 ** 24).fill(part), gzip().runSync('x')])
  assert.ok(packed.length < 2 ** 22)
  await assert.rejects(gunzip().run(packed), { code: 'ERR_OUTPUT_TOO_LARGE', limit: 2 ** 30 })
  assert.equal(await pipe(gunzip({ maxOutputBytes: ZEROES + 1 }), crc32()).run(packed), CRC32)
})
