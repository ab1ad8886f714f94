// batch() alone: what makes a batch, when it is handed out, and what becomes of it when the source fails or the loop is
// left.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { EventEmitter, on } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { describe, test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { batch, parallelMap, workerPool } from '../index.js'
import { countedAsyncSource, countedSource } from './conformance/sources.js'

const same = (value) => value
const numbers = (length) => Array.from({ length }, (_, i) => i)
const inBatches = (values, size) =>
  numbers(Math.ceil(values.length / size)).map((i) => values.slice(i * size, (i + 1) * size))

describe('batch: size', () => {
  const sources = {
    array: (values) => values,
    set: (values) => new Set(values),
    generator: (values) =>
      (function* () {
        yield* values
      })(),
    'async generator': (values) =>
      (async function* () {
        for (const value of values) {
          if (value % 5 === 0) await turn()
          yield value
        }
      })(),
    Readable: (values) => Readable.from(values),
    'web stream': (values) => ReadableStream.from(values),
    'array of promises': (values) => values.map((value) => sleep(value % 3, value)),
    'values and promises': (values) => values.map((value) => (value % 3 ? value : Promise.resolve(value))),
    thenables: (values) => values.map((value) => ({ then: (resolve) => resolve(value) })),
    'a call': (values) => parallelMap(values, async (value) => value),
  }
  for (const [name, open] of Object.entries(sources)) {
    test(`of ${name}`, async () => {
      for (const length of [0, 1, 2, 9, 10, 11, 40]) {
        for (const size of [1, 2, 10, 1000]) {
          const expected = inBatches(numbers(length), size)
          assert.deepEqual(await batch(open(numbers(length)), size).toArray(), expected)
          assert.deepEqual(await batch(open(numbers(length)), { size }).toArray(), expected)
          assert.deepEqual(await batch(open(numbers(length)), { size, wait: 60_000 }).toArray(), expected)
          const looped = []
          for await (const rows of batch(open(numbers(length)), size)) looped.push(rows)
          assert.deepEqual(looped, expected)
        }
      }
    })
  }

  test('falsy items are items', async () => {
    const falsy = [undefined, null, 0, '', false, NaN]
    assert.deepEqual(await batch(falsy, 4).toArray(), [falsy.slice(0, 4), falsy.slice(4)])
    assert.deepEqual(await batch(falsy, { bytes: 1e6 }).toArray(), [falsy])
  })

  test('each batch is an array of its own', async () => {
    const seen = []
    for await (const rows of batch(numbers(6), 2)) {
      seen.push([...rows])
      rows.length = 0
      rows.push('mine')
    }
    assert.deepEqual(seen, inBatches(numbers(6), 2))
  })

  test('an infinite source is pulled only while somebody waits for a batch', async () => {
    for (const open of [countedSource, countedAsyncSource]) {
      const source = open()
      const iterator = batch(source, 10)[Symbol.asyncIterator]()
      assert.equal(source.pulls, 0)
      for (let taken = 1; taken <= 5; taken++) {
        await iterator.next()
        await turn()
        assert.equal(source.pulls, taken * 10)
      }
      await iterator.return()
      assert.equal(source.returns, 1)
    }
  })

  test('calls of next() that overlap are answered in order', async () => {
    for (const source of [
      numbers(25),
      numbers(25).map((i) => sleep(i % 4, i)),
      countedAsyncSource({ length: 25 }),
    ]) {
      const iterator = batch(source, 10)[Symbol.asyncIterator]()
      const order = []
      const answers = await Promise.all(
        numbers(6).map(async (call) => {
          const answer = await iterator.next()
          order.push(call)
          return answer
        }),
      )
      assert.deepEqual(
        answers.map(({ value }) => value),
        [...inBatches(numbers(25), 10), undefined, undefined, undefined],
      )
      assert.deepEqual(order, numbers(6))
      if ('overlaps' in source) assert.equal(source.overlaps, 0)
    }
  })
})

