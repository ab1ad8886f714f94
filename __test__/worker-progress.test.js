// context.progress(): how far items are, written over in memory that the pool looks at.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parallelMap } from '../index.js'
import { LIMIT, openPool, until } from './processes.js'

const say = (code) => ({ act: 'eval', code })
/** Says something, then waits until the parent has ended it. */
const sayAndWait = (progress) =>
  say(
    `context.progress(${progress}); return new Promise((resolve) => context.signal.addEventListener('abort', resolve))`,
  )

/** The newest that a pool has told of each item. */
function toldBy(pool) {
  const told = new Map()
  pool.on('progress', ({ index, ...event }) => told.set(index, event))
  return told
}

test('the latest of an item is told, with its worker', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const told = toldBy(pool)
  const controller = new AbortController()
  const code = `for (let i = 0; i <= 1_000_000; i++) context.progress(i, 4_000_000)
    const { progress } = context
    return new Promise((resolve) => context.signal.addEventListener('abort', () => { progress(1); resolve() }))`
  const call = parallelMap([{ act: 'value', value: 1 }, say(code)], pool, {
    signal: controller.signal,
  }).toArray()
  await until(() => told.get(1)?.done === 1_000_000)
  assert.deepEqual(told.get(1), { worker: 0, done: 1_000_000, total: 4_000_000 })
  assert.equal(told.has(0), false)
  controller.abort('enough')
  await assert.rejects(call, (reason) => reason === 'enough')
})

test('a fraction, and several items of one worker at the same time', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 2, concurrencyPerWorker: 4 })
  const told = toldBy(pool)
  const controller = new AbortController()
  const items = Array.from({ length: 8 }, (_, i) => sayAndWait(i / 8))
  const call = parallelMap(items, pool, { signal: controller.signal }).toArray()
  await until(() => told.size === 8)
  for (const [index, { done, total }] of told) assert.deepEqual([done, total], [index / 8, 1])
  assert.equal(new Set([...told.values()].map(({ worker }) => worker)).size, 2)
  controller.abort('enough')
  await assert.rejects(call, (reason) => reason === 'enough')
})

test('each is told once, a new one as soon as it is there', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const events = []
  pool.on('progress', ({ done }) => events.push(done))
  const code = `
    const steps = [0.1, 0.2, 0.3]
    return new Promise((resolve) => {
      const next = () => {
        if (steps.length === 0) return resolve()
        context.progress(steps.shift())
        setTimeout(next, 400)
      }
      next()
    })`
  await pool.run(say(code))
  assert.deepEqual(events, [0.1, 0.2, 0.3])
})

test('a blocked event loop is told the latest of what it has missed', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const events = []
  await pool.ready()
  pool.on('progress', ({ done }) => events.push(done))
  const code = `
    return new Promise((resolve) => {
      let done = 0
      const timer = setInterval(() => {
        context.progress(++done, 1000)
        if (done < 200) return
        clearInterval(timer)
        setTimeout(resolve, 300)
      }, 5)
    })`
  const running = pool.run(say(code))
  await until(() => events.length > 0)
  const before = events.length
  for (const end = Date.now() + 1500; Date.now() < end; );
  assert.equal(events.length, before)
  await running
  assert.equal(events.at(-1), 200)
  assert.ok(events.length < before + 10, `${events}`)
  assert.deepEqual(
    events,
    events.toSorted((a, b) => a - b),
  )
})

test('nothing is told of what was said while nobody listened', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  await pool.run(say('context.progress(0.5)'))
  const events = []
  const listener = ({ done }) => events.push(done)
  pool.on('progress', listener)
  await pool.run({ act: 'sleep', ms: 200 })
  assert.deepEqual(events, [])
  await pool.run(say('context.progress(0.75); return new Promise((resolve) => setTimeout(resolve, 300))'))
  assert.deepEqual(events, [0.75])
  pool.off('progress', listener)
  await pool.run(say('context.progress(1); return new Promise((resolve) => setTimeout(resolve, 200))'))
  assert.deepEqual(events, [0.75])
})

describe('wrong numbers are refused everywhere', () => {
  const wrong = [
    [[], 'ERR_INVALID_ARG_TYPE', 'done'],
    [['1'], 'ERR_INVALID_ARG_TYPE', 'done'],
    [[NaN], 'ERR_OUT_OF_RANGE', 'done'],
    [[-1], 'ERR_OUT_OF_RANGE', 'done'],
    [[Infinity], 'ERR_OUT_OF_RANGE', 'done'],
    [[1, null], 'ERR_INVALID_ARG_TYPE', 'total'],
    [[1, 0], 'ERR_OUT_OF_RANGE', 'total'],
    [[1, Infinity], 'ERR_OUT_OF_RANGE', 'total'],
  ]
  const check = (error, code, name) => {
    assert.equal(error?.code, code)
    assert.equal(error.name, code === 'ERR_OUT_OF_RANGE' ? 'RangeError' : 'TypeError')
    assert.match(error.message, new RegExp(`"${name}": expected a finite number .+, got `))
  }

  test('on the event loop, where right ones do nothing', LIMIT, async () => {
    for (const [args, code, name] of wrong) {
      const [outcome] = await parallelMap([0], (_, { progress }) => progress(...args), {
        settled: true,
      }).toArray()
      check(outcome.reason, code, name)
    }
    assert.deepEqual(await parallelMap([1], (_, { progress }) => progress(3, 2)).toArray(), [undefined])
  })

  test('in a worker, whether somebody listens or not', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const refused = (args) =>
      pool.run(say(`try { context.progress(${args.map(String)}) } catch (error) { return error }`))
    for (const listens of [false, true]) {
      if (listens) pool.on('progress', () => {})
      for (const [args, code, name] of wrong)
        check(await refused(args.map((arg) => (arg === '1' ? '"1"' : arg))), code, name)
    }
  })
})
