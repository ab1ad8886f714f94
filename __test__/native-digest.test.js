// Digests of native operations, against Node's own and published vectors.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { native, parallelMap } from '../index.js'

/** Around the sizes at which a part goes another way. */
const SIZES = [0, 1, 63, 64, 65, 1000, 8191, 8192, 8193, 100_000, 1 << 20]

for (const algorithm of ['sha256', 'sha512', 'sha1', 'md5']) {
  test(`${algorithm} is that of node:crypto, for every size and encoding`, async () => {
    const items = SIZES.map((size) => randomBytes(size))
    const reference = (item, encoding) => {
      const hash = createHash(algorithm).update(item)
      return encoding === 'buffer' ? hash.digest() : hash.digest(encoding)
    }
    for (const encoding of ['hex', 'base64', 'buffer']) {
      const operation = native[algorithm]({ encoding })
      const expected = items.map((item) => reference(item, encoding))
      assert.deepEqual(await parallelMap(items, operation).toArray(), expected)
      assert.deepEqual(await Promise.all(items.map((item) => operation.run(item))), expected)
      assert.deepEqual(
        items.map((item) => operation.runSync(item)),
        expected,
      )
    }
    assert.equal(native[algorithm]().runSync('x'), reference('x', 'hex'), 'hex by default')
  })
}

test('BLAKE3, XXH3 and CRC-32 give the published digests', () => {
  // The test vectors of BLAKE3 are the bytes 0, 1, … 250, 0, 1, …
  const counted = (size) => Buffer.from(Array.from({ length: size }, (_, at) => at % 251))
  const { blake3, xxh3, crc32: checksum } = native
  assert.equal(blake3().runSync(''), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262')
  assert.equal(
    blake3().runSync(counted(1024)),
    '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
  )
  assert.equal(xxh3().runSync(''), '2d06800538d394c2')
  assert.equal(checksum().runSync('123456789'), 'cbf43926')
  assert.equal(checksum({ encoding: 'buffer' }).runSync('123456789').readUInt32BE(), 0xcbf43926)
  // Node has it from 22 on.
  if (crc32 !== undefined) {
    const item = randomBytes(70_000)
    assert.equal(Number.parseInt(checksum().runSync(item), 16), crc32(item))
  }
})

test('strings, views and buffers are their bytes', async () => {
  const bytes = randomBytes(64_000)
  const digest = createHash('sha256').update(bytes).digest('hex')
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
  const shared = new SharedArrayBuffer(bytes.length)
  new Uint8Array(shared).set(bytes)
  const same = [
    bytes,
    buffer,
    shared,
    new Float64Array(buffer),
    new BigUint64Array(shared),
    new DataView(buffer),
    new Uint8Array([0, ...bytes, 0]).subarray(1, -1),
  ]
  assert.deepEqual(
    await parallelMap(same, native.sha256()).toArray(),
    same.map(() => digest),
  )
  assert.deepEqual(
    same.map((item) => native.sha256().runSync(item)),
    same.map(() => digest),
  )
  for (const text of ['', 'ascii', 'äöü', '💡'.repeat(9000), 'a lone surrogate \ud800', 'a'.repeat(20_000)]) {
    const expected = createHash('sha256').update(Buffer.from(text)).digest('hex')
    assert.equal(native.sha256().runSync(text), expected)
    assert.equal(await native.sha256().run(text), expected)
  }
})

test('an item is copied when it is pulled: changing it later changes nothing', async () => {
  for (const size of [100, 100_000]) {
    const reused = Buffer.alloc(size)
    function* source() {
      for (let i = 0; i < 50; i++) yield reused.fill(i)
    }
    const digests = await parallelMap(source(), native.sha256()).toArray()
    const expected = Array.from({ length: 50 }, (_, i) =>
      createHash('sha256').update(Buffer.alloc(size, i)).digest('hex'),
    )
    assert.deepEqual(digests, expected)
  }
})

test('wrong options are refused when the operation is made', () => {
  const refused = [
    [
      { encoding: 'latin1' },
      RangeError,
      /Invalid "encoding": expected 'hex' or 'base64' or 'buffer', got "latin1"/,
    ],
    [{ encoding: 1 }, TypeError, /Invalid "encoding": expected 'hex' or 'base64' or 'buffer', got 1/],
    [{ encodings: 'hex' }, TypeError, /Unknown option "encodings": expected one of encoding/],
    ['hex', TypeError, /Invalid "options": expected an object, got "hex"/],
    [null, TypeError, /Invalid "options": expected an object, got null/],
  ]
  for (const [options, type, message] of refused) {
    for (const algorithm of ['sha256', 'sha512', 'sha1', 'md5', 'blake3', 'xxh3', 'crc32'])
      assert.throws(
        () => native[algorithm](options),
        (error) => error instanceof type && message.test(error.message),
      )
  }
})