describe('batch: bytes', () => {
  const sized = (items, bytes, size) => batch(items, { bytes, size }).toArray()

  test('a string counts its UTF-8 bytes', async () => {
    assert.deepEqual(await sized(['aa', 'bb', 'c'], 4), [['aa', 'bb'], ['c']])
    assert.deepEqual(await sized(['ä', 'ä', 'a'], 4), [['ä', 'ä'], ['a']])
    assert.deepEqual(await sized(['€', 'a', 'a'], 4), [['€', 'a'], ['a']])
    assert.deepEqual(await sized(['😀', ''], 4), [['😀'], ['']])
    assert.deepEqual(await sized(['', '', 'a', ''], 1), [['', '', 'a'], ['']])
  })

  test('binary data counts its own bytes, not those of the memory behind it', async () => {
    const large = Buffer.alloc(1000)
    const items = [
      large.subarray(0, 3),
      new Uint8Array(large.buffer, large.byteOffset, 3),
      new DataView(new ArrayBuffer(100), 10, 2),
      new Float64Array(1),
      new ArrayBuffer(8),
      new SharedArrayBuffer(8),
    ]
    assert.deepEqual(await sized(items, 8), [items.slice(0, 3), [items[3]], [items[4]], [items[5]]])
    assert.deepEqual(await sized(items, 16), [items.slice(0, 4), items.slice(4)])
  })

  test('anything else counts what v8.serialize makes of it', async () => {
    const rows = [{ id: 1 }, { id: 2, text: 'a' }, [1, 2, 3], 7, null, new Date(0), new Map([[1, 2]])]
    const [first, second] = rows.map((row) => serialize(row).length)
    assert.deepEqual(await sized(rows.slice(0, 2), first + second), [rows.slice(0, 2)])
    assert.deepEqual(await sized(rows.slice(0, 2), first + second - 1), [[rows[0]], [rows[1]]])
    for (const most of [1, 10, 20, 45, 100]) {
      const batches = await sized(rows, most)
      assert.deepEqual(batches.flat(), rows)
      for (const [at, one] of batches.entries()) {
        const bytes = one.reduce((sum, row) => sum + serialize(row).length, 0)
        assert.ok(bytes <= most || one.length === 1)
        const next = batches[at + 1]
        if (next !== undefined) assert.ok(bytes + serialize(next[0]).length > most, 'as many as fit')
      }
    }
  })

  test('an item that is larger than the limit is a batch of its own', async () => {
    assert.deepEqual(await sized(['a', 'large', 'b', 'c'], 3), [['a'], ['large'], ['b', 'c']])
    assert.deepEqual(await sized(['large', 'large'], 3), [['large'], ['large']])
    assert.deepEqual(await sized(['large'], 3), [['large']])
    assert.deepEqual(await sized(['a', 'large'], 3), [['a'], ['large']])
  })

  test('an exact fit is handed out without another item', async () => {
    const source = countedSource({ make: () => 'aa' })
    const iterator = batch(source, { bytes: 6 })[Symbol.asyncIterator]()
    assert.deepEqual(await iterator.next(), { done: false, value: ['aa', 'aa', 'aa'] })
    assert.equal(source.pulls, 3)
    await iterator.return()
  })

  test('with size, whichever comes first', async () => {
    assert.deepEqual(await sized(['a', 'b', 'c', 'dddd', 'e', 'f'], 4, 2), [
      ['a', 'b'],
      ['c'],
      ['dddd'],
      ['e', 'f'],
    ])
  })

  test('one that found no room is in the next batch, also at the end and before an error', async () => {
    assert.deepEqual(await sized(['aaa', 'bb'], 4), [['aaa'], ['bb']])
    const source = countedSource({ make: (i) => ['aaa', 'bb'][i], throwAt: 2, error: new Error('source') })
    const seen = []
    await assert.rejects(async () => {
      for await (const rows of batch(source, { bytes: 4, wait: 60_000 })) seen.push(rows)
    }, /source/)
    assert.deepEqual(seen, [['aaa'], ['bb']])
  })

  test('what v8.serialize refuses is an error, after what came before it', async () => {
    for (const refused of [() => {}, Symbol('s'), { f() {} }]) {
      const source = countedSource({ make: (i) => (i === 2 ? refused : 'a') })
      const seen = []
      const calls = batch(source, { bytes: 100 })
      await assert.rejects(async () => {
        for await (const rows of calls) seen.push(rows)
      }, /could not be cloned/)
      assert.deepEqual(seen, [['a', 'a']])
      await calls.finished
      assert.equal(source.returns, 1)
      // Without a limit in bytes nobody looks.
      assert.deepEqual(await batch([refused], 5).toArray(), [[refused]])
    }
  })
})

