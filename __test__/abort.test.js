// Cutting off what runs in worker processes: an abort kills a worker whose item does not end within the grace period,
// and only then; `break` and a stopping error raise the signal and kill nothing.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap } from '../index.js'
import {
  children,
  folderWith,
  isAlive,
  LIMIT,
  linesOf,
  openPool,
  program,
  rejection,
  until,
} from './processes.js'

const spin = (note) => ({ act: 'spin', note })
const value = (value) => ({ act: 'value', value })

describe('an abort', () => {
  test('kills a worker in an endless loop after the grace period, and the pool goes on', LIMIT, async (t) => {
    const note = join(folderWith(t), 'began')
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const controller = new AbortController()
    const results = parallelMap([spin(note), value(1)], pool, { signal: controller.signal })
    const rejected = rejection(results.toArray())
    await until(() => linesOf(note).length === 1, 'the item to begin')
    const reason = { any: 'thing' }
    controller.abort(reason)
    assert.equal(await rejected, reason)
    assert.ok(isAlive(pid), 'it rejects at once, before the grace period is over')
    await results.finished
    await until(() => !isAlive(pid), 'the worker to be killed')
    assert.notEqual(await pool.run({ act: 'pid' }), pid)
  })

  test('kills it although the event loop of this process is blocked', LIMIT, async (t) => {
    const note = join(folderWith(t), 'began')
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const controller = new AbortController()
    const rejected = rejection(pool.run(spin(note), { signal: controller.signal }))
    await until(() => linesOf(note).length === 1, 'the item to begin')
    controller.abort()
    for (const end = Date.now() + 20_000; isAlive(pid) && Date.now() < end; );
    assert.ok(!isAlive(pid))
    assert.equal((await rejected).name, 'AbortError')
  })

  test('keeps a worker that co-operates', LIMIT, async (t) => {
    const noteEnd = join(folderWith(t), 'ended')
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const controller = new AbortController()
    const results = parallelMap([{ act: 'untilAborted', noteEnd }], pool, { signal: controller.signal })
    const rejected = rejection(results.toArray())
    await sleep(50)
    controller.abort()
    assert.equal(await rejected, controller.signal.reason)
    await results.finished
    assert.deepEqual(linesOf(noteEnd), ['AbortError'])
    await sleep(400)
    assert.equal(await pool.run({ act: 'pid' }), pid)
  })

  test('kills nothing that is idle, and takes back what has not begun', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const controller = new AbortController()
    const items = Array.from({ length: 100 }, () => ({ act: 'sleep', ms: 50, note }))
    const results = parallelMap(items, pool, { signal: controller.signal, chunkSize: 100, backpressure: 100 })
    const rejected = rejection(results.toArray())
    await until(() => linesOf(note).length > 0, 'an item to begin')
    controller.abort()
    await rejected
    await results.finished
    const ran = linesOf(note).length
    assert.ok(ran < 10, `${ran} items ran`)
    await sleep(400)
    assert.equal(linesOf(note).length, ran)
    assert.equal(await pool.run({ act: 'pid' }), pid)
  })

  test('of one call does not disturb another on the same pool', LIMIT, async (t) => {
    const folder = folderWith(t)
    const pool = openPool(t, undefined, { size: 2 })
    const controller = new AbortController()
    const aborted = parallelMap(
      Array.from({ length: 50 }, () => spin(join(folder, 'began'))),
      pool,
      { signal: controller.signal, concurrency: 1 },
    )
    const rejected = rejection(aborted.toArray())
    await until(() => linesOf(join(folder, 'began')).length > 0, 'the item to begin')
    const items = Array.from({ length: 400 }, (_, i) => ({
      act: 'busy',
      ms: 2,
      value: i,
      note: join(folder, 'ran'),
    }))
    const other = parallelMap(items, pool).toArray()
    const run = pool.run({ act: 'sleep', ms: 100, value: 'slow' })
    controller.abort()
    await rejected
    assert.deepEqual(
      await other,
      items.map(({ value }) => value),
    )
    assert.equal(await run, 'slow')
    assert.equal(linesOf(join(folder, 'ran')).length, 400, 'no item of the other call ran twice')
    await aborted.finished
  })

  test('an item of another call that waited behind the killed one runs elsewhere', LIMIT, async (t) => {
    const folder = folderWith(t)
    const pool = openPool(t, undefined, { size: 1 })
    const controller = new AbortController()
    const rejected = rejection(pool.run(spin(join(folder, 'began')), { signal: controller.signal }))
    await until(() => linesOf(join(folder, 'began')).length > 0, 'the item to begin')
    const runs = Promise.all([1, 2, 3].map((i) => pool.run({ ...value(i), note: join(folder, 'ran') })))
    controller.abort()
    await rejected
    assert.deepEqual(await runs, [1, 2, 3])
    assert.equal(linesOf(join(folder, 'ran')).length, 3)
  })

  test('run() rejects with the reason itself, and an item that has not left never runs', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ran')
    const pool = openPool(t, undefined, { size: 1 })
    await rejection(pool.run({ ...value(1), note }, { signal: AbortSignal.abort('before') })).then(
      (reason) => {
        assert.equal(reason, 'before')
      },
    )
    const busy = pool.run({ act: 'sleep', ms: 200 })
    const controller = new AbortController()
    const waiting = rejection(pool.run({ ...value(2), note }, { signal: controller.signal }))
    await sleep(20)
    controller.abort(0)
    assert.equal(await waiting, 0)
    await busy
    await pool.close()
    assert.deepEqual(linesOf(note), [])
  })

  test(
    'ends a worker that hangs outside of any item, before it has even begun the aborted one',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1 })
      const pid = await pool.run({ act: 'spinLater', ms: 20 })
      await sleep(200)
      const controller = new AbortController()
      const run = rejection(pool.run(value(1), { signal: controller.signal }))
      await sleep(50)
      controller.abort('enough')
      assert.equal(await run, 'enough')
      await until(() => !isAlive(pid), 'the worker to be killed')
      assert.equal(await pool.run(value(2)), 2)
    },
  )

  test('an abort after the end does nothing', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const controller = new AbortController()
    const pid = await pool.run({ act: 'pid' }, { signal: controller.signal })
    const results = await parallelMap([value(1)], pool, { signal: controller.signal }).toArray()
    controller.abort()
    await sleep(300)
    assert.deepEqual(results, [1])
    assert.equal(await pool.run({ act: 'pid' }), pid)
  })

  test('many calls with one signal, aborted together', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const controller = new AbortController()
    const calls = Array.from({ length: 40 }, () =>
      parallelMap(
        Array.from({ length: 20 }, () => ({ act: 'sleep', ms: 5 })),
        pool,
        { signal: controller.signal },
      ),
    )
    const outcomes = Promise.allSettled(calls.map((call) => call.toArray()))
    await sleep(50)
    controller.abort('all')
    for (const outcome of await outcomes)
      if (outcome.status === 'rejected') assert.equal(outcome.reason, 'all')
    await Promise.all(calls.map((call) => call.finished))
    assert.equal(await pool.run(value(5)), 5)
  })
})

