// What only a function on this event loop can show; everything else is in the conformance suite.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCall } from '../lib/outcome.js'
import { parallelMap } from '../lib/parallel-map.js'
import { countedAsyncSource, countedSource } from './conformance/sources.js'

test('wrong arguments throw at the call', () => {
  const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
  assert.throws(() => parallelMap('text', () => {}), { ...wrong, message: /"source".*got "text"/ })
  assert.throws(() => parallelMap([], 'task.js'), { ...wrong, message: /"mapper".*got "task.js"/ })
  assert.throws(() => parallelMap([], () => {}, { concurrency: '2' }), { ...wrong, message: /"concurrency"/ })
  assert.throws(() => parallelMap([], () => {}, { concurrency: 0 }), {
    name: 'RangeError',
    code: 'ERR_OUT_OF_RANGE',
  })
})

test('wrong callbacks reject, and leave the call to be consumed', async () => {
  const results = parallelMap([1], (n) => n)
  const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
  await assert.rejects(results.forEach(), { ...wrong, message: /"fn"/ })
  await assert.rejects(results.reduce('sum', 0), { ...wrong, message: /"fn"/ })
  await assert.rejects(
    results.reduce((a, b) => a + b),
    { ...wrong, message: /"initial"/ },
  )
  assert.deepEqual(await results.toArray(), [1])
})

describe('mappers', () => {
  test('may be synchronous, asynchronous or return any thenable', async () => {
    const mappers = [
      (n) => n,
      async (n) => n,
      (n) => (n % 2 ? n : sleep(1, n)),
      (n) => ({ then: (resolve) => resolve(n) }),
    ]
    const items = Array.from({ length: 100 }, (_, i) => i)
    for (const mapper of mappers) {
      for (const options of [
        {},
        { concurrency: 1 },
        { concurrency: 3, backpressure: 3 },
        { concurrency: Infinity },
      ]) {
        assert.deepEqual(await parallelMap(items, mapper, options).toArray(), items)
        const seen = []
        for await (const result of parallelMap(countedAsyncSource({ length: 100 }), mapper, options))
          seen.push(result)
        assert.deepEqual(seen, items)
      }
    }
  })

  test('are called with the item and the context, and without this', async () => {
    const calls = []
    async function mapper(...args) {
      calls.push([this, ...args])
    }
    await parallelMap(['a'], mapper).toArray()
    assert.equal(calls.length, 1)
    const [that, item, context, ...rest] = calls[0]
    assert.deepEqual([that, item, rest], [undefined, 'a', []])
    assert.equal(context.skip, Symbol.for('millrace.skip'))
    assert.equal(context.signal, context.signal)
  })

  test('share one signal in a call, which a listener of each does not make noisy', async (t) => {
    const warnings = []
    const onWarning = (warning) => warnings.push(warning)
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const signals = new Set()
    const results = parallelMap(
      countedSource(),
      async (_, { signal }) => {
        signals.add(signal)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      { concurrency: 50 },
    )
    const iterator = results[Symbol.asyncIterator]()
    const first = iterator.next()
    await iterator.return()
    assert.deepEqual(await first, { done: true, value: undefined })
    await results.finished
    assert.equal(signals.size, 1)
    assert.equal([...signals][0].reason.name, 'AbortError')
    await sleep(1)
    assert.deepEqual(warnings, [])
  })

  test('get the reason of the abort, and a raised signal afterwards', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let late
    const results = parallelMap(
      [0],
      async (_, context) => {
        await sleep(5)
        late = context.signal
      },
      { signal: controller.signal },
    )
    const all = results.toArray()
    controller.abort(reason)
    await assert.rejects(all, reason)
    await results.finished
    assert.equal(late.aborted, true)
    assert.equal(late.reason, reason)
  })

  test('may call parallelMap() themselves', async () => {
    const nested = await parallelMap([1, 2, 3], (n) =>
      parallelMap([n, n], async (m) => m * 2).toArray(),
    ).toArray()
    assert.deepEqual(nested, [
      [2, 2],
      [4, 4],
      [6, 6],
    ])
  })

  test('may take results of their own call, or end it', async () => {
    const iterator = parallelMap(
      [0, 1, 2, 3],
      (n) => {
        taken.push(iterator.next())
        return n
      },
      { concurrency: 1, backpressure: 1 },
    )[Symbol.asyncIterator]()
    const taken = []
    taken.push(iterator.next())
    const results = []
    for (let i = 0; i < 4; i++) results.push((await taken[i]).value)
    assert.deepEqual(results, [0, 1, 2, 3])

    const source = countedSource()
    const controller = new AbortController()
    const ran = []
    const aborting = parallelMap(
      source,
      (n) => {
        ran.push(n)
        if (n === 2) controller.abort(new Error('from within'))
        return n
      },
      { signal: controller.signal },
    )
    await assert.rejects(aborting.toArray(), /from within/)
    assert.deepEqual(ran, [0, 1, 2])
    assert.equal(source.returns, 1)
  })

  test('do not get the item during which the source ended its own call', async (t) => {
    const unhandled = []
    const onUnhandled = (error) => unhandled.push(error)
    process.on('unhandledRejection', onUnhandled)
    t.after(() => process.off('unhandledRejection', onUnhandled))
    for (const last of ['late', Promise.reject(new Error('nobody looks at it'))]) {
      const controller = new AbortController()
      const ran = []
      const source = (function* () {
        yield 'first'
        controller.abort(new Error('the source'))
        yield last
      })()
      const results = parallelMap(source, (item) => ran.push(item), { signal: controller.signal })
      await assert.rejects(results.toArray(), /the source/)
      await results.finished
      assert.deepEqual(ran, ['first'])
    }
    await sleep(1)
    assert.deepEqual(unhandled, [])
  })

  test('that throw where they return: then getters too', async () => {
    const error = new Error('then')
    const refusing = {
      get then() {
        throw error
      },
    }
    await assert.rejects(parallelMap([1], () => refusing).toArray(), error)
    await assert.rejects(parallelMap([refusing], (item) => item).toArray(), error)
  })
})

