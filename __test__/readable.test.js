// The results of a call as a stream: toReadable() for Node's own, ReadableStream.from() for those of the web.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { ReadableStream, WritableStream } from 'node:stream/web'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { batch, FalsyValueError, native, parallelMap, skip, WorkerCrashError } from '../index.js'
import { startEventLoop } from '../lib/event-loop.js'
import { openSource } from '../lib/open-source.js'
import { parallelMapSettings } from '../lib/options.js'
import { readableOf } from '../lib/readable.js'
import { double } from './conformance/mappers.js'
import { countedAsyncSource, countedSource, settledNumber } from './conformance/sources.js'
import { isSettled, LIMIT, openPool, program, rejection, until } from './processes.js'

const MAPPERS = new URL('./conformance/mappers.js', import.meta.url)

const PLACES = [
  { name: 'function', mapper: () => double },
  { name: 'processes', mapper: (t) => openPool(t, MAPPERS, { size: 2, exportName: 'double' }) },
  {
    name: 'native',
    mapper: () => native.sha256(),
    item: (i) => `item ${i}`,
    result: (i) => createHash('sha256').update(`item ${i}`).digest('hex'),
    badItem: 42,
  },
]
const WINDOW = { concurrency: 1, backpressure: 8 }

for (const { name, mapper, item = (i) => i, result = (i) => i * 2, badItem = 'no number' } of PLACES) {
  const items = (length) => Array.from({ length }, (_, i) => item(i))
  const resultsOf = (length) => Array.from({ length }, (_, i) => result(i))
  const withBad = (length, at) => items(length).with(at, badItem)

  // On this event loop items start in order. Elsewhere one that is not the first may fail before the first has begun,
  // which then never begins.
  const assertBefore = (read, at) => {
    assert.deepEqual(read, resultsOf(at).slice(0, name === 'function' ? at : read.length))
  }

  describe(`toReadable() in the place ${name}`, LIMIT, () => {
    for (const length of [0, 1, 16, 17, 1000]) {
      test(`${length} results, in order, in every way of reading`, async (t) => {
        const place = mapper(t)
        const open = () => parallelMap(items(length), place).toReadable()
        const looped = []
        for await (const value of open()) looped.push(value)
        const sink = sinkOf()
        await pipeline(open(), sink)
        const piped = await open()
          .pipe(new PassThrough({ objectMode: true }))
          .toArray()
        const pulled = []
        const paused = open()
        paused.on('readable', () => {
          for (let value = paused.read(); value !== null; value = paused.read()) pulled.push(value)
        })
        await once(paused, 'end')
        for (const read of [looped, sink.received, piped, pulled]) assert.deepEqual(read, resultsOf(length))
        await until(() => paused.closed)
      })
    }

    test('pulls nothing before it is read, and then its window and its buffer', async (t) => {
      const source = countedSource({ make: item })
      const readable = parallelMap(source, mapper(t), WINDOW).toReadable()
      await sleep(20)
      assert.equal(source.pulls, 0)
      assert.equal(readable.read(), null)
      await until(() => source.pulls > 8)
      assert.ok((await settledNumber(() => source.pulls)) <= 8 + readable.readableHighWaterMark)
      for (let i = 0; i < 50; i++) {
        let value = readable.read()
        if (value === null) {
          await once(readable, 'readable')
          value = readable.read()
        }
        assert.equal(value, result(i))
      }
      const stuck = new Writable({ objectMode: true, write() {} })
      const running = rejection(pipeline(readable, stuck))
      await sleep(20)
      const most = 50 + 1 + 8 + readable.readableHighWaterMark + stuck.writableHighWaterMark
      assert.ok((await settledNumber(() => source.pulls)) <= most, `${source.pulls} items were pulled`)
      stuck.destroy(new Error('enough'))
      assert.equal((await running).message, 'enough')
      await until(() => source.returns === 1)
    })

    test('100,000 results: never more than the window and the buffers between both ends', async (t) => {
      const source = countedSource({ make: item, length: 100_000 })
      const settings = { concurrency: 1, backpressure: 256, chunkSize: 32 }
      let received = 0
      let most = 0
      for await (const value of parallelMap(source, mapper(t), settings).toReadable()) {
        if (received % 9973 === 0) assert.equal(value, result(received))
        received++
        most = Math.max(most, source.pulls - received)
      }
      assert.equal(received, 100_000)
      assert.ok(most <= 256 + 16, `${most} items were under way`)
    })

    for (const at of [0, 50, 99]) {
      test(`an error of item ${at} destroys it, after the results before it`, async (t) => {
        const readable = parallelMap(withBad(100, at), mapper(t)).toReadable()
        const read = []
        readable.on('data', (value) => read.push(value))
        const error = await rejection(finished(readable))
        assert.ok(error instanceof TypeError)
        assertBefore(read, at)
        await until(() => readable.closed)
        const again = pipeline(parallelMap(withBad(100, at), mapper(t)).toReadable(), sinkOf())
        assert.ok((await rejection(again)) instanceof TypeError)
      })
    }

    test('an error of the source destroys it', async (t) => {
      const error = new Error('source')
      const source = countedAsyncSource({ make: item, throwAt: 30, error })
      const readable = parallelMap(source, mapper(t)).toReadable()
      const read = []
      readable.on('data', (value) => read.push(value))
      assert.equal(await rejection(finished(readable)), error)
      assert.deepEqual(read, resultsOf(30))
      assert.deepEqual([source.returns, source.overlaps], [0, 0])
    })

    test('stopOnError: false and settled: true', async (t) => {
      const place = mapper(t)
      const readable = parallelMap(withBad(20, 3), place, { stopOnError: false }).toReadable()
      const read = []
      readable.on('data', (value) => read.push(value))
      const error = await rejection(finished(readable))
      assert.ok(error instanceof AggregateError && error.errors[0] instanceof TypeError)
      assert.deepEqual(read, resultsOf(20).toSpliced(3, 1))
      const settled = parallelMap(withBad(20, 3), place, { settled: true }).toReadable()
      const outcomes = await settled.toArray()
      assert.deepEqual(
        outcomes.map(({ status }) => status === 'fulfilled'),
        resultsOf(20).map((_, i) => i !== 3),
      )
    })

    for (const [way, leave] of Object.entries({
      'destroy()': (readable) => readable.destroy(),
      'destroy(error)': (readable) => readable.destroy(new Error('enough')),
      break: async (readable) => {
        for await (const _ of readable) break
      },
    })) {
      test(`${way} cancels: the source is closed once, then the stream`, async (t) => {
        const source = countedAsyncSource({ make: item })
        const results = parallelMap(source, mapper(t))
        const readable = results.toReadable()
        readable.on('error', () => {})
        readable.read()
        await until(() => readable.readableLength > 0)
        await leave(readable)
        await until(() => readable.closed)
        assert.equal(source.returns, 1)
        await results.finished
        const { pulls } = source
        await sleep(20)
        assert.deepEqual([source.returns, source.pulls], [1, pulls])
      })
    }

    test('destroyed before it is read: the source is closed, not pulled', async (t) => {
      const source = countedSource({ make: item })
      const results = parallelMap(source, mapper(t))
      results.toReadable().destroy()
      await results.finished
      assert.deepEqual([source.pulls, source.returns], [0, 1])
    })

    test('an abort destroys it with the reason itself, read or not', async (t) => {
      const place = mapper(t)
      const reason = { any: 'thing' }
      for (const reading of [true, false]) {
        const controller = new AbortController()
        // Timers have their turn while it flows.
        const make = (i) => (i % 20 === 19 ? sleep(1, item(i)) : item(i))
        const source = countedAsyncSource({ make })
        const options = { ...WINDOW, signal: controller.signal }
        const readable = parallelMap(source, place, options).toReadable()
        const failed = rejection(finished(readable))
        if (reading) readable.resume()
        else readable.read()
        await until(() => source.pulls > 8)
        if (!reading) await settledNumber(() => source.pulls)
        controller.abort(reason)
        assert.equal(await failed, reason)
        await until(() => source.returns === 1)
      }
      const source = countedSource({ make: item })
      const late = parallelMap(source, place, { signal: AbortSignal.abort(reason) }).toReadable()
      assert.equal(await rejection(late.toArray()), reason)
      assert.equal(source.pulls, 0)
    })

    test('ReadableStream.from(): all results, back-pressure, cancel and errors', async (t) => {
      const place = mapper(t)
      const all = []
      await ReadableStream.from(parallelMap(items(300), place)).pipeTo(
        new WritableStream({ write: (value) => void all.push(value) }),
      )
      assert.deepEqual(all, resultsOf(300))

      const source = countedAsyncSource({ make: item })
      const results = parallelMap(source, place, WINDOW)
      const reader = ReadableStream.from(results).getReader()
      for (let i = 0; i < 20; i++) assert.equal((await reader.read()).value, result(i))
      // The stream asks for one in advance, at most.
      assert.ok((await settledNumber(() => source.pulls)) <= 20 + 8 + 2, `${source.pulls} items were pulled`)
      await reader.cancel('enough')
      await results.finished
      assert.equal(source.returns, 1)

      const failing = ReadableStream.from(parallelMap(withBad(20, 10), place)).getReader()
      // An error drops what the stream has read in advance.
      const read = []
      const error = await rejection(
        (async () => {
          for (;;) read.push((await failing.read()).value)
        })(),
      )
      assert.ok(error instanceof TypeError)
      if (name === 'function') assert.ok(read.length >= 8)
      assert.deepEqual(read, resultsOf(10).slice(0, read.length))
      assert.ok((await rejection(failing.closed)) instanceof TypeError)
    })
  })
}

