// Sinks of every size: a value is written as always or not at all, and nothing at or behind a limit is touched.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decoder, Encoder } from '../lib/codec.js'
import { assertSameGraph } from './codec-graph.js'
import { cloneable } from './codec-values.js'

const MARK = 0xa5
const large = /long|1000|large|500 deep|255|256|300|sparse|far apart|last of many|100 fields/

/** An encoder that knows the shapes of these values already, so that each attempt takes the same way. */
function trained(values, definitions) {
  const encoder = new Encoder((id, definition) => definitions.set(id, definition))
  encoder.rows = new Uint8Array(1 << 17)
  encoder.text = new Uint8Array(1 << 17)
  for (let round = 0; round < 3; round++) {
    for (const value of values) {
      encoder.rowPos = 0
      encoder.textPos = 0
      encoder.rowEnd = encoder.rows.length
      encoder.textEnd = encoder.text.length
      encoder.encode(value)
    }
  }
  return encoder
}

/** Write `value` into `rows` and `text` from `start` up to these limits; what happened, and what was touched. */
function attempt(encoder, value, start, rowEnd, textEnd) {
  encoder.rows.fill(MARK)
  encoder.text.fill(MARK)
  Object.assign(encoder, { rowPos: start, textPos: start, rowEnd, textEnd })
  const fits = encoder.encode(value)
  for (const [area, end] of [
    [encoder.rows, rowEnd],
    [encoder.text, textEnd],
  ]) {
    assert.ok(
      area.subarray(0, start).every((byte) => byte === MARK),
      'bytes before the position changed',
    )
    assert.ok(
      area.subarray(end).every((byte) => byte === MARK),
      'bytes behind the limit changed',
    )
  }
  if (!fits) assert.deepEqual([encoder.rowPos, encoder.textPos], [start, start])
  return fits
}

for (const wrap of [(value) => value, (value) => ({ id: 1, name: 'some name', value, ok: true })]) {
  for (const [name, make] of Object.entries(cloneable)) {
    if (large.test(name)) continue
    test(`${name}${wrap(1) === 1 ? '' : ', in a record'}: sinks of every size`, () => {
      const value = wrap(make())
      const definitions = new Map()
      const encoder = trained([value], definitions)
      const rowSize = encoder.rowPos
      const textSize = encoder.textPos
      const start = 3
      encoder.rows = new Uint8Array(rowSize + 100)
      encoder.text = new Uint8Array(textSize + 100)
      // The walk may need a little more than the result: it writes what v8 then turns out to have to write.
      const spare = 40
      assert.ok(attempt(encoder, value, start, start + rowSize + spare, start + textSize + spare))
      assert.deepEqual([encoder.rowPos, encoder.textPos], [start + rowSize, start + textSize])
      const rows = encoder.rows.slice(start, start + rowSize)
      const text = encoder.text.slice(start, start + textSize)
      const same = (rowEnd, textEnd) => {
        if (!attempt(encoder, value, start, rowEnd, textEnd)) return
        assert.deepEqual(encoder.rows.slice(start, encoder.rowPos), rows)
        assert.deepEqual(encoder.text.slice(start, encoder.textPos), text)
      }
      const stride = Math.max(1, Math.ceil(rowSize / 150))
      for (let size = 0; size <= rowSize + spare; size += stride) same(start + size, start + textSize + spare)
      for (let size = 0; size <= textSize + spare; size++) same(start + rowSize + spare, start + size)
      for (let size = 0; size < rowSize; size += stride) {
        assert.equal(attempt(encoder, value, start, start + size, start + textSize + spare), false)
      }
      for (let size = 0; size < textSize; size++) {
        assert.equal(attempt(encoder, value, start, start + rowSize + spare, start + size), false)
      }

      const decoder = new Decoder()
      for (const [id, definition] of definitions) decoder.define(id, definition)
      decoder.open(rows, 0, textSize, text)
      assertSameGraph(decoder.decode(0, rowSize, 0), decoder.decode(0, rowSize, 0))
    })
  }
}

test('the sink may be swapped and be part of a larger buffer', () => {
  const decoder = new Decoder()
  const encoder = new Encoder((id, definition) => decoder.define(id, definition))
  for (let i = 0; i < 20; i++) {
    const memory = new ArrayBuffer(1000)
    encoder.rows = new Uint8Array(memory, 8 * i, 300)
    encoder.text = new Uint8Array(memory, 500 + i, 300)
    Object.assign(encoder, { rowPos: i, rowEnd: 300, textPos: 2 * i, textEnd: 300 })
    const value = { i, name: `name ${i}`, list: [i, 'ключ'], when: new Date(i) }
    assert.ok(encoder.encode(value))
    // One buffer for both, as the channel has it.
    const whole = new Uint8Array(memory)
    decoder.open(whole, 500 + i, 500 + i + encoder.textPos)
    assertSameGraph(decoder.decode(8 * i + i, 8 * i + encoder.rowPos, 2 * i), value)
  }
})