describe('batch: wait', () => {
  const stalling = async function* (parts, pause = 60) {
    for (const part of parts) {
      for (const value of part) yield value
      await sleep(pause)
    }
  }

  test('hands out what is there when the source stalls', async () => {
    for (const wait of [0, 1, 5]) {
      const parts = [[1, 2], [3], [4, 5, 6]]
      assert.deepEqual(await batch(stalling(parts), { size: 100, wait }).toArray(), parts)
      assert.deepEqual(await batch(stalling(parts), { bytes: 1e6, wait }).toArray(), parts)
    }
    assert.deepEqual(await batch(stalling([[1, 2, 3, 4, 5], [6]]), { size: 2, wait: 5 }).toArray(), [
      [1, 2],
      [3, 4],
      [5],
      [6],
    ])
  })

  test('of a Node stream, of events, of promises and of a call', async () => {
    const stream = new PassThrough({ objectMode: true })
    const fromStream = batch(stream, { size: 100, wait: 5 })[Symbol.asyncIterator]()
    stream.write(1)
    stream.write(2)
    assert.deepEqual((await fromStream.next()).value, [1, 2])
    stream.end(3)
    assert.deepEqual((await fromStream.next()).value, [3])
    assert.equal((await fromStream.next()).done, true)

    const emitter = new EventEmitter()
    const fromEvents = batch(on(emitter, 'data'), { size: 100, wait: 5 })[Symbol.asyncIterator]()
    const next = fromEvents.next()
    emitter.emit('data', 1)
    emitter.emit('data', 2)
    assert.deepEqual((await next).value, [[1], [2]])
    await fromEvents.return()
    assert.equal(emitter.listenerCount('data'), 0)

    const promises = [1, Promise.resolve(2), sleep(60, 3)]
    assert.deepEqual(await batch(promises, { size: 100, wait: 5 }).toArray(), [[1, 2], [3]])

    const call = parallelMap([1, 2, 3], async (value) => (value === 3 ? sleep(60, value) : value))
    assert.deepEqual(await call.batch({ size: 100, wait: 5 }).toArray(), [[1, 2], [3]])
  })

  test('counts from the first item of each batch, and never makes an empty one', async () => {
    const source = async function* () {
      await sleep(30)
      yield 1
      yield 2
      await sleep(40)
      yield 3
    }
    const batches = await batch(source(), { size: 2, wait: 1 }).toArray()
    assert.deepEqual(batches, [[1, 2], [3]])
    const late = await batch(stalling([[], [1], [], [], [2]], 15), { size: 9, wait: 1 }).toArray()
    assert.deepEqual(late, [[1], [2]])
    assert.deepEqual(await batch(stalling([[], []], 5), { size: 9, wait: 0 }).toArray(), [])
  })

  test('does not cut a source that is quick enough', async () => {
    const quick = async function* () {
      for (const value of numbers(30)) {
        await turn()
        yield value
      }
    }
    assert.deepEqual(await batch(quick(), { size: 10, wait: 10_000 }).toArray(), inBatches(numbers(30), 10))
  })

  test('waits for the rest without it', async () => {
    assert.deepEqual(await batch(stalling([[1], [2], [3]], 10), 3).toArray(), [[1, 2, 3]])
  })

  test('overlapping calls of next() share one pull, and all are answered', async () => {
    const iterator = batch(stalling([[1, 2], [3]], 20), { size: 9, wait: 1 })[Symbol.asyncIterator]()
    const answers = await Promise.all(numbers(4).map(() => iterator.next()))
    assert.deepEqual(
      answers.map(({ value }) => value),
      [[1, 2], [3], undefined, undefined],
    )
  })

  test('an error that follows comes after what was held', async () => {
    for (const pause of [0, 30]) {
      const seen = []
      await assert.rejects(async () => {
        const source = (async function* () {
          yield 1
          yield 2
          await sleep(pause)
          throw new Error('source')
        })()
        for await (const rows of batch(source, { size: 9, wait: 10 })) seen.push(rows)
      }, /source/)
      assert.deepEqual(seen, [[1, 2]])
    }
  })

  test('the timer is gone with the loop', () => {
    const module = JSON.stringify(new URL('../index.js', import.meta.url).href)
    const programs = {
      break: 'for await (const _ of batch([1, 2, 3], { size: 2, wait: 2 ** 31 - 1 })) break',
      end: 'await batch([1, 2, 3], { size: 2, wait: 2 ** 31 - 1 }).toArray()',
      'return() while it waits': `
        const source = (async function* () { yield 1; await new Promise(() => {}) })()
        const iterator = batch(source, { size: 2, wait: 2 ** 31 - 1 })[Symbol.asyncIterator]()
        const next = iterator.next()
        await new Promise((resolve) => setTimeout(resolve, 5))
        iterator.return()
        await next`,
      'an error': `
        const source = (async function* () { yield 1; throw new Error('source') })()
        await batch(source, { size: 2, wait: 2 ** 31 - 1 }).toArray().catch(() => {})`,
      take: 'await parallelMap([1, 2, 3], (x) => x).batch({ size: 2, wait: 2 ** 31 - 1 }).take(1).toArray()',
    }
    for (const [name, code] of Object.entries(programs)) {
      const program = `import { batch, parallelMap } from ${module}\n${code}`
      const began = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
        encoding: 'utf8',
        timeout: 20_000,
      })
      assert.equal(began.signal, null, `${name}: it does not end`)
      assert.equal(began.status, 0, `${name}: ${began.stderr}`)
    }
  })

  test('a timer per batch, at most one at a time', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    let most = 0
    for await (const _ of batch(numbers(5000), { size: 5, wait: 60_000 }))
      most = Math.max(most, timers() - before)
    assert.ok(most <= 1, `${most} timers`)
    assert.equal(timers(), before)
  })
})

