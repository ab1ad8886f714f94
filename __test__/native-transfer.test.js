// The option `transfer`: what an item is made of is given away, for good, and only where it can be.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { markAsUntransferable } from 'node:worker_threads'
import { failureOf, native, parallelMap, throughWorkers, workerPool } from '../index.js'
import { LIMIT, program } from './processes.js'

const { array, gunzip, pipe, sha256 } = native
const TRANSFER = { transfer: true }
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const LARGE = 100_000

/** Copies of the same numbers, as large as one likes: below some KiB, items travel another way. */
function doubles(length = LARGE) {
  return Float64Array.from({ length }, (_, at) => Math.sin(at))
}

function detached(item) {
  try {
    new Uint8Array(ArrayBuffer.isView(item) ? item.buffer : item)
    return false
  } catch {
    return true
  }
}

const digest = (view) => createHash('sha256').update(view).digest('hex')
const toSorted = (numbers) => numbers.toSorted()

describe('what is given away', LIMIT, () => {
  for (const length of [1, 10, 2000, LARGE]) {
    test(`typed arrays of ${length}, with parallelMap() and run()`, async () => {
      const expected = toSorted(doubles(length))
      const items = Array.from({ length: 20 }, () => doubles(length))
      const buffers = items.map(({ buffer }) => buffer)
      const results = await parallelMap(items, array.sort(), TRANSFER).toArray()
      for (const result of results) assert.deepEqual(result, expected)
      assert.ok(items.every(detached) && buffers.every(detached) && items.every((item) => item.length === 0))
      // All of them can be changed, and no two share anything.
      for (const [at, result] of results.entries()) result.fill(at)
      for (const [at, result] of results.entries()) assert.equal(result[0], at)

      const item = doubles(length)
      assert.deepEqual(await array.sort().run(item, TRANSFER), expected)
      assert.ok(detached(item))
    })
  }

  test('what any operation takes: Buffers, views, ArrayBuffers', async () => {
    for (const length of [100, LARGE]) {
      const bytes = Buffer.alloc(length, 'abc')
      const expected = digest(bytes)
      const items = [
        Buffer.alloc(length, 'abc'),
        Uint8Array.from(bytes),
        new DataView(Uint8Array.from(bytes).buffer),
        Uint8Array.from(bytes).buffer,
      ]
      assert.deepEqual(
        await parallelMap(items, sha256(), TRANSFER).toArray(),
        items.map(() => expected),
      )
      assert.deepEqual(
        items.map(detached),
        items.map(() => true),
      )
    }
  })

  test('every type of array is sorted in its own memory, and comes back as what it was', async () => {
    const types = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]
    for (const type of [...types, Float32Array, Float64Array, BigInt64Array, BigUint64Array, Buffer]) {
      const of = type === BigInt64Array || type === BigUint64Array ? BigInt : Number
      const values = Array.from({ length: LARGE }, (_, at) => of((at * 7919) % 120))
      const item = type === Buffer ? Buffer.from(values) : type.from(values)
      const expected = (type === Buffer ? Uint8Array : type).from(values).sort()
      const sorted = await array.sort().run(item, TRANSFER)
      assert.equal(sorted.constructor, expected.constructor)
      assert.deepEqual(sorted, expected)
      assert.equal(sorted.buffer.byteLength, sorted.byteLength)
      assert.ok(detached(item))
      // It is memory like any other, and can be given away again.
      assert.equal(await sha256().run(sorted, TRANSFER), digest(expected))
      assert.ok(detached(sorted))
    }
  })

  test('NaN and zeroes, where they are', async () => {
    const numbers = Float64Array.from({ length: LARGE }, (_, at) => [NaN, -0, 0, at, -Infinity][at % 5])
    const expected = Array.from(toSorted(numbers))
    assert.deepStrictEqual(Array.from(await array.sort().run(numbers, TRANSFER)), expected)
  })

  test('pipes, and operations that only read', async () => {
    const expected = toSorted(doubles())
    const item = doubles()
    assert.equal(await pipe(array.sort(), sha256()).run(item, TRANSFER), digest(expected))
    const other = doubles()
    assert.deepEqual(await array.minmax().run(other, TRANSFER), { min: expected[0], max: expected.at(-1) })
    assert.ok(detached(item) && detached(other))
  })

  test('several arrays of one item, also the same one twice', async () => {
    for (const length of [3, LARGE]) {
      const ones = () => new Float64Array(length).fill(1)
      const [one, other, twice] = [ones(), ones(), ones()]
      const items = [
        [one, other],
        [twice, twice],
      ]
      assert.deepEqual(await parallelMap(items, array.dot(), TRANSFER).toArray(), [length, length])
      assert.ok([one, other, twice].every(detached))
    }
  })

  test('all of an ArrayBuffer and a part of it in one item', async () => {
    for (const length of [4, LARGE]) {
      const whole = new Float64Array(length).fill(2)
      const part = whole.subarray(0, length / 2)
      await assert.rejects(array.dot().run([whole, part], TRANSFER), { code: 'ERR_OUT_OF_RANGE' })
      assert.ok(!detached(whole))
      const halves = [part, whole.subarray(length / 2)]
      assert.equal(await array.dot().run(halves, TRANSFER), 2 * length)
      assert.ok(!detached(whole))
      const [all, some] = [new Float64Array(length).fill(2), new Float64Array(2 * length).fill(3)]
      assert.equal(await array.dot().run([all, some.subarray(length)], TRANSFER), 6 * length)
      assert.deepEqual([detached(all), detached(some)], [true, false])
    }
  })

  test('a resizable ArrayBuffer', async () => {
    const buffer = new ArrayBuffer(LARGE, { maxByteLength: 2 * LARGE })
    new Uint8Array(buffer).fill(7)
    const expected = digest(new Uint8Array(buffer))
    assert.equal(await sha256().run(buffer, TRANSFER), expected)
    assert.ok(detached(buffer))
  })

  test('strings have nothing to give away, empty arrays nothing to show', async () => {
    const text = 'a'.repeat(LARGE)
    assert.equal(await sha256().run(text, TRANSFER), digest(text))
    assert.equal(await sha256().run('a', TRANSFER), digest('a'))
    assert.deepEqual(await array.sort().run(new Float64Array(0), TRANSFER), new Float64Array(0))
    assert.equal(await sha256().run(Buffer.alloc(0), TRANSFER), digest(''))
  })
})

