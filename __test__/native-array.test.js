// native.array: against plain JavaScript, on every type of array, and on what numbers can be.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { native, parallelMap } from '../index.js'
import { LIMIT } from './processes.js'

const { array } = native
const INTEGERS = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]
const FLOATS = [Float32Array, Float64Array]
const BIGINTS = [BigInt64Array, BigUint64Array]
const TYPES = [...INTEGERS, ...FLOATS, ...BIGINTS]
const isBig = (type) => BIGINTS.includes(type)

/** Arrays of any type, with any bits in them. */
const anyArray = fc
  .record({
    type: fc.constantFrom(...TYPES),
    length: fc.integer({ min: 0, max: 40 }),
    times: fc.constantFrom(1, 1, 300),
  })
  .chain(({ type, length, times }) =>
    fc.uint8Array({ minLength: length * 8, maxLength: length * 8 }).map((bytes) => {
      const once = new type(Uint8Array.from(bytes).buffer)
      return type.from({ length: once.length * times }, (_, at) => once[at % once.length])
    }),
  )

/** Of floats that are a number each. */
const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
  maxLength: 200,
})
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const wrongRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

/** NaN and -0 are told apart by this, and types of arrays. */
function same(actual, expected) {
  assert.equal(actual?.constructor, expected?.constructor)
  // Of typed arrays, deepStrictEqual compares bytes, and NaN has many.
  if (ArrayBuffer.isView(expected)) assert.deepStrictEqual(Array.from(actual), Array.from(expected))
  else assert.deepStrictEqual(actual, expected)
}