describe('a stopping error', () => {
  test('starts nothing more', async () => {
    for (const preserveOrder of [true, false]) {
      const started = []
      const results = parallelMap(
        countedSource(),
        async (n) => {
          started.push(n)
          await sleep(n === 1 ? 5 : 20)
          if (n === 1) throw new Error('stop')
          return n
        },
        { concurrency: 4, preserveOrder },
      )
      await assert.rejects(results.toArray(), /stop/)
      assert.deepEqual(started, [0, 1, 2, 3])
      await results.finished
      assert.deepEqual(started, [0, 1, 2, 3])
    }
  })

  test('also not an item that was a promise then', async () => {
    const started = []
    const items = [sleep(20, 'slow'), 'bad', sleep(20, 'late')]
    const results = parallelMap(items, async (item) => {
      started.push(item)
      throw new Error(item)
    })
    await assert.rejects(async () => {
      for await (const _ of results) assert.fail('a result')
    }, /bad/)
    await results.finished
    assert.deepEqual(started, ['bad'])
  })

  test('without order: what ended before is delivered, what ends after is not', async () => {
    const seen = []
    await assert.rejects(async () => {
      const results = parallelMap(
        [30, 1, 10, 2],
        async (ms) => {
          await sleep(ms)
          if (ms === 10) throw new Error('stop')
          return ms
        },
        { preserveOrder: false },
      )
      for await (const result of results) {
        seen.push(result)
        if (seen.length === 2) await sleep(60)
      }
    }, /stop/)
    assert.deepEqual(seen.sort(), [1, 2])
  })

  test('toArray(), forEach() and reduce() reject at once; finished waits', async () => {
    const ways = [
      (results) => results.toArray(),
      (results) => results.forEach(() => {}),
      (results) => results.reduce(() => 0, 0),
    ]
    for (const consume of ways) {
      let release
      let ended = 0
      const gate = new Promise((resolve) => {
        release = resolve
      })
      const results = parallelMap([0, 1], async (n) => {
        if (n === 1) throw new Error('at once')
        await gate
        ended++
      })
      await assert.rejects(consume(results), /at once/)
      assert.equal(ended, 0)
      release()
      await results.finished
      assert.equal(ended, 1)
    }
  })

  test('forEach() calls nothing after it has rejected', async () => {
    const controller = new AbortController()
    const seen = []
    const results = parallelMap([0, 1, 2, 3], (n) => n, { signal: controller.signal })
    const each = results.forEach(async (result) => {
      seen.push(result)
      if (result === 1) controller.abort()
      await sleep(1)
    })
    await assert.rejects(each, { name: 'AbortError' })
    await sleep(10)
    assert.deepEqual(seen, [0, 1])
  })

  test('errors of items that still ran do not surface as unhandled', async (t) => {
    const unhandled = []
    const onUnhandled = (error) => unhandled.push(error)
    process.on('unhandledRejection', onUnhandled)
    t.after(() => process.off('unhandledRejection', onUnhandled))
    const results = parallelMap([0, 1, 2], async (n) => {
      await sleep(n * 3)
      throw new Error(String(n))
    })
    await assert.rejects(results.toArray(), /0/)
    await results.finished
    const left = parallelMap(
      [
        0,
        Promise.resolve()
          .then(() => sleep(5))
          .then(() => {
            throw new Error('item')
          }),
      ],
      (n) => n,
    )
    for await (const _ of left) break
    await left.finished
    await sleep(10)
    assert.deepEqual(unhandled, [])
  })
})