describe('toReadable()', LIMIT, () => {
  test('is a Readable in object mode that consumes the call', async () => {
    const results = parallelMap([1], double)
    const readable = results.toReadable()
    assert.ok(readable instanceof Readable && readable.readableObjectMode)
    assert.throws(() => results.toReadable(), { code: 'ERR_CONSUMED' })
    assert.throws(() => results[Symbol.asyncIterator](), { code: 'ERR_CONSUMED' })
    assert.deepEqual(await readable.toArray(), [2])
    const looped = parallelMap([1], double)
    for await (const _ of looped);
    assert.throws(() => looped.toReadable(), { code: 'ERR_CONSUMED' })
  })

  test('comes after further stages, and before others', async () => {
    const stages = parallelMap(numbers(100), double)
      .filter((value) => value % 4 === 0)
      .drop(1)
    assert.deepEqual(await stages.take(3).toReadable().toArray(), [4, 8, 12])
    assert.deepEqual(await batch([1, 2, 3], 2).toReadable().toArray(), [[1, 2], [3]])
    const again = parallelMap(parallelMap([1, 2], double).toReadable(), double)
    assert.deepEqual(await again.toArray(), [4, 8])
  })

  test('an abort of the last stage is heard while nobody reads, one before it in its turn', async () => {
    for (const at of ['last', 'first']) {
      const controller = new AbortController()
      const { signal } = controller
      const source = countedAsyncSource()
      const first = parallelMap(source, double, at === 'first' ? { signal } : {})
      const readable = first.map(double, at === 'last' ? { signal } : {}).toReadable()
      const failed = rejection(finished(readable))
      readable.read()
      await until(() => source.pulls > 0)
      await settledNumber(() => source.pulls)
      controller.abort('enough')
      if (at === 'first') readable.resume()
      assert.equal(await failed, 'enough')
      assert.equal(source.returns, 1)
    }
  })

  test('an error that is known while nobody reads waits for its place', async () => {
    const source = countedSource({ length: 30 })
    const readable = parallelMap(source, async (value) => {
      if (value === 25) throw new Error('item 25')
      return value
    }).toReadable()
    readable.read()
    await settledNumber(() => source.pulls)
    assert.equal(readable.destroyed, false)
    const read = []
    readable.on('data', (value) => read.push(value))
    assert.equal((await rejection(finished(readable))).message, 'item 25')
    assert.deepEqual(read, numbers(25))
  })

  test('a loop that keeps up has all results before the error', async () => {
    const readable = parallelMap(numbers(10), (value) => {
      if (value === 5) throw new Error('item 5')
      return value
    }).toReadable()
    const read = []
    const looping = async () => {
      for await (const value of readable) read.push(value)
    }
    assert.equal((await rejection(looping())).message, 'item 5')
    assert.deepEqual(read, numbers(5))
  })

  test('null is a TypeError, undefined is a result, skip is none', async () => {
    for (const at of [0, 1, 20]) {
      const readable = parallelMap(numbers(30), (value) => (value === at ? null : value)).toReadable()
      const read = []
      readable.on('data', (value) => read.push(value))
      const error = await rejection(finished(readable))
      assert.equal(error.code, 'ERR_INVALID_ARG_TYPE')
      assert.ok(error instanceof TypeError)
      assert.deepEqual(read, numbers(at))
    }
    const values = [undefined, 0, '', false, skip, undefined]
    const readable = parallelMap(numbers(6), (at) => values[at]).toReadable()
    assert.deepEqual(await readable.toArray(), [undefined, 0, '', false, undefined])
  })

  for (const thrown of [undefined, null, 0, '', false, NaN]) {
    test(`what looks like no error is one: ${typeof thrown} ${String(thrown)}`, async () => {
      const mapper = async () => {
        throw thrown
      }
      const error = await rejection(parallelMap([1], mapper).toReadable().toArray())
      assert.ok(error instanceof FalsyValueError)
      assert.ok('cause' in error && Object.is(error.cause, thrown))
      // The web's streams carry anything.
      const reader = ReadableStream.from(parallelMap([1], mapper)).getReader()
      assert.ok(Object.is(await rejection(reader.read()), thrown))
    })
  }

  test('a worker that dies is a WorkerCrashError', async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = numbers(20).map((value) => ({ act: 'value', value }))
    items[10] = { act: 'kill', signal: 'SIGKILL' }
    const readable = parallelMap(items, pool).toReadable()
    const error = await rejection(readable.toArray())
    assert.ok(error instanceof WorkerCrashError)
    assert.equal(error.index, 10)
  })

  test('a pool that is closed destroys it', async (t) => {
    const pool = openPool(t)
    const results = parallelMap([{ act: 'pid' }], pool)
    await pool.close()
    await assert.rejects(results.toReadable().toArray(), { code: 'ERR_POOL_CLOSED' })
  })

  test('what the return() of the source throws is the error, unless there is one', async () => {
    const failure = new Error('return')
    const open = () => ({
      __proto__: countedSource(),
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: 1 }),
        return: () => {
          throw failure
        },
      }),
    })
    for (const [given, told] of [
      [undefined, failure],
      [new Error('first'), undefined],
    ]) {
      const readable = parallelMap(open(), double).toReadable()
      readable.read()
      await until(() => readable.readableLength > 0)
      const failed = rejection(finished(readable))
      readable.destroy(given)
      assert.equal(await failed, told ?? given)
    }
  })

  test('does not wait for a pull that hangs, nor for a mapper', async () => {
    const hanging = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => ({ done: true }),
      }),
    }
    const signals = []
    const never = (_item, { signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    }
    for (const results of [parallelMap(hanging, double), parallelMap(numbers(9), never)]) {
      const readable = results.toReadable()
      readable.read()
      await sleep(10)
      readable.destroy()
      await until(() => readable.closed)
      assert.equal(await isSettled(results.finished), false)
    }
    assert.equal(signals.length, 9)
    assert.ok(signals.every(({ aborted }) => aborted))
  })

  test('asks for one result at a time, and polls for the rest', async () => {
    let under = 0
    let most = 0
    let asked = 0
    const start = () => {
      const settings = parallelMapSettings({ concurrency: 50 }, 'function')
      const run = startEventLoop(openSource(numbers(1000)), double, settings)
      const { next } = run
      run.next = async () => {
        asked++
        most = Math.max(most, ++under)
        try {
          return await next.call(run)
        } finally {
          under--
        }
      }
      return run
    }
    let run
    const readable = readableOf(
      () => {
        run ??= start()
        return run
      },
      () => run.return(),
    )
    assert.equal((await readable.toArray()).length, 1000)
    assert.equal(most, 1)
    assert.ok(asked <= 300, `${asked} promises for 1,000 results`)
  })

  test('a call that was left before it began has no results', async () => {
    const readable = readableOf(
      () => undefined,
      async () => {},
    )
    assert.deepEqual(await readable.toArray(), [])
  })

  test('a listener that throws does so to the program, and takes nothing with it', async (t) => {
    const { code, stderr, stdout } = await program(
      t,
      `import { parallelMap } from 'millrace'
      process.on('uncaughtException', (error) => console.log(error.message))
      const readable = parallelMap([1, 2, 3, 4], async (item) => item).toReadable()
      readable.on('data', (item) => {
        if (item === 2) throw new Error('listener')
        console.log(item)
      })
      readable.on('end', () => console.log('end'))`,
    ).ended
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(stdout.split('\n').filter(Boolean).toSorted(), ['1', '3', '4', 'end', 'listener'])
  })

  test('a program ends by itself, without a warning, also with streams that nobody reads to the end', async (t) => {
    const { code, stdout, stderr } = await program(
      t,
      `import { native, parallelMap, workerPool } from 'millrace'
      import { ReadableStream } from 'node:stream/web'
      const pool = workerPool('__test__/fixtures/echo.js', { size: 1 })
      const items = Array.from({ length: 3000 }, (_, i) => String(i))
      for (const place of [async (item) => item, pool, native.sha256()]) {
        const all = await parallelMap(items, place).toReadable().toArray()
        parallelMap(items, place).toReadable()
        const begun = parallelMap(items, place).toReadable()
        begun.read()
        await new Promise((resolve) => begun.once('readable', resolve))
        const reader = ReadableStream.from(parallelMap(items, place)).getReader()
        await reader.read()
        console.log(all.length)
      }`,
    ).ended
    assert.deepEqual([code, stdout, stderr], [0, '3000\n3000\n3000\n', ''])
  })
})

/** Remembers what it was given. */
function sinkOf() {
  const received = []
  const sink = new Writable({
    objectMode: true,
    write(value, _encoding, done) {
      received.push(value)
      done()
    },
  })
  return Object.assign(sink, { received })
}

function numbers(length) {
  return Array.from({ length }, (_, i) => i)
}
