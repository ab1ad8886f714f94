// What `millrace/p-map` and `millrace/async` take and give.

import { native, workerPool } from 'millrace'
import async, {
  type AsyncBooleanIterator,
  type AsyncForEachOfIterator,
  type AsyncIterator,
  type AsyncMemoIterator,
  type AsyncPriorityQueue,
  type AsyncResultIterator,
  type AsyncResultIteratorPromise,
  type AsyncResultObjectCallback,
  type DataContainer,
  type IterableCollection,
  type QueueObject,
} from 'millrace/async'
import pMap, {
  type Mapper,
  type Options,
  pMapIterable,
  pMapKeyed,
  pMapSettled,
  pMapSettledKeyed,
  pMapSkip,
  pMapStop,
} from 'millrace/p-map'
import { type Equal, expect } from './expect.js'

const pool = workerPool<string, number>('./task.js')
async function* source(): AsyncGenerator<number> {}

// p-map: elements are awaited, skip and stop are no results.
{
  const doubled = await pMap([1, Promise.resolve(2)], async (number) => number * 2, { concurrency: 16 })
  expect<Equal<typeof doubled, number[]>>()
  const some = await pMap(source(), (number) =>
    number > 5 ? pMapStop : number > 2 ? String(number) : pMapSkip,
  )
  expect<Equal<typeof some, string[]>>()
  const ofPool = await pMap(['a'], pool, { stopOnError: false, signal: AbortSignal.timeout(5) })
  expect<Equal<typeof ofPool, number[]>>()
  const digests = await pMap([Buffer.from('a')], native.sha256())
  expect<Equal<typeof digests, string[]>>()
  const outcomes = await pMapSettled([1], async (number, index) => number + index)
  expect<Equal<typeof outcomes, PromiseSettledResult<number>[]>>()
  for await (const result of pMapIterable(source(), String, { backpressure: 5, preserveOrder: false })) {
    expect<Equal<typeof result, string>>()
  }
  for await (const result of pMapIterable(['a'], pool)) expect<Equal<typeof result, number>>()
  const mapper: Mapper<number, string> = (number) => String(number)
  const options: Options = { concurrency: 2 }
  expect<Equal<Awaited<ReturnType<typeof pMap<number, string>>>, string[]>>()
  await pMap([1], mapper, options)
}
// Keys stay; they may be missing only where the mapper can skip.
{
  const both = await pMapKeyed({ a: 1, b: Promise.resolve(2) }, (number, key) => `${key}${number}`)
  expect<Equal<typeof both, { a: string; b: string }>>()
  const some = await pMapKeyed({ a: 1 }, (number) => (number > 1 ? number : pMapSkip))
  expect<Equal<typeof some, { a?: number }>>()
  const map = await pMapKeyed(new Map([['a', 1]]), (number) => number > 1)
  expect<Equal<typeof map, Map<string, boolean>>>()
  const settled = await pMapSettledKeyed({ a: 1 }, (number) => number * 2)
  expect<Equal<typeof settled, { a: PromiseSettledResult<number> }>>()
}
// @ts-expect-error no mapper
pMap([1])
// @ts-expect-error no input
pMap(5, String)
// @ts-expect-error the pool takes strings
pMap([1], pool)
// @ts-expect-error of another type
pMap([1], String, { concurrency: '5' })
// @ts-expect-error an array has no keys
pMapKeyed([1], String)
// @ts-expect-error nothing rejects a settled call
pMapSettled([1], String, { stopOnError: false })

