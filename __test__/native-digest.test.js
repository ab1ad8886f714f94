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

/** The bytes 0, 1, … 250, 0, 1, …, of which the published digests of BLAKE3 are. */
const counted = (size) => Buffer.from(Array.from({ length: size }, (_, at) => at % 251))

const PUBLISHED = {
  // The test vectors of BLAKE3 (test_vectors.json), around the sizes of a chunk and of trees of chunks.
  blake3: {
    0: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    1: '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213',
    1023: '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11',
    1024: '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7',
    1025: 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444',
    2048: 'e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a',
    2049: '5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030',
    3072: 'b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2',
    4096: '015094013f57a5277b59d8475c0501042c0b642e531b0a1c8f58d2163229e969',
    8192: 'aae792484c8efe4f19e2ca7d371d8c467ffb10748d8a5a1ae579948f718a2a63',
    31744: '62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47',
    102400: 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085',
  },
  // By the library of its author (the package xxhash 4.1.0 of Python), on both sides of each length where another way begins.
  xxh3: {
    0: '2d06800538d394c2',
    1: 'c44bdff4074eecdb',
    3: '5f4299fc161c9cbb',
    4: '60dab036a58211f2',
    8: '3a1c2d7c85af88f8',
    9: 'e9612598145bb9dc',
    16: '8355e3a6f61770db',
    17: '9ef341a99de37328',
    128: '85c6174c7ff4c46b',
    129: 'ec7642b431ba3e5a',
    240: '375a384d957fe865',
    241: '02e8cd95421c6d02',
    1024: 'e5d78bafa45b2aa5',
    100000: '42c23aeead96750d',
  },
}

for (const [algorithm, digests] of Object.entries(PUBLISHED)) {
  test(`${algorithm} gives the published digests`, async () => {
    const sizes = Object.keys(digests).map(Number)
    const expected = Object.values(digests)
    const operation = native[algorithm]()
    assert.deepEqual(await parallelMap(sizes.map(counted), operation).toArray(), expected)
    assert.deepEqual(
      sizes.map((size) => operation.runSync(counted(size))),
      expected,
    )
  })
}

test('SHA-512 and CRC-32 give the published digests', () => {
  // FIPS 180: one block, and two.
  const { sha512, crc32: checksum } = native
  for (const [text, digest] of [
    [
      'abc',
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
        '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    ],
    [
      'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
      '8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018' +
        '501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909',
    ],
  ])
    assert.equal(sha512().runSync(text), digest)
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