describe('batch: errors and ways out', () => {
  test('an error of the source comes after the partial batch', async () => {
    for (const open of [countedSource, countedAsyncSource]) {
      for (const throwAt of [0, 1, 4, 5, 7]) {
        for (const given of [4, { size: 4, wait: 5 }, { bytes: 1e6, size: 4 }]) {
          const error = new Error('source')
          const source = open({ throwAt, error })
          const seen = []
          const calls = batch(source, given)
          await assert.rejects(
            async () => {
              for await (const rows of calls) seen.push(rows)
            },
            (thrown) => thrown === error,
          )
          assert.deepEqual(seen, inBatches(numbers(throwAt), 4))
          await calls.finished
          assert.equal(source.returns, 0)
          await assert.rejects(batch(open({ throwAt, error }), given).toArray(), error)
        }
      }
    }
  })

  test('falsy errors arrive as they were thrown', async () => {
    for (const error of [undefined, null, 0, '', false]) {
      const thrown = await batch(countedSource({ throwAt: 1, error }), 4)
        .toArray()
        .then(
          () => assert.fail('it did not reject'),
          (reason) => ({ reason }),
        )
      assert.deepEqual(thrown, { reason: error })
    }
  })

  test('a rejected item ends the call after the items before it, and closes the source', async () => {
    for (const open of [countedSource, countedAsyncSource]) {
      for (const at of [0, 1, 5, 6]) {
        const gone = new Error('gone')
        const source = open({ make: (i) => (i === at ? Promise.reject(gone) : Promise.resolve(i)) })
        const calls = batch(source, { size: 3, wait: 1000 })
        const seen = []
        await assert.rejects(
          async () => {
            for await (const rows of calls) seen.push(rows)
          },
          (error) => error === gone,
        )
        assert.deepEqual(seen, inBatches(numbers(at), 3))
        await calls.finished
        assert.equal(source.returns, 1)
        assert.equal(source.pulls, at + 1, 'nothing after it is pulled')
      }
    }
  })

  test('a promise that arrives while nobody waits may reject before it is asked for', async () => {
    const gone = new Error('gone')
    let pulls = 0
    const source = {
      [Symbol.asyncIterator]: () => source,
      next: async () => {
        if (pulls++ === 0) return { done: false, value: 1 }
        await sleep(20)
        return { done: false, value: Promise.reject(gone) }
      },
    }
    const iterator = batch(source, { size: 9, wait: 1 })[Symbol.asyncIterator]()
    assert.deepEqual((await iterator.next()).value, [1])
    await sleep(40)
    await assert.rejects(iterator.next(), gone)
    assert.deepEqual(await iterator.next(), { done: true, value: undefined })
  })

  test('what cannot be used closes the source at once, not when its error is asked for', async () => {
    for (const bad of [Promise.reject(new Error('gone')), () => {}]) {
      const source = countedSource({ make: (i) => (i === 1 ? bad : i) })
      const iterator = batch(source, { size: 3, bytes: 1000 })[Symbol.asyncIterator]()
      assert.deepEqual((await iterator.next()).value, [0])
      assert.equal(source.returns, 1)
      await assert.rejects(iterator.next())
      assert.deepEqual(await iterator.next(), { done: true, value: undefined })
      assert.equal(source.returns, 1)
    }
  })

  test('break closes the source once, wherever it stands', async () => {
    for (const open of [countedSource, countedAsyncSource]) {
      for (const given of [1, 7, { size: 7, wait: 5 }, { bytes: 40 }]) {
        const source = open()
        const calls = batch(source, given)
        for await (const _ of calls) break
        await calls.finished
        assert.equal(source.returns, 1)
        const { pulls } = source
        await turn()
        assert.equal(source.pulls, pulls)
      }
    }
  })

  test('return() while a batch is half full drops it, and does not wait for the source', async () => {
    let returned = 0
    let answer
    const source = {
      pulls: 0,
      [Symbol.asyncIterator]: () => source,
      next: () =>
        source.pulls++ < 3
          ? Promise.resolve({ done: false, value: source.pulls })
          : new Promise((resolve) => {
              answer = resolve
            }),
      async return() {
        returned++
        return { done: true, value: undefined }
      },
    }
    const calls = batch(source, { size: 9, wait: 60_000 })
    const iterator = calls[Symbol.asyncIterator]()
    const next = iterator.next()
    await sleep(5)
    assert.deepEqual(await iterator.return(), { done: true, value: undefined })
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.equal(returned, 1)
    answer({ done: false, value: Promise.reject(new Error('nobody looks at this item')) })
    await calls.finished
  })

  test('a source whose code leaves the call may still yield a rejection', async () => {
    let iterator
    const source = (function* () {
      yield 1
      iterator.return()
      yield Promise.reject(new Error('nobody looks at this item'))
    })()
    const calls = batch(source, 5)
    iterator = calls[Symbol.asyncIterator]()
    assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    await calls.finished
    await turn()
  })

  test('a promise that arrived and is not wanted any more may reject', async () => {
    const source = (async function* () {})()
    let left = 3
    source.next = async () => ({
      done: left === 0,
      value: left-- === 1 ? Promise.reject(new Error('nobody looks at this item')) : left,
    })
    const iterator = batch(source, 2)[Symbol.asyncIterator]()
    assert.deepEqual((await iterator.next()).value, [2, 1])
    await iterator.return()
    await turn()
  })
})

