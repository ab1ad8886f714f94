// SHA-256 takes two items at once where the processor can: each has its own digest or error, whatever stands beside it.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { native, parallelMap } from 'millrace'

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

test('neighbours of any length, in rows and beside them, have their own digests', async () => {
  const lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 8191, 8192, 8193, 65_536, 100_000, 300_000]
  const items = lengths.flatMap((first) => lengths.flatMap((second) => [item(first, 1), item(second, 2)]))
  // An odd one at the end has no neighbour.
  items.push(item(70_000, 3))
  for (const chunkSize of [1, 2, 3, 64]) {
    const digests = await parallelMap(items, native.sha256(), { chunkSize }).toArray()
    assert.deepEqual(digests, items.map(sha256))
  }
})

test('an item that fails takes none with it, on either side of a pair', async () => {
  for (const bad of [0, 1, 2, 3, 4]) {
    const items = Array.from({ length: 5 }, (_, at) => (at === bad ? { not: 'bytes' } : item(20_000, at)))
    const settled = await parallelMap(items, native.sha256(), { chunkSize: 5, settled: true }).toArray()
    for (const [at, { status, value, reason }] of settled.entries()) {
      if (at === bad) assert.equal(reason.code, 'ERR_INVALID_ARG_TYPE')
      else assert.deepEqual({ status, value }, { status: 'fulfilled', value: sha256(items[at]) })
    }
  }
})

test('an item that takes too long does not take the time of its neighbour', async () => {
  for (const [slow, quick] of [
    [0, 1],
    [1, 0],
  ]) {
    // Never written, so it has no memory of its own; some 300 ms at 2 GB/s.
    const items = [item(10_000, 1), item(10_000, 1)]
    items[slow] = new Uint8Array(1 << 29)
    const options = { chunkSize: 2, concurrency: 1, timeout: 100, settled: true, transfer: true }
    const call = parallelMap(items, native.sha256(), options)
    const outcomes = await call.toArray()
    assert.equal(outcomes[slow].reason?.code, 'ERR_TASK_TIMEOUT')
    assert.equal(outcomes[quick].value, sha256(item(10_000, 1)))
    await call.finished
  }
})

test('a call that is aborted while its pairs run disturbs none of another call', async () => {
  const reason = new Error('enough')
  const items = Array.from({ length: 200 }, (_, at) => item(10_000 + at, at))
  for (let round = 0; round < 5; round++) {
    const controller = new AbortController()
    const aborted = parallelMap(endless(), native.sha256(), { signal: controller.signal })
    const other = parallelMap(items, native.sha256())
    let taken = 0
    const ended = aborted.forEach((digest) => {
      assert.equal(digest, sha256(item(10_000, 1)))
      if (++taken === 20) controller.abort(reason)
    })
    const digests = other.toArray()
    await assert.rejects(ended, (error) => error === reason)
    assert.deepEqual(await digests, items.map(sha256))
    await aborted.finished
  }
})

test('a break between pairs leaves nothing that runs', async () => {
  const call = parallelMap(endless(), native.sha256())
  for await (const digest of call) {
    assert.equal(digest, sha256(item(10_000, 1)))
    break
  }
  await call.finished
})

function item(length, seed) {
  return Buffer.alloc(length).map((_, at) => (at * 31 + seed * 7) & 0xff)
}

function* endless() {
  for (;;) yield item(10_000, 1)
}