function near(actual, expected) {
  if (Number.isNaN(expected)) return assert.ok(Number.isNaN(actual), `${actual} is not NaN`)
  assert.ok(
    Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${actual} is not ${expected}`,
  )
}

describe('sort and argsort', LIMIT, () => {
  test('as TypedArray.prototype.sort does it, whatever is in the array', async () => {
    const [sort, argsort] = [array.sort(), array.argsort()]
    await fc.assert(
      fc.asyncProperty(anyArray, async (items) => {
        const before = items.slice()
        const expected = items.toSorted()
        same(await sort.run(items), expected)
        same(sort.runSync(items), expected)
        const order = argsort.runSync(items)
        assert.ok(order instanceof Uint32Array)
        same(
          items.constructor.from(order, (at) => items[at]),
          expected,
        )
        for (let i = 1; i < order.length; i++)
          if (Object.is(expected[i], expected[i - 1]))
            assert.ok(order[i] > order[i - 1], 'equal ones keep their order')
        same(items, before)
      }),
      { numRuns: 150 },
    )
  })

  test('zeroes, NaN and infinities', () => {
    const odd = [NaN, 0, -0, Infinity, -Infinity, 1, -1]
    same(
      array.sort().runSync(Float64Array.from(odd)),
      Float64Array.of(-Infinity, -1, -0, 0, 1, Infinity, NaN),
    )
    same(array.argsort().runSync(Float32Array.from(odd)), Uint32Array.of(4, 6, 2, 1, 5, 3, 0))
    // NaN with a sign, which JavaScript cannot tell.
    const negative = new Float64Array(new BigUint64Array([0xfff8000000000000n, 0n]).buffer)
    same(array.sort().runSync(negative), Float64Array.of(0, NaN))
  })

  test('large arrays, at once, and views of a larger one', async () => {
    const items = Array.from({ length: 4 }, (_, seed) =>
      Float64Array.from({ length: 200_001 }, (_, at) => Math.sin(at * 7919 + seed) * 1e6),
    )
    same(
      await parallelMap(items, array.sort()).toArray(),
      items.map((item) => item.toSorted()),
    )
    const view = items[0].subarray(5, 150_000)
    same(await array.sort().run(view), view.toSorted())
  })
})

describe('sums', LIMIT, () => {
  test('of integers are exact', () => {
    fc.assert(
      fc.property(anyArray, (items) => {
        if (FLOATS.includes(items.constructor)) return
        const exact = items.reduce((sum, item) => sum + BigInt(item), 0n)
        same(array.sum().runSync(items), isBig(items.constructor) ? exact : Number(exact))
        near(array.mean().runSync(items), items.length === 0 ? NaN : Number(exact) / items.length)
      }),
    )
    same(array.sum().runSync(new Uint32Array(3_000_000).fill(2 ** 32 - 1)), 3_000_000 * (2 ** 32 - 1))
    same(array.sum().runSync(BigUint64Array.of(2n ** 64n - 1n, 2n ** 64n - 1n)), 2n ** 65n - 2n)
  })

  test('of floating point do not lose what is small', () => {
    same(array.sum().runSync(Float64Array.of(1, 1e100, 1, -1e100)), 2)
    same(array.sum().runSync(new Float64Array(1e6).fill(0.1)), 100_000)
    same(array.mean().runSync(new Float64Array(1e6).fill(0.1)), 0.1)
    same(array.sum().runSync(Float32Array.of(2 ** 24, 1, 1)), 2 ** 24 + 2)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 40), max: 2 ** 40 })), (integers) => {
        const sum = integers.reduce((sum, integer) => sum + integer, 0)
        same(array.sum().runSync(Float64Array.from(integers)), sum + 0)
      }),
    )
  })

  test('of nothing, of infinities and of NaN', () => {
    for (const type of TYPES) {
      same(array.sum().runSync(new type(0)), isBig(type) ? 0n : 0)
      same(array.mean().runSync(new type(0)), NaN)
      same(array.variance().runSync(new type(0)), NaN)
    }
    same(array.sum().runSync(Float64Array.of(-0)), 0)
    same(array.sum().runSync(Float64Array.of(1, Infinity, 1)), Infinity)
    same(array.sum().runSync(Float64Array.of(Infinity, -Infinity)), NaN)
    same(array.sum().runSync(Float64Array.of(1, NaN)), NaN)
    same(array.sum().runSync(Float64Array.of(1e308, 1e308)), Infinity)
  })

  test('variance', () => {
    same(array.variance().runSync(Float64Array.of(2, 4, 4, 4, 5, 5, 7, 9)), 4)
    same(array.variance({ ddof: 1 }).runSync(Float64Array.of(1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16)), 30)
    same(array.variance().runSync(BigInt64Array.of(-1n, 1n)), 1)
    same(array.variance({ ddof: 2 }).runSync(Uint8Array.of(1, 2)), NaN)
    same(array.variance().runSync(Float64Array.of(1, NaN)), NaN)
    same(array.variance().runSync(Float64Array.of(1, Infinity)), NaN)
    same(array.variance().runSync(Float64Array.of(1e308, 1e308)), 0)
    same(array.variance().runSync(Float64Array.of(1e308, -1e308)), Infinity)
    same(array.mean().runSync(Float64Array.of(1e308, 1e308)), 1e308)
    fc.assert(
      fc.property(numbers, (items) => {
        const mean = items.reduce((sum, item) => sum + item, 0) / items.length
        const expected = items.reduce((sum, item) => sum + (item - mean) ** 2, 0) / items.length
        near(array.variance().runSync(Float64Array.from(items)), expected)
      }),
    )
  })

  test('dot', () => {
    same(array.dot().runSync([Float64Array.of(1e16, 1, -1e16), Float64Array.of(1, 0.5, 1)]), 0.5)
    same(array.dot().runSync([BigInt64Array.of(2n ** 62n), BigInt64Array.of(-4n)]), -(2n ** 64n))
    for (const type of TYPES) same(array.dot().runSync([new type(0), new type(0)]), isBig(type) ? 0n : 0)
    fc.assert(
      fc.property(anyArray, (items) => {
        if (FLOATS.includes(items.constructor) || isBig(items.constructor)) return
        const exact = items.reduce((sum, item) => sum + BigInt(item) * BigInt(item), 0n)
        same(array.dot().runSync([items, items]), Number(exact))
      }),
    )
    const most = BigUint64Array.of(2n ** 64n - 1n)
    assert.throws(() => array.dot().runSync([most, most]), { ...wrongRange, message: /128 bits/ })
    // The whole product would fit.
    const least = -(2n ** 63n)
    const [one, other] = [
      BigInt64Array.of(least, least, least),
      BigInt64Array.of(least, least, 2n ** 63n - 1n),
    ]
    assert.throws(() => array.dot().runSync([one, other]), { ...wrongRange, message: /128 bits/ })
    assert.throws(() => array.dot().runSync([most, new BigUint64Array(2)]), {
      ...wrongRange,
      message: /got 1 and 2 elements/,
    })
    assert.throws(() => array.dot().runSync([most, new Float64Array(1)]), {
      ...wrongType,
      message: /same type/,
    })
    assert.throws(() => array.dot().runSync([most]), { ...wrongRange, message: /got 1/ })
    assert.throws(() => array.dot().runSync(most), wrongType)
    const hole = [, most]
    assert.throws(() => array.dot().runSync(hole), { ...wrongType, message: /"item\[0\]".*got undefined$/ })
  })

  test('cumsum', () => {
    same(array.cumsum().runSync(Float64Array.of(1, 1e100, 1, -1e100)), Float64Array.of(1, 1e100, 1e100, 2))
    same(array.cumsum().runSync(Float32Array.of(0.5, 0.25)), Float32Array.of(0.5, 0.75))
    same(array.cumsum().runSync(Uint8Array.of(255, 255, 1)), Float64Array.of(255, 510, 511))
    same(array.cumsum().runSync(BigInt64Array.of(-5n, 3n)), BigInt64Array.of(-5n, -2n))
    same(array.cumsum().runSync(Float64Array.of(1, NaN, 1)), Float64Array.of(1, NaN, NaN))
    same(array.cumsum().runSync(new Int32Array(0)), new Float64Array(0))
    assert.throws(() => array.cumsum().runSync(BigInt64Array.of(2n ** 63n - 1n, 1n)), {
      ...wrongRange,
      message: /first 2 elements/,
    })
  })
})

describe('how numbers are spread', LIMIT, () => {
  test('minmax, as Math.min and Math.max', () => {
    fc.assert(
      fc.property(anyArray, (items) => {
        const { min, max } = array.minmax().runSync(items)
        if (items.length === 0) return same([min, max], [undefined, undefined])
        if (!isBig(items.constructor)) return same([min, max], [Math.min(...items), Math.max(...items)])
        const sorted = items.toSorted()
        same([min, max], [sorted[0], sorted.at(-1)])
      }),
    )
    same(array.minmax().runSync(Float64Array.of(0, -0, 1)), { min: -0, max: 1 })
    same(array.minmax().runSync(Float64Array.of(1, NaN)), { min: NaN, max: NaN })
  })

  test('histogram: every element is where it belongs', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 30 }), (items, bins) => {
        const { counts, edges, outside } = array.histogram({ bins }).runSync(Float64Array.from(items))
        same([counts.length, edges.length, outside], [bins, bins + 1, 0])
        for (const [at, count] of counts.entries()) {
          const last = at === bins - 1
          const inside = (item) =>
            item >= edges[at] && (item < edges[at + 1] || (last && item === edges[at + 1]))
          same(count, items.filter(inside).length)
        }
      }),
    )
  })

  test('histogram: ranges, and what is outside', () => {
    const items = Float64Array.of(0, 1, 1.5, 2, 3, 4, NaN, Infinity, -9)
    same(array.histogram({ bins: 4, min: 0, max: 4 }).runSync(items), {
      counts: Uint32Array.of(1, 2, 1, 2),
      edges: Float64Array.of(0, 1, 2, 3, 4),
      outside: 3,
    })
    same(array.histogram({ bins: 2 }).runSync(Uint8Array.of(5, 5)).edges, Float64Array.of(4.5, 5, 5.5))
    same(array.histogram({ bins: 1 }).runSync(BigInt64Array.of(-1n, 1n)).counts, Uint32Array.of(2))
    same(array.histogram().runSync(new Float64Array(0)).counts, new Uint32Array(10))
    same(
      array.histogram({ bins: 2 }).runSync(Float64Array.of(-1.7e308, 0, 1.7e308)).counts,
      Uint32Array.of(1, 2),
    )
    // A limit that is given stays, with nothing on its other side, too.
    same(array.histogram({ bins: 2, min: 10 }).runSync(Float64Array.of(9.7, 1)), {
      counts: Uint32Array.of(0, 0),
      edges: Float64Array.of(10, 10.5, 11),
      outside: 2,
    })
    same(array.histogram({ bins: 1, max: 3 }).runSync(Float64Array.of(3.2, 3)), {
      counts: Uint32Array.of(1),
      edges: Float64Array.of(2, 3),
      outside: 1,
    })
    const { counts, edges } = array.histogram({ bins: 4 }).runSync(Float64Array.of(1e17, 1e17))
    same(
      counts.reduce((sum, count) => sum + count),
      2,
    )
    same(new Set(edges).size, 5)
    const many = Float64Array.from({ length: 300_000 }, (_, at) => at)
    same(
      array.histogram({ bins: 3, min: 0, max: 300_000 }).runSync(many).counts,
      new Uint32Array(3).fill(100_000),
    )
  })

  test('quantiles', () => {
    const found = array.quantiles([0, 0.1, 0.5, 0.9, 1]).runSync(Uint8Array.of(10, 1, 3, 2, 4))
    for (const [at, expected] of [1, 1.4, 3, 7.6, 10].entries()) near(found[at], expected)
    same(array.quantiles([0.5]).runSync(BigInt64Array.of(1n, 2n)), Float64Array.of(1.5))
    same(array.quantiles([0, 1]).runSync(Float64Array.of(1, NaN)), Float64Array.of(NaN, NaN))
    same(array.quantiles([0.5]).runSync(new Float64Array(0)), Float64Array.of(NaN))
    same(array.quantiles([0.75]).runSync(Float64Array.of(Infinity, Infinity, 1)), Float64Array.of(Infinity))
    same(array.quantiles([]).runSync(Float64Array.of(1)), new Float64Array(0))
  })
})

describe('operations', LIMIT, () => {
  test('pipes: what gives an array, and what takes one', () => {
    const { pipe, sha256 } = native
    same(pipe(array.sort(), array.cumsum()).runSync(Int8Array.of(3, -1)), Float64Array.of(-1, 2))
    const bytes = Buffer.from(Float64Array.of(1, 2).buffer)
    same(pipe(array.sort(), sha256()).runSync(Float64Array.of(2, 1)), sha256().runSync(bytes))
    assert.throws(() => pipe(array.sum(), array.sort()), wrongType)
    assert.throws(() => pipe(sha256(), array.sort()), wrongType)
  })

  test('what is no array of numbers is an error of that item', async () => {
    for (const item of [undefined, 5, 'text', [1, 2], new ArrayBuffer(8), new DataView(new ArrayBuffer(8))]) {
      await assert.rejects(array.sort().run(item), wrongType)
      assert.throws(() => array.sum().runSync(item), wrongType)
    }
    const outcomes = await parallelMap([Int8Array.of(2), 'no', Int8Array.of(1)], array.sum(), {
      settled: true,
    }).toArray()
    same(
      outcomes.map(({ value, reason }) => value ?? reason.code),
      [2, 'ERR_INVALID_ARG_TYPE', 1],
    )
  })

  test('wrong options', () => {
    for (const [make, error] of [
      [() => array.sort({}), { ...wrongType, message: /expected no options, got an object/ }],
      [() => array.variance({ ddof: '1' }), { ...wrongType, message: /"ddof": expected an integer/ }],
      [() => array.variance({ ddof: -1 }), { ...wrongRange, message: /got -1$/ }],
      [() => array.variance({ sample: true }), wrongType],
      [() => array.histogram({ bins: '10' }), wrongType],
      [() => array.histogram({ bins: 0 }), { ...wrongRange, message: /from 1 to 1048576, got 0$/ }],
      [
        () => array.histogram({ min: '1' }),
        { ...wrongType, message: /"min": expected a finite number, got "1"$/ },
      ],
      [
        () => array.histogram({ max: NaN }),
        { ...wrongRange, message: /"max": expected a finite number, got NaN$/ },
      ],
      [() => array.histogram({ min: 1, max: 1 }), { ...wrongRange, message: /above min \(1\), got 1$/ }],
      [() => array.quantiles(), wrongType],
      [() => array.quantiles(0.5), wrongType],
      [
        () => array.quantiles(['a']),
        { ...wrongType, message: /"probabilities\[0\]": expected a number from 0 to 1, got "a"$/ },
      ],
      [() => array.quantiles([0, 1.1]), { ...wrongRange, message: /got 1\.1$/ }],
      [() => array.quantiles([NaN]), wrongRange],
    ]) {
      assert.throws(make, error)
    }
  })
})
