// What native.array takes and gives.

import {
  type BigIntArray,
  type Histogram,
  type Limits,
  type NumberArray,
  native,
  parallelMap,
} from 'millrace'
import { type Equal, expect } from './expect.js'

const { array } = native

const sorted = array.sort().runSync(new Float64Array(1))
expect<Equal<typeof sorted, Float64Array>>()
const integers = array.sort<Int32Array>().runSync(new Int32Array(1))
expect<Equal<typeof integers, Int32Array>>()
const sum = array.sum().runSync(new Uint8Array(1))
expect<Equal<typeof sum, number>>()
const exact = array.sum<BigIntArray>().runSync(new BigInt64Array(1))
expect<Equal<typeof exact, bigint>>()
const order = array.argsort().runSync(new BigUint64Array(1))
expect<Equal<typeof order, Uint32Array>>()
const limits = array.minmax().runSync(new Float32Array(1))
expect<Equal<typeof limits, Limits<number>>>()
const histogram = array.histogram({ bins: 5, min: 0 }).run(new Float32Array(1))
expect<Equal<typeof histogram, Promise<Histogram>>>()
const running = array.cumsum<Uint8Array>().runSync(new Uint8Array(1))
expect<Equal<typeof running, Float64Array>>()
const product = array.dot<BigInt64Array>().runSync([new BigInt64Array(1), new BigInt64Array(1)])
expect<Equal<typeof product, bigint>>()
const pieces: NumberArray[] = [new Int8Array(1)]
parallelMap(pieces, array.mean()).map((mean) => expect<Equal<typeof mean, number>>())
native.pipe(array.sort(), array.quantiles([0.5]))

// @ts-expect-error an array is typed
array.sum().runSync([1, 2])
// @ts-expect-error it is another type
array.sort<Int32Array>().runSync(new Float64Array(1))
// @ts-expect-error one array is no product
array.dot().runSync(new Float64Array(1))
// @ts-expect-error there is no such option
array.histogram({ edges: 5 })
// @ts-expect-error probabilities are numbers
array.quantiles(['a'])
