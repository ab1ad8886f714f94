// throughWorkers(): a call as a stage of Node streams, wherever its work runs.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { addAbortSignal, compose, Duplex, PassThrough, Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FalsyValueError, native, skip, throughWorkers, WorkerCrashError } from '../index.js'
import { double } from './conformance/mappers.js'
import {
  children,
  folderWith,
  isAlive,
  isSettled,
  LIMIT,
  linesOf,
  openPool,
  program,
  rejection,
  until,
} from './processes.js'

const MAPPERS = new URL('./conformance/mappers.js', import.meta.url)
const poolOf = (t, exportName) => openPool(t, MAPPERS, { size: 2, exportName })

const PLACES = [
  { name: 'function', mapper: () => double },
  { name: 'processes', mapper: (t) => poolOf(t, 'double') },
  {
    name: 'native',
    mapper: () => native.sha256(),
    item: (i) => `item ${i}`,
    result: (i) => createHash('sha256').update(`item ${i}`).digest('hex'),
    badItem: 42,
  },
]

for (const { name, mapper, item = (i) => i, result = (i) => i * 2, badItem = 'no number' } of PLACES) {
  const items = (length) => Array.from({ length }, (_, i) => item(i))
  const resultsOf = (length) => Array.from({ length }, (_, i) => result(i))
  const withBad = (length, at) => items(length).with(at, badItem)

  describe(`in the place ${name}`, LIMIT, () => {
    for (const length of [0, 1, 2, 16, 17, 33, 1000]) {
      test(`${length} items come out mapped, in order, and the stream closes`, async (t) => {
        const stream = throughWorkers(mapper(t))
        const told = eventsOf(stream)
        const sink = sinkOf()
        await pipeline(Readable.from(items(length)), stream, sink)
        assert.deepEqual(sink.received, resultsOf(length))
        await until(() => stream.closed)
        assert.deepEqual(told.toSorted(), ['close', 'end', 'finish'])
      })
    }

    test('without order, each result comes once', async (t) => {
      const sink = sinkOf()
      const stream = throughWorkers(mapper(t), { preserveOrder: false })
      await pipeline(Readable.from(items(500)), stream, sink)
      assert.deepEqual(sink.received.toSorted(), resultsOf(500).toSorted())
    })

    test('for await, pipe() and compose() read it', async (t) => {
      const read = []
      for await (const value of Readable.from(items(100)).pipe(throughWorkers(mapper(t)))) read.push(value)
      assert.deepEqual(read, resultsOf(100))
      const piped = sinkOf()
      Readable.from(items(100))
        .pipe(throughWorkers(mapper(t)))
        .pipe(piped)
      await once(piped, 'close')
      assert.deepEqual(piped.received, resultsOf(100))
      const pass = () => new PassThrough({ objectMode: true })
      const composed = compose(pass(), throughWorkers(mapper(t)), pass())
      composed.end(item(0))
      assert.deepEqual(await composed.toArray(), resultsOf(1))
      const of = Readable.from(items(100)).compose(throughWorkers(mapper(t)))
      assert.deepEqual(await of.toArray(), resultsOf(100))
    })

    test('what was written before end() is delivered, however late it is read', async (t) => {
      const stream = throughWorkers(mapper(t))
      for (const value of items(100)) stream.write(value)
      stream.end()
      await sleep(20)
      assert.deepEqual(await stream.toArray(), resultsOf(100))
    })

    test('it works before anybody reads, as a Transform does', async (t) => {
      const stream = throughWorkers(mapper(t))
      for (const value of items(10)) stream.write(value)
      stream.end()
      await once(stream, 'finish')
      await until(() => stream.readableLength > 0, 'a result')
      assert.deepEqual(await stream.toArray(), resultsOf(10))
    })

    test('slow writes, corked ones and promises', async (t) => {
      const stream = throughWorkers(mapper(t))
      const read = stream.toArray()
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => stream.write(item(i), resolve))
        await sleep(2)
      }
      stream.cork()
      for (let i = 5; i < 20; i++) stream.write(i % 2 ? Promise.resolve(item(i)) : item(i))
      stream.uncork()
      stream.end(sleep(5, item(20)))
      assert.deepEqual(await read, resultsOf(21))
    })

    for (const [which, at] of Object.entries({ first: 0, middle: 50, last: 99 })) {
      test(`an error of the ${which} item destroys it, and what was read is a beginning`, async (t) => {
        const stream = throughWorkers(mapper(t))
        const told = eventsOf(stream)
        const source = Readable.from(withBad(100, at))
        const sink = sinkOf()
        const error = await rejection(pipeline(source, stream, sink))
        assert.ok(error instanceof TypeError)
        assert.equal(stream.errored, error)
        assert.deepEqual(sink.received, resultsOf(100).slice(0, sink.received.length))
        assert.ok(sink.received.length <= at)
        await until(() => stream.closed)
        assert.ok(source.destroyed && sink.destroyed)
        assert.deepEqual(told.slice(-2), ['error', 'close'])
      })
    }

    test('a reader that keeps up has all results before the error', async (t) => {
      const stream = throughWorkers(mapper(t))
      const read = []
      stream.on('data', (value) => read.push(value))
      const failed = rejection(finished(stream))
      for (const value of withBad(10, 9)) stream.write(value)
      assert.ok((await failed) instanceof TypeError)
      // Elsewhere the last item may fail before the first has begun, which then never begins.
      assert.deepEqual(read, resultsOf(9).slice(0, name === 'function' ? 9 : read.length))
    })

    test('stopOnError: false delivers the rest, then destroys with an AggregateError', async (t) => {
      const sink = sinkOf()
      const stream = throughWorkers(mapper(t), { stopOnError: false })
      const read = []
      stream.on('data', (value) => read.push(value))
      const source = Readable.from(withBad(100, 3).with(98, badItem))
      const error = await rejection(pipeline(source, stream, sink))
      assert.ok(error instanceof AggregateError)
      assert.deepEqual(
        error.errors.map((each) => each instanceof TypeError),
        [true, true],
      )
      assert.deepEqual(read, resultsOf(100).toSpliced(98, 1).toSpliced(3, 1))
    })

    test('settled: true tells how each item ended, and is no error', async (t) => {
      const stream = throughWorkers(mapper(t), { settled: true })
      const outcomes = await Readable.from(withBad(20, 3)).pipe(stream).toArray()
      assert.deepEqual(
        outcomes.map(({ status, value, index }) => [status, value, index]),
        resultsOf(20).map((value, i) => (i === 3 ? ['rejected', undefined, 3] : ['fulfilled', value, i])),
      )
      assert.ok(outcomes[3].reason instanceof TypeError)
    })

    test('an error of the readable before it, or of the writable after it, cancels', async (t) => {
      const place = mapper(t)
      const reason = new Error('upstream')
      const broken = Readable.from(
        (async function* () {
          yield* items(40)
          throw reason
        })(),
      )
      const first = throughWorkers(place)
      assert.equal(await rejection(pipeline(broken, first, sinkOf())), reason)
      const refusing = new Writable({ objectMode: true, write: (_chunk, _encoding, done) => done(reason) })
      const second = throughWorkers(place)
      const source = Readable.from(items(1000))
      assert.equal(await rejection(pipeline(source, second, refusing)), reason)
      await until(() => first.closed && second.closed && source.closed)
      const sink = sinkOf()
      await pipeline(Readable.from(items(10)), throughWorkers(place), sink)
      assert.deepEqual(sink.received, resultsOf(10), 'the mapper itself is as usable as before')
    })

    test('a writable that never drains holds the source back', async (t) => {
      let pulled = 0
      const source = Readable.from(
        (function* () {
          for (; pulled < 100_000; pulled++) yield item(pulled)
        })(),
      )
      const stream = throughWorkers(mapper(t), { concurrency: 1, backpressure: 8 })
      const stuck = new Writable({ objectMode: true, write() {} })
      const running = rejection(pipeline(source, stream, stuck))
      await until(() => pulled > 8)
      await settle()
      // The window, and what each of the four buffers of streams may hold, with the one in each writer's hand.
      const limit = 8 + 4 * 16 + 4
      assert.ok(pulled <= limit, `${pulled} items were read`)
      stuck.destroy(new Error('enough'))
      assert.equal((await running).message, 'enough')
    })

    test('a stream that nobody reads takes its window and its buffers, and no more', async (t) => {
      const stream = throughWorkers(mapper(t), { concurrency: 2, backpressure: 10 })
      let accepted = 0
      const write = async () => {
        for (; accepted < 200; accepted++)
          await new Promise((resolve) => stream.write(item(accepted), resolve))
        stream.end()
      }
      const written = write()
      await until(() => stream.readableLength === stream.readableHighWaterMark && accepted > 16)
      await settle()
      assert.equal(stream.readableLength, stream.readableHighWaterMark)
      assert.ok(accepted <= 10 + stream.readableHighWaterMark, `${accepted} were accepted`)
      assert.deepEqual(await stream.toArray(), resultsOf(200))
      await written
    })

    test('100,000 items: never more than the window and the buffers between both ends', async (t) => {
      let pulled = 0
      let most = 0
      const source = Readable.from(
        (function* () {
          for (; pulled < 100_000; pulled++) yield item(pulled)
        })(),
      )
      const stream = throughWorkers(mapper(t), { concurrency: 1, backpressure: 256, chunkSize: 32 })
      let received = 0
      const sink = new Writable({
        objectMode: true,
        write(value, _encoding, done) {
          if (received % 9973 === 0) assert.equal(value, result(received))
          received++
          most = Math.max(most, pulled - received)
          done()
        },
      })
      await pipeline(source, stream, sink)
      assert.equal(received, 100_000)
      assert.ok(most <= 256 + 4 * 16 + 4, `${most} items were under way`)
    })

    test('destroy() ends it: closed, writes called back, nothing more delivered', async (t) => {
      const stream = throughWorkers(mapper(t), { concurrency: 1, backpressure: 1 })
      const told = eventsOf(stream)
      const writes = []
      for (let i = 0; i < 40; i++) stream.write(item(i), (error) => writes.push(error?.code))
      await until(() => writes.length > 0)
      const accepted = writes.length
      stream.destroy()
      stream.destroy(new Error('too late'))
      await once(stream, 'close')
      await until(() => writes.length === 40, 'the callbacks of all writes')
      assert.ok(accepted < 40)
      assert.deepEqual(new Set(writes.slice(accepted)), new Set(['ERR_STREAM_DESTROYED']))
      await settle()
      assert.deepEqual(told, ['close'])
    })

    test('destroy(error) is that error, for those who write, too', async (t) => {
      const stream = throughWorkers(mapper(t), { concurrency: 1, backpressure: 1 })
      const error = new Error('enough')
      const writes = []
      for (let i = 0; i < 40; i++) stream.write(item(i), (each) => writes.push(each))
      stream.destroy(error)
      assert.equal(await rejection(finished(stream)), error)
      await until(() => writes.length === 40)
      assert.equal(writes.at(-1), error)
    })

    test('a reader that leaves early ends the writers before it', async (t) => {
      const source = Readable.from(endless(item))
      const read = []
      for await (const value of source.pipe(throughWorkers(mapper(t)))) {
        read.push(value)
        if (read.length === 20) break
      }
      assert.deepEqual(read, resultsOf(20))
      const stream = throughWorkers(mapper(t))
      const second = Readable.from(endless(item))
      const took = await pipeline(second, stream, async (values) => {
        for await (const value of values) return value
      }).catch((error) => error.code)
      assert.ok([result(0), 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(took), String(took))
      await until(() => stream.closed && second.destroyed)
      source.destroy()
    })

    test('an abort of the pipeline cancels', async (t) => {
      const place = mapper(t)
      const controller = new AbortController()
      const stream = throughWorkers(place)
      const source = Readable.from(endless(item))
      const running = rejection(pipeline(source, stream, sinkOf(), { signal: controller.signal }))
      await sleep(20)
      controller.abort()
      assert.equal((await running).name, 'AbortError')
      await until(() => stream.closed && source.closed)
      const before = throughWorkers(place)
      const aborted = pipeline(Readable.from(items(9)), before, sinkOf(), { signal: controller.signal })
      assert.equal((await rejection(aborted)).name, 'AbortError')
      await until(() => before.destroyed)
    })

    test('an abort of its own signal destroys it with the reason itself', async (t) => {
      const place = mapper(t)
      const reason = { any: 'thing' }
      const controller = new AbortController()
      const { signal } = controller
      const stream = throughWorkers(place, { signal })
      const source = Readable.from(endless(item))
      const running = rejection(pipeline(source, stream, sinkOf()))
      await sleep(20)
      controller.abort(reason)
      assert.equal(stream.destroyed, true)
      assert.equal(await running, reason)
      await until(() => stream.closed && source.closed)
      // Nobody reads, or has written.
      for (const written of [0, 100]) {
        const other = new AbortController()
        const idle = throughWorkers(place, { signal: other.signal, backpressure: 2, concurrency: 1 })
        for (let i = 0; i < written; i++) idle.write(item(i))
        await settle()
        other.abort(reason)
        assert.equal(await rejection(finished(idle)), reason)
      }
      const late = throughWorkers(place, { signal })
      assert.equal(await rejection(pipeline(Readable.from(items(9)), late, sinkOf())), reason)
      assert.equal(await rejection(finished(throughWorkers(place, { signal }))), reason)
    })

    test('several streams in one pipeline, on one mapper', LIMIT, async (t) => {
      if (name === 'native') {
        const twice = (text) => createHash('sha256').update(text).digest('hex')
        const place = mapper(t)
        const sink = sinkOf()
        await pipeline(Readable.from(items(500)), throughWorkers(place), throughWorkers(place), sink)
        assert.deepEqual(sink.received, resultsOf(500).map(twice))
        return
      }
      const place = mapper(t)
      const stages = Array.from({ length: 3 }, () => throughWorkers(place))
      const sink = sinkOf()
      await pipeline(Readable.from(items(500)), ...stages, sink)
      assert.deepEqual(
        sink.received,
        items(500).map((value) => value * 8),
      )
    })

    test('nothing that waits is left: no listeners on a signal, and a program ends by itself', async (t) => {
      const { code, stdout, stderr } = await program(
        t,
        `import { getEventListeners } from 'node:events'
        import { Readable, Writable } from 'node:stream'
        import { pipeline } from 'node:stream/promises'
        import { native, throughWorkers, workerPool } from 'millrace'
        const sink = () => new Writable({ objectMode: true, write: (_chunk, _encoding, done) => done() })
        const place = {
          function: () => async (item) => item,
          processes: () => workerPool('__test__/fixtures/echo.js', { size: 1 }),
          native: () => native.sha256(),
        }[${JSON.stringify(name)}]()
        const { signal } = new AbortController()
        const items = Array.from({ length: 5000 }, (_, i) => String(i))
        for (let i = 0; i < 15; i++) {
          await pipeline(Readable.from(items.slice(0, i ? 50 : 5000)), throughWorkers(place, { signal }), sink())
        }
        // As many as may listen to one signal without a warning.
        await Promise.all(Array.from({ length: 10 }, () =>
          pipeline(Readable.from(['a', 'b']), throughWorkers(place, { signal }), sink())))
        const cut = throughWorkers(place, { signal })
        cut.write('a')
        cut.destroy()
        // Written to, and never ended.
        throughWorkers(place).write('a')
        await new Promise((resolve) => setTimeout(resolve, 20))
        console.log(getEventListeners(signal, 'abort').length)`,
      ).ended
      assert.deepEqual([code, stdout, stderr], [0, '0\n', ''])
    })
  })
}

