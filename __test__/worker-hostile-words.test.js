// What a worker says of its own end, and what it gives as a value: any bytes become an error or a value, and nothing else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serialize } from 'node:v8'
import fc from 'fast-check'
import { BatchReader, SECTION } from '../lib/batch-reader.js'
import { Decoder } from '../lib/codec.js'
import { MillraceError } from '../lib/errors.js'
import { crashError, exitOf, startError } from '../lib/worker-failure.js'
import { Channel } from './codec-graph.js'

/** Bytes that a worker may give as its last words: noise, and what the codec has written of a value, with faults in it. */
const said = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .tuple(
      fc.oneof(
        fc.anything(),
        fc.anything().map((cause) => Object.assign(new Error('mine', { cause }), { code: cause })),
        fc.anything().map((message) => Object.defineProperty(new TypeError(), 'message', { value: message })),
      ),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    )
    .map(([value, faults]) => {
      const channel = new Channel()
      try {
        channel.trip(value)
      } catch {
        return new Uint8Array(0)
      }
      const bytes = channel.encoder.rows.slice(0, channel.encoder.rowPos)
      for (const [at, byte] of faults) if (bytes.length > 0) bytes[at % bytes.length] = byte
      return bytes
    }),
)

const exit = fc.record({
  worker: fc.nat(),
  pid: fc.option(fc.nat()),
  exitCode: fc.option(fc.nat(255)),
  signal: fc.option(fc.constantFrom('SIGKILL', 'SIGABRT', 'signal 40')),
  stderr: fc.string({ unit: 'binary' }),
  spawnError: fc.option(fc.string()),
  violation: fc.option(fc.constant('it wrote an impossible record')),
  starting: fc.boolean(),
  outOfMemory: fc.option(fc.record({ rss: fc.option(fc.nat()), limit: fc.option(fc.nat()) })),
  attempt: fc.nat(),
})

/** As Rust writes it: length, JSON, then the words. */
function rowOf(exit, words) {
  const json = Buffer.from(JSON.stringify(exit))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  return Buffer.concat([length, json, words])
}

/** As PoolCore and PoolResults decode it. */
function decode(bytes) {
  const decoder = new Decoder()
  try {
    decoder.open(bytes, 0, 0)
    return decoder.decode(0, bytes.length, 0)
  } catch (error) {
    return error
  }
}

test('whatever a worker says of its end, it is an error of ours', () => {
  fc.assert(
    fc.property(exit, said, fc.option(fc.nat(), { nil: undefined }), (exit, words, index) => {
      const row = rowOf(exit, words)
      for (const error of [crashError(row, index, 'a pool', decode), startError(row, 'a pool', decode)]) {
        assert.ok(error instanceof MillraceError)
        assert.equal(typeof error.message, 'string')
        assert.equal(error.worker, exit.worker)
      }
      assert.deepEqual(exitOf(row).exitCode, exit.exitCode)
    }),
    { numRuns: 2000 },
  )
})

test('an error whose texts are no texts is none', () => {
  // Whoever puts it into a message of his own would run into this.
  const trap = { toString: 1, valueOf: 1, length: 5 }
  for (const key of ['message', 'name', 'stack']) {
    const description = serialize([['TypeError', 'TypeError', 'm', [[key, true, ['value', trap]]], []]])
    const row = Buffer.alloc(5 + description.length)
    row[0] = ERROR_TAG
    row.writeUInt32LE(description.length, 1)
    row.set(description, 5)
    const how = { worker: 1, pid: 2, exitCode: 1, signal: null, stderr: '', spawnError: null }
    const end = rowOf({ ...how, violation: null, starting: true, outOfMemory: null, attempt: 1 }, row)
    for (const error of [crashError(end, 0, 'a pool', decode), startError(end, 'a pool', decode)])
      assert.equal(error.cause.code, 'ERR_SERIALIZATION')
  }
})

test('a message of any bytes is a value or an error, and what follows it is read as it stands', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(said, fc.uint8Array({ maxLength: 50 })), { maxLength: 5 }), (messages) => {
      const words = messages.flatMap(([row, text]) => [SECTION.MESSAGE, 3, 5, 1, row.length, text.length])
      const rows = Buffer.concat(messages.map(([row]) => row))
      const texts = Buffer.concat(messages.map(([, text]) => text))
      const head = Uint32Array.from([HEADER_WORDS + words.length, rows.length, texts.length, 0, ...words])
      const bytes = new Uint8Array(Buffer.concat([Buffer.from(head.buffer), rows, texts]))
      const batch = new BatchReader(bytes, () => {})
      const decoder = new Decoder()
      for (const [row, text] of messages) {
        assert.equal(batch.word(), SECTION.MESSAGE)
        assert.equal(batch.word(), 3)
        assert.equal(batch.wide(), 5 + 2 ** 32)
        const at = batch.value()
        assert.deepEqual(bytes.slice(at.row, at.rowEnd), Uint8Array.from(row))
        assert.deepEqual(bytes.slice(at.text, at.textEnd), Uint8Array.from(text))
        try {
          decoder.open(bytes, at.text, at.textEnd)
          decoder.decode(at.row, at.rowEnd, 0)
        } catch (error) {
          assert.equal(error.code, 'ERR_SERIALIZATION')
        }
      }
      assert.ok(batch.ended)
    }),
    { numRuns: 2000 },
  )
})

/** The tag of an error, as the encoder has it. */
const ERROR_TAG = 12
/** Words before the first section. */
const HEADER_WORDS = 4
