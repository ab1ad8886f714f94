// What the stages of a chain promise wherever their work runs: map(), filter(), flatMap(), batch(), take() and drop(),
// as one suite with the place as its parameter. See suite.js for what a place is. Besides, one may have:
// - `single(name)`: the mapper of that name in a place of capacity 1.
// - `number(i)`, `read(value)` and `timesOf(i)`, for a place whose items are no numbers: how it writes a number that
//   'doubleAtOnce', 'isEven' and 'times' take, which number a result is, and the numbers that 'times' makes of one.
// - `textError`: what a text is for 'double', a TypeError if it is left out; `sendsSeveral`: several results of an item are
//   no array, but messages. `uncopied`: three items that cannot go there.
// - `kept`: items that 'keep' takes, and `refusal`, the code of the error of others; `object(i)`: an item of 'skipEvenObject'; `load(i)`: one of 1 kB for 'identity'.
// - `mapper('inWrongShape', shape)` gives one whose result for any text is of that shape; `mappers` then names
//   `inWrongShape ${shape}`.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { batch, parallelMap } from '../../lib/parallel-map.js'
import { LIMIT } from '../processes.js'
import { countedAsyncSource, countedSource, settledNumber } from './sources.js'
import { reasonToSkip } from './suite.js'

export function stageConformance(place) {
  const { item = (i) => i, result = (i) => i * 2, mappers } = place
  const { badItem = 'no number', badError = TypeError } = place
  const { number = same, read = same, timesOf = (i) => numbers(i % 4).map((n) => i * 10 + n) } = place
  const items = (length) => Array.from({ length }, (_, i) => item(i))
  const resultsOf = (length) => Array.from({ length }, (_, i) => result(i))
  const numbers = (length) => Array.from({ length }, (_, i) => i)
  const local = place.capacity === Infinity
  const has = (mapper) => mappers === undefined || mappers.has(mapper)
  const promise = (name, fn, needs = ['double']) => {
    const missing = needs.find((mapper) => !has(mapper))
    if (missing !== undefined && place.isFurther) return
    test(name, { ...LIMIT, skip: missing !== undefined && reasonToSkip(place, missing) }, fn)
  }
  const mapper = (name, shape) => place.mapper(name, shape)
  const map = (source, name = 'double', options = undefined) => parallelMap(source, mapper(name), options)
  /** The stages need results to begin with: those of a stage that does nothing. */
  const passed = (source, options = { concurrency: 2, backpressure: 4 }) =>
    parallelMap(source, (value) => value, options)
  const context = {
    ...{
      place,
      item,
      result,
      badItem,
      badError,
      items,
      resultsOf,
      numbers,
      local,
      promise,
      mapper,
      map,
      passed,
    },
    ...{ has, number, read, timesOf },
  }
  describe(`stages: ${place.name}`, () => {
    describe('results', () => results(context))
    describe('filter()', () => filtering(context))
    describe('flatMap()', () => flattening(context))
    describe('options', () => options(context))
    describe('errors', () => errors(context))
    describe('ways out', () => waysOut(context))
    describe('take() and drop()', () => slicing(context))
    describe('consumption', () => consumption(context))
    describe('chains', () => chains(context))
  })
}

function results(context) {
  const { items, resultsOf, result, item, numbers, promise, mapper, map, passed } = context
  const { number, read, timesOf } = context
  const LENGTHS = [0, 1, 2, 7, 50]
  const stages = {
    map: ['doubleAtOnce', (all) => all.map((i) => i * 2)],
    filter: ['isEven', (all) => all.filter((i) => i % 2 === 0)],
    flatMap: ['times', (all) => all.flatMap(timesOf)],
  }
  const ordered = (values) => values.sort((a, b) => a - b)
  for (const [stage, [name, model]] of Object.entries(stages)) {
    for (const [kind, needed] of [
      ['', name],
      [
        ' in any time',
        { doubleAtOnce: 'doubleShuffled', isEven: 'isEvenShuffled', times: 'timesShuffled' }[name],
      ],
    ]) {
      promise(`${stage}()${kind}, in order and without`, async () => {
        for (const length of LENGTHS) {
          for (const preserveOrder of [true, false]) {
            const source = numbers(length).map(number)
            const expected = preserveOrder ? model(numbers(length)) : ordered(model(numbers(length)))
            const yielded = await passed(source)[stage](mapper(needed), { preserveOrder }).toArray()
            const values = yielded.map(read)
            assert.deepEqual(preserveOrder ? values : ordered(values), expected)
            const looped = []
            for await (const value of passed(source)[stage](mapper(needed), { preserveOrder }))
              looped.push(read(value))
            assert.deepEqual(preserveOrder ? looped : ordered(looped), expected)
          }
        }
      }, [needed])
    }
  }

  promise('map() and filter() of what only this place makes', async () => {
    for (const length of LENGTHS) {
      assert.deepEqual(await passed(items(length)).map(mapper('double')).toArray(), resultsOf(length))
      if (typeof item(1) === 'string')
        assert.deepEqual(await passed(items(length)).filter(mapper('double')).toArray(), items(length))
    }
  })

  promise('batch(), take() and drop()', async () => {
    for (const length of LENGTHS) {
      const all = resultsOf(length)
      for (const preserveOrder of [true, false]) {
        const sorted = (values) => (preserveOrder ? values : ordered(values))
        const calls = () => map(items(length), 'double', { preserveOrder })
        for (const n of [1, 2, 3, 50, 51]) {
          const batches = await calls().batch(n).toArray()
          assert.deepEqual(
            batches.map((one) => one.length),
            numbers(Math.ceil(length / n)).map((i) => Math.min(n, length - i * n)),
          )
          if (preserveOrder) assert.deepEqual(batches.flat(), all)
          else assert.deepEqual(new Set(batches.flat()), new Set(all))
          const taken = await calls().take(n).toArray()
          const left = await calls().drop(n).toArray()
          if (preserveOrder) {
            assert.deepEqual(taken, all.slice(0, n))
            assert.deepEqual(left, all.slice(n))
          }
          assert.equal(taken.length, Math.min(n, length))
          assert.equal(left.length, Math.max(0, length - n))
        }
        assert.equal(sorted(await calls().take(Infinity).toArray()).length, length)
        assert.deepEqual(await calls().drop(Infinity).toArray(), [])
        assert.deepEqual(new Set(await calls().drop(0).toArray()), new Set(all))
        assert.deepEqual(await calls().take(0).toArray(), [])
      }
    }
    assert.deepEqual(
      await map([item(0)])
        .batch(1)
        .toArray(),
      [[result(0)]],
    )
  })
}

