// Very large items of native operations, which several threads copy: each is what it was when it was given, and their
// memory goes back to the system.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { native, parallelMap } from '../index.js'
import { until } from './processes.js'

const MIB = 1 << 20
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** No two pieces of it are the same. */
function numbered(length, seed = 0) {
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + seed, 2654435761)
  return new Uint8Array(words.buffer, 0, length)
}

test('an item of any size is what it was when it was given, whatever becomes of it', async () => {
  const operation = native.sha256()
  const sizes = [1, 2, 4, 7, 16].flatMap((count) =>
    [-4097, -1, 0, 1, 4096].map((more) => count * 2 * MIB + more),
  )
  for (const size of sizes) {
    const item = numbered(size, size)
    const expected = digest(item)
    const result = operation.run(item)
    item.fill(0)
    assert.equal(await result, expected, `${size} bytes`)
  }
})

test('many items, one after the other in the same memory, while the threads are busy', async () => {
  const items = Array.from({ length: 12 }, (_, at) => numbered(6 * MIB + at, at))
  const expected = items.map(digest)
  function* changed() {
    for (const item of items) {
      yield item
      // It was copied when it was pulled.
      item.fill(0)
    }
  }
  assert.deepEqual(await parallelMap(changed(), native.sha256()).toArray(), expected)
})

test('an array that is sorted is not changed, nor are other results when it is sorted again', async () => {
  const items = [1, 2, 3].map((seed) => new Float64Array(numbered(8 * MIB, seed).buffer).map((x) => x || 0))
  const expected = items.map((item) => item.toSorted())
  const results = []
  for (const item of items) results.push(await native.array.sort().run(item))
  for (const [at, result] of results.entries())
    assert.ok(Buffer.compare(bytes(result), bytes(expected[at])) === 0)
})

test('the memory of a large copy goes back to the system when it is not used', async () => {
  const item = numbered(96 * MIB)
  await native.sha256().run(numbered(MIB))
  const before = ownBytes()
  await native.crc32().run(item)
  await until(() => ownBytes() < before + 32 * MIB)
})

const bytes = ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)

function ownBytes() {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}
