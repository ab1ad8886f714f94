// Who dies with whom: no worker and nothing that a worker has started outlives its parent; and Ctrl-C is for the parent
// alone, who decides what becomes of its workers.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { isAlive, LIMIT, program, stateOf, until } from './processes.js'

const SETUP = `
  import { setTimeout as sleep } from 'node:timers/promises'
  import { parallelMap, workerPool } from 'millrace'
  const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
  const say = (value) => console.log(JSON.stringify(value))
  /** The pids of both workers. */
  const pids = async () => parallelMap(Array(2).fill({ act: 'sleep', ms: 100 }), pool, { chunkSize: 1 }).toArray()
`

describe('SIGKILL of the parent', () => {
  const STATES = {
    'workers that are idle': '',
    'workers that await something': `for (const _ of [1, 2]) pool.run({ act: 'never' }).catch(() => {})`,
    'workers in an endless loop': `for (const _ of [1, 2]) pool.run({ act: 'spin' }).catch(() => {})`,
    'workers in the middle of much work': `
      parallelMap((function* () { for (;;) yield { act: 'value', value: 'x'.repeat(1000) } })(), pool)
        .forEach(() => {}).catch(() => {})`,
    'workers that wait for a parent that does not read': `
      for (let i = 0; i < 100; i++) pool.run({ act: 'make', bytes: 1 << 20 }).catch(() => {})
      await sleep(1)
      setTimeout(() => { for (;;); }, 300)`,
  }
  for (const [name, work] of Object.entries(STATES)) {
    test(`leaves no child: ${name}`, LIMIT, async (t) => {
      const run = program(t, `${SETUP} say(await pids()); ${work}; say('ready'); setInterval(() => {}, 1000)`)
      const pids = await run.line()
      assert.equal(pids.length, 2)
      assert.equal(await run.line(), 'ready')
      await new Promise((resolve) => setTimeout(resolve, 500))
      assert.ok(pids.every(isAlive))
      run.child.kill('SIGKILL')
      await until(() => !pids.some(isAlive), 'the workers to end')
    })
  }

  test('leaves no child: a worker that is stopped', LIMIT, async (t) => {
    const run = program(t, `${SETUP} say(await pids()); setInterval(() => {}, 1000)`)
    const pids = await run.line()
    t.after(() => kill(pids))
    process.kill(pids[0], 'SIGSTOP')
    await until(() => stateOf(pids[0]) === 'T')
    run.child.kill('SIGKILL')
    await until(() => !pids.some(isAlive), 'the workers to end')
  })

  test('leaves no child: workers that ignore every signal that can be ignored', LIMIT, async (t) => {
    const ignore = `for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE']) process.on(name, () => {}); return process.pid`
    const run = program(
      t,
      `${SETUP} say([await pool.run({ act: 'eval', code: ${JSON.stringify(ignore)} })]); setInterval(() => {}, 1000)`,
    )
    const pids = await run.line()
    run.child.kill('SIGKILL')
    await until(() => !pids.some(isAlive), 'the workers to end')
  })

  test('leaves no child: workers that are just starting', LIMIT, async (t) => {
    for (const ms of [5, 20, 40, 60]) {
      const mark = `starting-${process.pid}-${ms}`
      const run = program(t, `${SETUP} say('go'); pool.ready(); setInterval(() => {}, 1000)`, {
        env: { MARK: mark },
      })
      await run.line()
      await new Promise((resolve) => setTimeout(resolve, ms))
      run.child.kill('SIGKILL')
      await until(() => marked(mark).length === 0, `processes of ${mark} to end`)
    }
  })

  test('leaves no grandchild that a worker has started, not even of an endless loop', LIMIT, async (t) => {
    const run = program(
      t,
      `${SETUP}
       say([await pool.run({ act: 'grandchild' }), await pool.run({ act: 'grandchild', stdio: 'inherit' })])
       say(await pids())
       for (const _ of [1, 2]) pool.run({ act: 'spin' }).catch(() => {})
       setInterval(() => {}, 1000)`,
    )
    const grandchildren = await run.line()
    const pids = await run.line()
    t.after(() => kill(grandchildren))
    assert.ok([...grandchildren, ...pids].every(isAlive))
    run.child.kill('SIGKILL')
    await until(() => ![...pids, ...grandchildren].some(isAlive), 'workers and their children to end')
  })

  test('of a program whose pool runs in a worker thread leaves no child', LIMIT, async (t) => {
    const inside = `
      const { workerPool } = await import('millrace')
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      console.log(JSON.stringify(await pool.run({ act: 'pid' })))
      setInterval(() => {}, 1000)`
    const run = program(
      t,
      `import { Worker } from 'node:worker_threads'
       new Worker(${JSON.stringify(`(async () => { ${inside} })()`)}, { eval: true })`,
    )
    const pid = await run.line()
    assert.ok(isAlive(pid))
    run.child.kill('SIGKILL')
    await until(() => !isAlive(pid), 'the worker to end')
  })
})