// async: promises without a callback, nothing with one.
{
  const doubled = await async.map([1, 2], async (number) => number * 2)
  expect<Equal<typeof doubled, number[]>>()
  const texts = await async.mapLimit<number, string>([1, 2], 2, (number, callback) =>
    callback(null, String(number)),
  )
  expect<Equal<typeof texts, string[]>>()
  const none = async.map<number, string, Error>(
    [1],
    (number, callback) => callback(null, String(number)),
    (error, results) => {
      expect<Equal<typeof error, Error | null | undefined>>()
      expect<Equal<typeof results, (string | undefined)[]>>()
    },
  )
  expect<Equal<typeof none, void>>()
  const ofPool = await async.mapSeries(['a'], pool)
  expect<Equal<typeof ofPool, number[]>>()
  const kept = await async.filter(new Set([1]), async (number) => number > 1)
  expect<Equal<typeof kept, number[]>>()
  const one = await async.detect(source(), async (number) => number > 1)
  expect<Equal<typeof one, number | undefined>>()
  const any = await async.some([1], async (number) => number > 1)
  expect<Equal<typeof any, boolean>>()
  const values = await async.mapValues({ a: 1, b: 2 }, async (number, key) => `${key}${number}`)
  expect<Equal<typeof values, { a: string; b: string }>>()
  const sum = await async.reduce([1, 2], '', async (text, number) => text + number)
  expect<Equal<typeof sum, string>>()
  const joined = await async.concat([1], async (number) => [String(number)])
  expect<Equal<typeof joined, string[]>>()
  const groups = await async.groupBy([1], async (number) => (number > 1 ? 'many' : 'one'))
  expect<Equal<typeof groups, { [key: string]: number[] }>>()
  const transformed = await async.transform(
    [1],
    new Set<number>(),
    async (all, number) => void all.add(number),
  )
  expect<Equal<typeof transformed, Set<number>>>()
  // Without an accumulator: an array or an object, like the collection.
  async.transform(
    { a: 1 },
    (all: Record<string, string>, number, key, callback) => {
      expect<Equal<typeof number, number>>()
      all[key] = String(number)
      callback()
    },
    (_, result) => expect<Equal<typeof result, { [key: string]: string }>>(),
  )
  async.transform(
    [1],
    (all, number, key, callback) => {
      expect<Equal<typeof key, number>>()
      all.push(number)
      callback(null)
    },
    (_, result) => result.length,
  )
  const lengths = await async.transform(['a'], async (all: number[], text) => void all.push(text.length))
  expect<Equal<typeof lengths, number[]>>()
  // With the names that callers write down.
  const each: AsyncIterator<number> = (_, callback) => callback()
  const eachOf: AsyncForEachOfIterator<number> = (_, _key, callback) => callback()
  const length: AsyncResultIterator<string, number> = (text, callback) => callback(null, text.length)
  const lengthLater: AsyncResultIteratorPromise<string, number> = async (text) => text.length
  const isOdd: AsyncBooleanIterator<number> = (number, callback) => callback(null, number % 2 === 1)
  const add: AsyncMemoIterator<number, number> = (sum = 0, number, callback) => callback(null, sum + number)
  const collection: IterableCollection<number> = [1]
  const whenMapped: AsyncResultObjectCallback<number> = (error, results) => error ?? results.a?.toFixed()
  async.each(collection, each, () => {})
  async.eachOf({ a: 1 }, eachOf, () => {})
  async.map(['a'], length, (_, results) => expect<Equal<typeof results, (number | undefined)[]>>())
  async.map(['a'], lengthLater).then((results) => expect<Equal<typeof results, number[]>>())
  async.filter([1], isOdd, () => {})
  async.reduce([1], 0, add, () => {})
  async.mapValues({ a: 1 }, (number, _key, callback) => callback(null, number), whenMapped)
  const held: DataContainer<number> = { data: 1, priority: 0 }
  held.priority
  async.each(
    [1],
    (_, callback) => callback(),
    (error) => error,
  )
  async.eachOf(
    { a: 1 },
    (_, key, callback) => {
      expect<Equal<typeof key, 'a'>>()
      callback(null)
    },
    () => {},
  )
}
// Queues.
{
  const q: QueueObject<number> = async.queue<number, string>(
    (task, callback) => callback(null, String(task)),
    2,
  )
  const result = await q.push<string>(1)
  expect<Equal<typeof result, string>>()
  const results = await Promise.all(q.pushAsync<string>([1, 2]))
  expect<Equal<typeof results, string[]>>()
  q.push(1, (error, text) => [error, text])
  q.drain(() => {})
  await q.drain()
  q.error((error, task) => `${error.message} ${task}`)
  q.concurrency = 5
  const p: AsyncPriorityQueue<string> = async.priorityQueue(pool)
  p.push('a', 1)
  async.cargo(async (rows: number[]) => rows.length, 10).push([1, 2])
  // @ts-expect-error a priority queue has no front
  p.unshift('a')
  // @ts-expect-error another task
  q.push('a')
  // @ts-expect-error handlers are set by a call
  q.drain = () => {}
}
// @ts-expect-error no iteratee
async.map([1])
// @ts-expect-error the limit is a number
async.mapLimit([1], '2', async (number: number) => number)
// @ts-expect-error the pool takes strings
async.map([1], pool)