describe('what stays as it is, and is copied', LIMIT, () => {
  const copied = async (view, bytes = Buffer.from(view)) => {
    const before = view.byteLength
    assert.equal(await sha256().run(view, TRANSFER), digest(bytes))
    assert.equal(view.byteLength, before)
    assert.ok(!detached(view))
  }

  test('a view of a part of its ArrayBuffer', async () => {
    const bytes = new Uint8Array(3 * LARGE).map((_, at) => at)
    const parts = [bytes.subarray(0, LARGE), bytes.subarray(LARGE, 2 * LARGE), bytes.subarray(2 * LARGE)]
    const expected = parts.map(digest)
    assert.deepEqual(await parallelMap(parts, sha256(), TRANSFER).toArray(), expected)
    assert.deepEqual(parts.map(digest), expected)
  })

  test('the memory that small Buffers share', async () => {
    const neighbour = Buffer.from('neighbour')
    const small = Buffer.from('small')
    assert.equal(small.buffer, neighbour.buffer)
    await copied(small)
    // All of it, too.
    await copied(new Uint8Array(small.buffer))
    assert.equal(String(neighbour), 'neighbour')
  })

  test('what was marked as untransferable', async () => {
    for (const length of [10, LARGE]) {
      const marked = new Uint8Array(length).fill(1)
      markAsUntransferable(marked.buffer)
      await copied(marked)
    }
  })

  test('a WebAssembly.Memory', async () => {
    const { buffer } = new WebAssembly.Memory({ initial: 2 })
    new Uint8Array(buffer).fill(1)
    await copied(new Uint8Array(buffer))
  })

  test('large results of native operations', async () => {
    const packed = native.gzip().runSync(Buffer.alloc(LARGE, 'abc'))
    await copied(await gunzip().run(packed))
    const digests = await parallelMap([packed], gunzip()).map(sha256(), TRANSFER).toArray()
    assert.deepEqual(digests, [digest(Buffer.alloc(LARGE, 'abc'))])
  })
})