test('slots that are free start as soon as there is credit', async () => {
  const started = []
  const iterator = parallelMap(
    countedSource(),
    async (n) => {
      started.push(n)
      return n
    },
    { concurrency: 2, backpressure: 3 },
  )[Symbol.asyncIterator]()
  await iterator.next()
  await sleep(5)
  assert.deepEqual(started, [0, 1, 2, 3])
  await iterator.next()
  assert.deepEqual(started, [0, 1, 2, 3, 4])
  await iterator.return()
})

test('forEach() with a slow callback keeps the slots busy', async () => {
  const started = []
  const results = parallelMap(
    [0, 1, 2, 3, 4, 5, 6, 7],
    async (n) => {
      started.push(n)
      return n
    },
    { concurrency: 2, backpressure: 2 },
  )
  const counts = []
  await results.forEach(async () => {
    await sleep(3)
    counts.push(started.length)
  })
  assert.deepEqual(counts, [3, 4, 5, 6, 7, 8, 8, 8])
})

test('a huge window grows as it is used', async () => {
  let release
  const gate = new Promise((resolve) => {
    release = resolve
  })
  const results = parallelMap(countedSource({ length: 5000 }), (n) => (n === 0 ? gate.then(() => n) : n), {
    concurrency: 2,
    backpressure: 1e9,
  })
  setTimeout(release, 5)
  assert.deepEqual(
    await results.toArray(),
    Array.from({ length: 5000 }, (_, i) => i),
  )
})

test('concurrency: Infinity pulls an asynchronous source as fast as it yields', async () => {
  let running = 0
  let most = 0
  await parallelMap(
    countedAsyncSource({ length: 200 }),
    async () => {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
    },
    { concurrency: Infinity },
  ).toArray()
  assert.equal(most, 200)
})

test('an abort listener does not outlive its call', async () => {
  const { signal } = new AbortController()
  const added = []
  const removed = []
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args) => {
    added.push(args[1])
    addEventListener.apply(signal, args)
  }
  signal.removeEventListener = (...args) => {
    removed.push(args[1])
    removeEventListener.apply(signal, args)
  }
  await parallelMap([1], (n) => n, { signal }).toArray()
  for await (const _ of parallelMap([1, 2], (n) => n, { signal })) break
  await assert.rejects(
    parallelMap(
      [1],
      () => {
        throw new Error('x')
      },
      { signal },
    ).toArray(),
  )
  assert.equal(added.length, 3)
  assert.deepEqual(new Set(removed), new Set(added))
})

test('a place that cannot start a call is a rejection', async () => {
  const closed = new Error('closed')
  const operation = {
    [startCall]() {
      throw closed
    },
  }
  await assert.rejects(parallelMap([1], operation).toArray(), closed)
  await assert.rejects(parallelMap([1], operation)[Symbol.asyncIterator]().next(), closed)
})
