// A worker's outcomes are decoded when they are taken, which may be long after it has gone: what it had said of the
// shapes of its values must be known until then.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap, workerPool } from '../index.js'

test('outcomes of a worker that has gone are decoded as late as anybody takes them', {
  timeout: 60_000,
}, async () => {
  const pool = workerPool(new URL('./fixtures/acts.js', import.meta.url), { size: 1 })
  const record = (id) => ({ id, name: `n${id}`, extra: id % 2 === 0 })
  const items = Array.from({ length: 1000 }, (_, id) => ({ act: 'value', value: record(id) }))
  items.push({ act: 'exit', code: 1 })
  const results = parallelMap(items, pool, { settled: true, chunkSize: 1001, backpressure: 1001 })
  const outcomes = []
  for await (const outcome of results) {
    // After the first ones everything else has arrived, and the worker is long gone.
    if (outcomes.length === 0) await sleep(500)
    outcomes.push(outcome)
  }
  assert.deepEqual(
    outcomes.slice(0, 1000).map(({ value }) => value),
    items.slice(0, 1000).map(({ value }) => value),
  )
  assert.equal(outcomes[1000].reason.exitCode, 1)
  await pool.close()
})
