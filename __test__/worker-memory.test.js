// Workers that run out of memory: V8's heap is full, or the pool's `maxMemory` is reached.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parallelMap, WorkerCrashError, WorkerOutOfMemoryError, WorkerStartError } from '../index.js'
import { folderWith, isAlive, LIMIT, openPool, program, rejection, until } from './processes.js'

const MB = 1 << 20
const SMALL_HEAP = { execArgv: ['--max-old-space-size=24'] }
const evaluate = (code) => ({ act: 'eval', code })
/** Take so much memory, hold it, and do something then. */
const take = (bytes, then) => evaluate(`globalThis.held = Buffer.alloc(${bytes}, 1); ${then}`)

describe('a full heap', () => {
  test('is the error of the item, and the worker is replaced', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...SMALL_HEAP })
    const items = [{ act: 'pid' }, { act: 'outOfMemory' }, { act: 'pid' }]
    const [before, failed, after] = await parallelMap(items, pool, { settled: true }).toArray()
    const { reason } = failed
    assert.ok(reason instanceof WorkerOutOfMemoryError)
    assert.equal(reason instanceof WorkerCrashError, false)
    assert.equal(reason.code, 'ERR_WORKER_OUT_OF_MEMORY')
    assert.equal(reason.index, 1)
    assert.equal(reason.attempt, 1)
    assert.equal(reason.worker, 0)
    assert.equal(reason.signal, 'SIGABRT')
    assert.equal('rss' in reason || 'limit' in reason, false)
    assert.match(reason.message, /ran out of memory \(its heap was full\) while it ran item 1$/)
    assert.notEqual(before.value, after.value)
  })

  test('the same signal for another reason is a crash', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, execArgv: [] })
    for (const item of [
      { act: 'abort' },
      { act: 'kill', signal: 'SIGABRT' },
      { act: 'kill', signal: 'SIGTRAP' },
      evaluate(`process.report.writeReport(); process.abort()`),
      evaluate(`console.error('"trigger":"OOMError" JavaScript heap out of memory'); process.abort()`),
    ]) {
      const error = await rejection(pool.run(item))
      assert.ok(error instanceof WorkerCrashError, error.stack)
    }
  })

  test('what a worker writes of itself there decides nothing else', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, execArgv: [] })
    const lie = (end) =>
      evaluate(`
        const fs = process.getBuiltinModule('node:fs')
        const file = process.report.filename
        fs.writeFileSync(file, '{"header":{"trigger":"OOMError"')
        fs.appendFileSync(file, Buffer.alloc(${4 * MB}, 'x'))
        ${end}`)
    const exited = await rejection(pool.run(lie('process.exit(3)')))
    assert.equal(exited.exitCode, 3, exited.stack)
    const killed = await rejection(pool.run(lie(`process.kill(process.pid, 'SIGKILL'); for (;;);`)))
    assert.ok(killed instanceof WorkerCrashError)
    assert.equal(await pool.run(lie('return 1')), 1)
  })

  test('while it starts, it is a start error that says so', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `
        export function setup() { const held = []; for (;;) held.push(new Array(1e5).fill(held.length)) }
        export default () => 1`,
    })
    const error = await rejection(openPool(t, `${folder}/task.mjs`, { size: 1, ...SMALL_HEAP }).run(1))
    assert.ok(error instanceof WorkerStartError)
    assert.match(error.message, /ran out of memory/)
  })

  test('of several items in a worker, the one that does it again', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, concurrencyPerWorker: 3, ...SMALL_HEAP })
    const items = [
      { act: 'sleep', ms: 300, value: 1 },
      { act: 'outOfMemory' },
      { act: 'sleep', ms: 300, value: 3 },
    ]
    const outcomes = await parallelMap(items, pool, { settled: true, chunkSize: 1 }).toArray()
    assert.deepEqual([outcomes[0].value, outcomes[2].value], [1, 3])
    assert.ok(outcomes[1].reason instanceof WorkerOutOfMemoryError)
  })

  test('under a permission nothing may be written, so it is a crash', LIMIT, async (t) => {
    for (const permission of [{ fsRead: ['*'] }, { fsRead: ['*'], fsWrite: ['*'] }]) {
      const pool = openPool(t, undefined, { size: 1, permission, ...SMALL_HEAP })
      const error = await rejection(pool.run({ act: 'outOfMemory' }))
      assert.ok(error instanceof WorkerCrashError, error.stack)
      assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
    }
  })

  test('the task can still write reports of its own, by name', LIMIT, async (t) => {
    const folder = folderWith(t)
    const pool = openPool(t, undefined, { size: 1, cwd: folder, stderr: 'ignore' })
    await pool.run(evaluate(`process.report.writeReport('mine.json')`))
    assert.equal(JSON.parse(readFileSync(`${folder}/mine.json`, 'utf8')).header.trigger, 'API')
  })

  test('a program that has its own place for reports keeps it', LIMIT, async (t) => {
    const folder = folderWith(t)
    const execArgv = [
      ...SMALL_HEAP.execArgv,
      '--report-on-fatalerror',
      `--report-dir=${folder}`,
      '--report-filename=r',
    ]
    const pool = openPool(t, undefined, { size: 1, execArgv })
    assert.ok((await rejection(pool.run({ act: 'outOfMemory' }))) instanceof WorkerCrashError)
    assert.equal(JSON.parse(readFileSync(`${folder}/r`, 'utf8')).header.trigger, 'OOMError')
  })
})

