// What p-map 7.1.1 promises in its code, types and readme, one test each, over the original and over `millrace/p-map`:
// `[what, what is seen, what it must be]`.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { native, workerPool } from 'millrace'
import * as ours from 'millrace/p-map'
import * as original from 'p-map'

const LIBRARIES = { original, ours }
const rejection = (promise) =>
  promise.then(
    () => 'nothing',
    (error) => (error instanceof Error ? `${error.name}: ${error.message}` : error),
  )
const thrown = (fn) => {
  try {
    fn()
    return 'nothing'
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}
const later = async (value, turns = 1) => {
  for (let left = turns; left > 0; left--) await turn()
  return value
}
const fail = (value) => {
  throw new Error(`no ${value}`)
}
const collect = async (iterable) => {
  const results = []
  for await (const result of iterable) results.push(result)
  return results
}
/** A source that notes what happens to it. */
function watchedSource(count, { trace = [], isAsync = false, throwsAt = -1 } = {}) {
  let next = 0
  const step = () => {
    trace.push(`next ${next}`)
    if (next === throwsAt) fail('source')
    return next < count ? { done: false, value: next++ } : { done: true, value: undefined }
  }
  const iterator = {
    next: isAsync ? async () => step() : step,
    return() {
      trace.push('return')
      return { done: true, value: undefined }
    },
  }
  return { trace, [isAsync ? Symbol.asyncIterator : Symbol.iterator]: () => iterator }
}
/** A source whose `next()` calls are answered by hand, in any order. */
function handSource() {
  const asked = []
  return {
    asked,
    [Symbol.asyncIterator]: () => ({ next: () => new Promise((resolve) => asked.push(resolve)) }),
  }
}

/** When each step is taken, in microtasks, by concurrency. */
const STEPS = {
  1: ['pull 0 at 0', 'map 0 at 1', 'pull 1 at 3', 'map 1 at 5', 'pull 2 at 7', 'map 2 at 9'],
  2: ['pull 0 at 0', 'map 0 at 1', 'pull 1 at 1', 'pull 2 at 3', 'map 1 at 3', 'map 2 at 5'],
  Infinity: ['pull 0 at 0', 'map 0 at 1', 'pull 1 at 1', 'pull 2 at 3', 'map 1 at 3', 'map 2 at 5'],
}

const P_MAP = [
  [
    'maps, and awaits elements that are promises',
    (p) => p.default([1, later(2)], async (x) => x * 2),
    [2, 4],
  ],
  ['results stand in input order', (p) => p.default([3, 1, 2], (x) => later(x, x)), [3, 1, 2]],
  ['a string is an iterable', (p) => p.default('ab', (x) => x + x), ['aa', 'bb']],
  [
    'a Set, a generator, an async generator',
    async (p) => {
      async function* source() {
        yield 1
        yield 2
      }
      return [await p.default(new Set([1]), (x) => x), await p.default(source(), (x) => x)]
    },
    [[1], [1, 2]],
  ],
  [
    'an input that has both is iterated asynchronously',
    (p) =>
      p.default(
        {
          *[Symbol.iterator]() {
            yield 'sync'
          },
          async *[Symbol.asyncIterator]() {
            yield 'async'
          },
        },
        (x) => x,
      ),
    ['async'],
  ],
  ['nothing gives nothing', (p) => p.default([], fail), []],
  ['the mapper gets the index', (p) => p.default(['a', 'b'], (x, index) => `${x}${index}`), ['a0', 'b1']],
  ['and nothing else', (p) => p.default(['a'], (...args) => args.length), [2]],
  [
    'the mapper runs after the call has returned',
    async (p) => {
      const trace = []
      const promise = p.default([1], () => trace.push('mapped'))
      trace.push('returned')
      await promise
      return trace
    },
    ['returned', 'mapped'],
  ],
  [
    'the first element is pulled within the call',
    (p) => {
      const source = watchedSource(3)
      p.default(source, (x) => x)
      return [...source.trace]
    },
    ['next 0'],
  ],
  [
    'all at once by default',
    async (p) => {
      let running = 0
      let most = 0
      await p.default(Array(100).fill(0), async () => {
        most = Math.max(most, ++running)
        await turn()
        running--
      })
      return most
    },
    100,
  ],
  [
    'or concurrency at most',
    async (p) => {
      let running = 0
      let most = 0
      await p.default(
        Array(20).fill(0),
        async () => {
          most = Math.max(most, ++running)
          await turn()
          running--
        },
        { concurrency: 3 },
      )
      return most
    },
    3,
  ],
  [
    'an input that is none rejects',
    (p) => rejection(p.default(5, (x) => x)),
    'TypeError: Expected `input` to be either an `Iterable` or `AsyncIterable`, got (number)',
  ],
  [
    'null, too',
    (p) => rejection(p.default(null, (x) => x)),
    'TypeError: Expected `input` to be either an `Iterable` or `AsyncIterable`, got (object)',
  ],
  ['no mapper rejects', (p) => rejection(p.default([], 5)), 'TypeError: Mapper function is required'],
  [
    'options that are null reject',
    async (p) => (await rejection(p.default([], (x) => x, null))).split(':')[0],
    'TypeError',
  ],
  ...[0, -1, 1.5, '2', Number.NaN, null].map((concurrency) => [
    `a concurrency of ${JSON.stringify(concurrency)} (${concurrency}) rejects`,
    (p) => rejection(p.default([], (x) => x, { concurrency })),
    `TypeError: Expected \`concurrency\` to be an integer from 1 and up or \`Infinity\`, got \`${concurrency}\` (${typeof concurrency})`,
  ]),
  ['the first error rejects', (p) => rejection(p.default([1, 2], async (x) => fail(x))), 'Error: no 1'],
  [
    'a rejected element, too',
    (p) => rejection(p.default([Promise.reject(new Error('element'))], (x) => x)),
    'Error: element',
  ],
  [
    'an error that is undefined is one',
    (p) => rejection(p.default([1], () => Promise.reject(undefined))),
    undefined,
  ],
  [
    'nothing is pulled after an error, and the source is closed',
    async (p) => {
      const source = watchedSource(5)
      await rejection(p.default(source, fail, { concurrency: 1 }))
      await turn()
      return source.trace
    },
    ['next 0', 'return'],
  ],
  [
    'started mappers go on after an error',
    async (p) => {
      const ended = []
      await rejection(
        p.default([0, 1, 2], async (x) => {
          await turn()
          if (x === 0) fail(x)
          await turn()
          ended.push(x)
        }),
      )
      await later(0, 3)
      return ended
    },
    [1, 2],
  ],
  [
    'stopOnError false: an AggregateError in input order, without a message',
    async (p) => {
      const error = await p
        .default(
          [3, 1, 2, 0],
          async (x) => {
            await later(0, x)
            return x === 0 ? x : fail(x)
          },
          { stopOnError: false },
        )
        .catch((reason) => reason)
      return [error.name, error.message, error.errors.map(({ message }) => message)]
    },
    ['AggregateError', '', ['no 3', 'no 1', 'no 2']],
  ],
  [
    'stopOnError false: everything is mapped',
    async (p) => {
      const seen = []
      await rejection(
        p.default(
          [1, 2, 3],
          (x) => {
            seen.push(x)
            fail(x)
          },
          { stopOnError: false, concurrency: 1 },
        ),
      )
      return seen
    },
    [1, 2, 3],
  ],
  [
    'stopOnError false: an error of the source ends the call',
    (p) => rejection(p.default(watchedSource(3, { throwsAt: 1 }), (x) => x, { stopOnError: false })),
    'Error: no source',
  ],
  [
    'a source that throws is still closed',
    async (p) => {
      const source = watchedSource(3, { throwsAt: 1 })
      await rejection(p.default(source, (x) => x, { concurrency: 1 }))
      await turn()
      return source.trace
    },
    ['next 0', 'next 1', 'return'],
  ],
  [
    'an async source that throws',
    (p) => rejection(p.default(watchedSource(3, { throwsAt: 1, isAsync: true }), (x) => x)),
    'Error: no source',
  ],
  [
    'a source whose results are none',
    async (p) =>
      (await rejection(p.default({ [Symbol.iterator]: () => ({ next() {} }) }, (x) => x))).split(':')[0],
    'TypeError',
  ],
  [
    'what return() throws is not heard',
    async (p) => {
      const source = {
        [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 1 }), return: () => fail('return') }),
      }
      return rejection(p.default(source, fail, { concurrency: 1 }))
    },
    'Error: no 1',
  ],
  [
    'a signal that is none',
    (p) => rejection(p.default([1], (x) => x, { signal: {} })),
    'TypeError: signal.addEventListener is not a function',
  ],
  [
    'a signal that was aborted rejects with its reason, and closes the source',
    async (p) => {
      const source = watchedSource(3)
      const seen = []
      const reason = await p
        .default(source, (x) => seen.push(x), { signal: AbortSignal.abort('why') })
        .catch((error) => error)
      await turn()
      return [reason, seen, source.trace]
    },
    ['why', [], ['return']],
  ],
  [
    'an abort rejects at once',
    async (p) => {
      const controller = new AbortController()
      const source = watchedSource(9)
      const promise = p.default(source, () => new Promise(() => {}), {
        signal: controller.signal,
        concurrency: 2,
      })
      await turn()
      controller.abort('why')
      return [await promise.catch((error) => error), source.trace]
    },
    ['why', ['next 0', 'next 1', 'return']],
  ],
  [
    'an abort after the end does nothing',
    async (p) => {
      const controller = new AbortController()
      const results = await p.default([1], (x) => x, { signal: controller.signal })
      controller.abort()
      return results
    },
    [1],
  ],
  ['pMapSkip leaves out', (p) => p.default([1, 2, 3], (x) => (x === 2 ? p.pMapSkip : x)), [1, 3]],
  ['only those', (p) => p.default([1, undefined, 3], (x) => x), [1, undefined, 3]],
  [
    'pMapStop ends before its element',
    (p) => p.default([1, 2, 3], (x) => (x === 2 ? p.pMapStop : x), { concurrency: 1 }),
    [1],
  ],
  [
    'an endless source and no limit: a stop ends it',
    async (p) => {
      const source = watchedSource(Infinity)
      const results = await p.default(source, (x) => (x === 3 ? p.pMapStop : x))
      await turn()
      return [results, source.trace.length < 20, source.trace.at(-1)]
    },
    [[0, 1, 2], true, 'return'],
  ],
  [
    'an endless source and no limit: an error ends it, too',
    async (p) => {
      const source = watchedSource(Infinity)
      return [await rejection(p.default(source, (x) => (x === 3 ? fail(x) : x))), source.trace.length < 20]
    },
    ['Error: no 3', true],
  ],
  [
    'a stop waits for what is before it, not for what is after',
    (p) =>
      p.default([1, 2, 3], (x) => (x === 1 ? later(x, 3) : x === 2 ? p.pMapStop : new Promise(() => {}))),
    [1],
  ],
  [
    'an error before a stop rejects',
    (p) =>
      rejection(p.default([1, 2], async (x) => (x === 2 ? p.pMapStop : later(0, 2).then(() => fail(x))))),
    'Error: no 1',
  ],
  [
    'one after it does not',
    (p) => p.default([1, 2], async (x) => (x === 1 ? p.pMapStop : later(0, 2).then(() => fail(x)))),
    [],
  ],
  [
    'the lowest of two stops counts',
    (p) =>
      p.default([0, 1, 2, 3], (x) => (x === 3 ? p.pMapStop : x === 1 ? later(p.pMapStop, 2) : later(x, 3))),
    [0],
  ],
  [
    'stopOnError false and a stop: the errors before it',
    async (p) => {
      const error = await p
        .default([0, 1, 2], async (x) => (x === 1 ? p.pMapStop : later(0, 1).then(() => fail(x))), {
          stopOnError: false,
        })
        .catch((reason) => reason)
      return error.errors.map(({ message }) => message)
    },
    ['no 0'],
  ],
  [
    'pulls of an async source overlap once mappers have ended',
    async (p) => {
      const source = handSource()
      const promise = p.default(source, (x) => x, { concurrency: 2 })
      const counts = [source.asked.length]
      source.asked[0]({ done: false, value: 'a' })
      await turn()
      counts.push(source.asked.length)
      source.asked[2]({ done: false, value: 'c' })
      await turn()
      source.asked[1]({ done: false, value: 'b' })
      await turn()
      counts.push(source.asked.length)
      for (const answer of source.asked.slice(3)) answer({ done: true })
      return [counts, await promise]
    },
    [
      [1, 3, 5],
      ['a', 'b', 'c'],
    ],
  ],
  [
    'an end between two elements is the end',
    async (p) => {
      const source = handSource()
      const promise = p.default(source, (x) => x, { concurrency: 2 })
      source.asked[0]({ done: false, value: 'a' })
      await turn()
      source.asked[2]({ done: false, value: 'c' })
      source.asked[1]({ done: true })
      return promise
    },
    ['a'],
  ],
  [
    'no next() after the end',
    async (p) => {
      const source = watchedSource(1, { isAsync: true })
      await p.default(source, (x) => later(x, 3), { concurrency: 4 })
      await later(0, 3)
      return source.trace
    },
    ['next 0', 'next 1'],
  ],
  [
    'the stack of an error tells who called',
    async (p) => {
      async function theCaller() {
        await p.default([1], async (x) => {
          await turn()
          fail(x)
        })
      }
      const { stack } = await theCaller().catch((error) => error)
      return stack.includes('theCaller')
    },
    true,
  ],
  [
    'a stop comes before the second pull of a sync source fails',
    (p) => p.default(watchedSource(3, { throwsAt: 1 }), () => p.pMapStop),
    [],
  ],
  [
    'an error comes before the second pull of a sync source fails',
    (p) => rejection(p.default(watchedSource(3, { throwsAt: 1 }), fail)),
    'Error: no 0',
  ],
  [
    'lanes over a sync source: a stop leaves in it what the original leaves',
    async (p) => {
      const jobs = [1, 2, 3, 4, 5, 6, 7, 8]
      const seen = []
      const source = {
        *[Symbol.iterator]() {
          while (jobs.length > 0) yield jobs.shift()
        },
      }
      const results = await p.default(source, async (x) => {
        await null
        await null
        seen.push(x)
        return x === 1 ? p.pMapStop : x
      })
      await turn()
      return { results, seen, jobs }
    },
    { results: [], seen: [1, 2], jobs: [4, 5, 6, 7, 8] },
  ],
  ...[1, 2, Infinity].map((concurrency) => [
    `each step of a lane takes as many microtasks as in the original: ${concurrency}`,
    async (p) => {
      const trace = []
      let ticks = 0
      const count = async () => {
        while (ticks < 12) {
          await null
          ticks++
        }
      }
      const source = {
        *[Symbol.iterator]() {
          for (let x = 0; x < 3; x++) {
            trace.push(`pull ${x} at ${ticks}`)
            yield x
          }
        },
      }
      const results = p.default(
        source,
        async (x) => {
          trace.push(`map ${x} at ${ticks}`)
          await null
        },
        { concurrency },
      )
      await Promise.all([count(), results])
      return trace
    },
    STEPS[concurrency],
  ]),
]