describe('what is an error of its item', LIMIT, () => {
  test('shared memory', async () => {
    for (const length of [8, LARGE]) {
      const shared = new Uint8Array(new SharedArrayBuffer(length))
      for (const item of [shared, shared.buffer]) {
        await assert.rejects(sha256().run(item, TRANSFER), wrongType)
        assert.equal(
          await sha256().run(item),
          digest(new Uint8Array(length)),
          'without the option it is copied',
        )
      }
      // Nothing is given away of an item that cannot be given away whole.
      const one = new Uint8Array(length)
      await assert.rejects(array.dot().run([one, shared], TRANSFER), wrongType)
      assert.ok(!detached(one))
    }
  })

  test('the same memory twice, and what is detached already', async () => {
    for (const length of [10, LARGE]) {
      const [twice, other] = [new Uint8Array(length), new Uint8Array(length).fill(1)]
      const expected = [digest(twice), digest(other)]
      const items = [twice, twice, other, twice.buffer]
      const outcomes = await parallelMap(items, sha256(), { ...TRANSFER, settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(
          ({ status, value, reason }) => value ?? [status, reason.code, reason instanceof TypeError],
        ),
        [
          expected[0],
          ['rejected', 'ERR_INVALID_ARG_TYPE', true],
          expected[1],
          ['rejected', 'ERR_INVALID_ARG_TYPE', true],
        ],
      )
      assert.equal(failureOf(outcomes[1]).index, 1)
      for (const item of [twice, twice.buffer, other]) {
        for (const options of [undefined, TRANSFER])
          await assert.rejects(sha256().run(item, options), wrongType)
        assert.throws(() => sha256().runSync(item), wrongType)
      }
      await assert.rejects(array.sort().run(twice), wrongType)
      await assert.rejects(array.dot().run([twice, twice]), wrongType)
    }
  })

  test('an item of a type that is not taken keeps what it has', async () => {
    const buffer = new ArrayBuffer(LARGE)
    for (const item of [buffer, new DataView(buffer), [new Uint8Array(buffer)]])
      await assert.rejects(array.sort().run(item, TRANSFER), wrongType)
    await assert.rejects(array.dot().run([new Uint8Array(buffer), 42], TRANSFER), wrongType)
    assert.ok(!detached(buffer))
  })

  test('arrays that do not go together keep what they have', async () => {
    const error = (code, message) => ({ code, message })
    const cases = [
      [
        [doubles(), new Float32Array(LARGE)],
        error('ERR_INVALID_ARG_TYPE', /of the same type, got two types$/),
      ],
      [
        [doubles(), new BigInt64Array(LARGE)],
        error('ERR_INVALID_ARG_TYPE', /of the same type, got two types$/),
      ],
      [[doubles(), doubles(3)], error('ERR_OUT_OF_RANGE', /same length, got 100000 and 3 elements$/)],
      [[doubles(3), doubles()], error('ERR_OUT_OF_RANGE', /same length, got 3 and 100000 elements$/)],
      [[doubles()], error('ERR_OUT_OF_RANGE', /expected two typed arrays, got 1$/)],
      [[doubles(), doubles(), doubles()], error('ERR_OUT_OF_RANGE', /expected two typed arrays, got 3$/)],
    ]
    for (const [item, expected] of cases) {
      await assert.rejects(array.dot().run(item, TRANSFER), expected)
      await assert.rejects(parallelMap([item], array.dot(), TRANSFER).toArray(), expected)
      assert.ok(!item.some(detached))
    }
    assert.equal(
      await array
        .dot()
        .run([], TRANSFER)
        .catch(({ code }) => code),
      'ERR_OUT_OF_RANGE',
    )
    // What follows is not changed by it.
    const [one, other] = [Float64Array.of(1, 2), Float64Array.of(3, 4)]
    assert.equal(await array.dot().run([one, other], TRANSFER), 11)
    assert.ok(detached(one) && detached(other))
  })

  test('what the operation finds wrong: the memory is gone all the same', async () => {
    const items = [Buffer.alloc(LARGE, 'no gzip'), Buffer.alloc(LARGE, 'no gzip')]
    const outcomes = await parallelMap(items, gunzip(), { ...TRANSFER, settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ reason }) => reason.code),
      ['ERR_CORRUPT_DATA', 'ERR_CORRUPT_DATA'],
    )
    assert.ok(items.every(detached))
  })
})

