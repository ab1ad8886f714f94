// Codecs of native operations: against node:zlib both ways, and against what is cut off, damaged, or far too large.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import zlib from 'node:zlib'
import * as lz4js from 'lz4js'
import { native, parallelMap } from '../index.js'

/** Empty, tiny, around the size where a part goes another way, and large; random and repetitive. */
const ITEMS = [
  Buffer.alloc(0),
  Buffer.from('a'),
  ...[8191, 8192, 8193, 300_000].flatMap((size) => [
    randomBytes(size),
    Buffer.alloc(size, 'some text that repeats itself, '),
  ]),
]
/** Each with Node's own, where every supported Node has it. */
const CODECS = {
  gzip: { names: ['gzip', 'gunzip'], node: [zlib.gzipSync, zlib.gunzipSync], levels: [0, 1, 6, 9, 12] },
  deflate: {
    names: ['deflate', 'inflate'],
    node: [zlib.deflateSync, zlib.inflateSync],
    levels: [0, 1, 6, 9, 12],
  },
  brotli: {
    names: ['brotli', 'unbrotli'],
    node: [zlib.brotliCompressSync, zlib.brotliDecompressSync],
    levels: [0, 4, 11],
  },
  zstd: {
    names: ['zstd', 'unzstd'],
    node: zlib.zstdCompressSync && [zlib.zstdCompressSync, zlib.zstdDecompressSync],
    levels: [1, 3, 19, 22],
  },
  lz4: { names: ['lz4', 'unlz4'], levels: [] },
}

for (const [codec, { names, node, levels }] of Object.entries(CODECS)) {
  const [encode, decode] = names

  test(`${codec}: what is packed is unpacked, at every level, by Node too`, async () => {
    for (const level of [undefined, ...levels]) {
      const packing = native[encode](level === undefined ? {} : { level })
      const packed = await parallelMap(ITEMS, packing).toArray()
      assert.deepEqual(await parallelMap(packed, native[decode]()).toArray(), ITEMS)
      for (const [at, item] of ITEMS.entries()) {
        assert.ok(Buffer.isBuffer(packed[at]))
        assert.deepEqual(packing.runSync(item), packed[at], 'at once it is the same')
        if (node !== undefined) assert.deepEqual(node[1](packed[at]), item, 'and Node reads it')
      }
    }
  })

  const packedByNode = `${codec}: what Node has packed is unpacked`
  if (node !== undefined)
    test(packedByNode, async () => {
      const packed = ITEMS.map((item) => node[0](item))
      assert.deepEqual(await parallelMap(packed, native[decode]()).toArray(), ITEMS)
    })

  test(`${codec}: a bomb stops at maxOutputBytes`, async () => {
    const bomb = native[encode]().runSync(Buffer.alloc(30 << 20))
    const unpack = native[decode]({ maxOutputBytes: 1 << 20 })
    const tooLarge = { name: 'OutputTooLargeError', code: 'ERR_OUTPUT_TOO_LARGE', limit: 1 << 20 }
    await assert.rejects(unpack.run(bomb), tooLarge)
    assert.throws(() => unpack.runSync(bomb), tooLarge)
    const fits = native[encode]().runSync(Buffer.alloc(1 << 20))
    assert.equal((await unpack.run(fits)).length, 1 << 20)
  })

  test(`${codec}: garbage, nothing, and what is cut off are errors of their items`, async () => {
    const packed = native[encode]().runSync(randomBytes(1000))
    const bad = [
      Buffer.alloc(0),
      Buffer.alloc(1),
      packed.subarray(0, -1),
      packed.subarray(0, 12),
      Buffer.alloc(100, 0xaa),
    ]
    const outcomes = await parallelMap([...bad, packed], native[decode](), { settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ reason }) => reason?.code),
      [...bad.map(() => 'ERR_CORRUPT_DATA'), undefined],
    )
    for (const item of bad)
      assert.throws(() => native[decode]().runSync(item), {
        name: 'CorruptDataError',
        code: 'ERR_CORRUPT_DATA',
      })
  })

  test(`${codec}: wrong options are refused when the operation is made`, () => {
    for (const options of [{ maxOutputBytes: 0 }, { maxOutputBytes: 1.5 }, { maxOutputBytes: Infinity }])
      assert.throws(() => native[decode](options), {
        code: 'ERR_OUT_OF_RANGE',
        message: /Invalid "maxOutputBytes": expected an integer from 1 to \d+, got/,
      })
    assert.throws(() => native[decode]({ maxOutputBytes: '1' }), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.throws(() => native[decode]({ level: 1 }), { code: 'ERR_INVALID_ARG_TYPE' })
    if (levels.length === 0) {
      assert.throws(() => native[encode]({ level: 1 }), {
        code: 'ERR_INVALID_ARG_TYPE',
        message: 'Unknown option "level": expected no options, got "level"',
      })
      return
    }
    const expected = new RegExp(`expected an integer from ${levels[0]} to ${levels.at(-1)}, got`)
    for (const level of [levels[0] - 1, levels.at(-1) + 1, 1.5, NaN])
      assert.throws(() => native[encode]({ level }), { code: 'ERR_OUT_OF_RANGE', message: expected })
    assert.throws(() => native[encode]({ level: '1' }), { code: 'ERR_INVALID_ARG_TYPE', message: expected })
  })
}

