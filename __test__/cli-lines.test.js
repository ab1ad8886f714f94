// How bytes become items: the same for every size of block, for blank lines, batches and lines that are too long; and
// where each item stands.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { linesAt } from '../lib/cli/line-piece.js'
import { LineSource } from '../lib/cli/line-source.js'
import { DONE, ITEM, openSource, PENDING } from '../lib/source.js'

/** Files, cut into blocks. */
async function* blocksOf(files, size) {
  for (const [file, text] of Object.entries(files)) {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += size) yield { file, bytes: bytes.subarray(at, at + size) }
    yield { file, bytes: undefined }
  }
}

/** All items, where they stand, and what they say there. `inFlight` of them are kept, and settled in any order. */
async function read(source, { inFlight = 3, order = 0 } = {}) {
  const items = []
  const open = []
  const settle = () => {
    const [item] = open.splice(order % open.length, 1)
    const place = source.place(item.index)
    const { file, firstLine, lastLine } = place
    Object.assign(item, {
      at: `${file}:${firstLine}${lastLine > firstLine ? `-${lastLine}` : ''}`,
      lines: linesAt(place),
    })
    source.settle(item.index)
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
    const value = await Promise.resolve(source.value).catch((error) => error)
    const text = value instanceof Error ? value : Buffer.from(value, 'latin1').toString()
    items.push({ index: source.index, text })
    open.push(items.at(-1))
    if (open.length > inFlight) settle()
  }
  while (open.length > 0) settle()
  return items
}

/** The same, said simply. */
function expected(files, batch) {
  const items = []
  for (const [file, whole] of Object.entries(files)) {
    const lines = whole.replace(/^\ufeff/, '').split('\n')
    if (lines.at(-1) === '') lines.pop()
    const filled = lines.map((text, at) => ({ text, at })).filter(({ text }) => /[^ \t\r]/.test(text))
    for (let from = 0; from < filled.length; from += batch) {
      const first = filled[from].at
      const last = filled[Math.min(from + batch, filled.length) - 1].at
      items.push({ index: items.length, at: `${file}:${first + 1}${last > first ? `-${last + 1}` : ''}` })
    }
  }
  return items
}

describe('lines', () => {
  test('every block size and batch gives the same items, at their places', async () => {
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
      fc.nat(5),
      fc.nat(5),
      async (a, b, size, batch, inFlight, order) => {
        const files = { a, b }
        const source = new LineSource(blocksOf(files, size), batch)
        const items = await read(source, { inFlight, order })
        assert.deepEqual(
          items.map(({ index, at }) => ({ index, at })),
          expected(files, batch),
        )
        for (const { text, lines } of items) {
          assert.deepEqual(
            lines,
            text.split('\n').map((line) => line.replace(/\r$/, '')),
          )
        }
        assert.equal(source.ended, items.length)
        // What has ended is not kept.
        if (items.length > 0) assert.throws(() => source.place(0), TypeError)
      },
    )
    await fc.assert(property, { numRuns: 400 })
  })

  test('a line that is too long is an item that fails, and the others are not touched', async () => {
    const long = 'y'.repeat(100)
    for (const batch of [1, 3]) {
      for (const size of [1, 7, 30]) {
        for (const text of [`1\n2\n${long}\n3\n`, `${long}\n3`, `1\n${long}`]) {
          const source = new LineSource(blocksOf({ a: text, b: 'z\n' }, size), batch, 50)
          const items = await read(source)
          const failed = items.filter((item) => item.text instanceof Error)
          assert.equal(failed.length, 1, `${batch} ${size} ${text}`)
          assert.equal(failed[0].at, `a:${text.split('\n').indexOf(long) + 1}`)
          assert.match(failed[0].text.message, /longer than 50 bytes/)
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
    )
    const items = await read(source)
    assert.deepEqual(
      items.map(({ text }) => text),
      ['1'],
    )
    assert.equal(source.pull(), DONE)
    assert.deepEqual(source.failure, { error: failure })
  })

  test('stop() ends a wait, and nothing comes after it', async () => {
    let returned = 0
    const source = new LineSource(
      { next: () => new Promise(() => {}), return: async () => void returned++ },
      1,
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
