// Sources: what is one, how it is pulled, how it is closed.

import assert from 'node:assert/strict'
import { EventEmitter, on } from 'node:events'
import { PassThrough } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { openSource } from '../lib/open-source.js'
import { DONE, FAILED, ITEM, isThenable, PENDING } from '../lib/source.js'
import { countedAsyncSource, countedSource } from './conformance/sources.js'

test('what is no source is a TypeError that says what came', () => {
  const wrong = [
    [undefined, 'undefined'],
    [null, 'null'],
    [5, '5'],
    ['text', '"text"'],
    [new String('text'), 'an instance of String'],
    [Buffer.from('text'), 'an instance of Buffer'],
    [new Float64Array(1), 'an instance of Float64Array'],
    [new DataView(new ArrayBuffer(1)), 'an instance of DataView'],
    [new ArrayBuffer(1), 'an instance of ArrayBuffer'],
    [new SharedArrayBuffer(1), 'an instance of SharedArrayBuffer'],
    [runInNewContext('new Uint8Array(1)'), 'an instance of Uint8Array'],
    [{}, 'an object'],
    [{ next() {} }, 'an object'],
    [() => {}, 'a function'],
    [Promise.resolve([]), 'an instance of Promise'],
  ]
  for (const [value, got] of wrong) {
    assert.throws(() => openSource(value), {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: new RegExp(`expected .*iterable.*, got ${got}$`),
    })
  }
  assert.throws(() => openSource(Promise.resolve([])), /await the promise first/)
})

describe('synchronous', () => {
  test('arrays: items with their index, holes as undefined, the length that they have then', () => {
    const array = ['a', , 'c']
    const source = openSource(array)
    assert.deepEqual(
      pullAll(source, () => array.length < 4 && array.push('d')),
      [
        [0, 'a'],
        [1, undefined],
        [2, 'c'],
        [3, 'd'],
      ],
    )
    array.push('e')
    assert.equal(source.pull(), DONE, 'the end is the end')
  })

  test('an array with an iterator of its own is iterated with it', () => {
    const array = Object.assign([1, 2], {
      *[Symbol.iterator]() {
        yield 'own'
      },
    })
    assert.deepEqual(pullAll(openSource(array)), [[0, 'own']])
  })

  test('no iterator is made before the first pull, and none to be closed', async () => {
    let made = 0
    const iterable = { [Symbol.iterator]: () => void made++ }
    await openSource(iterable).close()
    assert.equal(made, 0)
  })

  test('a generator that was never pulled is closed, too', async () => {
    const source = countedSource()
    await openSource(source).close()
    assert.equal(source.returns, 1)
    assert.equal(source.pulls, 0)
  })

  test('close() is return(), once; then it is DONE', async () => {
    const source = countedSource()
    const opened = openSource(source)
    assert.equal(opened.pull(), ITEM)
    await Promise.all([opened.close(), opened.close()])
    await opened.close()
    assert.equal(source.returns, 1)
    assert.equal(opened.pull(), DONE)
  })

  test('a source that has ended or thrown is not closed', async () => {
    const ended = countedSource({ length: 0 })
    const opened = openSource(ended)
    assert.equal(opened.pull(), DONE)
    await opened.close()
    assert.equal(ended.returns, 0)
    const broken = countedSource({ throwAt: 1, error: undefined })
    const failing = openSource(broken)
    assert.equal(failing.pull(), ITEM)
    assert.equal(failing.pull(), FAILED)
    assert.equal(failing.error, undefined)
    assert.equal(failing.pull(), FAILED)
    await failing.close()
    assert.equal(broken.returns, 0)
  })

  test('an iterable whose iterator cannot be made has failed', () => {
    const error = new Error('no iterator')
    const source = openSource({
      [Symbol.iterator]() {
        throw error
      },
    })
    assert.equal(source.pull(), FAILED)
    assert.equal(source.error, error)
  })

  test('a generator that closes its own source is closed when it has yielded', async () => {
    let cleaned = 0
    let closing
    const source = openSource(
      (function* () {
        try {
          closing = source.close()
          yield 1
          assert.fail('pulled again')
        } finally {
          cleaned++
        }
      })(),
    )
    assert.equal(source.pull(), ITEM)
    await closing
    assert.equal(cleaned, 1)
    assert.equal(source.pull(), DONE)
  })

  test('what return() throws is the rejection of close()', async () => {
    const error = new Error('return')
    const source = openSource({
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: 1 }),
        return() {
          throw error
        },
      }),
    })
    source.pull()
    await assert.rejects(source.close(), error)
  })
})