test('gunzip: members that follow each other are one text, and zeroes may follow, as in Node', () => {
  const [one, two] = ['one', 'two'].map((text) => zlib.gzipSync(text))
  for (const parts of [[one], [one, two], [one, two, Buffer.alloc(10)]]) {
    const file = Buffer.concat(parts)
    assert.deepEqual(native.gunzip().runSync(file), zlib.gunzipSync(file))
  }
  const file = Buffer.concat([one, Buffer.from('garbage')])
  assert.throws(() => zlib.gunzipSync(file))
  assert.throws(() => native.gunzip().runSync(file), { code: 'ERR_CORRUPT_DATA' })
})

test('unzstd: a window of 2 GiB, as zstd --long=31 writes it', async () => {
  // RFC 8878: magic, a frame that says no size, its window, and a last block of one byte as it is.
  const frame = Buffer.from('28b52ffd' + '00' + 'a8' + '090000' + '61', 'hex')
  assert.equal(native.unzstd().runSync(frame).toString(), 'a')
  assert.equal((await native.unzstd({ maxOutputBytes: 1 }).run(frame)).toString(), 'a')
  // Of ten times the letter a, as one byte.
  const repeated = Buffer.from('28b52ffd' + '00' + 'a8' + '530000' + '61', 'hex')
  assert.equal(native.unzstd().runSync(repeated).toString(), 'a'.repeat(10))
  assert.throws(() => native.unzstd({ maxOutputBytes: 9 }).runSync(repeated), {
    code: 'ERR_OUTPUT_TOO_LARGE',
  })
})

test('unlz4 reads what another program has packed: linked blocks, checksums, no size, none compressed', () => {
  // By liblz4 (the package lz4 4.4.5 of Python), of the text 40 times, and of the bytes from 0 to 255.
  const text = Buffer.alloc(31 * 40, 'some text that repeats itself, ')
  const counted = Buffer.from(Array.from({ length: 256 }, (_, at) => at))
  const stored = Buffer.concat([
    Buffer.from('04224d1868400001000000000000af00010080', 'hex'),
    counted,
    Buffer.alloc(4),
  ])
  for (const [packed, bytes] of [
    ['BCJNGGhA2AQAAAAAAABxLgAAAP8Qc29tZSB0ZXh0IHRoYXQgcmVwZWF0cyBpdHNlbGYsIB8A/////6VQZWxmLCAAAAAA', text],
    ['BCJNGHRAvS4AAAD/EHNvbWUgdGV4dCB0aGF0IHJlcGVhdHMgaXRzZWxmLCAfAP////+lUGVsZiwgdynbtgAAAACk6H8G', text],
    [stored.toString('base64'), counted],
  ])
    assert.deepEqual(native.unlz4().runSync(Buffer.from(packed, 'base64')), bytes)
})

test('lz4: another program reads ours, and we read what it has packed', async () => {
  // Around sizes that a block of a frame may have, and several of them.
  const sizes = [2 ** 16 - 1, 2 ** 16, 2 ** 16 + 1, 2 ** 20, 2 ** 22 + 1]
  const items = [
    ...ITEMS,
    ...sizes.map((size, at) => (at % 2 ? randomBytes(size) : Buffer.alloc(size, 'abcde'))),
  ]
  for (const item of items) {
    for (const packed of [native.lz4().runSync(item), await native.lz4().run(item)])
      assert.ok(item.equals(lz4js.decompress(packed)), `${item.length} bytes`)
    assert.ok(item.equals(native.unlz4().runSync(lz4js.compress(item))), `${item.length} bytes`)
  }
})

test('base64 and hexadecimal are those of Buffer', async () => {
  for (const item of ITEMS) {
    for (const [encode, decode, encoding, options] of [
      ['base64', 'unbase64', 'base64', {}],
      ['base64', 'unbase64', 'base64url', { alphabet: 'url' }],
      ['hex', 'unhex', 'hex', {}],
    ]) {
      const text = item.toString(encoding)
      assert.equal(await native[encode](options).run(item), text)
      assert.deepEqual(await native[decode](options).run(text), item)
      assert.deepEqual(native[decode](options).runSync(Buffer.from(text)), item)
    }
  }
  assert.deepEqual(native.unhex().runSync('fFA0'), Buffer.from([255, 160]))
  assert.deepEqual(native.unbase64().runSync('Zg'), Buffer.from('f'), 'padding may be missing')
  for (const [decode, text] of [
    ['unhex', 'abc'],
    ['unhex', 'xy'],
    ['unbase64', 'Zm9v Zm9v'],
    ['unbase64', 'Zm-v'],
    ['unbase64', '====='],
    ['unbase64', 'Zg==Zg=='],
    ['unbase64', 'Zm9v='],
  ])
    assert.throws(() => native[decode]().runSync(text), { code: 'ERR_CORRUPT_DATA' })
  assert.throws(() => native.base64({ alphabet: 'base64url' }), { code: 'ERR_OUT_OF_RANGE' })
  assert.throws(() => native.unbase64({ alphabet: 1 }), { code: 'ERR_INVALID_ARG_TYPE' })
  assert.throws(() => native.hex({ upperCase: true }), { code: 'ERR_INVALID_ARG_TYPE' })
})

test('results that nobody else holds: writing to one changes no other', async () => {
  const packed = native.gzip().runSync(Buffer.alloc(20_000, 1))
  const [first, second] = await parallelMap([packed, packed], native.gunzip()).toArray()
  first.fill(2)
  assert.deepEqual(second, Buffer.alloc(20_000, 1))
})
