// What batch() and the stages of a chain make of items and results.

import { Readable } from 'node:stream'
import {
  batch,
  type Context,
  type Mapped,
  native,
  type ParallelMap,
  parallelMap,
  type Settled,
  skip,
  workerPool,
} from 'millrace'
import { type Equal, expect } from './expect.js'

declare function nothingAtAll(): void

type Row = { id: number; text: string }
declare const rows: ParallelMap<Row>
declare const numbers: ParallelMap<number>
declare const either: ParallelMap<number | string>
declare const pairs: ParallelMap<readonly [number, string]>
declare const perhaps: boolean

// map()
{
  const texts = numbers.map(async (n, context) => {
    expect<Equal<typeof n, number>>()
    expect<Equal<typeof context, Context>>()
    return String(n)
  })
  expect<Equal<typeof texts, ParallelMap<string>>>()
  const skipping = numbers.map((n) => (n > 1 ? n : skip))
  expect<Equal<typeof skipping, ParallelMap<number>>>()
  const pair = pairs.map(([n, text]) => ({ n, text }))
  expect<Equal<typeof pair, ParallelMap<{ n: number; text: string }>>>()
  const tuple = numbers.map((n): [number, string] => [n, 'a'])
  expect<Equal<typeof tuple, ParallelMap<[number, string]>>>()
  const settled = numbers.map(async (n) => n, { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<number>>>>()
  const not = numbers.map(async (n) => n, { settled: false, concurrency: 2 })
  expect<Equal<typeof not, ParallelMap<number>>>()
  const maybe = numbers.map(async (n) => n, { settled: perhaps })
  expect<Equal<typeof maybe, ParallelMap<number | Settled<number>>>>()
  const outcomes = settled.map((outcome) => {
    expect<Equal<typeof outcome, Settled<number>>>()
    return outcome.status === 'fulfilled' ? outcome.value : skip
  })
  expect<Equal<typeof outcomes, ParallelMap<number>>>()
  // @ts-expect-error a mapper for other items
  numbers.map((text: string) => text)
  // @ts-expect-error no mapper
  numbers.map()
  // @ts-expect-error a typo
  numbers.map((n) => n, { concurency: 1 })
  // @ts-expect-error no object with a method is a mapper
  numbers.map({ run() {} })
}

// filter(): the type stays, or becomes what the predicate says.
{
  const some = rows.filter(async ({ id }) => id > 1)
  expect<Equal<typeof some, ParallelMap<Row>>>()
  const anything = rows.filter(({ text }) => text)
  expect<Equal<typeof anything, ParallelMap<Row>>>()
  const skipping = rows.filter(({ id }) => (id > 1 ? true : skip))
  expect<Equal<typeof skipping, ParallelMap<Row>>>()
  const onlyTexts = either.filter((value) => typeof value === 'string')
  expect<Equal<typeof onlyTexts, ParallelMap<string>>>()
  const declared = either.filter((value): value is number => typeof value === 'number')
  expect<Equal<typeof declared, ParallelMap<number>>>()
  const settled = either.filter((value): value is number => typeof value === 'number', { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<number>>>>()
  const outcomes = rows.filter(async () => true, { settled: true })
  expect<Equal<typeof outcomes, ParallelMap<Settled<Row>>>>()
  const maybe = rows.filter(async () => true, { settled: perhaps })
  expect<Equal<typeof maybe, ParallelMap<Row | Settled<Row>>>>()
  const given = (declared as ParallelMap<number | undefined>).filter((value) => value !== undefined)
  expect<Equal<typeof given, ParallelMap<number>>>()
  const immutable = pairs.filter(([n]) => n > 1)
  expect<Equal<typeof immutable, ParallelMap<readonly [number, string]>>>()
  // @ts-expect-error a mapper for other items
  numbers.filter((text: string) => text)
  const wider = numbers.filter((value: number | string): value is string => typeof value === 'string')
  expect<Equal<typeof wider, ParallelMap<number>>>()
  // @ts-expect-error no mapper
  numbers.filter(Boolean, true)
}

// flatMap()
{
  const fromArray = numbers.flatMap((n) => [n, String(n)])
  expect<Equal<typeof fromArray, ParallelMap<number | string>>>()
  const later = numbers.flatMap(async (n) => [n])
  expect<Equal<typeof later, ParallelMap<number>>>()
  const promises = numbers.flatMap((n) => [Promise.resolve(n), 'a'])
  expect<Equal<typeof promises, ParallelMap<number | string>>>()
  const readonlyArray = numbers.flatMap((n) => [n, 'a'] as const)
  expect<Equal<typeof readonlyArray, ParallelMap<number | 'a'>>>()
  const tuple = numbers.flatMap((n): [number, string] => [n, 'a'])
  expect<Equal<typeof tuple, ParallelMap<number | string>>>()
  const nested = numbers.flatMap((n) => [[n]])
  expect<Equal<typeof nested, ParallelMap<number[]>>>()
  const generated = numbers.flatMap(function* (n) {
    yield n
    yield 'a'
  })
  expect<Equal<typeof generated, ParallelMap<number | 'a'>>>()
  const awaited = numbers.flatMap(async function* (n) {
    yield n
    return 'not this'
  })
  expect<Equal<typeof awaited, ParallelMap<number>>>()
  const set = numbers.flatMap((n) => new Set([n]))
  expect<Equal<typeof set, ParallelMap<number>>>()
  const map = numbers.flatMap((n) => new Map([['a', n]]))
  expect<Equal<typeof map, ParallelMap<[string, number]>>>()
  const call = numbers.flatMap((n) => parallelMap([n], String))
  expect<Equal<typeof call, ParallelMap<string>>>()
  const stream = numbers.flatMap(() => Readable.from(['a']))
  expect<Equal<typeof stream, ParallelMap<any>>>()
  const shapes = numbers.flatMap((n) => (n > 1 ? [n] : new Set(['a'])))
  expect<Equal<typeof shapes, ParallelMap<number | string>>>()
  const skipping = numbers.flatMap((n) => (n > 1 ? [n] : skip))
  expect<Equal<typeof skipping, ParallelMap<number>>>()
  const skippingLater = numbers.flatMap(async (n, context) => (n > 1 ? [n] : context.skip))
  expect<Equal<typeof skippingLater, ParallelMap<number>>>()
  const sometimesLater = numbers.flatMap((n) => (n > 1 ? [n] : Promise.resolve(['a'])))
  expect<Equal<typeof sometimesLater, ParallelMap<number | string>>>()
  const nothing = numbers.flatMap(() => skip)
  expect<Equal<typeof nothing, ParallelMap<never>>>()
  const empty = numbers.flatMap(() => [])
  expect<Equal<typeof empty, ParallelMap<never>>>()
  const settled = numbers.flatMap((n) => [n], { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<number>>>>()
  const maybe = numbers.flatMap((n) => [n], { settled: perhaps })
  expect<Equal<typeof maybe, ParallelMap<number | Settled<number>>>>()
  const untyped = numbers.flatMap((): any => [1])
  expect<Equal<typeof untyped, ParallelMap<any>>>()
  const split = pairs.flatMap((pair) => pair.slice())
  expect<Equal<typeof split, ParallelMap<number | string>>>()
  const rowsAgain = rows.batch(2).flatMap((some) => some.slice())
  expect<Equal<typeof rowsAgain, ParallelMap<Row>>>()
  // @ts-expect-error a number cannot be iterated
  numbers.flatMap((n) => n + 1)
  // @ts-expect-error a string is iterated by character
  numbers.flatMap((n) => String(n))
  // @ts-expect-error nor is a promise of one
  numbers.flatMap(async (n) => String(n))
  // @ts-expect-error binary data
  numbers.flatMap(() => Buffer.from('a'))
  // @ts-expect-error nothing
  numbers.flatMap(nothingAtAll)
  // @ts-expect-error one of them is no iterable
  numbers.flatMap((n) => (n > 1 ? [n] : undefined))
  // @ts-expect-error an object
  numbers.flatMap((n) => ({ n }))
}

// batch()
{
  const gathered = batch([1, 'a'], 2)
  expect<Equal<typeof gathered, ParallelMap<(number | string)[]>>>()
  const awaited = batch([Promise.resolve(1)], { size: 2, wait: 10 })
  expect<Equal<typeof awaited, ParallelMap<number[]>>>()
  const literal = batch([1, 'a'] as const, { bytes: 10 })
  expect<Equal<typeof literal, ParallelMap<(1 | 'a')[]>>>()
  const ofMap = batch(new Map([['a', 1]]), 2)
  expect<Equal<typeof ofMap, ParallelMap<[string, number][]>>>()
  const generated = batch(
    (async function* () {
      yield { id: 1 }
    })(),
    2,
  )
  expect<Equal<typeof generated, ParallelMap<{ id: number }[]>>>()
  const ofCall = batch(rows, 2)
  expect<Equal<typeof ofCall, ParallelMap<Row[]>>>()
  const method = rows.batch(2)
  expect<Equal<typeof method, ParallelMap<Row[]>>>()
  const options = pairs.batch({ size: 2, bytes: 100, wait: 0 })
  expect<Equal<typeof options, ParallelMap<(readonly [number, string])[]>>>()
  const mapped = parallelMap(batch(rows, 2), (some) => {
    expect<Equal<typeof some, Row[]>>()
    return some.length
  })
  expect<Equal<typeof mapped, ParallelMap<number>>>()
  // @ts-expect-error how many?
  batch([1])
  // @ts-expect-error no text
  batch([1], '2')
  // @ts-expect-error a typo
  batch([1], { sizes: 2 })
  // @ts-expect-error a string is no source
  batch('text', 2)
  // @ts-expect-error binary data is no source
  batch(Buffer.from('a'), 2)
  // @ts-expect-error how many?
  rows.batch()
}

// take() and drop() keep the type.
{
  const first = pairs.take(2)
  expect<Equal<typeof first, ParallelMap<readonly [number, string]>>>()
  const rest = either.drop(Infinity)
  expect<Equal<typeof rest, ParallelMap<number | string>>>()
  // @ts-expect-error how many?
  rows.take()
  // @ts-expect-error no text
  rows.drop('1')
}

// The ends of a chain.
{
  const readable = rows.toReadable()
  expect<Equal<typeof readable, Readable>>()
  const again = parallelMap(rows, (row) => {
    expect<Equal<typeof row, Row>>()
    return row.id
  })
  expect<Equal<typeof again, ParallelMap<number>>>()
  const chained = await parallelMap(['a'], async (text) => text.length)
    .filter((length) => length > 1)
    .flatMap((length) => [length, `${length}`])
    .map((value) => [value] as const)
    .drop(1)
    .take(5)
    .batch(2)
    .toArray()
  expect<Equal<typeof chained, (readonly [number | string])[][]>>()
  await using disposed = rows.take(1)
  expect<Equal<typeof disposed, ParallelMap<Row>>>()
}

// Pools and native operations are mappers, too.
{
  const untyped = workerPool('./task.js')
  const any = numbers.map(untyped)
  expect<Equal<typeof any, ParallelMap<any>>>()
  const kept = rows.filter(untyped)
  expect<Equal<typeof kept, ParallelMap<Row>>>()
  const flat = numbers.flatMap(untyped)
  expect<Equal<typeof flat, ParallelMap<any>>>()

  const counting = workerPool<string, number>('./task.js')
  const texts = numbers.map(String)
  const counts = texts.map(counting)
  expect<Equal<typeof counts, ParallelMap<number>>>()
  const keptTexts = texts.filter(counting, { settled: true })
  expect<Equal<typeof keptTexts, ParallelMap<Settled<string>>>>()
  const splitting = workerPool<string, string[]>('./task.js')
  const words = texts.flatMap(splitting)
  expect<Equal<typeof words, ParallelMap<string>>>()
  const either = workerPool<string, string[] | typeof skip>('./task.js')
  const settledWords = texts.flatMap(either, { settled: true })
  expect<Equal<typeof settledWords, ParallelMap<Settled<string>>>>()
  // @ts-expect-error items of another type
  numbers.map(counting)
  // @ts-expect-error items of another type
  numbers.filter(counting)
  // @ts-expect-error its results are no arrays
  texts.flatMap(counting)

  const hashes = texts.map(native.sha256())
  expect<Equal<typeof hashes, ParallelMap<string>>>()
  const withHashes = texts.filter(native.sha256())
  expect<Equal<typeof withHashes, ParallelMap<string>>>()
  // @ts-expect-error numbers have no bytes
  numbers.map(native.sha256())
  // @ts-expect-error a hash is no array
  texts.flatMap(native.sha256())
}

expect<Equal<Mapped<Promise<number | typeof skip>>, number>>()