describe('maxMemory', () => {
  test(
    'over it during the task: killed, the item fails with what it had, the worker is replaced',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1, maxMemory: 150 * MB })
      const pid = await pool.run({ act: 'pid' })
      const error = await rejection(pool.run(take(300 * MB, 'for (;;);')))
      assert.ok(error instanceof WorkerOutOfMemoryError)
      assert.equal(error.limit, 150 * MB)
      assert.ok(error.rss > 150 * MB && error.rss < 600 * MB, String(error.rss))
      assert.equal(error.signal, 'SIGKILL')
      assert.equal(error.worker, 0)
      assert.match(error.message, /had \d+ bytes of memory, more than 157286400\) while it ran/)
      assert.equal(isAlive(pid), false)
      assert.notEqual(await pool.run({ act: 'pid' }), pid)
    },
  )

  test('the others go on, in order', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2, maxMemory: 150 * MB })
    const items = Array.from({ length: 20 }, (_, i) =>
      i === 7 ? take(300 * MB, 'for (;;);') : { act: 'busy', ms: 5, value: i },
    )
    const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ value }) => value),
      items.map((_, i) => (i === 7 ? undefined : i)),
    )
    assert.equal(outcomes[7].reason.index, 7)
    assert.equal(outcomes[7].reason.code, 'ERR_WORKER_OUT_OF_MEMORY')
  })

  test('over it while idle: only replaced', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, maxMemory: 150 * MB })
    const exits = []
    pool.on('workerExit', (event) => exits.push(event))
    const pid = await pool.run(
      evaluate(`
      setTimeout(() => (globalThis.held = Buffer.alloc(${300 * MB}, 1)), 100)
      return process.pid`),
    )
    await until(() => exits.length === 1)
    assert.deepEqual(exits[0], { worker: 0, pid, exitCode: null, signal: 'SIGKILL' })
    assert.notEqual(await pool.run({ act: 'pid' }), pid)
  })

  test('while it starts, it is a start error with both numbers', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `
        export const setup = () => { globalThis.held = Buffer.alloc(${300 * MB}, 1); for (;;); }
        export default () => 1`,
    })
    const error = await rejection(openPool(t, `${folder}/task.mjs`, { size: 1, maxMemory: 150 * MB }).run(1))
    assert.ok(error instanceof WorkerStartError)
    assert.equal(error.limit, 150 * MB)
    assert.ok(error.rss > 150 * MB)
  })

  test('what is shared with the parent does not count, what is given back neither', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, maxMemory: 250 * MB })
    const pid = await pool.run({ act: 'pid' })
    for (let round = 0; round < 10; round++) await pool.run({ act: 'make', bytes: 8 * MB })
    const given = evaluate(`
      { const bytes = Buffer.alloc(${60 * MB}, 1); if (bytes.length === 0) throw bytes }
      return process.pid`)
    assert.equal(await pool.run(given), pid)
  })

  test('without it nobody looks', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run(take(300 * MB, 'return process.pid'))
    assert.equal(await pool.run({ act: 'sleep', ms: 200 }), pid)
  })
})

test('nothing is left behind', LIMIT, async (t) => {
  const ended = await program(
    t,
    `
    import { workerPool } from './index.js'
    import { heldAfter, settled } from './__test__/holdings.js'
    const round = async () => {
      const execArgv = ['--max-old-space-size=24']
      const pool = workerPool(new URL(process.env.ACTS), { size: 2, execArgv, stderr: 'ignore', maxMemory: 150 * 2 ** 20 })
      await pool.ready()
      const full = await pool.run({ act: 'outOfMemory' }).catch(({ code }) => code)
      const over = await pool.run({ act: 'make', bytes: 300 * 2 ** 20 }).catch(({ code }) => code)
      await pool.close()
      return [full, over].join()
    }
    await round()
    const before = await settled()
    const codes = [await round(), await round()]
    console.log(JSON.stringify({ before, codes, after: await heldAfter(before) }))`,
  ).ended
  assert.equal(ended.stderr, '')
  const { before, codes, after } = JSON.parse(ended.stdout)
  const code = 'ERR_WORKER_OUT_OF_MEMORY'
  assert.deepEqual(codes, [`${code},${code}`, `${code},${code}`])
  assert.deepEqual(after, before)
})
