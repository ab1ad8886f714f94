// blocks(): bytes of files and streams in blocks of one size.

import assert from 'node:assert/strict'
import { appendFileSync, createReadStream, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { blocks, native, parallelMap } from '../index.js'
import { openBelow, partsOf } from './file-sources.js'
import { folderWith, LIMIT } from './processes.js'

const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const wrongRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }
const MIB = 1 << 20

function fileWith(t, content) {
  const file = join(folderWith(t), 'file.bin')
  writeFileSync(file, content)
  return file
}

/** Bytes that tell where they stand. */
function bytesOf(length) {
  return Buffer.from(Uint32Array.from({ length: Math.ceil(length / 4) }, (_, at) => at).buffer, 0, length)
}

describe('blocks', LIMIT, () => {
  test('of exactly the size, but the last', async (t) => {
    const folder = folderWith(t)
    const file = join(folder, 'file.bin')
    const length = fc.integer({ min: 0, max: 500 })
    const size = fc.integer({ min: 1, max: 120 })
    await fc.assert(
      fc.asyncProperty(length, size, size, async (length, bytes, part) => {
        const whole = bytesOf(length)
        writeFileSync(file, whole)
        const expected = [...partsOf(whole, bytes)]
        assert.deepEqual(await blocks(file, { bytes }).toArray(), expected)
        assert.deepEqual(await blocks(partsOf(whole, part), { bytes }).toArray(), expected)
      }),
      { numRuns: 200 },
    )
  })

  test('larger than what is read at once, and 64 KiB by default', async (t) => {
    const whole = bytesOf(5 * MIB + 7)
    const file = fileWith(t, whole)
    for (const bytes of [300_000, MIB, 3 * MIB + 1, 100 * MIB]) {
      const found = await blocks(pathToFileURL(file), { bytes }).toArray()
      assert.deepEqual(
        found.map(({ length }) => length),
        [...partsOf(whole, bytes)].map(({ length }) => length),
      )
      assert.ok(Buffer.concat(found).equals(whole))
    }
    assert.equal((await blocks(file).toArray())[0].length, 65536)
    const streamed = await blocks(createReadStream(file), { bytes: MIB }).toArray()
    assert.ok(Buffer.concat(streamed).equals(whole))
  })

  test('each has memory of its own', async (t) => {
    const found = await blocks(fileWith(t, bytesOf(1000)), { bytes: 300 }).toArray()
    assert.equal(new Set(found.map(({ buffer }) => buffer)).size, 4)
    for (const { buffer, length } of found) assert.equal(buffer.byteLength, length)
    const moved = structuredClone(found[0], { transfer: [found[0].buffer] })
    assert.deepEqual([moved.length, found[0].length, found[1].length], [300, 0, 300])
  })

  test('an empty file has none', async (t) => {
    assert.deepEqual(await blocks(fileWith(t, '')).toArray(), [])
  })

  test('errors are those of node:fs', async (t) => {
    const path = join(folderWith(t), 'none')
    await assert.rejects(blocks(path).toArray(), { code: 'ENOENT', errno: -2, syscall: 'open', path })
  })

  test('a file that grows or shrinks is read to where it ends then', async (t) => {
    const grows = fileWith(t, bytesOf(2 * MIB))
    let length = 0
    for await (const block of blocks(grows)) {
      if (length === 0) appendFileSync(grows, 'more')
      length += block.length
    }
    assert.equal(length, 2 * MIB + 4)
    const shrinks = fileWith(t, bytesOf(20 * MIB))
    length = 0
    for await (const block of blocks(shrinks)) {
      if (length === 0) truncateSync(shrinks, 5)
      length += block.length
    }
    assert.ok(length >= 65536 && length < 20 * MIB, `${length} bytes: what was read ahead`)
  })

  test('break leaves no descriptor', async (t) => {
    const file = fileWith(t, bytesOf(20 * MIB))
    for await (const block of blocks(file)) {
      assert.equal(block.length, 65536)
      assert.deepEqual(openBelow(file), [file])
      break
    }
    assert.deepEqual(openBelow(file), [])
  })

  test('for native operations', async (t) => {
    const file = fileWith(t, 'ab')
    assert.deepEqual(await parallelMap(blocks(file, { bytes: 1 }), native.sha256()).toArray(), [
      'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',
      '3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d',
    ])
  })

  test('wrong arguments', () => {
    for (const [options, error] of [
      [5, wrongType],
      [{ size: 5 }, { ...wrongType, message: /^Unknown option "size": expected one of bytes, / }],
      [{ bytes: '5' }, { ...wrongType, message: /"bytes": expected a positive integer, got "5"$/ }],
      [{ bytes: 0 }, { ...wrongRange, message: /got 0$/ }],
      [{ bytes: 2 ** 31 }, { ...wrongRange, message: /from 1 to 2147483647, got 2147483648$/ }],
    ]) {
      assert.throws(() => blocks('file', options), error)
    }
    assert.throws(() => blocks(Buffer.alloc(1)), wrongType)
  })
})