const SETTLED = [
  [
    'an outcome for each',
    async (p) => {
      const results = await p.pMapSettled([1, 2, Promise.reject('element')], (x) => (x === 2 ? fail(x) : x))
      return results.map(({ status, value, reason }) => [status, value ?? reason?.message ?? reason])
    },
    [
      ['fulfilled', 1],
      ['rejected', 'no 2'],
      ['rejected', 'element'],
    ],
  ],
  ['of exactly this shape', (p) => p.pMapSettled([1], (x) => x), [{ status: 'fulfilled', value: 1 }]],
  [
    'skip and stop',
    (p) => p.pMapSettled([1, 2, 3], (x) => [p.pMapSkip, 5, p.pMapStop][x - 1], { concurrency: 1 }),
    [{ status: 'fulfilled', value: 5 }],
  ],
  [
    'stopOnError does not apply',
    async (p) => (await p.pMapSettled([1], fail, { stopOnError: true })).length,
    1,
  ],
  [
    'an error of the source rejects',
    (p) => rejection(p.pMapSettled(watchedSource(3, { throwsAt: 1 }), (x) => x)),
    'Error: no source',
  ],
  [
    'so does an abort',
    (p) => rejection(p.pMapSettled([1], (x) => x, { signal: AbortSignal.abort('why') })),
    'why',
  ],
  ['so do wrong arguments', (p) => rejection(p.pMapSettled([1])), 'TypeError: Mapper function is required'],
]

