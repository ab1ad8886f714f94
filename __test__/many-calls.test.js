// A pool that lives long: what thousands of short calls and many processes have used is given back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { program } from './processes.js'

const from = (file) => JSON.stringify(new URL(file, import.meta.url).href)

const LONG = { timeout: 240_000 }

/** What the program does with the pool, so often; and what it holds before and after. */
const growth = (often, act) => `
  import { setTimeout as sleep } from 'node:timers/promises'
  import { queryObjects } from 'node:v8'
  import { parallelMap, workerPool } from 'millrace'
  import { Decoder } from ${from('../lib/codec.js')}
  import { PoolCall } from ${from('../lib/pool-call.js')}
  import { holdings } from ${from('./holdings.js')}
  const pool = workerPool(new URL(process.env.ACTS), { size: 2, stderr: 'ignore' })
  const value = (number) => ({ act: 'value', value: number })
  const ignore = () => {}
  const act = ${act}
  const held = async () => {
    // Both workers are there, and what has gone is gone.
    await pool.ready()
    let now = holdings()
    for (let same = 0; same < 5; ) {
      for (let turn = 0; turn < 3; turn++) await sleep(20, gc())
      const next = holdings()
      const key = ({ descriptors, segments, children }) => JSON.stringify([descriptors, segments, children.length])
      same = key(next) === key(now) ? same + 1 : 0
      now = next
    }
    const { descriptors, segments, children } = now
    return { descriptors, segments, children: children.length, resources: process.getActiveResourcesInfo().length }
  }
  const many = async (count) => {
    for (let at = 0; at < count; at++) await act(at)
    const now = await held()
    const objects = queryObjects(Decoder) + queryObjects(PoolCall)
    return { held: now, objects, heap: process.memoryUsage().heapUsed }
  }
  // As often before: what is compiled and cached once is there.
  const before = await many(${often})
  const after = await many(${often})
  console.log(JSON.stringify({ before: before.held, after: after.held, objects: after.objects, bytes: after.heap - before.heap }))
  await pool.close()
`

/** `bytesEach`: what a leak takes at least, each time, and more than what a heap goes up and down by. */
async function assertFlat(t, often, act, bytesEach) {
  const run = program(t, growth(often, act), {
    // queryObjects() is experimental.
    flags: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
  })
  const { stdout, stderr } = await run.ended
  assert.equal(stderr, '')
  const { before, after, objects, bytes } = JSON.parse(stdout)
  assert.deepEqual(after, before)
  // Those of the workers that are there, and the class itself.
  assert.ok(objects <= 6, `${objects} decoders and calls`)
  assert.ok(bytes < often * bytesEach, `${bytes} bytes more after ${often}`)
}

test('10,000 short calls leave nothing in a pool', LONG, async (t) => {
  const act = `async (at) => {
    const options = { retries: at % 2, backoff: { initial: 0 }, timeout: at % 3 ? 10_000 : undefined }
    if (at % 5 === 0) return parallelMap([value(1), value(2)], pool, options).toArray()
    if (at % 5 === 1) return parallelMap([{ act: 'throw', message: 'no' }, value(1)], pool, options).toArray().catch(ignore)
    if (at % 5 === 2) return pool.run(value({ text: 'an object', at }), options)
    if (at % 5 === 3) {
      for await (const _ of parallelMap([1, 2, 3].map(value), pool, options)) break
      return undefined
    }
    const control = new AbortController()
    const run = parallelMap([value(1), value(2)], pool, { ...options, signal: control.signal }).toArray().catch(ignore)
    control.abort()
    return run
  }`
  // An entry of a Map, with a number as its key and as its value, takes more.
  await assertFlat(t, 10_000, act, 30)
})

test('40 processes that die leave nothing in their pool', LONG, async (t) => {
  // Objects: each worker has shapes of its own, and a decoder that knows them.
  const act = `async (at) => {
    const items = [value({ at, text: 'an object' }), { act: 'exit', code: 1 }, value({ other: at })]
    await parallelMap(items, pool, { settled: true }).toArray()
  }`
  await assertFlat(t, 40, act, 10_000)
})
