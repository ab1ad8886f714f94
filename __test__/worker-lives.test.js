// How long workers live: idle ones, spent ones, old ones, those that never start, and those that have no memory left.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap, WorkerStartError } from '../index.js'
import {
  ACTS,
  folderWith,
  isAlive,
  LIMIT,
  linesOf,
  openPool,
  program,
  rejection,
  until,
} from './processes.js'

/** What a pool tells of its processes. */
function heard(pool) {
  const events = { started: [], exited: [], recycled: [] }
  pool.on('workerStart', ({ pid }) => events.started.push(pid))
  pool.on('workerExit', ({ pid }) => events.exited.push(pid))
  pool.on('workerRecycle', (event) => events.recycled.push(event))
  return events
}

const values = (length) => Array.from({ length }, (_, value) => ({ act: 'value', value }))

describe('idleTimeout and minWorkers', () => {
  test('what is idle goes, and comes back with work', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, idleTimeout: 20 })
    const events = heard(pool)
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
    await until(
      () => events.exited.length === events.started.length && events.started.length > 0,
      'all have gone',
    )
    assert.ok(events.recycled.every(({ reason }) => reason === 'idleTimeout'))
    assert.deepEqual(
      events.recycled.map(({ pid }) => pid),
      events.exited,
    )
    assert.equal(await pool.run({ act: 'value', value: 2 }), 2)
  })

  test('no time at all: a worker for each burst, and nothing lost', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 2, idleTimeout: 0 })
    for (let round = 0; round < 5; round++) {
      const results = await parallelMap(values(100), pool).toArray()
      assert.deepEqual(results, [...Array(100).keys()])
    }
  })

  test('minWorkers stay, and are there from the first use on', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { minWorkers: 2, maxWorkers: 3, idleTimeout: 10 })
    const events = heard(pool)
    await pool.run({ act: 'value', value: 1 })
    await until(() => events.started.length >= 2, 'two workers')
    // The third of a burst goes again; one that is killed is replaced.
    await parallelMap(
      Array.from({ length: 6 }, () => ({ act: 'busy', ms: 20 })),
      pool,
    ).toArray()
    await until(() => events.started.length - events.exited.length === 2, 'two are left')
    const [victim] = events.started.filter((pid) => !events.exited.includes(pid))
    process.kill(victim, 'SIGKILL')
    await until(() => events.exited.includes(victim), 'it was killed')
    await until(() => events.started.length - events.exited.length === 2, 'there are two again')
  })

  test('a pool that was never used starts nothing', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { minWorkers: 2, maxWorkers: 2 })
    const events = heard(pool)
    await sleep(50)
    assert.equal(events.started.length, 0)
  })
})

describe('maxTasksPerWorker', () => {
  for (const [most, concurrencyPerWorker] of [
    [1, 1],
    [7, 1],
    [7, 3],
  ]) {
    test(`no process runs more than ${most}, ${concurrencyPerWorker} at a time`, LIMIT, async (t) => {
      const pool = openPool(t, ACTS, { size: 2, maxTasksPerWorker: most, concurrencyPerWorker })
      const events = heard(pool)
      const length = most === 1 ? 10 : 60
      const pids = await parallelMap(
        Array.from({ length }, () => ({ act: 'pid' })),
        pool,
      ).toArray()
      const counts = new Map()
      for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1)
      assert.ok(Math.max(...counts.values()) <= most, `${[...counts.values()]}`)
      assert.ok(events.recycled.length > 0)
      assert.ok(events.recycled.every(({ reason }) => reason === 'maxTasksPerWorker'))
    })
  }

  test('the next process is ready before the last items of the one before it', LIMIT, async (t) => {
    // A start takes longer than the last fifth of the items: how long is measured.
    const folder = folderWith(t, {
      'task.mjs': `import { appendFileSync } from 'node:fs'
        import { setTimeout as sleep } from 'node:timers/promises'
        const note = (what) => appendFileSync(process.env.LOG, \`\${what} \${process.pid}\\n\`)
        export const setup = () => sleep(600).then(() => note('ready'))
        export default () => sleep(5).then(() => note('item')).then(() => process.pid)`,
    })
    const log = join(folder, 'log')
    const env = { ...process.env, LOG: log }
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1, maxTasksPerWorker: 300, env })
    const events = heard(pool)
    const pids = await parallelMap(Array(700).fill(0), pool).toArray()
    const lives = [...new Set(pids)]
    assert.deepEqual(
      lives.map((pid) => pids.filter((other) => other === pid).length),
      [300, 300, 100],
    )
    const lines = linesOf(log)
    for (const [at, next] of lives.slice(1).entries()) {
      const last = lines.lastIndexOf(`item ${lives[at]}`)
      assert.ok(lines.indexOf(`ready ${next}`) < last, `${next} was not ready when ${lives[at]} ended`)
      // One at a time, and the pool's size is kept: nothing of the next before all of the one before it.
      assert.ok(lines.indexOf(`item ${next}`) > last)
    }
    assert.deepEqual(events.started.slice(0, 3), lives)
    assert.deepEqual(
      events.recycled.slice(0, 2).map(({ pid }) => pid),
      lives.slice(0, 2),
    )
  })

  test('run() and keys', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, maxTasksPerWorker: 2 })
    const pids = []
    for (let i = 0; i < 6; i++) pids.push(await pool.run({ act: 'pid' }))
    assert.equal(new Set(pids).size, 3)
    const results = await parallelMap(values(20), pool, { key: ({ value }) => value % 2 }).toArray()
    assert.deepEqual(results, [...Array(20).keys()])
  })
})