const symbol = Symbol('key')
const KEYED = [
  [
    'an object without prototype, with the keys in their order',
    async (p) => {
      const result = await p.pMapKeyed(
        { b: 1, a: later(2), [symbol]: 3 },
        async (x, key) => `${String(key)}${x}`,
      )
      return [Object.getPrototypeOf(result), Reflect.ownKeys(result), Object.values(result), result[symbol]]
    },
    [null, ['b', 'a', symbol], ['b1', 'a2'], 'Symbol(key)3'],
  ],
  [
    'keys like any other',
    async (p) => Object.entries(await p.pMapKeyed(JSON.parse('{"__proto__":1,"toString":2}'), (x) => x)),
    [
      ['__proto__', 1],
      ['toString', 2],
    ],
  ],
  [
    'own and enumerable ones alone',
    async (p) => {
      const input = Object.create(
        { inherited: 1 },
        { hidden: { value: 2 }, own: { value: 3, enumerable: true } },
      )
      return Object.keys(await p.pMapKeyed(input, (x) => x))
    },
    ['own'],
  ],
  [
    'a new Map for a Map',
    async (p) => {
      const input = new Map([[symbol, 1]])
      const result = await p.pMapKeyed(input, (x, key) => [x, key])
      return [result !== input, [...result]]
    },
    [true, [[symbol, [1, symbol]]]],
  ],
  [
    'skip leaves out the key, stop those from there',
    async (p) =>
      Object.entries(
        await p.pMapKeyed({ a: 1, b: 2, c: 3, d: 4 }, (x) => [p.pMapSkip, x, p.pMapStop, x][x - 1], {
          concurrency: 1,
        }),
      ),
    [['b', 2]],
  ],
  ['an error rejects', (p) => rejection(p.pMapKeyed({ a: 1 }, fail)), 'Error: no 1'],
  [
    'a value that rejects, too, and is never unhandled',
    async (p) => {
      const never = new Promise(() => {})
      const input = { a: 1, b: Promise.reject(new Error('value')) }
      const promise = p.pMapKeyed(input, () => never, { concurrency: 1 })
      await later(0, 3)
      return Promise.race([promise, 'pending'])
    },
    'pending',
  ],
  [
    'stopOnError false',
    async (p) =>
      (await p.pMapKeyed({ a: 1, b: 2 }, fail, { stopOnError: false }).catch((error) => error)).errors.length,
    2,
  ],
  [
    'no object rejects',
    async (p) => [await rejection(p.pMapKeyed(null, fail)), await rejection(p.pMapKeyed('a', fail))],
    [
      'TypeError: Expected `input` to be an object, got (null)',
      'TypeError: Expected `input` to be an object, got (string)',
    ],
  ],
  ['no mapper rejects', (p) => rejection(p.pMapKeyed({})), 'TypeError: Mapper function is required'],
  [
    'wrong options reject',
    async (p) => (await rejection(p.pMapKeyed({}, fail, { concurrency: 0 }))).slice(0, 30),
    'TypeError: Expected `concurren',
  ],
  [
    'all values are read at once',
    async (p) => {
      const read = []
      const input = {
        get a() {
          return read.push('a')
        },
        get b() {
          return read.push('b')
        },
      }
      const promise = p.pMapKeyed(input, (x) => x, { concurrency: 1 })
      const before = [...read]
      await promise
      return before
    },
    ['a', 'b'],
  ],
  [
    'settled: an outcome for each key',
    async (p) => {
      const { a, b, c } = await p.pMapSettledKeyed({ a: 1, b: Promise.reject('value'), c: 3 }, (x) =>
        x === 3 ? fail(x) : x,
      )
      return [a, b, c.status, c.reason.message]
    },
    [{ status: 'fulfilled', value: 1 }, { status: 'rejected', reason: 'value' }, 'rejected', 'no 3'],
  ],
  [
    'settled: a Map',
    async (p) => [...(await p.pMapSettledKeyed(new Map([['a', 1]]), (x) => x))],
    [['a', { status: 'fulfilled', value: 1 }]],
  ],
  [
    'settled: skip, and an object without prototype',
    async (p) => {
      const result = await p.pMapSettledKeyed({ a: 1, b: 2 }, (x) => (x === 1 ? p.pMapSkip : x))
      return [Object.getPrototypeOf(result), Object.keys(result)]
    },
    [null, ['b']],
  ],
  ...['a function', 'an async function'].flatMap((kind) =>
    [2, Infinity].map((concurrency) => [
      `a stop comes before an error of the next key: ${kind}, ${concurrency}`,
      async (p) => {
        const map = (x) => (x === 1 ? p.pMapStop : x === 2 ? fail(x) : x)
        const mapper = kind === 'a function' ? map : async (x) => map(x)
        const result = await p.pMapKeyed({ a: 0, b: 1, c: 2, d: 3 }, mapper, { concurrency })
        return { ...result }
      },
      { a: 0 },
    ]),
  ),
]

