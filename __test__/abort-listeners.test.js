// One signal for many calls: whoever is done with it has let go of it, and it is no leak while they run.

import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { native, parallelMap, throughWorkers } from '../index.js'
import { LIMIT, openPool, program, rejection } from './processes.js'

const value = (number) => ({ act: 'value', value: number })
const listeners = (signal) => getEventListeners(signal, 'abort').length
const identity = (item) => item

/** Ways to use a signal; `fail` makes an item fail. */
const WAYS = {
  'on the event loop': (_, options) => parallelMap([1, 2], async (item) => item, options).toArray(),
  'on the event loop, by for await and break': async (_, options) => {
    for await (const _ of parallelMap([1, 2], identity, options)) break
  },
  'with a mapper that throws': (_, options) =>
    parallelMap([1], () => Promise.reject(new Error('on purpose')), options)
      .toArray()
      .catch(identity),
  'never consumed': async (_, options) => {
    await parallelMap([1], identity, options)[Symbol.asyncDispose]()
  },
  'in a pool': (pool, options) => parallelMap([value(1), value(2)], pool, options).toArray(),
  'in a pool, by for await and break': async (pool, options) => {
    for await (const _ of parallelMap([value(1), value(2)], pool, options)) break
  },
  'in a pool, with an item that throws': (pool, options) =>
    parallelMap([{ act: 'throw', message: 'on purpose' }], pool, options)
      .toArray()
      .catch(identity),
  'in a native operation': (_, options) => parallelMap(['a'], native.sha256(), options).toArray(),
  'run()': (pool, { signal }) => pool.run(value(1), { signal }),
  'run() of an item that throws': (pool, { signal }) =>
    pool
      .run({ act: 'throw', message: 'on purpose' }, { signal, retries: 1, backoff: { initial: 0 } })
      .catch(identity),
  stages: (pool, options) =>
    parallelMap([1, 2], value, options)
      .map(pool, options)
      .flatMap(Array, options)
      .filter(identity, options)
      .toArray(),
  'throughWorkers()': (pool, options) => pipeline([value(1)], throughWorkers(pool, options), drained),
  'throughWorkers() that is destroyed': async (pool, options) => {
    const stream = throughWorkers(pool, options)
    stream.write(value(1))
    stream.destroy()
    await once(stream, 'close')
  },
  'toReadable()': (_, options) => pipeline(parallelMap([1, 2], identity, options).toReadable(), drained),
}

async function drained(stream) {
  for await (const _ of stream);
}

describe('a call that has settled listens no more', () => {
  for (const [name, use] of Object.entries(WAYS)) {
    test(name, LIMIT, async (t) => {
      const pool = openPool(t, undefined, { size: 2 })
      const { signal } = new AbortController()
      await Promise.all(Array.from({ length: 50 }, () => use(pool, { signal })))
      for (let count = 0; count < 20; count++) await use(pool, { signal })
      assert.equal(listeners(signal), 0)
    })
  }

  test('after the abort, too', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const control = new AbortController()
    const { signal } = control
    const uses = [
      parallelMap([1, 2], () => new Promise(() => {}), { signal }).toArray(),
      parallelMap([{ act: 'never' }], pool, { signal }).toArray(),
      pool.run({ act: 'never' }, { signal }),
    ].map(rejection)
    assert.equal(listeners(signal), 1)
    control.abort('enough')
    assert.deepEqual(await Promise.all(uses), ['enough', 'enough', 'enough'])
    assert.equal(listeners(signal), 0)
  })
})

test(
  'many calls at once on one signal are no leak to warn about, and all hear of its abort',
  LIMIT,
  async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const warnings = []
    const warn = (warning) => warnings.push(warning)
    process.on('warning', warn)
    t.after(() => process.off('warning', warn))
    const control = new AbortController()
    const { signal } = control
    const runs = Array.from({ length: 100 }, () => rejection(pool.run({ act: 'never' }, { signal })))
    const calls = Array.from({ length: 100 }, () =>
      rejection(parallelMap([1], () => new Promise(() => {}), { signal }).toArray()),
    )
    assert.ok(listeners(signal) > 0)
    control.abort('enough')
    assert.deepEqual(new Set(await Promise.all([...runs, ...calls])), new Set(['enough']))
    await new Promise(setImmediate)
    assert.deepEqual(warnings, [])
  },
)

test('one that ends another in the middle of an abort', LIMIT, async () => {
  const control = new AbortController()
  const { signal } = control
  const never = () => new Promise(() => {})
  const second = parallelMap([1], never, { signal })[Symbol.asyncIterator]()
  let closed = 0
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false, value: 1 }),
      return: async () => {
        closed++
        await second.return()
        return { done: true, value: undefined }
      },
    }),
  }
  const first = rejection(parallelMap(source, never, { signal }).toArray())
  const next = second.next()
  await new Promise(setImmediate)
  control.abort('enough')
  assert.equal(await first, 'enough')
  await Promise.allSettled([next])
  assert.equal(closed, 1)
  assert.equal(listeners(signal), 0)
})

test('a million calls on one signal leave no memory', LIMIT, async (t) => {
  const run = program(
    t,
    `import { getEventListeners } from 'node:events'
     import { setImmediate as turn } from 'node:timers/promises'
     import { parallelMap, workerPool } from 'millrace'
     const { signal } = new AbortController()
     const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
     const item = { act: 'value', value: 1 }
     const many = async (count) => {
       for (let done = 0; done < count; done += 500) {
         const calls = Array.from({ length: 480 }, () => parallelMap([1], (it) => it, { signal }).toArray())
         const runs = Array.from({ length: 20 }, () => pool.run(item, { signal }))
         await Promise.all([...calls, ...runs])
       }
       // The heap of calls that are over is given back in later turns.
       for (let at = 0; at < 5; at++) await turn(gc())
       return process.memoryUsage().heapUsed
     }
     const before = await many(100_000)
     const after = await many(900_000)
     console.log(JSON.stringify([getEventListeners(signal, 'abort').length, after - before]))
     await pool.close()`,
    { flags: ['--expose-gc'] },
  )
  const { stdout, stderr } = await run.ended
  assert.equal(stderr, '')
  const [left, bytes] = JSON.parse(stdout)
  assert.equal(left, 0)
  // A byte and a half a call would be more.
  assert.ok(bytes < 1.5e6, `${bytes} bytes more`)
})