test('maxAge: workers are replaced between items, and nothing runs twice', LIMIT, async (t) => {
  const log = join(folderWith(t), 'log')
  const pool = openPool(t, ACTS, { size: 2, maxAge: 60 })
  const events = heard(pool)
  const items = Array.from({ length: 300 }, (_, i) => ({
    act: 'busy',
    ms: 2,
    value: i,
    note: log,
    name: `${i}`,
  }))
  assert.deepEqual(await parallelMap(items, pool).toArray(), [...Array(300).keys()])
  assert.equal(new Set(linesOf(log)).size, 300)
  assert.equal(linesOf(log).length, 300)
  await until(() => events.recycled.some(({ reason }) => reason === 'maxAge'), 'one was too old')
})

describe('startTimeout', () => {
  test('a task that never loads is given up', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'hangs.mjs': 'await new Promise((r) => setTimeout(r, 1e9))\nexport default () => 1\n',
    })
    const pool = openPool(t, join(folder, 'hangs.mjs'), { size: 1, startTimeout: 300 })
    for (const promise of [pool.run(1), pool.ready()]) {
      const error = await rejection(promise)
      assert.ok(error instanceof WorkerStartError, String(error))
      assert.match(error.message, /longer to start than its pool's startTimeout/)
    }
  })

  test('so is a setup() that loops', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'loops.mjs': 'export function setup() { for (;;); }\nexport default () => 1\n',
    })
    const pool = openPool(t, join(folder, 'loops.mjs'), { size: 1, startTimeout: 300 })
    const error = await rejection(parallelMap([1, 2], pool).toArray())
    assert.equal(error.code, 'ERR_WORKER_START')
  })
})

