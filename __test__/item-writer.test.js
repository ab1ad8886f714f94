// How often a long item is read: once to see how long it is, and once more where there is room for it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decoder, Encoder } from '../lib/codec.js'
import { CommandEncoder } from '../lib/command-codec.js'
import { ItemWriter } from '../lib/item-writer.js'

const LONG = 'é'.repeat(1_000_000)

test('a long item for a program becomes JSON twice, however much room it needs', () => {
  let calls = 0
  const counted = (value) => {
    calls++
    return value
  }
  const writer = new ItemWriter(new CommandEncoder('ndjson', false))
  writer.write('first')
  writer.write({ toJSON: () => counted(LONG) })
  writer.write('last')
  assert.equal(calls, 2)
  assert.equal(Buffer.from(writer.rows).toString(), `\0"first"\0${JSON.stringify(LONG)}\0"last"`)
  writer.clear()
  writer.write({ toJSON: () => counted('short') })
  assert.equal(calls, 3)
})

test('so does one for a worker become a clone', () => {
  let calls = 0
  const item = new Map([
    [
      'key',
      {
        get long() {
          calls++
          return LONG
        },
      },
    ],
  ])
  const writer = new ItemWriter(new Encoder(() => {}))
  writer.write(1)
  writer.write(item)
  assert.equal(calls, 2)
  const decoder = new Decoder()
  decoder.open(writer.rows, 0, writer.text.length, writer.text)
  const [first] = writer.sizes
  assert.deepEqual(decoder.decode(first, writer.rows.length, 0), new Map([['key', { long: LONG }]]))
})

test('what a long item needed is nothing to the next one', () => {
  const encoder = new Encoder(() => {})
  const writer = new ItemWriter(encoder)
  writer.write(new Map([['key', LONG + LONG]]))
  writer.clear()
  writer.write('a'.repeat(20_000))
  assert.ok(encoder.rows.length + encoder.text.length < 200_000)
})
