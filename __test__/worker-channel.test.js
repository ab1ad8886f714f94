// Between parent and worker: messages of every size, both ways, many at a time, and numbers that three files share.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap } from '../index.js'
import { folderWith, LIMIT, linesOf, openPool, rejection, until } from './processes.js'

const MiB = 1 << 20
const LONG = { timeout: 120_000 }

describe('large messages', () => {
  // The rings hold 512 KiB: under, around and far over that.
  for (const bytes of [4000, 128 * 1024, 512 * 1024 - 100, 512 * 1024, 512 * 1024 + 1, 5 * MiB, 70 * MiB]) {
    test(`a Buffer of ${bytes} bytes there and back`, LONG, async (t) => {
      const pool = openPool(t, undefined, { size: 1 })
      const value = randomBytes(bytes)
      const back = await pool.run({ act: 'value', value })
      assert.ok(Buffer.isBuffer(back))
      assert.ok(back.equals(value))
    })
  }

  for (const [name, make] of Object.entries({
    'Latin-1 text': (length) => 'é'.repeat(length),
    'text beyond Latin-1': (length) => '€a'.repeat(length / 2),
    'text of pairs': (length) => '🙂'.repeat(length / 2),
  })) {
    test(`${name} of 5 Mi characters`, LONG, async (t) => {
      const pool = openPool(t, undefined, { size: 1 })
      const value = make(5 * MiB)
      assert.ok((await pool.run({ act: 'value', value })) === value)
    })
  }

  test('many records of one item, and one of many', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const value = Array.from({ length: 100_000 }, (_, i) => ({ id: i, name: `name ${i}`, on: i % 2 === 0 }))
    assert.deepEqual(await pool.run({ act: 'value', value }), value)
    const records = value.slice(0, 50_000).map((value) => ({ act: 'value', value }))
    assert.deepEqual(await parallelMap(records, pool).toArray(), value.slice(0, 50_000))
  })

  test('large and small in turn, with every chunk size', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const sizes = [0, 1, 700 * 1024, 23, 511 * 1024, 8, 3 * MiB, 4096, 2 * MiB, 7]
    const items = sizes.map((size, i) => ({
      act: 'value',
      value: [i, Buffer.alloc(size, i), 'é'.repeat(size / 7)],
    }))
    for (const chunkSize of [1, 3, 10, 'auto']) {
      const results = await parallelMap(items, pool, { chunkSize }).toArray()
      for (const [i, value] of items.map(({ value }) => value).entries()) {
        assert.equal(results[i][0], i)
        assert.ok(results[i][1].equals(value[1]), `item ${i}, chunkSize ${chunkSize}`)
        assert.ok(results[i][2] === value[2], `item ${i}, chunkSize ${chunkSize}`)
      }
    }
  })

  test('a large result only, a large item only, a large error', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const made = await pool.run({ act: 'make', bytes: 20 * MiB })
    assert.equal(made.length, 20 * MiB)
    assert.ok(made.every((byte) => byte === 7))
    const bytes = randomBytes(20 * MiB)
    const digest = createHash('sha256').update(bytes).digest('hex')
    assert.equal(await pool.run({ act: 'digest', bytes }), digest)
    const error = await rejection(pool.run({ act: 'throw', message: 'x'.repeat(3 * MiB) }))
    assert.equal(error.message.length, 3 * MiB)
  })

  test('one item over maxBytes still goes through, alone', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = Array.from({ length: 6 }, (_, i) => ({ act: 'value', value: Buffer.alloc(2 * MiB, i) }))
    const results = await parallelMap(items, pool, { maxBytes: MiB }).toArray()
    assert.deepEqual(
      results.map((bytes) => [bytes.length, bytes[0]]),
      items.map((_, i) => [2 * MiB, i]),
    )
  })

  test('a large uncaught error still arrives as the cause', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const error = await rejection(pool.run({ act: 'uncaught', message: 'x'.repeat(2 * MiB) }))
    assert.equal(error.cause.message.length, 2 * MiB)
  })
})