describe('minFreeMemory', () => {
  test('without it nothing begins, and the work is not lost', LIMIT, async (t) => {
    /** Pools that have this memory begin and end meanwhile, one after the other. */
    const others = async () => {
      for (let i = 0; i < 3; i++) {
        const other = openPool(t, ACTS, { size: 1, minFreeMemory: 1 })
        assert.equal(await other.run({ act: 'value', value: i }), i)
        await other.close()
      }
      return 'others'
    }
    const first = (promise) => Promise.race([promise, others()])
    const pool = openPool(t, ACTS, { size: 1, minFreeMemory: Number.MAX_SAFE_INTEGER })
    const events = heard(pool)
    // The first look at the memory may come after the first items have begun.
    let run
    await until(async () => {
      run = pool.run({ act: 'pid' })
      return (await first(run)) === 'others'
    }, 'a run that does not begin')
    assert.equal(await first(pool.ready()), 'others')
    await until(() => events.exited.length === events.started.length, 'what had nothing to do has gone')
    assert.ok(events.recycled.every(({ reason }) => reason === 'minFreeMemory'))
    await pool.close({ force: true })
    assert.equal((await rejection(run)).code, 'ERR_POOL_CLOSED')
  })

  test('when there is enough again everything goes on', LIMIT, async (t) => {
    // So much can come and go elsewhere without a difference.
    const spare = Math.min(1 << 30, process.availableMemory() / 8)
    const hog = program(
      t,
      `const all = []
       process.stdin.setEncoding('utf8').on('data', (text) => {
         all.push(Buffer.alloc(Number(text), 1))
         console.log(all.length)
       })`,
    )
    const take = async (bytes) => {
      assert.ok(process.availableMemory() > bytes + spare, 'there is less and less memory, and no effect')
      hog.child.stdin.write(`${Math.ceil(bytes)}`)
      await hog.line()
    }
    const minFreeMemory = Math.floor(process.availableMemory() - spare)
    const pool = openPool(t, ACTS, { size: 2, minFreeMemory })
    const events = heard(pool)
    await pool.ready()
    const slow = pool.run({ act: 'trace', log: join(folderWith(t), 'log'), name: 'slow', ms: 1000 })
    while (!events.recycled.some(({ reason }) => reason === 'minFreeMemory')) await take(spare / 8)
    await take(spare)
    assert.equal(await slow, 'slow', 'what runs goes on')
    await until(() => events.exited.length === events.started.length, 'what had nothing to do has gone')
    const before = events.started.length
    const keyed = parallelMap(values(100), pool, { key: ({ value }) => value % 3 }).toArray()
    const results = parallelMap(values(100), pool).toArray()
    const run = pool.run({ act: 'value', value: 'run' })
    const ready = rejection(pool.ready())
    const closed = pool.close()
    const other = openPool(t, ACTS, { size: 1 })
    for (let i = 0; i < 20; i++) assert.equal(await other.run({ act: 'value', value: i }), i)
    assert.equal(events.started.length, before, 'nothing starts meanwhile')
    hog.child.kill('SIGKILL')
    await hog.ended
    assert.deepEqual(await Promise.all([keyed, results]), [[...Array(100).keys()], [...Array(100).keys()]])
    assert.equal(await run, 'run')
    assert.equal((await ready).code, 'ERR_POOL_CLOSED')
    await closed
    assert.ok(events.started.length > before)
  })

  test('with enough of it nothing is to be seen', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1, minFreeMemory: 1 })
    assert.deepEqual(await parallelMap(values(50), pool).toArray(), [...Array(50).keys()])
  })
})

test('a worker that was over maxMemory is told of as recycled', LIMIT, async (t) => {
  const pool = openPool(t, ACTS, { size: 1, maxMemory: 120 << 20 })
  const events = heard(pool)
  const code = 'const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))'
  const error = await rejection(pool.run({ act: 'eval', code }))
  assert.equal(error.code, 'ERR_WORKER_OUT_OF_MEMORY')
  await until(() => events.recycled.length === 1)
  assert.equal(events.recycled[0].reason, 'maxMemory')
  assert.equal(isAlive(events.recycled[0].pid), false)
})

test('close() while workers are replaced', LIMIT, async (t) => {
  for (const force of [false, true]) {
    const pool = openPool(t, ACTS, {
      size: 2,
      maxTasksPerWorker: 1,
      minWorkers: 2,
      idleTimeout: 0,
      maxAge: 1,
    })
    const running = parallelMap(values(8), pool).toArray()
    running.catch(() => {})
    await sleep(20)
    await pool.close({ force })
    if (force) await assert.rejects(running, { code: 'ERR_POOL_CLOSED' })
    else assert.equal((await running).length, 8)
  }
})

describe('workers that hang while they run nothing', () => {
  test('one that does not end is killed after startTimeout', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `export default () => process.pid
        export const teardown = () => new Promise(() => setInterval(() => {}, 1000))`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1, startTimeout: 3000, maxTasksPerWorker: 1 })
    const exits = []
    pool.on('workerExit', ({ pid, signal }) => exits.push([pid, signal]))
    const first = await pool.run(0)
    await until(() => exits.length === 1)
    assert.deepEqual(exits, [[first, 'SIGKILL']])
    const second = await pool.run(0)
    await pool.close()
    assert.equal(isAlive(second), false)
  })

  test('one that was stopped while it was idle loses no item of a call with a timeout', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { size: 1 })
    const stopped = await pool.run({ act: 'pid' })
    process.kill(stopped, 'SIGSTOP')
    const pids = await parallelMap(Array(3).fill({ act: 'pid' }), pool, {
      timeout: 500,
      chunkSize: 1,
    }).toArray()
    assert.ok(!pids.includes(stopped))
    assert.equal(isAlive(stopped), false)
  })
})
