// What parallelMap() makes of sources, mappers and options.

import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { type Context, type ParallelMap, parallelMap, type Settled, type Skip, skip } from 'millrace'
import { type Equal, expect } from './expect.js'

const numbers = [1, 2, 3]

// Results: of synchronous and asynchronous mappers, without promises.
{
  const results = parallelMap(numbers, async (n) => String(n))
  expect<Equal<typeof results, ParallelMap<string>>>()
  const synchronous = parallelMap(numbers, (n) => n > 1)
  expect<Equal<typeof synchronous, ParallelMap<boolean>>>()
  const either = parallelMap(numbers, (n) => (n > 1 ? n : Promise.resolve('later')))
  expect<Equal<typeof either, ParallelMap<number | string>>>()
  const nothing = parallelMap(numbers, async () => {})
  expect<Equal<typeof nothing, ParallelMap<void>>>()
}

// Items: every kind of source says what its items are, promises are unwrapped.
parallelMap(new Set(['a']), (item) => expect<Equal<typeof item, string>>())
parallelMap(new Map([['a', 1]]), (item) => expect<Equal<typeof item, [string, number]>>())
parallelMap([Promise.resolve(1)], (item) => expect<Equal<typeof item, number>>())
parallelMap([1, Promise.resolve('a')], (item) => expect<Equal<typeof item, number | string>>())
parallelMap([1, 'a'] as const, (item) => expect<Equal<typeof item, 1 | 'a'>>())
parallelMap([1, 'a'] as [number, string], (item) => expect<Equal<typeof item, number | string>>())
parallelMap(
  (function* () {
    yield 1n
  })(),
  (item) => expect<Equal<typeof item, bigint>>(),
)
parallelMap(
  (async function* () {
    yield { id: 1 }
  })(),
  (item) => expect<Equal<typeof item, { id: number }>>(),
)
parallelMap(Readable.from(['a']), (item) => expect<Equal<typeof item, any>>())
declare const webStream: ReadableStream<Uint8Array>
parallelMap(webStream, (item) => expect<Equal<typeof item, Uint8Array>>())
declare const mixed: Iterable<string> | AsyncIterable<string>
parallelMap(mixed, (item) => expect<Equal<typeof item, string>>())

// The context.
parallelMap(numbers, (_item, context) => {
  expect<Equal<typeof context, Context>>()
  expect<Equal<typeof context.index, number>>()
  expect<Equal<typeof context.attempt, number>>()
  expect<Equal<typeof context.signal, AbortSignal>>()
  // @ts-expect-error it is read-only
  context.index = 1
})

// skip never shows up among the results, however it is returned.
{
  const odd = parallelMap(numbers, (n) => (n % 2 ? n : skip))
  expect<Equal<typeof odd, ParallelMap<number>>>()
  const later = parallelMap(numbers, async (n) => (n % 2 ? n : skip))
  expect<Equal<typeof later, ParallelMap<number>>>()
  const fromContext = parallelMap(numbers, async (n, context) => (n % 2 ? n : context.skip))
  expect<Equal<typeof fromContext, ParallelMap<number>>>()
  async function declared(n: number) {
    if (n % 2) return n
    return skip
  }
  const declaredBefore = parallelMap(numbers, declared)
  expect<Equal<typeof declaredBefore, ParallelMap<number>>>()
  const all = parallelMap(numbers, () => skip)
  expect<Equal<typeof all, ParallelMap<never>>>()
  expect<Equal<typeof skip, Skip>>()
}

// settled: outcomes instead of results; both if the program decides later.
{
  const settled = parallelMap(numbers, async (n) => (n % 2 ? n : skip), { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<number>>>>()
  const not = parallelMap(numbers, async (n) => n, { settled: false })
  expect<Equal<typeof not, ParallelMap<number>>>()
  const other = parallelMap(numbers, async (n) => n, { concurrency: 2 })
  expect<Equal<typeof other, ParallelMap<number>>>()
  const perhaps = parallelMap(numbers, async (n) => n, { settled: Math.random() > 0.5 })
  expect<Equal<typeof perhaps, ParallelMap<number | Settled<number>>>>()
  for await (const outcome of settled) {
    if (outcome.status === 'fulfilled') expect<Equal<typeof outcome.value, number>>()
    else expect<Equal<typeof outcome.reason, any>>()
    expect<Equal<typeof outcome.index, number>>()
  }
}

// What comes out, in each of the ways.
{
  const results = () => parallelMap(numbers, async (n) => String(n))
  const array = await results().toArray()
  expect<Equal<typeof array, string[]>>()
  const nothing = await results().forEach(async (result, index) => {
    expect<Equal<typeof result, string>>()
    expect<Equal<typeof index, number>>()
  })
  expect<Equal<typeof nothing, void>>()
  const sum = await results().reduce((total, result, index) => total + result.length + index, 0)
  expect<Equal<typeof sum, number>>()
  const later = await results().reduce(async (total, result) => total.add(result), new Set<string>())
  expect<Equal<typeof later, Set<string>>>()
  for await (const result of results()) expect<Equal<typeof result, string>>()
  const finished = results().finished
  expect<Equal<typeof finished, Promise<void>>>()
  await using disposed = results()
  expect<Equal<typeof disposed, ParallelMap<string>>>()
  // It is no promise.
  const awaited = await results()
  expect<Equal<typeof awaited, ParallelMap<string>>>()
  // @ts-expect-error an initial value is needed
  results().reduce((total: number) => total)
}

// Options.
const { signal } = new AbortController()
parallelMap(numbers, (n) => n, {
  concurrency: Infinity,
  preserveOrder: false,
  backpressure: 10,
  maxBytes: 1024,
  chunkSize: 'auto',
  signal,
  stopOnError: false,
  settled: true,
})
parallelMap(numbers, (n) => n, { chunkSize: 8, concurrency: undefined })
// @ts-expect-error a typo
parallelMap(numbers, (n) => n, { concurency: 2 })
// @ts-expect-error no string
parallelMap(numbers, (n) => n, { concurrency: '2' })
// @ts-expect-error no other word
parallelMap(numbers, (n) => n, { chunkSize: 'large' })

// Wrong sources and mappers.
// @ts-expect-error a string
parallelMap('text', (character) => character)
// @ts-expect-error binary data
parallelMap(Buffer.from('text'), (byte) => byte)
// @ts-expect-error binary data
parallelMap(new Float64Array(2), (number) => number)
// @ts-expect-error an object
parallelMap({ a: 1 }, (item) => item)
// @ts-expect-error a promise of an array
parallelMap(Promise.resolve([1]), (item) => item)
// @ts-expect-error no mapper
parallelMap(numbers)
// @ts-expect-error an object that is no operation
parallelMap(numbers, { run() {} })
// @ts-expect-error a mapper for other items
parallelMap(numbers, (item: string) => item)
