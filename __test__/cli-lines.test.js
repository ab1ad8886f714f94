// How bytes become items: the same for every size of block, for blank lines, batches and lines that are too long; and
// where each item stands.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ItemSize } from '../lib/cli/item-size.js'
import { cutAnew, linesAt } from '../lib/cli/line-piece.js'
import { LineSource } from '../lib/cli/line-source.js'
import { openSource } from '../lib/open-source.js'
import { DONE, ITEM, PENDING } from '../lib/source.js'

/** Files, cut into blocks. */
async function* blocksOf(files, size) {
  for (const [file, text] of Object.entries(files)) {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += size) yield { file, bytes: bytes.subarray(at, at + size) }
    yield { file, bytes: undefined }
  }
}

/** Items of always the same size. */
const sizeOf = (calls, bytes = Infinity) => ({ calls, bytesAfter: () => bytes })

/** All calls of the function, where their lines stand, and what they say there. `inFlight` items are kept, and settled in any order. */
async function read(source, { inFlight = 3, order = 0, batch = 1 } = {}) {
  const calls = []
  const open = []
  const settle = () => {
    const [item] = open.splice(order % open.length, 1)
    const place = source.place(item.index)
    source.settle(item.index)
    assert.equal(place.firstCall, item.firstCall)
    const cut = item.failure === undefined ? cutAnew(place, 0, batch, 1) : [place]
    assert.equal(cut.length, place.calls)
    if (item.failure === undefined) {
      assert.equal(item.text, linesAt(place).join('\n'))
      // However it is cut, nothing is lost.
      for (const most of [1, 2, 3]) {
        const again = cutAnew(place, 1, batch, most)
        assert.equal(
          again.reduce((sum, part) => sum + part.calls, 1),
          place.calls,
        )
        assert.deepEqual(again.flatMap((part) => cutAnew(part, 0, batch, 1)).map(at), cut.slice(1).map(at))
      }
    }
    for (const [n, one] of cut.entries()) {
      calls[item.firstCall + n] = {
        index: one.firstCall,
        at: at(one),
        lines: linesAt(one),
        failure: item.failure,
      }
    }
  }
  for (;;) {
    const state = source.pull()
    if (state === DONE) break
    if (state === PENDING) {
      assert.equal(source.pending, true)
      await source.ready
      continue
    }
    assert.equal(state, ITEM)
    const { index } = source
    const item = await Promise.resolve(source.value).then(
      ({ bytes, firstCall }) => ({
        index,
        text: bytes.toString().replaceAll('\r\n', '\n').replace(/\r$/, ''),
        firstCall,
      }),
      (failure) => ({ index, failure, firstCall: source.place(index).firstCall }),
    )
    open.push(item)
    if (open.length > inFlight) settle()
  }
  while (open.length > 0) settle()
  return calls
}

/** Where it stands, as a report says it. */
function at({ file, firstLine, lastLine }) {
  return `${file}:${firstLine}${lastLine > firstLine ? `-${lastLine}` : ''}`
}

/** The same, said simply. */
function expected(files, batch) {
  const calls = []
  for (const [file, whole] of Object.entries(files)) {
    const lines = whole.replace(/^\ufeff/, '').split('\n')
    if (lines.at(-1) === '') lines.pop()
    const filled = lines.map((text, at) => ({ text, at })).filter(({ text }) => /[^ \t\r]/.test(text))
    for (let from = 0; from < filled.length; from += batch) {
      const first = filled[from].at
      const last = filled[Math.min(from + batch, filled.length) - 1].at
      calls.push({
        index: calls.length,
        at: at({ file, firstLine: first + 1, lastLine: last + 1 }),
        lines: lines.slice(first, last + 1).map((line) => line.replace(/\r$/, '')),
      })
    }
  }
  return calls
}