describe('break', () => {
  test(
    'raises the signal, lets the running item end past the grace period, and kills nothing',
    LIMIT,
    async (t) => {
      const noteEnd = join(folderWith(t), 'ended')
      const pool = openPool(t, undefined, { size: 1 })
      const pid = await pool.run({ act: 'pid' })
      const items = [value(0), { act: 'pastAbort', noteEnd, ms: 500 }]
      const results = parallelMap(items, pool, { chunkSize: 1 })
      for await (const result of results) {
        assert.equal(result, 0)
        await sleep(50)
        break
      }
      assert.deepEqual(linesOf(noteEnd), [])
      await results.finished
      assert.deepEqual(linesOf(noteEnd), [String(pid)], 'finished waits for what runs')
      assert.equal(await pool.run({ act: 'pid' }), pid)
    },
  )

  test('an endless item after break is cut off by a forced close', LIMIT, async (t) => {
    const note = join(folderWith(t), 'began')
    const pool = openPool(t, undefined, { size: 1 })
    const results = parallelMap([value(0), spin(note)], pool, { chunkSize: 1 })
    for await (const _ of results) {
      await until(() => linesOf(note).length === 1, 'the item to begin')
      break
    }
    await sleep(400)
    assert.equal(children().length, 1, 'break kills nothing')
    await pool.close({ force: true })
    await results.finished
    assert.deepEqual(children(), [])
  })

  test('an endless item after an error of another is cut off by a forced close', LIMIT, async (t) => {
    const note = join(folderWith(t), 'began')
    const pool = openPool(t, undefined, { size: 2 })
    const results = parallelMap(
      [spin(note), { act: 'sleep', ms: 100 }, { act: 'throw', message: 'stop' }],
      pool,
      { chunkSize: 1 },
    )
    assert.equal((await rejection(results.toArray())).message, 'stop')
    await pool.close({ force: true })
    await results.finished
    assert.deepEqual(children(), [])
  })

  test('what still runs then does not keep the program alive', LIMIT, async (t) => {
    const run = program(
      t,
      `import { parallelMap, workerPool } from 'millrace'
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       for await (const pid of parallelMap([{ act: 'pid' }, { act: 'never' }], pool, { chunkSize: 1 })) {
         console.log(JSON.stringify(pid))
         break
       }`,
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0, stderr)
    await until(() => !isAlive(JSON.parse(stdout)), 'the worker to end')
  })

  test('but whoever awaits finished is answered first', LIMIT, async (t) => {
    const run = program(
      t,
      `import { parallelMap, workerPool } from 'millrace'
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       const results = parallelMap([{ act: 'pid' }, { act: 'sleep', ms: 300 }], pool, { chunkSize: 1 })
       for await (const _ of results) break
       await results.finished
       console.log('finished')`,
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0, stderr)
    assert.equal(stdout, 'finished\n')
  })
})

test('a stopping error raises the signal of what runs elsewhere, and kills nothing', LIMIT, async (t) => {
  const noteEnd = join(folderWith(t), 'ended')
  const pool = openPool(t, undefined, { size: 2 })
  await pool.ready()
  const pids = children()
  const items = [
    { act: 'untilAborted', noteEnd },
    { act: 'sleep', ms: 50 },
    { act: 'throw', message: 'stop' },
  ]
  const results = parallelMap(items, pool, { chunkSize: 1 })
  assert.equal((await rejection(results.toArray())).message, 'stop')
  await results.finished
  assert.deepEqual(linesOf(noteEnd), ['AbortError'])
  assert.deepEqual(children(), pids)
})