const ITERABLE = [
  ['results in order', (p) => collect(p.pMapIterable([3, 1, 2], (x) => later(x, x))), [3, 1, 2]],
  [
    'or as they are ready',
    (p) => collect(p.pMapIterable([5, 1, 3], (x) => later(x, x), { preserveOrder: false })),
    [1, 3, 5],
  ],
  [
    'the mapper gets the index',
    (p) => collect(p.pMapIterable(['a', 'b'], (x, index) => x + index)),
    ['a0', 'b1'],
  ],
  [
    'wrong arguments throw at once',
    (p) => [
      thrown(() => p.pMapIterable(5, fail)),
      thrown(() => p.pMapIterable([])),
      thrown(() => p.pMapIterable([], fail, { concurrency: 0 })),
    ],
    [
      'TypeError: Expected `input` to be either an `Iterable` or `AsyncIterable`, got (number)',
      'TypeError: Mapper function is required',
      'TypeError: Expected `concurrency` to be an integer from 1 and up or `Infinity`, got `0` (number)',
    ],
  ],
  [
    'a backpressure below the concurrency throws',
    (p) => thrown(() => p.pMapIterable([], fail, { concurrency: 2, backpressure: 1 })),
    'TypeError: Expected `backpressure` to be an integer from `concurrency` (2) and up or `Infinity`, got `1` (number)',
  ],
  [
    'nothing starts before it is asked',
    async (p) => {
      const source = watchedSource(3)
      const iterator = p.pMapIterable(source, (x) => x)[Symbol.asyncIterator]()
      await turn()
      const before = source.trace.length
      await iterator.next()
      return [before, source.trace.length > 0]
    },
    [0, true],
  ],
  [
    'each iteration begins anew',
    async (p) => {
      const iterable = p.pMapIterable([1, 2], (x) => x * 2)
      return [await collect(iterable), await collect(iterable)]
    },
    [
      [2, 4],
      [2, 4],
    ],
  ],
  [
    'left before it starts, the source is not opened',
    async (p) => {
      let opened = 0
      const source = { [Symbol.iterator]: () => ({ next: () => ({ done: true }), opened: ++opened }) }
      const iterator = p.pMapIterable(source, (x) => x)[Symbol.asyncIterator]()
      return [await iterator.return('x'), opened]
    },
    [{ done: true, value: 'x' }, 0],
  ],
  [
    'a break closes the source',
    async (p) => {
      const source = watchedSource(Infinity)
      for await (const _ of p.pMapIterable(source, (x) => x, { concurrency: 2 })) break
      await turn()
      return source.trace.at(-1)
    },
    'return',
  ],
  [
    'concurrency bounds pulls and mappers',
    async (p) => {
      const source = watchedSource(Infinity)
      const iterator = p.pMapIterable(source, (x) => x, { concurrency: 3 })[Symbol.asyncIterator]()
      await iterator.next()
      await turn()
      const { length } = source.trace
      await iterator.return()
      return length
    },
    4,
  ],
  [
    'backpressure lets results wait',
    async (p) => {
      const source = watchedSource(Infinity)
      const iterator = p
        .pMapIterable(source, (x) => x, { concurrency: 1, backpressure: 5 })
        [Symbol.asyncIterator]()
      await iterator.next()
      await later(0, 3)
      const { length } = source.trace
      await iterator.return()
      return length
    },
    6,
  ],
  [
    'elements are read ahead while mappers run',
    async (p) => {
      const source = watchedSource(Infinity)
      const mapping = []
      const iterator = p
        .pMapIterable(
          source,
          (x) => {
            mapping.push(x)
            return new Promise(() => {})
          },
          { concurrency: 2, backpressure: 10 },
        )
        [Symbol.asyncIterator]()
      iterator.next()
      await later(0, 3)
      return [mapping, source.trace.length]
    },
    [[0, 1], 4],
  ],
  [
    'but not without room',
    async (p) => {
      const source = watchedSource(Infinity)
      const iterator = p
        .pMapIterable(source, () => new Promise(() => {}), { concurrency: 2 })
        [Symbol.asyncIterator]()
      iterator.next()
      await later(0, 3)
      return source.trace.length
    },
    2,
  ],
  [
    'an error comes at its place',
    async (p) => {
      const seen = []
      const iterable = p.pMapIterable([3, 0, 1], async (x) => later(x, x).then(() => (x === 0 ? fail(x) : x)))
      const message = await rejection(
        (async () => {
          for await (const x of iterable) seen.push(x)
        })(),
      )
      return [seen, message]
    },
    [[3], 'Error: no 0'],
  ],
  [
    'without order, as soon as it is known',
    async (p) => {
      const seen = []
      const iterable = p.pMapIterable(
        [3, 0, 1],
        async (x) => later(x, x).then(() => (x === 0 ? fail(x) : x)),
        { preserveOrder: false },
      )
      const message = await rejection(
        (async () => {
          for await (const x of iterable) seen.push(x)
        })(),
      )
      return [seen, message]
    },
    [[], 'Error: no 0'],
  ],
  [
    'an error closes the source, and nothing past it is mapped',
    async (p) => {
      const source = watchedSource(Infinity)
      const seen = []
      await rejection(
        collect(
          p.pMapIterable(
            source,
            (x) => {
              seen.push(x)
              return x === 1 ? fail(x) : x
            },
            { concurrency: 1 },
          ),
        ),
      )
      await turn()
      return [seen, source.trace.at(-1)]
    },
    [[0, 1], 'return'],
  ],
  [
    'an error of the source',
    (p) => rejection(collect(p.pMapIterable(watchedSource(3, { throwsAt: 1, isAsync: true }), (x) => x))),
    'Error: no source',
  ],
  [
    'an error that is undefined is one',
    (p) => rejection(collect(p.pMapIterable([1], () => Promise.reject(undefined)))),
    undefined,
  ],
  [
    'skip, in both orders',
    async (p) => {
      const mapper = (x) => (x % 2 ? p.pMapSkip : x)
      return [
        await collect(p.pMapIterable([1, 2, 3, 4], mapper)),
        await collect(p.pMapIterable([1, 2, 3, 4], mapper, { preserveOrder: false })),
      ]
    },
    [
      [2, 4],
      [2, 4],
    ],
  ],
  [
    'a long run of skips',
    async (p) =>
      collect(
        p.pMapIterable(
          Array.from({ length: 20_000 }, (_, x) => x),
          (x) => (x === 19_999 ? x : p.pMapSkip),
          { concurrency: 4 },
        ),
      ),
    [19_999],
  ],
  [
    'stop ends it',
    async (p) => {
      const source = watchedSource(Infinity)
      const results = await collect(
        p.pMapIterable(source, (x) => (x === 3 ? p.pMapStop : x), { concurrency: 2 }),
      )
      await turn()
      return [results, source.trace.at(-1)]
    },
    [[0, 1, 2], 'return'],
  ],
  [
    'stop without order: after what was ready',
    (p) =>
      collect(
        p.pMapIterable([1, 2, 3], (x) => (x === 1 ? later(p.pMapStop, 3) : x === 2 ? x : later(x, 9)), {
          preserveOrder: false,
        }),
      ),
    [2],
  ],
  [
    'without order, pulls after the end are given up',
    async (p) => {
      const source = handSource()
      const promise = collect(p.pMapIterable(source, (x) => x, { concurrency: 3, preserveOrder: false }))
      await turn()
      source.asked[0]({ done: false, value: 'a' })
      await later(0, 2)
      const { length } = source.asked
      source.asked[1]({ done: true })
      return [length > 2, await promise]
    },
    [true, ['a']],
  ],
  [
    'return() while next() waits starts nothing more',
    async (p) => {
      const seen = []
      let go
      const iterator = p
        .pMapIterable(
          [1, 2, 3],
          (x) => {
            seen.push(x)
            return new Promise((resolve) => (go = resolve))
          },
          { concurrency: 1 },
        )
        [Symbol.asyncIterator]()
      const first = iterator.next()
      await turn()
      const left = iterator.return()
      go('one')
      return [await first, await left, await later(seen)]
    },
    [{ done: false, value: 'one' }, { done: true, value: undefined }, [1]],
  ],
  [
    'throw() rejects and closes',
    async (p) => {
      const source = watchedSource(Infinity)
      const iterator = p.pMapIterable(source, (x) => x, { concurrency: 1 })[Symbol.asyncIterator]()
      await iterator.next()
      return [await rejection(iterator.throw(new Error('thrown'))), await later(source.trace.at(-1))]
    },
    ['Error: thrown', 'return'],
  ],
  [
    'overlapping next() calls are answered in order',
    async (p) => {
      const iterator = p.pMapIterable([1, 2], (x) => later(x))[Symbol.asyncIterator]()
      return Promise.all([iterator.next(), iterator.next(), iterator.next()])
    },
    [
      { done: false, value: 1 },
      { done: false, value: 2 },
      { done: true, value: undefined },
    ],
  ],
  [
    'an iterator is its own iterable',
    async (p) => {
      const iterator = p.pMapIterable([1], (x) => x)[Symbol.asyncIterator]()
      return [iterator[Symbol.asyncIterator]() === iterator, await collect(iterator)]
    },
    [true, [1]],
  ],
  [
    'one can be the input of another',
    (p) =>
      collect(
        p.pMapIterable(
          p.pMapIterable([1, 2, 3], (x) => x + 1, { concurrency: 2 }),
          (x) => x * 10,
          { concurrency: 2 },
        ),
      ),
    [20, 30, 40],
  ],
]