describe('with the other options', LIMIT, () => {
  test('retries have the item again', async () => {
    const item = Buffer.alloc(LARGE, 'no gzip')
    const tried = []
    const retryIf = ({ code }, { attempt }) => tried.push([code, attempt])
    const options = { ...TRANSFER, retries: 2, backoff: { initial: 0 }, retryIf }
    await assert.rejects(gunzip().run(item, options), { code: 'ERR_CORRUPT_DATA' })
    assert.deepEqual(tried, [
      ['ERR_CORRUPT_DATA', 1],
      ['ERR_CORRUPT_DATA', 2],
    ])
    const numbers = doubles()
    assert.deepEqual(await array.sort().run(numbers, { ...TRANSFER, retries: 2 }), toSorted(doubles()))
    assert.ok(detached(numbers))
  })

  test('a timeout, tried again while the first try still runs', async () => {
    const options = { ...TRANSFER, timeout: 1, retries: 3, backoff: { initial: 0 } }
    const items = Array.from({ length: 6 }, () => Buffer.alloc(8 << 20, 'abc'))
    const call = parallelMap(items, native.brotli({ level: 9 }), { ...options, settled: true })
    for (const outcome of await call.toArray())
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'ERR_TASK_TIMEOUT')
    await call.finished
    assert.ok(items.every(detached))
  })

  test('a signal that is aborted before, and meanwhile', async () => {
    const reason = new Error('enough')
    const item = doubles()
    await assert.rejects(array.sort().run(item, { ...TRANSFER, signal: AbortSignal.abort(reason) }), reason)
    const control = new AbortController()
    const source = function* () {
      for (let at = 0; ; at++) {
        if (at === 10) control.abort(reason)
        yield Buffer.alloc(LARGE, 'abc')
      }
    }
    const call = parallelMap(source(), sha256(), { ...TRANSFER, signal: control.signal })
    await assert.rejects(call.toArray(), reason)
    await call.finished
  })

  test('break, take() and a stopping error', async () => {
    const items = function* () {
      for (;;) yield Buffer.alloc(LARGE, 'abc')
    }
    const call = parallelMap(items(), sha256(), TRANSFER)
    for await (const _ of call) break
    await call.finished
    assert.equal((await parallelMap(items(), sha256(), TRANSFER).take(3).toArray()).length, 3)
    await assert.rejects(parallelMap(items(), gunzip(), TRANSFER).toArray(), { code: 'ERR_CORRUPT_DATA' })
  })

  test('in every stage, in streams, in any order and one by one', async () => {
    const expected = digest(doubles())
    const items = () => Array.from({ length: 30 }, () => doubles())
    const source = () => parallelMap(items(), (item) => item)
    const all = Array.from({ length: 30 }, () => expected)
    const options = { ...TRANSFER, preserveOrder: false }
    assert.deepEqual(await source().map(sha256(), options).toArray(), all)
    assert.deepEqual(
      await source()
        .map(sha256(), { ...TRANSFER, chunkSize: 1 })
        .toArray(),
      all,
    )
    assert.deepEqual(
      await source()
        .map(sha256(), { ...TRANSFER, chunkSize: 7 })
        .toArray(),
      all,
    )
    const split = native.split(',')
    const texts = [Buffer.alloc(LARGE, 'a,'), Buffer.alloc(LARGE, 'b,')]
    const parts = await parallelMap(texts, (item) => item)
      .flatMap(split, TRANSFER)
      .toArray()
    assert.equal(parts.length, LARGE + 2)
    assert.ok(texts.every(detached))
    const stream = source().toReadable().compose(throughWorkers(sha256(), TRANSFER))
    assert.deepEqual(await stream.toArray(), all)
  })

  test('maxBytes counts what was given away', async () => {
    let [pulled, most] = [0, 0]
    const source = function* () {
      while (pulled < 40) {
        pulled++
        yield new Float64Array(LARGE)
      }
    }
    let taken = 0
    for await (const _ of parallelMap(source(), array.sort(), { ...TRANSFER, maxBytes: 3 * 8 * LARGE })) {
      taken++
      await new Promise(setImmediate)
      most = Math.max(most, pulled - taken)
    }
    assert.equal(taken, 40)
    assert.ok(most <= 4, `${most} items, where 3 have room`)
  })
})

describe('where it is no option', LIMIT, () => {
  test('a value that is no boolean', async () => {
    for (const transfer of [1, 'true', null, [], {}]) {
      assert.throws(() => parallelMap([], sha256(), { transfer }), wrongType)
      await assert.rejects(sha256().run('a', { transfer }), wrongType)
    }
    assert.deepEqual(await parallelMap(['a'], sha256(), { transfer: undefined }).toArray(), [digest('a')])
    assert.equal(await sha256().run('a', { transfer: false }), digest('a'))
  })

  test('functions, worker pools, filter()', async (t) => {
    const pool = workerPool((item) => item)
    t.after(() => pool.close())
    const refused = (call) =>
      assert.throws(call, { ...wrongType, message: /"transfer".*expected false, because/s })
    refused(() => parallelMap([], (item) => item, TRANSFER))
    refused(() => parallelMap([], pool, TRANSFER))
    refused(() => throughWorkers(pool, TRANSFER))
    const call = parallelMap([], sha256())
    refused(() => call.map(pool, TRANSFER))
    refused(() => call.filter(native.countMatches(/a/), TRANSFER))
    await assert.rejects(pool.run('a', TRANSFER), { ...wrongType, message: /Unknown option "transfer"/ })
    assert.deepEqual(await parallelMap(['a'], (item) => item, { transfer: false }).toArray(), ['a'])
  })
})