describe('batch: options', () => {
  const refused = (given, code) => assert.throws(() => batch([1], given), { code }, inspect(given))

  test('wrong types', () => {
    for (const given of [undefined, null, '5', true, 5n, () => 5, [], [5], {}, { wait: 5 }])
      refused(given, 'ERR_INVALID_ARG_TYPE')
    for (const name of ['size', 'bytes', 'wait'])
      for (const wrong of ['5', null, true, 5n, {}])
        refused({ size: 1, [name]: wrong }, 'ERR_INVALID_ARG_TYPE')
    refused({ size: 1, sizes: 1 }, 'ERR_INVALID_ARG_TYPE')
    refused({ size: 1, signal: undefined }, 'ERR_INVALID_ARG_TYPE')
  })

  test('out of range', () => {
    for (const wrong of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
      refused(wrong, 'ERR_OUT_OF_RANGE')
      refused({ size: wrong }, 'ERR_OUT_OF_RANGE')
      refused({ bytes: wrong }, 'ERR_OUT_OF_RANGE')
    }
    for (const wrong of [-1, NaN, Infinity, 2 ** 31]) refused({ size: 1, wait: wrong }, 'ERR_OUT_OF_RANGE')
  })

  test('undefined means the default, and the object is left alone', async () => {
    const given = Object.freeze({ size: 2, bytes: undefined, wait: undefined })
    assert.deepEqual(await batch([1, 2, 3], given).toArray(), [[1, 2], [3]])
    assert.deepEqual(await batch(['a', 'b'], { size: undefined, bytes: 1 }).toArray(), [['a'], ['b']])
    assert.deepEqual(
      await batch([1], { size: 2 ** 53 - 1, bytes: 2 ** 53 - 1, wait: 2 ** 31 - 1 }).toArray(),
      [[1]],
    )
  })

  test('wrong sources', () => {
    for (const source of ['text', Buffer.from('a'), null, undefined, 1, {}, Promise.resolve([1])])
      assert.throws(() => batch(source, 1), { code: 'ERR_INVALID_ARG_TYPE' })
  })
})

test('batches go to a pool, and results of a pool into batches', async () => {
  const pool = workerPool(new URL('./fixtures/echo.js', import.meta.url), { size: 2 })
  try {
    const rows = numbers(1000).map((id) => ({ id }))
    const sent = await parallelMap(batch(rows, 64), pool).toArray()
    assert.deepEqual(sent, inBatches(rows, 64))
    const gathered = await parallelMap(rows, pool).batch(50).toArray()
    assert.deepEqual(gathered, inBatches(rows, 50))
    const both = parallelMap(batch(rows, 7), pool).flatMap(same).batch({ bytes: 200 })
    assert.deepEqual((await both.toArray()).flat(), rows)
  } finally {
    await pool.close()
  }
})