test('what is exported', () => {
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(original).sort())
  assert.equal(String(ours.pMapSkip), String(original.pMapSkip))
  assert.equal(String(ours.pMapStop), String(original.pMapStop))
})

for (const [title, table] of Object.entries({
  pMap: P_MAP,
  pMapSettled: SETTLED,
  pMapKeyed: KEYED,
  pMapIterable: ITERABLE,
})) {
  describe(title, () => {
    for (const [what, seen, expected] of table) {
      for (const [name, library] of Object.entries(LIBRARIES)) {
        test(`${what} (${name})`, async () => assert.deepEqual(await seen(library), expected))
      }
    }
  })
}

describe('a pool or a native operation is a mapper', () => {
  const { default: pMap, pMapIterable, pMapKeyed, pMapSettled, pMapSettledKeyed } = ours

  test('of every function', async () => {
    const pool = workerPool((x, { skip }) => (x === 3 ? skip : x * 2), { size: 2 })
    try {
      assert.deepEqual(await pMap([1, later(2), 3, 4], pool), [2, 4, 8])
      assert.deepEqual(await pMapSettled([1, 3], pool), [{ status: 'fulfilled', value: 2 }])
      assert.deepEqual({ ...(await pMapKeyed({ a: 1, b: 3 }, pool)) }, { a: 2 })
      assert.deepEqual((await pMapSettledKeyed({ a: 1 }, pool)).a, { status: 'fulfilled', value: 2 })
      assert.deepEqual(await collect(pMapIterable([1, 2, 3, 4], pool, { concurrency: 2 })), [2, 4, 8])
      assert.deepEqual(await collect(pMapIterable(Array(3000).fill(1), pool)), Array(3000).fill(2))
    } finally {
      await pool.close()
    }
    assert.match(await rejection(pMap([1], pool)), /^PoolClosedError/)
    const [digest] = await pMap(['a'], native.sha256())
    assert.equal(digest, 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb')
  })

  test('errors, crashes and aborts end a call, not the pool', async () => {
    const pool = workerPool(
      (x) => {
        if (x === 'no') throw new RangeError(x)
        if (x === 'crash') process.exit(3)
        if (x === 'hang') return new Promise(() => {})
        return x
      },
      { size: 1, gracePeriod: 50 },
    )
    try {
      assert.equal(await rejection(pMap([...Array(1000).keys(), 'no'], pool)), 'RangeError: no')
      assert.match(await rejection(pMap(['crash'], pool)), /^WorkerCrashError/)
      const { errors } = await pMap(['no', 1, 'no'], pool, { stopOnError: false }).catch((error) => error)
      assert.equal(errors.length, 2)
      const controller = new AbortController()
      const aborted = pMap([1, 2, 3], pool, { signal: controller.signal })
      controller.abort('why')
      assert.equal(await rejection(aborted), 'why')
      assert.deepEqual(await pMap([1, 2], pool, { concurrency: 1 }), [1, 2])
    } finally {
      await pool.close({ force: true })
    }
  })
})