describe('lines', () => {
  test('every size of block, item and batch makes the same calls, at their places', async () => {
    const line = fc.oneof(
      fc.constantFrom('', ' ', '\r', '\t\r', '1', '{"a":1}\r', '"é€😀"', 'x'),
      fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\n', '')),
    )
    const text = fc
      .tuple(fc.boolean(), fc.array(line, { maxLength: 12 }), fc.boolean())
      .map(([mark, lines, newline]) => `${mark ? '\ufeff' : ''}${lines.join('\n')}${newline ? '\n' : ''}`)
    const property = fc.asyncProperty(
      text,
      text,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      fc.constantFrom(1, 10, Infinity),
      fc.nat(5),
      fc.nat(5),
      async (a, b, block, batch, most, bytes, inFlight, order) => {
        const files = { a, b }
        const source = new LineSource(blocksOf(files, block), batch, sizeOf(most, bytes))
        const calls = await read(source, { inFlight, order, batch })
        assert.deepEqual(
          calls.map(({ index, at, lines }) => ({ index, at, lines })),
          expected(files, batch),
        )
        assert.equal(source.ended, source.index + 1)
        // What has ended is not kept.
        if (calls.length > 0) assert.throws(() => source.place(0), TypeError)
      },
    )
    await fc.assert(property, { numRuns: 400 })
  })

  test('a line that is too long is an item that fails, and the others are not touched', async () => {
    const long = 'y'.repeat(100)
    for (const batch of [1, 3]) {
      for (const size of [1, 7, 30]) {
        for (const text of [`1\n2\n${long}\n3\n`, `${long}\n3`, `1\n${long}`]) {
          const source = new LineSource(blocksOf({ a: text, b: 'z\n' }, size), batch, sizeOf(2), 50)
          const items = await read(source, { batch })
          const failed = items.filter((item) => item.failure !== undefined)
          assert.equal(failed.length, 1, `${batch} ${size} ${text}`)
          assert.equal(failed[0].at, `a:${text.split('\n').indexOf(long) + 1}`)
          assert.match(failed[0].failure.message, /longer than 50 bytes/)
          const others = items.filter((item) => !failed.includes(item)).flatMap(({ lines }) => lines)
          assert.deepEqual(others, [...text.split('\n').filter((line) => line !== '' && line !== long), 'z'])
          assert.equal(items.at(-1).at, 'b:1')
        }
      }
    }
  })

  test('an error comes after what was read before it', async () => {
    const failure = new Error('disk')
    const source = new LineSource(
      (async function* () {
        yield { file: 'a', bytes: Buffer.from('1\n2') }
        throw failure
      })(),
      1,
      sizeOf(4),
    )
    const calls = await read(source)
    assert.deepEqual(
      calls.map(({ lines }) => lines),
      [['1']],
    )
    assert.equal(source.pull(), DONE)
    assert.deepEqual(source.failure, { error: failure })
  })

  test('stop() ends a wait, and nothing comes after it', async () => {
    let returned = 0
    const source = new LineSource(
      { next: () => new Promise(() => {}), return: async () => void returned++ },
      1,
      sizeOf(1),
    )
    assert.equal(openSource(source), source)
    assert.equal(source.pull(), PENDING)
    source.stop()
    await source.ready
    assert.equal(source.pull(), DONE)
    await source.close()
    assert.equal(returned, 1)
  })
})

describe('the size of items', () => {
  const itemsOf = async (files, block, size, learn = () => {}) => {
    const source = new LineSource(blocksOf(files, block), 1, size)
    const calls = []
    for (let state = source.pull(); state !== DONE; state = source.pull()) {
      if (state === PENDING) {
        await source.ready
        continue
      }
      calls.push(source.place(source.index).calls)
      learn(calls.at(-1))
      source.settle(source.index)
    }
    return calls
  }

  test('an item takes the lines that are there, and never waits for more', async () => {
    assert.deepEqual(await itemsOf({ a: '1\n2\n3\n4\n5\n' }, 4, sizeOf(100)), [2, 2, 1])
    assert.deepEqual(await itemsOf({ a: '1\n2\n3\n4\n5\n', b: '6\n' }, 100, sizeOf(2)), [2, 2, 1, 1])
    assert.deepEqual(await itemsOf({ a: '1\n22\n333\n4\n5\n' }, 100, sizeOf(100, 3)), [2, 1, 2])
  })

  test('it begins with one line, grows while items are fast, and shrinks when they are slow', async () => {
    const text = { a: '1\n'.repeat(3000) }
    const size = new ItemSize(4, undefined)
    // A microsecond a line, then ten milliseconds.
    let done = 0
    const calls = await itemsOf(text, 1 << 20, size, (count) => {
      done += count
      size.learn(count, done < 1000 ? count : count * 10_000)
    })
    assert.deepEqual(calls.slice(0, 6), [1, 4, 16, 64, 256, 1024])
    assert.ok(calls.length > 1000 && calls.slice(7).every((count) => count === 1))
  })

  test('what a few lines have taken does not make many fewer', () => {
    const size = new ItemSize(4, undefined)
    size.calls = 100
    size.learn(1, 5)
    assert.equal(size.calls, 100)
    size.learn(1, 100)
    assert.equal(size.calls, 20)
    size.learn(20, 1_000_000)
    assert.equal(size.calls, 1)
  })

  test('towards the end of known inputs they become smaller, so that all workers have some', async () => {
    const text = '1234567\n'.repeat(4000)
    const size = new ItemSize(4, text.length)
    size.calls = 100_000
    const calls = await itemsOf({ a: text }, 1 << 20, size)
    assert.equal(calls[0], 500)
    assert.deepEqual(
      calls,
      calls.toSorted((a, b) => b - a),
    )
    assert.deepEqual(calls.slice(-6), Array(6).fill(1))
    // A file that has grown since.
    assert.ok(size.bytesAfter(text.length + 10) > 10_000)
    const unknown = new ItemSize(4, undefined)
    unknown.calls = 100_000
    assert.deepEqual(await itemsOf({ a: text }, 1 << 20, unknown), [4000])
  })
})
