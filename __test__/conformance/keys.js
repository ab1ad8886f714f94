// What `key(item)` promises wherever the work runs, with the place as its parameter: see suite.js.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap } from '../../lib/parallel-map.js'
import { countedAsyncSource } from './sources.js'

export function keyConformance(place) {
  const wait = { timeout: 60_000 }
  const key = (item) => item.key
  const map = (source, name, options) => parallelMap(source, place.mapper(name), { key, ...options })
  const items = (length, keys) => Array.from({ length }, (_, i) => ({ key: `key ${i % keys}` }))

  /** Of each key, one began when the one before had ended. */
  const assertInOrder = (spans) => {
    const last = new Map()
    for (const span of [...spans].sort((a, b) => a.start - b.start)) {
      const before = last.get(span.key)
      if (before !== undefined) {
        assert.ok(
          before.index < span.index,
          `item ${span.index} of ${span.key} ran after item ${before.index}`,
        )
        assert.ok(before.end <= span.start, `items ${before.index} and ${span.index} of ${span.key} overlap`)
      }
      last.set(span.key, span)
    }
  }

  describe(`keys: ${place.name}`, () => {
    for (const preserveOrder of [true, false]) {
      test(
        `items of one key run in order, others beside them (preserveOrder: ${preserveOrder})`,
        wait,
        async () => {
          // Workers that start one by one need not meet.
          await place.mapper('keyedSpan').ready?.()
          const spans = await map(items(60, 5), 'keyedSpan', { preserveOrder }).toArray()
          assert.equal(new Set(spans.map(({ index }) => index)).size, 60)
          if (preserveOrder)
            assert.deepEqual(
              spans.map(({ index }) => index),
              [...Array(60).keys()],
            )
          assertInOrder(spans)
          for (let n = 0; n < 5; n++) {
            const pids = spans.filter((span) => span.key === `key ${n}`).map(({ pid }) => pid)
            assert.equal(new Set(pids).size, 1, 'one worker for a key')
          }
          const sorted = [...spans].sort((a, b) => a.start - b.start)
          assert.ok(
            sorted.some((span, i) => i > 0 && span.start < sorted[i - 1].end),
            'keys run side by side',
          )
        },
      )
    }

    test('one key for all: one at a time', wait, async () => {
      const spans = await map(items(12, 1), 'keyedSpan').toArray()
      assertInOrder(spans)
    })

    test('a key for each: as without keys', wait, async () => {
      const spans = await map(items(40, 40), 'keyedSpan').toArray()
      assert.deepEqual(
        spans.map((span) => span.key),
        items(40, 40).map(key),
      )
    })

    test('no items, and one', wait, async () => {
      assert.deepEqual(await map([], 'keyedSpan').toArray(), [])
      assert.equal((await map(items(1, 1), 'keyedSpan').toArray()).length, 1)
    })

    test('promises of items keep their places', wait, async () => {
      const source = items(30, 3).map((item, i) => (i % 4 === 0 ? sleep((i * 7) % 11, item) : item))
      assertInOrder(await map(source, 'keyedSpan').toArray())
    })

    test('an item that is tried again keeps those behind it waiting', wait, async () => {
      const source = items(24, 3).map((item, i) => ({ ...item, fails: i % 5 === 0 ? 2 : 0 }))
      const options = { retries: 2, backoff: { initial: 5, jitter: 0 } }
      assertInOrder(await map(source, 'keyedSpan', options).toArray())
    })

    test('what fails for good lets the next one go', wait, async () => {
      const source = items(12, 2).map((item, i) => ({ ...item, fails: i === 2 ? 9 : 0 }))
      const options = { retries: 1, backoff: { initial: 1 }, settled: true }
      const outcomes = await map(source, 'keyedSpan', options).toArray()
      assert.deepEqual(outcomes.map(({ status }, i) => status === 'rejected' && i).filter(Boolean), [2])
      assertInOrder(outcomes.filter(({ status }) => status === 'fulfilled').map(({ value }) => value))
    })

    test('a key that throws, or is none, is an error of its item', wait, async () => {
      const thrown = new Error('no key')
      const keys = ['a', 'b', thrown, undefined, null, {}, Symbol('a'), () => {}, 'a', 'b']
      const keyOf = ({ at }) => {
        if (keys[at] === thrown) throw thrown
        return keys[at]
      }
      const source = keys.map((_, at) => ({ at, key: at % 2 }))
      const outcomes = await map(source, 'keyedSpan', { key: keyOf, settled: true }).toArray()
      assert.equal(outcomes.map(({ status }) => status[0]).join(''), 'ffrrrrrrff')
      assert.equal(outcomes[2].reason, thrown)
      for (const { reason } of outcomes.slice(3, 8)) {
        assert.equal(reason.code, 'ERR_INVALID_ARG_TYPE')
        assert.ok(reason instanceof TypeError)
      }
    })

    test('every kind of key, and none is taken for another one', wait, async () => {
      const keys = ['1', 1, 1n, true, '', 0, NaN, -1.5, 'true', 'a'.repeat(10_000), '\ud800']
      const source = [...keys, ...keys].map((_, i) => ({ key: `${i % keys.length}` }))
      const spans = await map(source, 'keyedSpan', { key: (item) => keys[Number(item.key)] }).toArray()
      assertInOrder(spans)
    })

    test('an error stops the call, with others of its key waiting', wait, async () => {
      const call = map(items(20, 2), 'failFirstOfKey')
      await assert.rejects(call.toArray(), { message: 'item 0' })
    })

    test('break closes the source, and finished settles', wait, async () => {
      const source = countedAsyncSource({ make: (i) => ({ key: `key ${i % 3}` }) })
      const call = map(source, 'keyedSpan')
      for await (const _ of call) break
      await call.finished
      assert.equal(source.returns, 1)
    })

    test('an abort, while others of its key wait', wait, async () => {
      const controller = new AbortController()
      const call = map(items(100, 1), 'keyedSpan', { signal: controller.signal })
      const consume = async () => {
        for await (const _ of call) controller.abort(new Error('enough'))
      }
      await assert.rejects(consume(), /enough/)
      await call.finished
    })
  })
}