describe('other ends of the parent', () => {
  const ENDS = {
    'process.exit()': ['process.exit(3)', 3],
    'an uncaught exception': [`throw new Error('on purpose')`, 1],
    'process.abort()': ['process.abort()', 'SIGABRT'],
    'the end of its work': ['', 0],
    SIGTERM: [`process.kill(process.pid, 'SIGTERM'); await sleep(5000)`, 'SIGTERM'],
  }
  for (const [name, [end, expected]] of Object.entries(ENDS)) {
    test(name, LIMIT, async (t) => {
      const busy =
        name === 'the end of its work'
          ? ''
          : `for (const _ of [1, 2]) pool.run({ act: 'spin' }).catch(() => {}); await sleep(100);`
      const run = program(
        t,
        `${SETUP} say([...await pids(), await pool.run({ act: 'grandchild' })]); ${busy} ${end}`,
      )
      const pids = await run.line()
      const { code, signal } = await run.ended
      assert.equal(signal ?? code, expected)
      await until(() => !pids.some(isAlive), 'all to end')
    })
  }
})

describe('Ctrl-C', () => {
  test('SIGINT to the foreground group reaches the parent alone, who may go on', LIMIT, async (t) => {
    // `detached` makes it the leader of a group, as a shell does with what it runs in the foreground.
    const run = program(
      t,
      `${SETUP}
       say(await pids())
       const work = pool.run({ act: 'sleep', ms: 500, value: 'done' })
       process.once('SIGINT', async () => {
         say('interrupted')
         say([await work, await pids()])
         await pool.close()
       })
       say('ready')`,
      { detached: true },
    )
    const before = await run.line()
    assert.equal(await run.line(), 'ready')
    process.kill(-run.pid, 'SIGINT')
    assert.equal(await run.line(), 'interrupted')
    const [done, after] = await run.line()
    assert.equal(done, 'done')
    assert.deepEqual(after.sort(), before.sort(), 'the same workers')
    assert.deepEqual(await run.ended.then(({ code, signal }) => [code, signal]), [0, null])
  })

  test('without a handler it ends the parent as ever, and the workers with it', LIMIT, async (t) => {
    const run = program(
      t,
      `${SETUP} say(await pids()); for (const _ of [1, 2]) pool.run({ act: 'spin' }).catch(() => {}); setInterval(() => {}, 1000); say('ready')`,
      { detached: true },
    )
    const pids = await run.line()
    await run.line()
    process.kill(-run.pid, 'SIGINT')
    const { code, signal } = await run.ended
    assert.equal(signal, 'SIGINT', `code ${code}`)
    await until(() => !pids.some(isAlive), 'the workers to end')
  })
})

function kill(pids) {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  }
}

/** Processes that carry a mark in their environment. */
function marked(mark) {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`MARK=${mark}`)
    } catch {
      return false
    }
  })
}