describe('many in flight', () => {
  test('1,000 run() at once', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const results = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => pool.run({ act: 'value', value: { i } })),
    )
    assert.deepEqual(
      results.map(({ i }) => i),
      results.map((_, i) => i),
    )
  })

  test('200 run() of 256 KiB at once, both ways', LONG, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const runs = Array.from({ length: 200 }, (_, i) =>
      pool.run({ act: 'value', value: Buffer.alloc(256 * 1024, i) }),
    )
    for (const [i, bytes] of (await Promise.all(runs)).entries()) {
      assert.equal(bytes.length, 256 * 1024)
      assert.ok(bytes[0] === i % 256 && bytes.at(-1) === i % 256)
    }
  })

  test('100,000 small items through several calls at once', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const call = async (from) => {
      let next = from
      const items = (function* () {
        for (let i = from; i < from + 25_000; i++) yield { act: 'value', value: i }
      })()
      for await (const result of parallelMap(items, pool)) assert.equal(result, next++)
      assert.equal(next, from + 25_000)
    }
    await Promise.all([0, 1e6, 2e6, 3e6].map(call))
  })
})

describe('back-pressure', () => {
  test('a blocked parent loses nothing: workers wait for room', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 2 })
    const items = Array.from({ length: 60 }, (_, i) => ({ act: 'make', bytes: 100 * 1024, value: i, note }))
    const results = parallelMap(items, pool, { chunkSize: 30, backpressure: 60 })
    const iterator = results[Symbol.asyncIterator]()
    await pool.ready()
    // All of it is sent at once. 6 MB are to come back, and nobody here reads them: not for a single turn.
    const first = iterator.next()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
    const begun = linesOf(note).length
    assert.ok(begun > 0 && begun < 60, `${begun} of 60 have begun: the rings are smaller than that`)
    assert.equal((await first).value.length, 100 * 1024)
    let count = 1
    for await (const bytes of iterator) {
      assert.equal(bytes.length, 100 * 1024)
      count++
    }
    assert.equal(count, 60)
    assert.equal(linesOf(note).length, 60)
  })

  test('a worker that waits for room dies with an abort, and the pool goes on', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 1 })
    const controller = new AbortController()
    const items = Array.from({ length: 40 }, () => ({ act: 'make', bytes: 3 * MiB, note }))
    const call = parallelMap(items, pool, { chunkSize: 40, backpressure: 40, signal: controller.signal })
    const rejected = rejection(call.toArray())
    await until(() => linesOf(note).length > 0, 'the first item to begin')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    controller.abort('enough')
    assert.equal(await rejected, 'enough')
    await call.finished
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('a consumer that does not take holds the source back', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    let pulled = 0
    function* source() {
      for (;;) yield { act: 'value', value: pulled++ }
    }
    const iterator = parallelMap(source(), pool, { backpressure: 20 })[Symbol.asyncIterator]()
    assert.equal((await iterator.next()).value, 0)
    await sleep(200)
    assert.ok(pulled <= 21, `${pulled} pulled`)
    await iterator.return()
  })

  test('a worker that was stopped for a while loses nothing', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    process.kill(pid, 'SIGSTOP')
    const items = Array.from({ length: 300 }, (_, i) => ({ act: 'value', value: Buffer.alloc(10_000, i) }))
    const results = parallelMap(items, pool).toArray()
    await sleep(100)
    process.kill(pid, 'SIGCONT')
    for (const [i, bytes] of (await results).entries()) assert.equal(bytes[9999], i % 256)
  })
})