function filtering({ place, local, promise, mapper, passed, numbers }) {
  class Point {
    constructor(x) {
      this.x = x
    }
  }

  promise('yields the very objects that came in, not copies', async () => {
    const given = place.kept ?? [
      { a: 1 },
      [1],
      new Point(1),
      new Map(),
      Buffer.from('a'),
      new Date(0),
      'text',
      0,
      null,
      undefined,
    ]
    for (const source of [given, given.map((value) => sleep(1, value)), new Set(given)]) {
      for (const options of [{}, { preserveOrder: false }, { chunkSize: 3 }, { settled: true }]) {
        const kept = await parallelMap(source, (value) => value)
          .filter(mapper('keep'), options)
          .toArray()
        const values = options.settled ? kept.map(({ value }) => value) : kept
        assert.equal(values.length, given.length)
        for (const value of values) assert.ok(given.includes(value))
        if (options.preserveOrder !== false)
          for (const [i, value] of values.entries()) assert.equal(value, given[i])
      }
    }
  }, ['keep'])

  promise('what cannot be copied stays here, or is an error of its item', async () => {
    const [first, last] = place.kept ?? [{ a: 1 }, new Point(2)]
    const given = [first, ...(place.uncopied ?? [() => 1, Symbol('a'), { f() {} }]), last]
    const outcomes = await passed(given).filter(mapper('keep'), { settled: true }).toArray()
    assert.equal(outcomes.length, given.length)
    for (const [index, outcome] of outcomes.entries()) {
      assert.equal(outcome.index, index)
      if (local || index === 0 || index === 4) assert.equal(outcome.value, given[index])
      else assert.equal(outcome.reason.code, place.refusal ?? 'ERR_SERIALIZATION')
    }
  }, ['keep'])

  promise('goes by the truth of what the mapper returns; skip is false', async () => {
    assert.deepEqual(await passed(numbers(12)).filter(mapper('truthOf')).toArray(), [1, 3, 5, 7, 9, 11])
    assert.deepEqual(await passed(numbers(6)).filter(mapper('skipOdd')).toArray(), [2, 4])
    assert.deepEqual(await passed(numbers(6)).filter(mapper('skipAll')).toArray(), [])
  }, ['truthOf', 'skipOdd', 'skipAll'])

  promise('keeping nothing gives the credit back', async () => {
    for (const preserveOrder of [true, false]) {
      const options = { concurrency: 1, backpressure: 1, preserveOrder }
      const none = passed(numbers(500), options).filter(mapper('skipAll'), options)
      assert.deepEqual(await none.toArray(), [])
    }
  }, ['skipAll'])

  promise('holds no item that it has yielded or left out', async () => {
    const refs = []
    let end
    const made = (i) => {
      const value = place.object?.(i) ?? { i }
      refs.push(new WeakRef(value))
      return value
    }
    const source = (async function* () {
      for (let i = 0; i < 60; i++) yield made(i)
      await new Promise((resolve) => {
        end = resolve
      })
    })()
    const calls = parallelMap(source, (value) => value).filter(mapper('skipEvenObject'), { concurrency: 4 })
    const iterator = calls[Symbol.asyncIterator]()
    for (let count = 0; count < 30; count++) await iterator.next()
    const last = iterator.next()
    // The generator itself may hold the last one.
    const alive = () => refs.slice(0, 59).filter((ref) => ref.deref() !== undefined).length
    for (let i = 0; i < 50 && alive() > 0; i++) {
      // What was looked at lives until the end of this turn.
      await sleep(5)
      collectGarbage()
    }
    assert.equal(alive(), 0, `${place.name} holds items`)
    end()
    assert.equal((await last).done, true)
  }, ['skipEvenObject'])
}