describe('memory', LIMIT, () => {
  test('is let go of: results taken, dropped, failed, left behind', async (t) => {
    const source = `
      import { native, parallelMap } from 'millrace'
      const { array, gunzip, sha256 } = native
      const options = { transfer: true, maxBytes: 32 << 20 }
      const much = function* (count) { for (let at = 0; at < count; at++) yield new Float64Array(1 << 19) }
      const round = async () => {
        for await (const _ of parallelMap(much(64), array.sort(), options));
        for await (const _ of parallelMap(much(64), sha256(), options));
        for await (const _ of parallelMap(much(64), gunzip(), { ...options, settled: true }));
        for (let at = 0; at < 8; at++) {
          const call = parallelMap(much(64), array.sort(), options)
          for await (const _ of call) break
          await call.finished
        }
      }
      const held = async () => {
        let least = Infinity
        for (let at = 0; at < 10; at++) {
          await new Promise(setImmediate)
          globalThis.gc()
          least = Math.min(least, process.memoryUsage().arrayBuffers)
        }
        return least
      }
      await round()
      const before = await held()
      await round()
      console.log(JSON.stringify({ before, after: await held() }))`
    const { code, stdout, stderr } = await program(t, source, { flags: ['--expose-gc'] }).ended
    assert.equal(code, 0, stderr)
    const { before, after } = JSON.parse(stdout)
    // 800 MiB were given away in each round.
    assert.ok(after < before + (8 << 20), `${before} bytes held, then ${after}`)
  })
})

describe('an environment that ends', LIMIT, () => {
  const inWorkers = (inside, end) => `
    import { once } from 'node:events'
    import { setTimeout as sleep } from 'node:timers/promises'
    import { Worker } from 'node:worker_threads'
    const code = ${JSON.stringify(`import('millrace').then(async ({ native, parallelMap }) => {
      const { parentPort } = await import('node:worker_threads')
      ${inside}
    })`)}
    for (let number = 0; number < 25; number++) {
      const worker = new Worker(code, { eval: true })
      await once(worker, 'message')
      await sleep(number % 5)
      ${end}
    }
    console.log('done')`

  const INSIDE = {
    'while it is read': `
      const source = function* () { for (;;) yield Buffer.alloc(1 << 20, 'abc') }
      let seen = 0
      for await (const _ of parallelMap(source(), native.sha512(), { transfer: true }))
        if (++seen === 3) parentPort.postMessage(seen)`,
    'while it is changed': `
      const source = function* () { for (;;) yield Float64Array.from({ length: 1 << 17 }, Math.random) }
      let seen = 0
      for await (const _ of parallelMap(source(), native.array.sort(), { transfer: true }))
        if (++seen === 3) parentPort.postMessage(seen)`,
    'by its own end, with an item left behind': `
      const item = Buffer.alloc(8 << 20, 'abc')
      const control = new AbortController()
      const run = native.brotli({ level: 9 }).run(item, { transfer: true, signal: control.signal })
      setTimeout(() => control.abort(), 5)
      await run.catch(() => {})
      parentPort.postMessage(0)`,
  }
  for (const [name, inside] of Object.entries(INSIDE)) {
    test(`a worker thread is terminated ${name}`, async (t) => {
      const { code, signal, stdout, stderr } = await program(t, inWorkers(inside, 'await worker.terminate()'))
        .ended
      assert.deepEqual({ code, signal, stdout }, { code: 0, signal: null, stdout: 'done\n' }, stderr)
    })
  }

  for (const end of ['process.exit(0)', "process.kill(process.pid, 'SIGTERM')", '']) {
    test(`the program ends meanwhile: ${end || 'by itself'}`, async (t) => {
      const source = `
        import { native, parallelMap } from 'millrace'
        const items = Array.from({ length: 8 }, () => Buffer.alloc(4 << 20, 'abc'))
        const call = parallelMap(items, native.brotli({ level: 7 }), { transfer: true, timeout: 20, settled: true })
        for await (const { status } of call) {
          console.log(status)
          ${end}
          break
        }`
      const { code, signal, stderr } = await program(t, source).ended
      assert.deepEqual([code, signal], end.includes('kill') ? [null, 'SIGTERM'] : [0, null], stderr)
    })
  }
})