describe('the numbers that the two languages share', () => {
  const text = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
  const port = text('lib/worker-port.js')
  const main = text('lib/worker-main.js') + text('lib/worker-chunk.js')
  const talk = text('lib/worker-talk.js')
  const pool = text('lib/worker-pool.js')
  const layout = text('crates/channel/src/layout.rs')
  const parent = text('crates/channel/src/parent.rs')
  const place = text('src/place/process.rs') + text('src/place/process/worker.rs')

  /** The value of a constant, as it is written. */
  const number = (source, pattern) => {
    const [, value] = pattern.exec(source) ?? assert.fail(`there is no ${pattern}`)
    return Function(`return ${value.replaceAll('_', '')}`)()
  }
  const js = (name, source = port) => number(source, new RegExp(`^const ${name} = (.+)$`, 'm'))
  const rust = (name, source = layout) => number(source, new RegExp(`const ${name}: \\w+ = (.+);$`, 'm'))

  test('words of the header', () => {
    const words = ['ROW_TAIL', 'ROW_HEAD', 'TEXT_HEAD', 'PARENT_SLEEPS', 'CLAIMS', 'CLAIM_STRIDE']
    for (const name of [...words, 'MESSAGE_HEAD', 'LISTENING']) assert.equal(js(name) * 4, rust(name), name)
    for (const name of ['LISTENING', 'PROGRESS_STRIDE']) assert.equal(js(name, talk) * 4, rust(name), name)
    const cells = rust('CLAIMS') + rust('CLAIM_STRIDE') * rust('CLAIM_CELLS')
    assert.match(layout, /PROGRESS_CELLS_AT: usize = CLAIMS \+ CLAIM_CELLS \* CLAIM_STRIDE;/)
    assert.equal(js('PROGRESS_CELLS_AT', talk) * 4, cells)
    assert.equal(js('PROGRESS_CELLS', talk), rust('PROGRESS_CELLS'))
    assert.equal(js('HEADER_BYTES', talk), rust('HEADER_BYTES'))
    assert.equal(js('HEADER_BYTES'), rust('HEADER_BYTES'))
    assert.equal(js('RECORD_BYTES'), rust('RECORD_BYTES'))
    assert.ok(rust('CLAIMS') + rust('CLAIM_STRIDE') * rust('CLAIM_CELLS') <= rust('HEADER_BYTES'))
    assert.equal(rust('CLAIM_CELLS'), rust('CELLS', text('src/engine/contract.rs')))
  })

  test('messages, and who listens', () => {
    for (const name of ['MESSAGES', 'PROGRESS']) assert.equal(js(name, pool), rust(name), name)
    assert.equal(js('MESSAGES'), rust('MESSAGES'))
    assert.equal(js('PROGRESS', talk), rust('PROGRESS'))
    assert.equal(number(port, /^export const MAX_MESSAGE_BYTES = (.+)$/m), rust('MAX_MESSAGE_BYTES'))
    assert.equal(js('MESSAGE_WINDOW'), rust('MESSAGE_WINDOW'))
  })

  test('kinds of records', () => {
    const kinds = {
      Padding: 'PADDING',
      Outcome: 'OUTCOME',
      ChunkDone: 'CHUNK_DONE',
      Define: 'DEFINE',
      Ready: 'READY',
    }
    for (const [kind, name] of Object.entries({
      ...kinds,
      StartError: 'START_ERROR',
      Fatal: 'FATAL',
      Message: 'MESSAGE',
      AbortHeard: 'ABORT_HEARD',
    })) {
      assert.equal(js(name), number(parent, new RegExp(`^ {4}${kind} = (\\d+),$`, 'm')), kind)
    }
  })

  test('kinds of frames', () => {
    const [, body] = /export const FRAME = \{(.+?)\}/s.exec(port)
    const frames = Object.fromEntries([...body.matchAll(/(\w+): (\d+)/g)].map(([, ...pair]) => pair))
    const inRust = [...place.matchAll(/pub const ([A-Z_]+): u32 = (\d+);/g)].map(([, name, value]) => [
      name,
      value,
    ])
    assert.deepEqual(frames, Object.fromEntries(inRust))
    // Only JavaScript knows what the flags of a chunk mean; Rust puts them where it looks for them.
    assert.match(place, /u32::from\(part\.cell\) \| u32::from\(part\.flags\) << 8 \|/)
    assert.match(main, /flags: \(word\(3\) >>> 8\) & 0xff,/)
  })

  test('how an item ended', () => {
    const [, written] = /let status = match record\.status \{(.+?)\};/s.exec(place)
    const arms = written.replace('VALUE', rust('VALUE', place))
    for (const [name, status] of [
      ['VALUE', 'Value'],
      ['ERROR', 'Error'],
      ['SKIPPED', 'Skipped'],
    ]) {
      const value = number(port, new RegExp(`^export const ${name} = (\\d+)$`, 'm'))
      assert.match(arms, new RegExp(`${value} => Status::${status}`))
    }
  })

  test('the header of a chunk, and an item that has failed already', () => {
    const [, words] = /let words = \[\n(.+?)\n {8}\];/s.exec(place)
    const count = words.split('\n').filter((line) => line.endsWith(',')).length
    assert.equal(js('HEADER_BYTES', main), 4 + count * 4, 'the length of the frame, then these words')
    assert.equal(js('REJECTED_BEFORE', main), js('REJECTED_BEFORE', text('lib/item-writer.js')))
  })
})