function flattening({ local, promise, mapper, passed, numbers, place }) {
  const shapes = {
    array: [1, 2],
    'empty array': [],
    'nested arrays': [[1], [[2]], []],
    'promise of an array': [1, 2],
    'array of promises': [1, 2, 3],
    set: [1, 2],
    'set of promises': [1, 2],
    map: [['a', 1]],
    generator: [1, 2],
    'empty generator': [],
    'generator of promises': [1, 2],
    'async generator': [1, 2],
    'promise of an async generator': [1],
    'async iterator of promises': [1, 2],
    'falsy values': [undefined, null, 0, '', false],
    skip: [],
    'promise of skip': [],
  }
  for (const [shape, expected] of Object.entries(shapes)) {
    promise(`yields what is in: ${shape}`, async () => {
      for (const preserveOrder of [true, false]) {
        for (const settled of [true, false]) {
          const yielded = await passed([shape, shape])
            .flatMap(mapper('inShape'), { preserveOrder, settled })
            .toArray()
          const outcomes = [0, 1].flatMap((index) =>
            expected.map((value) => (settled ? { status: 'fulfilled', value, index } : value)),
          )
          if (preserveOrder) assert.deepEqual(yielded, outcomes)
          else assert.deepEqual(sortedJson(yielded), sortedJson(outcomes))
        }
      }
    }, ['inShape'])
  }

  promise('all shapes in one call, in the order of their items', async () => {
    const names = Object.keys(shapes)
    for (const options of [{}, { concurrency: 1, backpressure: 1 }, { concurrency: 2, backpressure: 3 }]) {
      const yielded = await passed(names).flatMap(mapper('inShape'), options).toArray()
      assert.deepEqual(yielded, Object.values(shapes).flat(1))
    }
  }, ['inShape'])

  for (const shape of [
    'number',
    'undefined',
    'null',
    'string',
    'String object',
    'Buffer',
    'typed array',
    'ArrayBuffer',
    'object',
  ]) {
    promise(`a TypeError of its item: ${shape}`, async () => {
      const wrong = mapper('inWrongShape', shape)
      const outcomes = await passed([shape, shape]).flatMap(wrong, { settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(({ status, index, reason }) => [status, index, reason.code, reason.name]),
        [0, 1].map((index) => ['rejected', index, 'ERR_INVALID_ARG_TYPE', 'TypeError']),
      )
      await assert.rejects(passed([shape]).flatMap(wrong).toArray(), {
        code: 'ERR_INVALID_ARG_TYPE',
      })
    }, [`inWrongShape ${shape}`])
  }

  promise('a hash is no array', async () => {
    const outcomes = await passed(['a', 'b']).flatMap(mapper('double'), { settled: true }).toArray()
    for (const [index, outcome] of outcomes.entries()) {
      assert.equal(outcome.index, index)
      assert.ok(outcome.reason instanceof (place.textError ?? TypeError))
    }
    assert.equal(outcomes.length, 2)
    await assert.rejects(passed(['a']).flatMap(mapper('double')).toArray(), place.textError ?? TypeError)
    await assert.rejects(
      passed(['a']).flatMap(mapper('double'), { stopOnError: false }).toArray(),
      AggregateError,
    )
  })

  for (const how of [
    'generator',
    'async generator',
    'promises',
    'generator of promises',
    'generator that throws after a promise',
  ]) {
    promise(`one that fails in the middle: ${how}`, async () => {
      const source = () => passed([0, 1, 2].map((item) => ({ item, how })))
      // A worker sends the results of one item together, so it has none of one that fails.
      const before = local ? ['1a'] : []
      const seen = []
      await assert.rejects(async () => {
        for await (const value of source().flatMap(mapper('failInTheMiddle'))) seen.push(value)
      }, /^Error: item 1$/)
      const expected = ['0a', '0b', ...before]
      if (local) assert.deepEqual(seen, expected)
      else assert.deepEqual(seen, expected.slice(0, seen.length))
      await assert.rejects(source().flatMap(mapper('failInTheMiddle')).toArray(), /^Error: item 1$/)

      for (const preserveOrder of [true, false]) {
        const outcomes = await source()
          .flatMap(mapper('failInTheMiddle'), { settled: true, preserveOrder })
          .toArray()
        const told = outcomes.map(({ index, value, reason }) => [index, value ?? reason.message])
        const all = [
          [0, '0a'],
          [0, '0b'],
          ...before.map((value) => [1, value]),
          [1, 'item 1'],
          [2, '2a'],
          [2, '2b'],
        ]
        assert.deepEqual(preserveOrder ? told : told.sort(), preserveOrder ? all : all.sort())

        const yielded = []
        await assert.rejects(
          async () => {
            const calls = source().flatMap(mapper('failInTheMiddle'), { stopOnError: false, preserveOrder })
            for await (const value of calls) yielded.push(value)
          },
          (error) =>
            error instanceof AggregateError &&
            error.errors.length === 1 &&
            error.errors[0].message === 'item 1',
        )
        const rest = ['0a', '0b', ...before, '2a', '2b']
        assert.deepEqual(preserveOrder ? yielded : yielded.sort(), rest)
      }
    }, ['failInTheMiddle'])
  }

  promise('a promise that nobody comes to await is no harm to the item after it', async () => {
    const source = [
      { item: 1, how: 'generator that throws after a promise' },
      { item: 0, how: 'promises' },
    ]
    const one = (place.single ?? place.mapper)('failInTheMiddle')
    for (let round = 0; round < 3; round++) {
      const outcomes = await passed(source).flatMap(one, { settled: true, chunkSize: 2 }).toArray()
      assert.deepEqual(
        outcomes.slice(-3).map(({ value, reason }) => value ?? reason.message),
        ['item 1', '0a', '0b'],
      )
    }
  }, ['failInTheMiddle'])

  promise('an item that is iterated when another one fails yields all of its results, or none', async () => {
    for (let round = 0; round < 3; round++) {
      const seen = []
      await assert.rejects(async () => {
        const calls = passed([0, 1]).flatMap(mapper('slowThree'), { concurrency: 2, chunkSize: 1 })
        for await (const value of calls) seen.push(value)
      }, /item 1/)
      if (local || seen.length > 0) assert.deepEqual(seen, ['a', 'b', 'c'])
    }
  }, ['slowThree'])

  promise('what hangs is told that nobody wants it any more', async () => {
    for (const leave of ['break', 'abort']) {
      const controller = new AbortController()
      const calls = passed(numbers(3)).flatMap(mapper('pairsUntilAborted'), { signal: controller.signal })
      const reason = new Error('enough')
      if (leave === 'break') for await (const _ of calls) break
      else {
        setTimeout(() => controller.abort(reason), 30)
        await assert.rejects(calls.toArray(), reason)
      }
      await calls.finished
    }
  }, ['pairsUntilAborted'])

  if (!local) return

  /** Iterables that know how they were treated. */
  function tracked({ length = Infinity, hangAt = Infinity, sync = false, slowReturn = 0 } = {}) {
    const track = { open: 0, most: 0, pulls: 0, returns: 0, closed: 0, answers: [] }
    track.make = (index) => {
      track.open++
      track.most = Math.max(track.most, track.open)
      let next = 0
      const pull = () => {
        track.pulls++
        if (next < length) return { done: false, value: [index, next++] }
        track.open--
        return { done: true, value: undefined }
      }
      const close = () => {
        track.returns++
        track.open--
        return { done: true, value: undefined }
      }
      if (sync) {
        const iterator = { next: pull, return: close, [Symbol.iterator]: () => iterator }
        return iterator
      }
      const iterator = {
        [Symbol.asyncIterator]: () => iterator,
        async next() {
          if (next >= hangAt) return new Promise((resolve) => track.answers.push(resolve))
          await undefined
          return pull()
        },
        async return() {
          const closed = close()
          if (slowReturn > 0) await sleep(slowReturn)
          track.closed++
          return closed
        },
      }
      return iterator
    }
    return track
  }

  for (const sync of [true, false]) {
    const kind = sync ? 'synchronous' : 'asynchronous'
    promise(`infinite iterables: take() ends them (${kind})`, async () => {
      for (const preserveOrder of [true, false]) {
        const track = tracked({ sync })
        const source = countedSource()
        const calls = passed(source)
          .flatMap((i) => track.make(i), { concurrency: 3, preserveOrder })
          .take(50)
        const yielded = await calls.toArray()
        assert.equal(yielded.length, 50)
        if (preserveOrder)
          assert.deepEqual(
            yielded,
            numbers(50).map((n) => [0, n]),
          )
        else
          assert.equal(new Set(yielded.map(([index]) => index)).size, 3, 'all that are open have their turn')
        await calls.finished
        assert.equal(track.open, 0)
        assert.equal(track.returns, 3)
        assert.equal(source.returns, 1)
      }
    })

    promise(`never more than concurrency are open, and each is pulled only on credit (${kind})`, async () => {
      for (const preserveOrder of [true, false]) {
        for (const [concurrency, backpressure] of [
          [1, 1],
          [2, 2],
          [3, 7],
        ]) {
          const track = tracked({ sync, length: 5 })
          const yielded = await passed(numbers(20))
            .flatMap((i) => track.make(i), { concurrency, backpressure, preserveOrder })
            .toArray()
          assert.equal(yielded.length, 100)
          assert.equal(track.most, concurrency)
          assert.equal(track.open, 0)
          assert.equal(track.returns, 0, 'what has ended is not closed')

          const endless = tracked({ sync })
          const calls = passed(numbers(20)).flatMap((i) => endless.make(i), {
            concurrency,
            backpressure,
            preserveOrder,
          })
          const iterator = calls[Symbol.asyncIterator]()
          for (let taken = 1; taken <= 30; taken++) {
            await iterator.next()
            const pulls = taken % 10 === 0 ? await settledNumber(() => endless.pulls) : endless.pulls
            assert.ok(pulls <= taken + backpressure, `${pulls} pulls for ${taken} results`)
          }
          await iterator.return()
          assert.equal(endless.open, 0)
        }
      }
    })
  }

  promise('one that hangs is returned once, and finished waits for it', async () => {
    for (const leave of ['break', 'abort', 'error']) {
      const track = tracked({ hangAt: 1 })
      const controller = new AbortController()
      const reason = new Error('enough')
      const source = countedSource()
      const calls = passed(source).flatMap(
        async (i) => {
          if (i !== 2) return track.make(i)
          await sleep(leave === 'error' ? 20 : 60)
          if (leave === 'error') throw reason
          return []
        },
        { concurrency: 3, signal: controller.signal },
      )
      if (leave === 'break') for await (const _ of calls) break
      else {
        if (leave === 'abort') setTimeout(() => controller.abort(reason), 20)
        await assert.rejects(calls.toArray(), reason)
      }
      let finished = false
      const end = calls.finished.then(() => {
        finished = true
      })
      await sleep(10)
      assert.equal(track.returns, 2)
      assert.equal(finished, false, 'two pulls are pending')
      for (const answer of track.answers) answer({ done: true, value: undefined })
      await end
      assert.equal(track.returns, 2)
      assert.equal(source.returns, 1)
    }
  })

  promise('finished waits for the return() of one that yielded a rejection', async () => {
    for (const options of [{}, { stopOnError: false }, { settled: true }]) {
      const track = tracked({ slowReturn: 30 })
      const calls = passed([0]).flatMap(() => {
        const inner = track.make(0)
        const { next } = inner
        inner.next = async () => ({ ...(await next()), value: Promise.reject(new Error('inner')) })
        return inner
      }, options)
      await calls.toArray().catch(() => {})
      await calls.finished
      assert.equal(track.returns, 1)
      assert.equal(track.closed, 1, 'its return() has ended')
    }
  })

  promise('an iterable whose code ends the call is closed, and others are waited for', async () => {
    for (const yields of ['a value', 'nothing', 'an error']) {
      const controller = new AbortController()
      let ended = 0
      const calls = passed([0, 1]).flatMap(
        async (i) => {
          if (i === 1) {
            await sleep(40)
            ended++
            return []
          }
          await sleep(5)
          return (function* () {
            controller.abort(new Error('enough'))
            if (yields === 'a value') yield 1
            if (yields === 'an error') throw new Error('later')
          })()
        },
        { signal: controller.signal },
      )
      await assert.rejects(calls.toArray(), /enough/)
      await calls.finished
      assert.equal(ended, 1, `${place.name}: another mapper still ran`)
    }
  })

  promise('promises of an array may fail before their turn, and after nobody wants them', async () => {
    const failed = (message) => Promise.reject(new Error(message))
    const late = passed([0]).flatMap(() => [sleep(20, 1), failed('second'), failed('third')])
    const seen = []
    await assert.rejects(async () => {
      for await (const value of late) seen.push(value)
    }, /second/)
    assert.deepEqual(seen, [1])
    for await (const value of passed([0]).flatMap(() => [1, sleep(1, 2), failed('unwanted')])) {
      assert.equal(value, 1)
      break
    }
    await sleep(5)
  })

  promise('a call in a call: its results are taken, a consumed one says so', async () => {
    const inner = (n) => parallelMap(numbers(n), async (i) => i)
    assert.deepEqual(await passed([2, 0, 3]).flatMap(inner).toArray(), [0, 1, 0, 1, 2])
    const once = inner(2)
    await assert.rejects(
      passed([0, 1])
        .flatMap(() => once)
        .toArray(),
      { code: 'ERR_CONSUMED' },
    )
  })
}

function options(context) {
  const { item, items, result, resultsOf, numbers, local, promise, mapper, map, passed } = context
  const { badItem, has, number, read, timesOf } = context
  const WRONG = [
    [{ concurrency: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ concurrency: '2' }, 'ERR_INVALID_ARG_TYPE'],
    [{ concurrency: 4, backpressure: 3 }, 'ERR_OUT_OF_RANGE'],
    [{ backpressure: 1.5 }, 'ERR_OUT_OF_RANGE'],
    [{ chunkSize: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ maxBytes: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ signal: {} }, 'ERR_INVALID_ARG_TYPE'],
    [{ settled: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ stopOnError: null }, 'ERR_INVALID_ARG_TYPE'],
    [{ preserveOrder: 'yes' }, 'ERR_INVALID_ARG_TYPE'],
    [{ unknown: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ]
  promise('wrong ones are refused at once, and consume nothing', async () => {
    const calls = map(items(3))
    for (const [given, code] of WRONG) {
      for (const stage of ['map', 'filter', 'flatMap'])
        assert.throws(
          () => calls[stage](mapper('double'), given),
          { code },
          `${stage} ${JSON.stringify(given)}`,
        )
    }
    for (const wrong of [undefined, null, {}, 'double', 1])
      for (const stage of ['map', 'filter', 'flatMap'])
        assert.throws(() => calls[stage](wrong), { code: 'ERR_INVALID_ARG_TYPE' })
    for (const wrong of [undefined, null, '1', {}, 1n])
      for (const stage of ['take', 'drop', 'batch'])
        assert.throws(
          () => calls[stage](wrong),
          { code: 'ERR_INVALID_ARG_TYPE' },
          `${stage} ${String(wrong)}`,
        )
    for (const wrong of [-1, 1.5, NaN, -Infinity])
      for (const stage of ['take', 'drop', 'batch'])
        assert.throws(() => calls[stage](wrong), { code: 'ERR_OUT_OF_RANGE' })
    assert.deepEqual(await calls.toArray(), resultsOf(3))
  })

  promise('no more run at once than concurrency allows', async () => {
    for (const allowed of [1, 2, 3]) {
      for (const [stage, name] of [
        ['map', 'span'],
        ['flatMap', 'spans'],
      ]) {
        const spans = await passed(numbers(20))[stage](mapper(name), { concurrency: allowed }).toArray()
        assert.equal(spans.length, 20)
        assert.ok(mostAtOnce(spans) <= allowed)
      }
    }
  }, ['span', 'spans'])

  if (local) {
    promise('no more filters run at once than concurrency allows', async () => {
      let running = 0
      let most = 0
      await passed(numbers(20))
        .filter(
          async () => {
            most = Math.max(most, ++running)
            await sleep(1)
            running--
            return true
          },
          { concurrency: 3 },
        )
        .toArray()
      assert.equal(most, 3)
    })
  }

  for (const [kind, open] of [
    ['synchronous', countedSource],
    ['asynchronous', countedAsyncSource],
  ]) {
    promise(`the windows of all stages together bound what is pulled (${kind} source)`, async () => {
      const window = { concurrency: 2, backpressure: 5 }
      const chains = {
        map: (source) => [parallelMap(source, (i) => i, window).map(mapper('double'), window), 1, 10],
        'map of this place twice': (source) => [
          parallelMap(source, mapper('double'), window).map((i) => i, window),
          1,
          10,
        ],
        batch: (source) => [map(source, 'double', window).batch(3), 3, 5],
        'batch in the middle': (source) => [
          map(source, 'double', window)
            .batch(3)
            .map((rows) => rows, window),
          3,
          5 + 3 * 5,
        ],
        drop: (source) => [map(source, 'double', window).drop(7), 1, 7 + 5],
        take: (source) => [map(source, 'double', window).take(1000), 1, 5],
      }
      for (const [name, chain] of Object.entries(chains)) {
        const source = open({ make: item })
        const [calls, each, most] = chain(source)
        const iterator = calls[Symbol.asyncIterator]()
        assert.equal(source.pulls, 0, 'lazy until the first next()')
        for (let taken = 1; taken <= 30; taken++) {
          await iterator.next()
          const pulls = taken % 15 === 0 ? await settledNumber(() => source.pulls) : source.pulls
          assert.ok(pulls <= taken * each + most, `${name}: ${pulls} pulls for ${taken} results`)
        }
        await iterator.return()
        await calls.finished
        assert.equal(source.returns, 1)
      }
    })
  }

  promise('the same results for every chunkSize, maxBytes and window', async () => {
    const settings = [1, 2, 7, 'auto'].flatMap((chunkSize) => [
      { chunkSize },
      { chunkSize, maxBytes: 1 },
      { chunkSize, maxBytes: 500, concurrency: 2, backpressure: 2 },
      { chunkSize, concurrency: 1, backpressure: 1 },
    ])
    for (const given of settings) {
      assert.deepEqual(await passed(items(60)).map(mapper('double'), given).toArray(), resultsOf(60))
      if (!has('isEven') || !has('times')) continue
      const written = numbers(60).map(number)
      const even = await passed(written).filter(mapper('isEven'), given).toArray()
      assert.deepEqual(
        even.map(read),
        numbers(60).filter((i) => i % 2 === 0),
      )
      const flat = await passed(written).flatMap(mapper('times'), given).toArray()
      assert.deepEqual(flat.map(read), numbers(60).flatMap(timesOf))
    }
  })

  promise('the index of a stage counts what the stage before it yields', async () => {
    const contexts = await passed(numbers(9))
      .filter((i) => i % 3 === 0)
      .map(mapper('contextOf'))
      .toArray()
    assert.deepEqual(
      contexts.map(({ index }) => index),
      [0, 1, 2],
    )
    const flat = await passed(numbers(2))
      .flatMap((i) => [i, i])
      .map(mapper('contextOf'))
      .drop(1)
      .toArray()
    assert.deepEqual(
      flat.map(({ index }) => index),
      [1, 2, 3],
    )
  }, ['contextOf'])

  promise('settled says the index of the item in its own stage', async () => {
    const bad = (i) => i === 4 || i === 8
    const source = numbers(12).map((i) => (bad(i) ? badItem : number(i)))
    const upstream = () => passed(source).filter((value) => value !== source[0])
    const told = ({ status, value, index }) => [status, status === 'rejected' ? 'none' : read(value), index]
    const model = (valuesOf) =>
      numbers(12)
        .slice(1)
        .flatMap((i, at) =>
          bad(i) ? [['rejected', 'none', at]] : valuesOf(i).map((value) => ['fulfilled', value, at]),
        )
    const mapped = await upstream().map(mapper('double'), { settled: true }).toArray()
    assert.deepEqual(
      mapped.map(told),
      model((i) => [i * 2]),
    )
    const kept = await upstream().filter(mapper('isEven'), { settled: true }).toArray()
    assert.deepEqual(
      kept.map(told),
      model((i) => (i % 2 === 0 ? [i] : [])),
    )
    const flat = await upstream().flatMap(mapper('times'), { settled: true, preserveOrder: false }).toArray()
    assert.deepEqual(sortedJson(flat.map(told)), sortedJson(model(timesOf)))
  }, ['double', 'isEven', 'times'])

  promise('settled outcomes are the items of the next stage', async () => {
    const outcomes = await map([item(0), {}, item(2)], 'double', { settled: true })
      .map((outcome) => outcome.value ?? 'failed')
      .toArray()
    assert.deepEqual(outcomes, [result(0), 'failed', result(2)])
  })
}

function errors(context) {
  const { place, item, items, result, resultsOf, badItem, badError, local, promise, mapper, map, passed } =
    context
  const { numbers, number, read, timesOf } = context
  promise('of the first, a middle and the last item, in each stage', async () => {
    for (const at of [0, 9, 19]) {
      const source = () => items(20).with(at, badItem)
      const chains = {
        'a map() at the end': () => passed(source()).map(mapper('double')),
        'a map() in the middle': () =>
          passed(source())
            .map(mapper('double'))
            .map((value) => value),
        'the first call': () =>
          map(source())
            .map((value) => value)
            .filter(() => true),
        'before a flatMap()': () => map(source()).flatMap((value) => [value]),
        'before take()': () => map(source()).take(20),
        'before drop()': () => map(source()).drop(0),
      }
      for (const [name, chain] of Object.entries(chains)) {
        const seen = []
        const calls = chain()
        await assert.rejects(
          async () => {
            for await (const value of calls) seen.push(value)
          },
          badError,
          name,
        )
        assert.deepEqual(seen, resultsOf(local ? at : seen.length), name)
        assert.ok(seen.length <= at)
        await calls.finished
        await assert.rejects(chain().toArray(), badError, name)
      }
      const batches = []
      await assert.rejects(async () => {
        for await (const rows of map(source()).batch(6)) batches.push(...rows)
      }, badError)
      assert.deepEqual(batches, resultsOf(local ? at : batches.length), 'what is held comes before the error')
    }
  })

  promise('filter() and flatMap() throw at the place, too', async () => {
    for (const [stage, name] of [
      ['filter', 'isEven'],
      ['flatMap', 'times'],
    ]) {
      for (const at of [0, 9, 19]) {
        const written = numbers(20).map(number)
        const model = await passed(written.slice(0, at))[stage](mapper(name)).toArray()
        const seen = []
        await assert.rejects(async () => {
          for await (const value of passed(written.with(at, badItem))[stage](mapper(name))) seen.push(value)
        }, badError)
        assert.deepEqual(seen, local ? model : model.slice(0, seen.length))
      }
    }
  }, ['isEven', 'times'])

  promise('falsy ones arrive as they were thrown, through further stages', async () => {
    for (const [i, value] of [undefined, null, 0, '', false, NaN].entries()) {
      for (const stage of ['map', 'filter', 'flatMap']) {
        for (const name of ['throwFalsy', 'throwFalsyAtOnce']) {
          const chain = () => passed([i])[stage](mapper(name))
          assert.equal(await caughtFrom(chain().toArray()), value)
          assert.equal(await caughtFrom(chain().batch(2).toArray()), value)
          assert.equal(
            await caughtFrom(
              chain()
                .map((one) => one)
                .take(5)
                .toArray(),
            ),
            value,
          )
          const [{ reason, index }] = await passed([i])[stage](mapper(name), { settled: true }).toArray()
          assert.equal(reason, value)
          assert.equal(index, 0)
          const aggregate = await caughtFrom(
            passed([i])[stage](mapper(name), { stopOnError: false }).toArray(),
          )
          assert.deepEqual(aggregate.errors, [value])
        }
      }
    }
  }, ['throwFalsy', 'throwFalsyAtOnce'])

  promise('stopOnError: false collects those of one stage, in the order of its items', async () => {
    for (const preserveOrder of [true, false]) {
      const given = { stopOnError: false, preserveOrder }
      const { bad = (i) => `bad ${i}`, badMessage = (i) => `bad ${i} is no number` } = place
      const source = () => passed([number(1), bad(1), number(2), bad(2), number(3)])
      for (const [stage, name, model] of [
        ['map', 'double', [2, 4, 6]],
        ['filter', 'isEven', [2]],
        ['flatMap', 'times', [1, 2, 3].flatMap(timesOf)],
      ]) {
        const seen = []
        const aggregate = await caughtFrom(
          (async () => {
            for await (const value of source()[stage](mapper(name), given)) seen.push(read(value))
          })(),
        )
        assert.ok(aggregate instanceof AggregateError)
        assert.equal(aggregate.errors.length, 2)
        for (const [at, { message }] of aggregate.errors.entries())
          assert.ok(message.endsWith(badMessage(at + 1)), message)
        const ordered = (values) => (preserveOrder ? values : values.sort((a, b) => a - b))
        assert.deepEqual(ordered(seen), ordered(model))
      }
    }
  }, ['double', 'isEven', 'times'])

  promise('an AggregateError of one stage is the failed source of the next', async () => {
    const chain = () =>
      map([item(0), badItem, item(2), badItem], 'double', { stopOnError: false }).map((value) => value, {
        stopOnError: false,
      })
    const seen = []
    const error = await caughtFrom(
      (async () => {
        for await (const value of chain()) seen.push(value)
      })(),
    )
    assert.deepEqual(seen, [result(0), result(2)])
    assert.ok(error instanceof AggregateError)
    assert.equal(error.errors.length, 2)
    for (const one of error.errors) assert.ok(one instanceof badError)
    const both = await caughtFrom(
      map([item(0), badItem], 'double', { stopOnError: false })
        .map(
          () => {
            throw new Error('second stage')
          },
          { stopOnError: false },
        )
        .toArray(),
    )
    assert.equal(both.errors.length, 2)
    assert.equal(both.errors[0].message, 'second stage')
    assert.ok(both.errors[1] instanceof AggregateError)
  })

  promise('of the source: after the results before it, through every stage', async () => {
    const broken = new Error('source')
    for (const open of [countedSource, countedAsyncSource]) {
      for (const throwAt of [0, 1, 20]) {
        const source = () => open({ make: item, throwAt, error: broken })
        const whole = [
          (calls) => calls.map((value) => value),
          (calls) => calls.filter(() => true),
          (calls) => calls.flatMap((value) => [value]),
          (calls) => calls.take(1000),
          (calls) => calls.drop(0),
        ]
        for (const stage of whole) {
          const seen = []
          const caught = await caughtFrom(
            (async () => {
              for await (const value of stage(map(source()))) seen.push(value)
            })(),
          )
          assert.equal(caught, broken)
          assert.deepEqual(seen, resultsOf(throwAt))
          assert.equal(await caughtFrom(stage(map(source())).toArray()), broken)
        }
        const batches = []
        const caught = await caughtFrom(
          (async () => {
            for await (const rows of map(source()).batch(3)) batches.push(rows)
          })(),
        )
        assert.equal(caught, broken)
        assert.deepEqual(batches.flat(), resultsOf(throwAt))
      }
    }
  })

  promise('toArray() rejects at once, while later stages are busy', async () => {
    // Each item of the last stage runs until the error upstream has ended it.
    const chain = () =>
      passed(numbers(4))
        .map(async (i) => {
          await sleep(i * 10)
          if (i === 3) throw new Error('upstream')
          return i + 1
        })
        .map(mapper('untilAborted'), { concurrency: 1 })
    const calls = chain()
    await assert.rejects(calls.toArray(), /upstream/)
    await calls.finished
    const further = chain().batch(10).take(5)
    await assert.rejects(further.toArray(), /upstream/)
    await further.finished
    const broken = async function* () {
      yield 1
      throw new Error('the source')
    }
    const first = parallelMap(broken(), mapper('untilAborted'))
    await assert.rejects(first.toArray(), /the source/)
    await first.finished
    const gathered = batch([1, 2, Promise.reject(new Error('an item'))], 1)
      .map((rows) => rows[0])
      .map(mapper('untilAborted'))
    await assert.rejects(gathered.toArray(), /an item/)
    await gathered.finished
  }, ['untilAborted'])
}

function waysOut({ item, promise, mapper, map, passed, local, place }) {
  const window = { concurrency: 2, backpressure: 4 }
  const stages = {
    map: (calls) => calls.map(mapper('double'), window),
    filter: (calls) => calls.filter(() => true, window),
    flatMap: (calls) => calls.flatMap((value) => [value, value], window),
    batch: (calls) => calls.batch(2),
    'batch by time': (calls) => calls.batch({ size: 100, wait: 1 }),
    take: (calls) => calls.take(100),
    drop: (calls) => calls.drop(2),
  }
  const reason = new Error('enough')
  const ways = {
    break: async (calls) => {
      for await (const _ of calls) break
    },
    'a throw in the loop': async (calls) => {
      await assert.rejects(async () => {
        for await (const _ of calls) throw reason
      }, reason)
    },
    'a throw in forEach()': async (calls) => {
      const thrown = calls.forEach(() => {
        throw reason
      })
      await assert.rejects(thrown, reason)
    },
    'return() before next()': async (calls) => {
      const iterator = calls[Symbol.asyncIterator]()
      await iterator.return()
      assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    },
    'return() while next() waits': async (calls) => {
      const iterator = calls[Symbol.asyncIterator]()
      const waiting = [iterator.next(), iterator.next()]
      await iterator.return()
      for (const { done } of await Promise.all(waiting)) assert.equal(typeof done, 'boolean')
      assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    },
    'asyncDispose of what has not started': async (calls) => {
      await calls[Symbol.asyncDispose]()
      assert.throws(() => calls[Symbol.asyncIterator](), { code: 'ERR_CONSUMED' })
      assert.throws(() => calls.take(1), { code: 'ERR_CONSUMED' })
    },
    'asyncDispose in the middle': async (calls) => {
      const iterator = calls[Symbol.asyncIterator]()
      await iterator.next()
      await calls[Symbol.asyncDispose]()
      assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    },
  }
  for (const [stage, add] of Object.entries(stages)) {
    for (const [way, leave] of Object.entries(ways)) {
      promise(`${way}, from ${stage}()`, async () => {
        for (const open of [countedSource, countedAsyncSource]) {
          for (const first of [(source) => passed(source), (source) => map(source, 'double', window)]) {
            const source = open({ make: item })
            const running = { count: 0, starts: 0 }
            const before = first(source)
            const middle = before.map(async (value) => {
              running.count++
              running.starts++
              await sleep(2)
              running.count--
              // What map() of every place takes.
              return typeof item(0) === 'string' ? String(value) : value
            }, window)
            const calls = add(middle)
            await leave(calls)
            await calls.finished
            assert.equal(source.returns, 1, 'the source is closed once')
            assert.equal(running.count, 0, 'finished covers the stages before')
            const { starts } = running
            const { pulls } = source
            await sleep(3)
            assert.equal(running.starts, starts, 'nothing starts after it')
            assert.equal(source.pulls, pulls)
            await before.finished
            await middle.finished
          }
        }
      })
    }
  }

  promise('break raises the signals of all stages', async () => {
    const raised = []
    const watching =
      (name) =>
      (value, { signal }) => {
        signal.addEventListener('abort', () => raised.push(name))
        return value === 1 ? value : sleep(50, value)
      }
    const source = countedSource({ make: (index) => index + 1 })
    const calls = parallelMap(source, watching('first')).map(watching('second')).filter(watching('third'))
    for await (const _ of calls) break
    await calls.finished
    assert.deepEqual(new Set(raised), new Set(['first', 'second', 'third']))
  })

  promise(
    'an error of a late stage cancels those before it',
    async () => {
      for (const open of [countedSource, countedAsyncSource]) {
        const source = open()
        let raised = 0
        const calls = parallelMap(source, async (i, { signal }) => {
          signal.addEventListener('abort', () => raised++)
          if (i > 5) await new Promise((resolve) => signal.addEventListener('abort', resolve))
          return i === 5 ? 'bad' : i
        }).map(mapper('double'))
        await assert.rejects(calls.toArray(), place.textError ?? TypeError)
        await calls.finished
        assert.ok(raised > 0)
        assert.equal(source.returns, 1)
      }
    },
    local ? [] : ['isEven'],
  )

  for (const at of [0, 1, 2]) {
    promise(`the signal of stage ${at} of 3 ends the chain with its reason`, async () => {
      for (const when of ['before', 'in the middle', 'in toArray()']) {
        for (const open of [countedSource, countedAsyncSource]) {
          const controller = new AbortController()
          const signalOf = (stage) => ({ ...window, ...(stage === at && { signal: controller.signal }) })
          const make = (index) => {
            if (index === 500 && when === 'in toArray()') controller.abort(reason)
            return item(index)
          }
          const source = open({ make })
          const calls = parallelMap(source, mapper('double'), signalOf(0))
            .map((value) => value, signalOf(1))
            .flatMap((value) => [value], signalOf(2))
          if (when === 'before') {
            controller.abort(reason)
            assert.equal(await caughtFrom(calls.toArray()), reason)
          } else if (when === 'in toArray()') {
            assert.equal(await caughtFrom(calls.toArray()), reason)
          } else {
            const iterator = calls[Symbol.asyncIterator]()
            await iterator.next()
            controller.abort(reason)
            let more = 0
            const caught = await caughtFrom(
              (async () => {
                while (!(await iterator.next()).done) more++
              })(),
            )
            assert.equal(caught, reason)
            if (at === 2) assert.equal(more, 0, 'at once')
            assert.deepEqual(await iterator.next(), { done: true, value: undefined })
          }
          await calls.finished
          if (when === 'before' && at === 0) assert.equal(source.pulls, 0, 'nothing starts')
          assert.equal(source.returns, 1)
        }
      }
    })
  }

  promise('no stage leaves a listener on its signal', async () => {
    const { signal } = new AbortController()
    const given = { ...window, signal }
    const chain = (source) =>
      parallelMap(source, mapper('double'), given)
        .filter(() => true, given)
        .flatMap((value) => [value], given)
    const leaves = [
      async (calls) => assert.equal((await calls.toArray()).length, 10),
      async (calls) => assert.equal((await calls.take(3).toArray()).length, 3),
      async (calls) => {
        for await (const _ of calls) break
      },
      async (calls) => {
        const thrown = calls.map(() => {
          throw reason
        }, given)
        await assert.rejects(thrown.toArray(), reason)
      },
      (calls) => calls[Symbol.asyncDispose](),
    ]
    for (const leave of leaves) {
      const calls = chain(countedSource({ make: item, length: 10 }))
      await leave(calls)
      await calls.finished
      assert.equal(getEventListeners(signal, 'abort').length, 0)
    }
  })

  promise('an abort with a falsy reason', async () => {
    for (const stage of ['map', 'filter', 'flatMap']) {
      const controller = new AbortController()
      const calls = passed(countedSource({ make: item }))
        [stage]((value) => [value], { signal: controller.signal })
        .take(1e6)
      const iterator = calls[Symbol.asyncIterator]()
      await iterator.next()
      controller.abort(null)
      assert.equal(await caughtFrom(all(iterator)), null)
    }
  })

  promise('what return() of the source throws is thrown by break in a later stage, once', async () => {
    for (const add of Object.values(stages)) {
      const broken = new Error('return')
      const source = countedSource({ make: item })
      source.return = () => {
        throw broken
      }
      const calls = add(passed(source))
      assert.equal(
        await caughtFrom(
          (async () => {
            for await (const _ of calls) break
          })(),
        ),
        broken,
      )
      await calls.finished
    }
  })

  promise('a source whose code leaves the chain may still yield a rejection', async () => {
    for (const add of [(calls) => calls, ...Object.values(stages)]) {
      let iterator
      const source = (function* () {
        yield item(0)
        iterator.return()
        yield Promise.reject(new Error('nobody looks at this item'))
      })()
      const calls = add(map(source, 'double', window))
      iterator = calls[Symbol.asyncIterator]()
      for (let i = 0; i < 3; i++) await iterator.next()
      await calls.finished
      await sleep(1)
    }
  })

  promise('break does not wait for a pull that is pending; finished does', async () => {
    for (const add of Object.values(stages)) {
      let answer
      const source = {
        pulls: 0,
        returns: 0,
        [Symbol.asyncIterator]: () => source,
        next() {
          if (source.pulls++ < 4) return Promise.resolve({ done: false, value: item(0) })
          return new Promise((resolve) => {
            answer = resolve
          })
        },
        async return() {
          source.returns++
          return { done: true, value: undefined }
        },
      }
      const calls = add(passed(source))
      for await (const _ of calls) break
      assert.equal(source.returns, 1)
      if (answer === undefined) continue
      let finished = false
      const end = calls.finished.then(() => {
        finished = true
      })
      await sleep(5)
      assert.equal(finished, false)
      answer({ done: true, value: undefined })
      await end
    }
  })
}

function slicing({ item, items, result, resultsOf, promise, map, passed, mapper }) {
  promise('take(n) ends the source without being asked for more', async () => {
    for (const open of [countedSource, countedAsyncSource]) {
      for (const count of [1, 3]) {
        const source = open({ make: item })
        const calls = map(source, 'double', { concurrency: 1, backpressure: 4 }).take(count)
        const iterator = calls[Symbol.asyncIterator]()
        for (let i = 0; i < count; i++)
          assert.deepEqual(await iterator.next(), { done: false, value: result(i) })
        await calls.finished
        assert.equal(source.returns, 1)
        assert.deepEqual(await iterator.next(), { done: true, value: undefined })
      }
    }
  })

  promise('take(0) starts nothing, and closes the source once', async () => {
    for (const consume of [(calls) => calls.toArray(), (calls) => all(calls[Symbol.asyncIterator]())]) {
      for (const open of [countedSource, countedAsyncSource]) {
        const source = open({ make: item })
        let starts = 0
        const calls = parallelMap(source, () => starts++)
          .map(mapper('double'))
          .take(0)
        assert.deepEqual((await consume(calls)) ?? [], [])
        await calls.finished
        assert.equal(starts, 0)
        assert.equal(source.pulls, 0)
        assert.equal(source.returns, 1)
      }
    }
  })

  promise('take() of more than there is closes nothing', async () => {
    const source = countedSource({ make: item, length: 5 })
    const calls = map(source).take(6)
    assert.deepEqual(await calls.toArray(), resultsOf(5))
    await calls.finished
    assert.equal(source.returns, 0)
    const exact = countedAsyncSource({ make: item, length: 5 })
    assert.deepEqual(await map(exact).take(5).toArray(), resultsOf(5))
    assert.ok(exact.returns <= 1)
  })

  promise('take() of take(), drop() of drop(), and both', async () => {
    assert.deepEqual(await map(items(20)).take(10).take(3).toArray(), resultsOf(3))
    assert.deepEqual(await map(items(20)).take(3).take(10).toArray(), resultsOf(3))
    assert.deepEqual(await map(items(20)).drop(2).drop(3).toArray(), resultsOf(20).slice(5))
    assert.deepEqual(await map(items(20)).drop(4).take(3).toArray(), resultsOf(20).slice(4, 7))
    assert.deepEqual(await map(items(20)).take(4).drop(3).toArray(), resultsOf(20).slice(3, 4))
    assert.deepEqual(await map(items(20)).take(4).drop(4).toArray(), [])
  })

  promise('take() answers overlapping calls of next() in order', async () => {
    const source = countedAsyncSource({ make: item })
    const { return: close } = source
    source.return = async () => {
      await sleep(20)
      return close()
    }
    const iterator = map(source).take(2)[Symbol.asyncIterator]()
    const order = []
    const answers = await Promise.all(
      [0, 1, 2, 3, 4].map(async (call) => {
        const answer = await iterator.next()
        order.push(call)
        return answer.value
      }),
    )
    assert.deepEqual(answers, [...resultsOf(2), undefined, undefined, undefined])
    assert.deepEqual(order, [0, 1, 2, 3, 4])
  })

  promise('an error after what is taken is no error of the loop', async () => {
    const source = countedSource({ make: item, throwAt: 3, error: new Error('later') })
    const seen = []
    const calls = passed(source, { concurrency: 1, backpressure: 1 }).take(3)
    for await (const value of calls) seen.push(value)
    assert.deepEqual(seen, items(3))
  })
}

function consumption({ items, resultsOf, promise, map, passed, mapper, local, item }) {
  const ways = {
    iterate: (calls) => calls[Symbol.asyncIterator](),
    toArray: (calls) => calls.toArray(),
    map: (calls) => calls.map(mapper('double')),
    filter: (calls) => calls.filter(() => true),
    flatMap: (calls) => calls.flatMap(() => []),
    batch: (calls) => calls.batch(1),
    take: (calls) => calls.take(1),
    drop: (calls) => calls.drop(1),
    'source of parallelMap()': (calls) => parallelMap(calls, mapper('double')),
    'source of batch()': (calls) => batch(calls, 1),
  }
  promise('a second one is a ConsumedError at once', async () => {
    for (const [name, first] of Object.entries(ways)) {
      for (const [again, second] of Object.entries(ways)) {
        const calls = map(items(1))
        const stage = first(calls)
        const refused = { code: 'ERR_CONSUMED', name: 'ConsumedError' }
        if (again === 'toArray') await assert.rejects(second(calls), refused, `${name}, ${again}`)
        else assert.throws(() => second(calls), refused, `${name}, ${again}`)
        await stage[Symbol.asyncDispose]?.()
        await stage
      }
    }
  })

  promise('a call as a source is the same as a chain', async () => {
    for (const length of [0, 1, 30]) {
      const identity = (value) => value
      const chained = await map(items(length)).map(identity).batch(4).toArray()
      assert.deepEqual(
        await parallelMap(map(items(length)), identity)
          .batch(4)
          .toArray(),
        chained,
      )
      assert.deepEqual(await batch(parallelMap(map(items(length)), identity), 4).toArray(), chained)
      assert.deepEqual(chained.flat(), resultsOf(length))
    }
    const source = countedSource({ make: item })
    const outer = parallelMap(map(source), (value) => value)
    for await (const _ of outer) break
    await outer.finished
    assert.equal(source.returns, 1)
    // The iterator of a call is an iterable like any other.
    assert.deepEqual(await batch(map(items(5))[Symbol.asyncIterator](), 5).toArray(), [resultsOf(5)])
  })

  promise('lazy: a chain starts nothing before its last stage is consumed', async () => {
    const source = countedSource({ make: item })
    const calls = passed(source)
      .map(mapper('double'))
      .filter(() => true)
      .batch(2)
      .drop(1)
      .take(3)
    await sleep(5)
    assert.equal(source.pulls, 0)
    await calls.finished
    await calls[Symbol.asyncDispose]()
    assert.equal(source.returns, 1)
  })

  promise('a stage whose upstream was disposed of ends without results', async () => {
    const first = map(items(5))
    const second = first.map((value) => value)
    await first[Symbol.asyncDispose]()
    assert.deepEqual(await second.toArray(), [])
    await second.finished
  })

  if (!local) return
  promise('the warning about an unconsumed call names the last stage alone', () => {
    const module = new URL('../../lib/parallel-map.js', import.meta.url).href
    const program = (code) => {
      const url = `data:text/javascript,${encodeURIComponent(
        `import { batch, parallelMap } from ${JSON.stringify(module)}\nconst fn = (item) => [item]\n${code}`,
      )}`
      const { status, stderr } = spawnSync(process.execPath, ['--import', url, '-e', ''], {
        encoding: 'utf8',
      })
      assert.equal(status, 0, stderr)
      return stderr
    }
    const chain = 'parallelMap([1], fn)\n.map(fn)\n.filter(fn)\n.flatMap(fn)\n.batch(1)\n.drop(1)\n.take(1)'
    const stderr = program(chain)
    assert.equal(stderr.match(/\[MILLRACE_UNCONSUMED\]/g)?.length, 1)
    assert.match(stderr, /:9:2\)?$/m)
    assert.doesNotMatch(stderr, /lib\/parallel-map\.js/)
    assert.equal(program(`await ${chain}.toArray()`), '')
    assert.equal(program(`await ${chain}[Symbol.asyncDispose]()`), '')
    assert.match(program('batch([1], 1)'), /MILLRACE_UNCONSUMED[\s\S]*:3:1\)?$/m)
  })
}

function chains(context) {
  const { place, items, resultsOf, numbers, item, result, promise, mapper, map, passed, local } = context
  const { number, read, timesOf } = context
  promise('stages work at the same time', async () => {
    const given = { concurrency: 1, backpressure: 4, chunkSize: 1 }
    const spans = await map(numbers(30), 'span', given).map(mapper('spanAfter'), given).toArray()
    assert.equal(spans.length, 30)
    const overlap = spans.some(({ own }) =>
      spans.some(({ before }) => before.start < own.end && own.start < before.end),
    )
    assert.ok(overlap, 'an item of one stage ran while one of the other did')
  }, ['span', 'spanAfter'])

  promise('ten stages', async () => {
    let calls = passed(numbers(200).map(number))
    for (let stage = 0; stage < 10; stage++)
      calls = stage % 3 === 2 ? calls.batch(1).flatMap(same) : calls.map(mapper('doubleAtOnce'))
    const doubled = 7
    assert.deepEqual(
      (await calls.toArray()).map(read),
      numbers(200).map((i) => i * 2 ** doubled),
    )
  }, ['doubleAtOnce'])

  promise('no window is too small', async () => {
    const windows = [
      { concurrency: 1, backpressure: 1 },
      { concurrency: 1, backpressure: 2 },
      { concurrency: 2, backpressure: 2 },
    ]
    const one = (name) => (place.single ?? place.mapper)(name)
    for (const first of windows) {
      for (const second of windows) {
        for (const third of windows) {
          for (const chunkSize of local ? [1] : [1, 2, 'auto']) {
            const calls = parallelMap(numbers(12).map(number), one('doubleAtOnce'), { ...first, chunkSize })
              .map(one('doubleAtOnce'), { ...second, chunkSize })
              .batch(2)
              .flatMap(same, second)
              .map(one('doubleAtOnce'), { ...third, chunkSize })
            assert.deepEqual(
              (await calls.toArray()).map(read),
              numbers(12).map((i) => i * 8),
            )
          }
        }
      }
    }
  }, ['doubleAtOnce'])

  promise('filter() and flatMap() in a place of one', async () => {
    const one = (name) => (place.single ?? place.mapper)(name)
    const window = { concurrency: 1, backpressure: 1, maxBytes: 1 }
    const given = numbers(40).map(number)
    const opened = place.sendsSeveral
      ? passed(given, window).flatMap(one('times'), window)
      : parallelMap(given, one('times'), window).flatMap(same, window)
    const calls = opened
      .filter(one('isEven'), window)
      .flatMap(one('times'), window)
      .filter(one('isEven'), window)
    const even = (i) => i % 2 === 0
    assert.deepEqual(
      (await calls.toArray()).map(read),
      numbers(40).flatMap(timesOf).filter(even).flatMap(timesOf).filter(even),
    )
  }, ['times', 'isEven'])

  promise('a chain that is left while every stage is at work leaves the place usable', async () => {
    for (let round = 0; round < 5; round++) {
      const calls = map(countedSource({ make: item }))
        .filter(() => true)
        .map(mapper('double'), { concurrency: 2 })
      if (typeof result(0) === 'string') {
        for await (const _ of calls) break
      } else {
        let seen = 0
        for await (const value of calls) {
          assert.equal(value, seen * 4)
          if (++seen === 50) break
        }
      }
      await calls.finished
    }
    assert.deepEqual(await map(items(20)).toArray(), resultsOf(20))
  })

  promise('memory does not grow with the source', async () => {
    const source = (function* () {
      for (let i = 0; i < 100_000; i++) yield place.load?.(i) ?? { i, load: `${i}${'x'.repeat(1000)}` }
    })()
    const calls = parallelMap(source, (value) => value)
      .filter(mapper('keep'))
      .map(mapper('identity'))
      .flatMap((value) => [value])
    let count = 0
    let early = 0
    for await (const _ of calls) {
      if (++count === 20_000) early = heapInUse()
    }
    assert.equal(count, 100_000)
    const grown = heapInUse() - early
    // What 80,000 items hold is some 80 MB.
    assert.ok(grown < 20e6, `the heap grew by ${grown} bytes`)
  }, ['keep', 'identity'])
}

function same(value) {
  return value
}

function mostAtOnce(spans) {
  const edges = spans.flatMap(({ start, end }) => [
    [start, 1],
    [end, -1],
  ])
  edges.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  let running = 0
  let most = 0
  for (const [, change] of edges) {
    running += change
    most = Math.max(most, running)
  }
  return most
}

function sortedJson(values) {
  return values.map((value) => JSON.stringify(value) ?? 'undefined').sort()
}

async function all(iterator) {
  const values = []
  for (;;) {
    const { done, value } = await iterator.next()
    if (done) return values
    values.push(value)
  }
}

async function caughtFrom(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  return assert.fail('it did not reject')
}

let gc
function collectGarbage() {
  if (gc === undefined) {
    setFlagsFromString('--expose-gc')
    gc = runInNewContext('gc')
  }
  gc()
}

function heapInUse() {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