describe('asynchronous', () => {
  test('PENDING, then ITEM; one next() at a time', async () => {
    const inner = countedAsyncSource({ length: 3 })
    const source = openSource(inner)
    const items = []
    for (;;) {
      const pulled = source.pull()
      if (pulled === DONE) break
      if (pulled === PENDING) {
        assert.equal(source.pending, true)
        assert.equal(source.pull(), PENDING)
        await source.ready
        assert.equal(source.pending, false)
      } else items.push([source.index, source.value])
    }
    assert.deepEqual(
      items,
      [0, 1, 2].map((i) => [i, i]),
    )
    assert.equal(inner.overlaps, 0)
  })

  test('the asynchronous iterator is preferred', async () => {
    const both = {
      *[Symbol.iterator]() {
        yield 'sync'
      },
      async *[Symbol.asyncIterator]() {
        yield 'async'
      },
    }
    const source = openSource(both)
    assert.equal(source.pull(), PENDING)
    await source.ready
    assert.equal(source.pull(), ITEM)
    assert.equal(source.value, 'async')
  })

  test('rejections, throws and results that are none: all are FAILED', async () => {
    const error = new Error('next')
    const nexts = [
      () => Promise.reject(error),
      () => {
        throw error
      },
      () => Promise.resolve(5),
      () => ({
        get done() {
          throw error
        },
      }),
    ]
    for (const next of nexts) {
      const source = openSource({
        [Symbol.asyncIterator]: () => ({ next, return: () => assert.fail('it threw') }),
      })
      if (source.pull() === PENDING) await source.ready
      assert.equal(source.pull(), FAILED)
      if (source.error !== error) assert.match(source.error.message, /expected an object from it, got 5/)
      await source.close()
    }
  })

  test('close() does not wait to call return(): an iterator over events ends at once', async () => {
    const source = openSource(on(new EventEmitter(), 'never'))
    assert.equal(source.pull(), PENDING)
    await source.close()
    assert.equal(source.pull(), DONE)
  })

  test('close() settles after return() and the pending pull, even if return() rejects', async () => {
    let answer
    const error = new Error('return')
    const source = openSource({
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((resolve) => {
            answer = resolve
          }),
        return: () => Promise.reject(error),
      }),
    })
    source.pull()
    let settled = false
    const closing = source.close().catch((caught) => {
      settled = true
      return caught
    })
    await new Promise(setImmediate)
    assert.equal(settled, false)
    // Nobody will look at the item: that it rejects must not matter.
    answer({ done: false, value: Promise.reject(new Error('unseen')) })
    assert.equal(await closing, error)
    assert.equal(source.pull(), DONE)
  })

  test('an idle Node stream is destroyed at once, also one that was never pulled', async () => {
    for (const pulls of [0, 1]) {
      const stream = new PassThrough({ objectMode: true })
      const source = openSource(stream)
      if (pulls > 0) source.pull()
      await source.close()
      assert.equal(stream.destroyed, true)
    }
  })

  test('an idle web stream is cancelled at once, also one that was never pulled', async () => {
    for (const pulls of [0, 1]) {
      let cancelled = 0
      const stream = new ReadableStream({ cancel: () => void cancelled++ })
      const source = openSource(stream)
      if (pulls > 0) source.pull()
      await source.close()
      assert.equal(cancelled, 1)
      assert.equal(stream.locked, false)
    }
  })

  test('a web stream is released at its end and after its error', async () => {
    const error = new Error('broken')
    for (const end of [(controller) => controller.close(), (controller) => controller.error(error)]) {
      const stream = new ReadableStream({ start: end })
      const source = openSource(stream)
      source.pull()
      await source.ready
      assert.ok(source.pull() === DONE || source.error === error)
      assert.equal(stream.locked, false)
    }
  })
})

test('isThenable', () => {
  for (const value of [Promise.resolve(), { then() {} }, Object.assign(() => {}, { then() {} })]) {
    assert.equal(isThenable(value), true)
  }
  for (const value of [undefined, null, 0, 'then', {}, { then: 1 }, () => {}])
    assert.equal(isThenable(value), false)
  const refusing = {
    get then() {
      throw new Error('no')
    },
  }
  assert.equal(isThenable(refusing), true)
})

function pullAll(source, meanwhile = () => {}) {
  const items = []
  while (source.pull() === ITEM) {
    items.push([source.index, source.value])
    meanwhile()
  }
  return items
}