describe('throughWorkers()', LIMIT, () => {
  test('gives a Duplex in object mode, and checks its arguments at once', () => {
    const stream = throughWorkers(double)
    assert.ok(stream instanceof Duplex)
    assert.ok(stream.readableObjectMode && stream.writableObjectMode && stream.allowHalfOpen)
    const invalid = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
    assert.throws(() => throughWorkers(), invalid)
    assert.throws(() => throughWorkers({}), invalid)
    assert.throws(() => throughWorkers(double, 5), invalid)
    assert.throws(() => throughWorkers(double, { highWaterMark: 5 }), invalid)
    assert.throws(() => throughWorkers(double, { signal: {} }), invalid)
    assert.throws(() => throughWorkers(double, { concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' })
  })

  test('starts nothing before the first write, also when it is read', async (t) => {
    const pool = poolOf(t, 'double')
    const before = children().length
    const stream = throughWorkers(pool)
    stream.resume()
    stream.read()
    await settle()
    assert.equal(children().length, before)
    stream.destroy()
    await once(stream, 'close')
    let calls = 0
    const counting = throughWorkers(() => calls++)
    const read = counting.toArray()
    await settle()
    assert.equal(calls, 0)
    counting.end('item')
    assert.deepEqual(await read, [0])
  })

  test('a pool that is closed destroys it at the first write', async (t) => {
    const pool = poolOf(t, 'double')
    const stream = throughWorkers(pool)
    await pool.close()
    stream.resume()
    await settle()
    assert.equal(stream.destroyed, false, 'reading begins nothing')
    stream.write(1)
    await assert.rejects(finished(stream), { code: 'ERR_POOL_CLOSED' })
  })

  test('runs as many items at once as it is told', async () => {
    let running = 0
    let most = 0
    const busy = async () => {
      most = Math.max(most, ++running)
      await sleep(2)
      running--
    }
    await pipeline(Readable.from(numbers(50)), throughWorkers(busy, { concurrency: 3 }), sinkOf())
    assert.equal(most, 3)
  })

  test('null is a TypeError, undefined is a result, skip is none', async (t) => {
    const returning = (values) => (item) => values[item]
    for (const at of [0, 1, 40]) {
      const values = numbers(50).with(at, null)
      const source = Readable.from(numbers(50))
      const failed = rejection(pipeline(source, throughWorkers(returning(values)), sinkOf()))
      const error = await failed
      assert.equal(error.code, 'ERR_INVALID_ARG_TYPE')
      assert.match(error.message, /"result".* null/)
    }
    const acts = [
      { act: 'value', value: 1 },
      { act: 'value', value: null },
    ]
    const failed = pipeline(Readable.from(acts), throughWorkers(openPool(t)), sinkOf())
    await assert.rejects(failed, { code: 'ERR_INVALID_ARG_TYPE' })
    const values = [undefined, 0, '', false, skip, undefined, NaN, skip]
    const sink = sinkOf()
    await pipeline(Readable.from(numbers(8)), throughWorkers(returning(values)), sink)
    assert.deepEqual(sink.received, [undefined, 0, '', false, undefined, NaN])
    const skipping = await Readable.from(numbers(100))
      .pipe(throughWorkers(() => skip))
      .toArray()
    assert.deepEqual(skipping, [])
    const settled = throughWorkers(() => null, { settled: true })
    assert.equal((await Readable.from([1]).pipe(settled).toArray())[0].value, null)
  })

  for (const thrown of [undefined, null, 0, '', false, NaN, 0n]) {
    test(`what looks like no error is one: ${typeof thrown} ${String(thrown)}`, async (t) => {
      const mapper = async () => {
        throw thrown
      }
      const error = await rejection(pipeline(Readable.from(numbers(3)), throughWorkers(mapper), sinkOf()))
      assert.ok(error instanceof FalsyValueError)
      assert.ok('cause' in error && Object.is(error.cause, thrown))
      assert.equal(error.code, 'ERR_FALSY_VALUE')
      const item = { act: 'throwValue', value: thrown }
      const inPool = await rejection(pipeline(Readable.from([item]), throughWorkers(openPool(t)), sinkOf()))
      assert.ok(Object.is(inPool.cause, thrown))
      const controller = new AbortController()
      const stream = throughWorkers(double, { signal: controller.signal })
      if (thrown === undefined) return
      controller.abort(thrown)
      assert.ok(Object.is((await rejection(finished(stream))).cause, thrown))
    })
  }

  for (const thrown of [
    'text',
    5,
    Symbol('sign'),
    { frozen: Object.freeze({}) },
    Object.freeze(new Error('frozen')),
  ]) {
    test(`what is thrown and is true arrives as it is: ${typeof thrown}`, async () => {
      const mapper = () => {
        throw thrown
      }
      assert.equal(await rejection(pipeline(Readable.from([1]), throughWorkers(mapper), sinkOf())), thrown)
    })
  }

  test('an error waits for the results before it', async () => {
    const gate = Promise.withResolvers?.() ?? withResolvers()
    const mapper = async (item) => {
      if (item === 1) throw new Error('second')
      await gate.promise
      return item
    }
    const stream = throughWorkers(mapper)
    const read = []
    stream.on('data', (value) => read.push(value))
    const failed = rejection(finished(stream))
    for (const item of numbers(40)) stream.write(item)
    await settle()
    assert.equal(stream.destroyed, false)
    gate.resolve()
    assert.equal((await failed).message, 'second')
    assert.deepEqual(read, [0])
  })

  for (const [way, leave] of Object.entries({
    'destroy()': (stream) => stream.destroy(),
    'an error': (stream) => stream.destroy(new Error('enough')),
    'its own signal': (_stream, controller) => controller.abort(),
    addAbortSignal: (stream) => addAbortSignal(AbortSignal.abort(), stream),
  })) {
    test(`${way} raises context.signal, starts nothing more, and waits for no mapper`, async () => {
      let calls = 0
      const signals = []
      const controller = new AbortController()
      const mapper = (_item, { signal }) => {
        calls++
        signals.push(signal)
        return new Promise(() => {})
      }
      const stream = throughWorkers(mapper, { concurrency: 4, signal: controller.signal })
      stream.on('error', () => {})
      for (const item of numbers(40)) stream.write(item)
      await settle()
      assert.equal(calls, 4)
      leave(stream, controller)
      assert.ok(signals.every(({ aborted }) => aborted))
      await until(() => stream.closed)
      await settle()
      assert.equal(calls, 4)
    })
  }

  test('an abort of its signal kills a worker that does not end, destroy() does not', LIMIT, async (t) => {
    const folder = folderWith(t)
    const pool = openPool(t, undefined, { size: 2 })
    const noteEnd = join(folder, 'ended')
    const soft = throughWorkers(pool)
    soft.write({ act: 'pastAbort', ms: 300, noteEnd, note: join(folder, 'soft') })
    await until(() => linesOf(join(folder, 'soft')).length === 1)
    soft.destroy()
    await once(soft, 'close')
    const [pid] = await until(() => linesOf(noteEnd).length === 1 && linesOf(noteEnd))
    assert.ok(isAlive(Number(pid)))
    const controller = new AbortController()
    const hard = throughWorkers(pool, { signal: controller.signal })
    const began = join(folder, 'hard')
    const code = `process.getBuiltinModule('fs').appendFileSync(${JSON.stringify(began)}, process.pid + '\\n'); for (;;);`
    hard.write({ act: 'eval', code })
    const [spinning] = await until(() => linesOf(began).length === 1 && linesOf(began))
    const failed = rejection(finished(hard))
    controller.abort()
    assert.equal(await failed, controller.signal.reason)
    await until(() => !isAlive(Number(spinning)), 'the worker to be killed')
    assert.equal(await pool.run({ act: 'value', value: 'lives on' }), 'lives on')
  })

  test('a worker that dies in the middle is a WorkerCrashError of the pipeline', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = numbers(100).map((value) => ({ act: 'value', value }))
    items[50] = { act: 'exit', code: 3 }
    const source = Readable.from(items)
    const sink = sinkOf()
    const error = await rejection(pipeline(source, throughWorkers(pool), sink))
    assert.ok(error instanceof WorkerCrashError)
    assert.deepEqual([error.code, error.exitCode, error.index], ['ERR_WORKER_CRASHED', 3, 50])
    assert.ok(source.destroyed)
    assert.deepEqual(sink.received, numbers(50).slice(0, sink.received.length))
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('a pool that is closed by force in the middle destroys it', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const stream = throughWorkers(pool)
    const failed = rejection(finished(stream))
    stream.write({ act: 'never' })
    await sleep(50)
    await pool.close({ force: true })
    assert.equal((await failed).code, 'ERR_POOL_CLOSED')
  })

  test('its own mapper and its own reader may destroy it', async () => {
    const error = new Error('from within')
    const stream = throughWorkers((item) => (item === 5 ? stream.destroy(error) && item : item))
    const failed = rejection(finished(stream))
    for (const item of numbers(40)) stream.write(item)
    stream.resume()
    assert.equal(await failed, error)
    const read = []
    const other = throughWorkers((item) => item)
    other.on('data', (value) => {
      read.push(value)
      if (value === 3) other.destroy()
    })
    for (const item of numbers(40)) other.write(item)
    await once(other, 'close')
    assert.deepEqual(read, [0, 1, 2, 3])
  })

  test('who reads in a data listener, or writes in it, has each result once, in order', async () => {
    const stream = throughWorkers((item) => item)
    const read = []
    let next = 10
    stream.on('data', (value) => {
      read.push(value)
      if (next < 200) stream.write(next++)
      else if (!stream.writableEnded) stream.end()
    })
    for (const item of numbers(10)) stream.write(item)
    await once(stream, 'end')
    assert.deepEqual(read, numbers(200))
    const paused = throughWorkers(async (item) => item)
    const taken = []
    paused.on('readable', () => {
      for (let value = paused.read(); value !== null; value = paused.read()) taken.push(value)
    })
    Readable.from(numbers(300)).pipe(paused)
    await once(paused, 'end')
    assert.deepEqual(taken, numbers(300))
  })

  test('an abort is heard while the reader does not read, after the first results', async () => {
    const controller = new AbortController()
    const stream = throughWorkers((item) => item, { signal: controller.signal })
    for (const item of numbers(100)) stream.write(item)
    await settle()
    assert.equal(stream.read(), 0)
    const failed = rejection(finished(stream))
    controller.abort('enough')
    assert.equal(await failed, 'enough')
  })

  test('memory does not grow with the number of items', LIMIT, async (t) => {
    const { code, stdout, stderr } = await program(
      t,
      `import { Readable, Writable } from 'node:stream'
      import { pipeline } from 'node:stream/promises'
      import { native, throughWorkers, workerPool } from 'millrace'
      function* rows() {
        for (let i = 0; i < 100_000; i++) yield new Array(500).fill(i)
      }
      function* texts() {
        for (let i = 0; i < 100_000; i++) yield JSON.stringify(new Array(500).fill(i % 10))
      }
      const sink = () => new Writable({ objectMode: true, write: (_chunk, _encoding, done) => done() })
      const pool = workerPool('__test__/fixtures/echo.js', { size: 1 })
      await pipeline(Readable.from(rows()), throughWorkers(async (row) => row), sink())
      await pipeline(Readable.from(rows()), throughWorkers(pool, { backpressure: 500 }), sink())
      await pipeline(Readable.from(texts()), throughWorkers(native.sha256(), { backpressure: 500 }), sink())
      await pool.close()
      console.log('done')`,
      // All items together have 400 MB.
      { flags: ['--max-old-space-size=64'] },
    ).ended
    assert.deepEqual([code, stdout, stderr], [0, 'done\n', ''])
  })

  test('nothing is settled that was not asked for: no unhandled rejection after the end', async () => {
    const stream = throughWorkers(async (item) => {
      if (item === 0) throw new Error('first')
      await sleep(5)
      throw new Error('later')
    })
    const failed = rejection(finished(stream))
    for (const item of numbers(20)) stream.write(item)
    stream.resume()
    assert.equal((await failed).message, 'first')
    await sleep(30)
    assert.equal(await isSettled(Promise.resolve()), true)
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

function eventsOf(stream) {
  const told = []
  for (const name of ['finish', 'end', 'error', 'close']) stream.on(name, () => told.push(name))
  return told
}

function numbers(length) {
  return Array.from({ length }, (_, i) => i)
}

async function* endless(item) {
  for (let i = 0; ; i++) {
    if (i % 100 === 0) await sleep(1)
    yield item(i)
  }
}

/** Whatever was going to happen by itself has happened. */
async function settle() {
  await sleep(60)
}

function withResolvers() {
  let resolve
  const promise = new Promise((fulfil) => {
    resolve = fulfil
  })
  return { promise, resolve }
}
