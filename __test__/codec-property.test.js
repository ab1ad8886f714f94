// Arbitrary values make the round trip.

import { test } from 'node:test'
import v8 from 'node:v8'
import fc from 'fast-check'
import { assertSameGraph, Channel } from './codec-graph.js'

const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
  maxDepth: 4,
})
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.string({ maxLength: 40 }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.record({ id: fc.integer(), name: fc.string(), value: tie('value') }, { requiredKeys: ['id'] }),
    fc.dictionary(fc.string(), tie('value')),
  ),
})).value

const throughV8 = (value) => v8.deserialize(v8.serialize(value))

for (const [name, values] of Object.entries({ anything, plain })) {
  test(`${name}, one at a time, through a channel that has seen others`, () => {
    const channel = new Channel()
    fc.assert(
      fc.property(values, (value) => {
        assertSameGraph(channel.trip(value), throughV8(value))
      }),
      { numRuns: 1000 },
    )
  })

  test(`${name}, in batches`, () => {
    fc.assert(
      fc.property(fc.array(values, { maxLength: 20 }), (batch) => {
        new Channel().batch([...batch, ...batch]).forEach((result, i) => {
          assertSameGraph(result, throughV8(batch[i % batch.length]))
        })
      }),
      { numRuns: 300 },
    )
  })
}

test('records of the same keys with other values', () => {
  const shapes = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(
      shapes,
      fc.array(fc.array(plain, { minLength: 8, maxLength: 8 }), { maxLength: 10 }),
      (keys, rows) => {
        const records = rows.map((row) => Object.fromEntries(keys.map((key, i) => [key, row[i]])))
        new Channel().batch(records).forEach((result, i) => {
          assertSameGraph(result, throughV8(records[i]))
        })
      },
    ),
    { numRuns: 300 },
  )
})
