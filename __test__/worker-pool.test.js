// What a pool of worker processes is, from its first to its last: options, lazy start, run(), ready(), close(), sharing.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import {
  failureOf,
  isWorker,
  PoolClosedError,
  parallelMap,
  SerializationError,
  workerPool,
} from '../index.js'
import {
  ACTS,
  children,
  folderWith,
  isAlive,
  isSettled,
  LIMIT,
  linesOf,
  openPool,
  program,
  rejection,
  stateOf,
  until,
} from './processes.js'

const value = (value) => ({ act: 'value', value })

describe('start', () => {
  test('nothing starts before there is work', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    parallelMap([value(1)], pool).finished
    await sleep(50)
    assert.deepEqual(children(), [])
    await pool.run(value(1))
    assert.equal(children().length, 1, 'one item, one process')
  })

  test('never more processes than size, and no more than the work needs', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 3 })
    assert.equal(pool.size, 3)
    const pids = await parallelMap(
      Array.from({ length: 60 }, () => ({ act: 'busy', ms: 10 })),
      pool,
    ).toArray()
    assert.equal(new Set(pids).size, 3)
    assert.equal(children().length, 3)
  })

  test('by default as many as the machine has to give', LIMIT, async (t) => {
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       import { availableParallelism } from 'node:os'
       console.log(JSON.stringify([workerPool('x.js').size, availableParallelism()]))`,
    )
    const [size, available] = await run.line()
    assert.ok(size >= 1 && size <= available, `${size} of ${available}`)
  })

  test('ready() starts all, and settles when each is ready', LIMIT, async (t) => {
    const note = join(folderWith(t), 'ready')
    const folder = folderWith(t, {
      'task.mjs': `import { appendFileSync } from 'node:fs'
        import { setTimeout as sleep } from 'node:timers/promises'
        export const setup = async (note) => { await sleep(100); appendFileSync(note, process.pid + '\\n') }
        export default () => process.pid`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 3, setupData: note })
    await Promise.all([pool.ready(), pool.ready()])
    assert.equal(linesOf(note).length, 3)
    await pool.ready()
    assert.deepEqual(linesOf(note).map(Number).sort(), children().sort())
    assert.ok(linesOf(note).includes(String(await pool.run(0))), 'no other one was started')
  })

  test('ready() replaces what has died since', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    await pool.ready()
    const [one] = children()
    process.kill(one, 'SIGKILL')
    await until(() => !children().includes(one))
    await pool.ready()
    assert.equal(children().length, 2)
  })
})

describe('options', () => {
  test('env is the whole environment', LIMIT, async (t) => {
    const pool = openPool(t, undefined, {
      size: 1,
      env: { ONLY: 'this', GONE: undefined, 'odd name': 'ä =\n€' },
    })
    const code = 'return { ...process.env }'
    assert.deepEqual(await pool.run({ act: 'eval', code }), { ONLY: 'this', 'odd name': 'ä =\n€' })
  })

  test('without env, that of the moment when the pool is made', LIMIT, async (t) => {
    process.env.MILLRACE_TEST = 'early'
    const pool = openPool(t, undefined, { size: 1 })
    process.env.MILLRACE_TEST = 'late'
    t.after(() => delete process.env.MILLRACE_TEST)
    assert.equal(await pool.run({ act: 'eval', code: 'return process.env.MILLRACE_TEST' }), 'early')
  })

  test('execArgv are the flags of node; by default those of the parent but its own', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, execArgv: ['--max-old-space-size=64', '--no-warnings'] })
    const code = 'return process.execArgv'
    assert.deepEqual(await pool.run({ act: 'eval', code }), ['--max-old-space-size=64', '--no-warnings'])

    const source = `import { workerPool } from 'millrace'
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      console.log(JSON.stringify(await pool.run({ act: 'eval', code: 'return process.execArgv' })))
      await pool.close()`
    const run = program(t, source, { flags: ['--no-warnings', '--inspect=0', '--conditions', 'mine'] })
    const { stdout, stderr } = await run.ended
    assert.deepEqual(JSON.parse(stdout || stderr), ['--no-warnings', '--conditions', 'mine'])
  })

  test('an --import of the parent works in its workers', LIMIT, async (t) => {
    const folder = folderWith(t, { 'hook.mjs': 'globalThis.hooked = true' })
    const source = `import { workerPool } from 'millrace'
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      console.log(JSON.stringify(await pool.run({ act: 'eval', code: 'return globalThis.hooked' })))
      await pool.close()`
    const run = program(t, source, { flags: ['--import', pathToFileURL(join(folder, 'hook.mjs')).href] })
    const { stdout, stderr } = await run.ended
    assert.equal(stdout, 'true\n', stderr)
  })

  test('cwd, and a task path relative to it', LIMIT, async (t) => {
    const folder = folderWith(t, { 'task.mjs': 'export default () => process.cwd()' })
    for (const cwd of [folder, pathToFileURL(`${folder}/`)]) {
      assert.equal(await openPool(t, 'task.mjs', { size: 1, cwd }).run(0), folder)
      assert.equal(await openPool(t, './task.mjs', { size: 1, cwd }).run(0), folder)
    }
  })

  test('paths and URLs with odd characters', LIMIT, async (t) => {
    const name = 'a task é#?%20 [x].mjs'
    const folder = folderWith(t, { [name]: 'export default () => process.argv[1]' })
    const file = join(folder, name)
    for (const task of [file, pathToFileURL(file), pathToFileURL(file).href]) {
      assert.equal(await openPool(t, task, { size: 1 }).run(0), file)
    }
  })

  test('setupData is copied as items are, once per process', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `let given = []
        export const setup = (data) => { given.push(data) }
        export default () => given`,
    })
    const setupData = { map: new Map([[1, new Date(0)]]), big: 5n, bytes: Buffer.from('x'), self: undefined }
    setupData.self = setupData
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1, setupData })
    for (const _ of [1, 2]) assert.deepEqual(await pool.run(0), [setupData])
  })

  test('exportName', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs':
        'export default () => 1; export const two = () => 2; export async function three() { return 3 }',
    })
    for (const [exportName, result] of Object.entries({ default: 1, two: 2, three: 3 })) {
      assert.equal(await openPool(t, join(folder, 'task.mjs'), { size: 1, exportName }).run(0), result)
    }
  })

  test('label', LIMIT, async (t) => {
    assert.equal(workerPool('/some/where/resize.js').label, 'resize.js')
    const pool = openPool(t, undefined, { size: 1, label: 'thumbnails' })
    assert.equal(pool.label, 'thumbnails')
    assert.match((await rejection(pool.run({ act: 'exit', code: 1 }))).message, /^Worker 0 of thumbnails /)
  })
})

describe('run()', () => {
  test('errors arrive as they were thrown', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const code = `throw Object.assign(new RangeError('no'), { cause: new TypeError('why'), at: [1] })`
    const error = await rejection(pool.run({ act: 'eval', code }))
    assert.ok(error instanceof RangeError)
    assert.ok(error.cause instanceof TypeError)
    assert.deepEqual(error.at, [1])
    for (const thrown of [undefined, null, 0, '', false]) {
      const run = pool.run({ act: 'throwValue', value: thrown })
      assert.deepEqual(await Promise.allSettled([run]), [{ status: 'rejected', reason: thrown }])
    }
  })

  test('skip is undefined, index 0, attempt 1', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    assert.equal(await pool.run({ act: 'skip' }), undefined)
    for (const _ of [1, 2]) assert.equal(await pool.run({ act: 'index' }), 0)
    assert.equal(await pool.run({ act: 'attempt' }), 1)
    const { signal } = new AbortController()
    assert.equal(await pool.run({ act: 'skip' }, { signal }), undefined)
    assert.equal(await pool.run({ act: 'index' }, { signal }), 0)
  })

  test('an item, a result and an error that cannot be cloned fail for themselves alone', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const [item, result, fine] = await Promise.allSettled([
      pool.run({ deep: [{ fn() {} }] }),
      pool.run({ act: 'eval', code: 'return { a: { b: () => {} } }' }),
      pool.run(value(1)),
    ])
    assert.ok(item.reason instanceof SerializationError)
    assert.match(item.reason.message, /deep\[0\]\.fn/)
    assert.ok(result.reason instanceof SerializationError)
    assert.match(result.reason.message, /a\.b/)
    assert.equal(fine.value, 1)

    const code = `throw Object.assign(new Error('kept'), { fine: 1, bad: () => {} })`
    const error = await rejection(pool.run({ act: 'eval', code }))
    assert.equal(error.message, 'kept')
    assert.equal(error.fine, 1)
    assert.notEqual(typeof error.bad, 'function')
    assert.equal(await pool.run({ act: 'pid' }), pid)
  })

  test('parallelMap: an unclonable item or result is the error of that item', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = [value(0), { fn() {} }, value(2), { act: 'eval', code: 'return Symbol()' }, value(4)]
    for (const chunkSize of [1, 2, 5, 'auto']) {
      const outcomes = await parallelMap(items, pool, { settled: true, chunkSize }).toArray()
      assert.deepEqual(
        outcomes.map(({ index, value, reason }) => [index, value ?? reason.code]),
        [
          [0, 0],
          [1, 'ERR_SERIALIZATION'],
          [2, 2],
          [3, 'ERR_SERIALIZATION'],
          [4, 4],
        ],
      )
      const [item, result] = [outcomes[1].reason, outcomes[3].reason]
      assert.deepEqual([item.index, item.attempt, 'worker' in item], [1, 1, false])
      assert.deepEqual([result.index, result.attempt], [3, 1])
      assert.equal(result.worker, failureOf(result).worker)
    }
  })

  test(
    'what cannot be cloned says where it was, at each try; what a mapper threw stays as it was',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1 })
      const bad = { act: 'eval', code: 'return () => {}' }
      const tried = { retries: 1, backoff: { initial: 0 } }
      const error = await rejection(parallelMap([value(0), bad], pool, tried).toArray())
      const where = ({ index, attempt, worker }) => ({ index, attempt, worker })
      assert.deepEqual(where(error), { index: 1, attempt: 2, worker: 0 })
      assert.deepEqual(failureOf(error).errors.map(where), [{ index: 1, attempt: 1, worker: 0 }])
      assert.deepEqual(where(await rejection(pool.run(bad))), { index: undefined, attempt: 1, worker: 0 })
      assert.deepEqual(where(await rejection(pool.run(bad, tried))), { index: 0, attempt: 2, worker: 0 })

      const kept = Object.freeze(new SerializationError('frozen'))
      const placed = new SerializationError('of another pool', { attempt: 3, worker: 7 })
      const promises = [kept, placed].map((reason) => Promise.reject(reason))
      const outcomes = await parallelMap(promises, pool, { settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(({ reason }) => reason),
        [kept, placed],
      )
      assert.deepEqual(where(kept), { index: undefined, attempt: undefined, worker: undefined })
      assert.deepEqual(where(placed), { index: undefined, attempt: 3, worker: 7 })
    },
  )
})

describe('close()', () => {
  test('lets queued and running work end, then the processes', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const items = Array.from({ length: 30 }, (_, i) => ({ act: 'sleep', ms: 5, value: i }))
    const call = parallelMap(items, pool).toArray()
    const runs = Promise.all(items.map((item) => pool.run(item)))
    const expected = items.map(({ value }) => value)
    const closed = pool.close()
    assert.deepEqual(await call, expected)
    assert.deepEqual(await runs, expected)
    await closed
    assert.deepEqual(children(), [])
  })

  test('nothing new is accepted', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    await pool.run(value(1))
    const begun = parallelMap([value(1)], pool)
    const closed = pool.close()
    const requests = [
      pool.run(value(1)),
      pool.run(value(1), { signal: new AbortController().signal }),
      pool.ready(),
    ]
    for (const request of [...requests, parallelMap([value(1)], pool).toArray(), begun.toArray()]) {
      const error = await rejection(request)
      assert.ok(error instanceof PoolClosedError)
      assert.equal(error.code, 'ERR_POOL_CLOSED')
    }
    await closed
    assert.equal((await rejection(pool.run(value(1)))).code, 'ERR_POOL_CLOSED')
  })

  test('a pool that was never used, twice, and as a disposal', LIMIT, async (t) => {
    await workerPool(ACTS).close()
    const pool = openPool(t, undefined, { size: 1 })
    await pool.run(value(1))
    await Promise.all([pool.close(), pool.close(), pool[Symbol.asyncDispose]()])
    await pool.close()
    await pool.close({ force: true })
    assert.deepEqual(children(), [])
  })

  test('runs teardown, once per process', LIMIT, async (t) => {
    const note = join(folderWith(t), 'torn')
    const folder = folderWith(t, {
      'task.mjs': `import { appendFileSync } from 'node:fs'
        import { setTimeout as sleep } from 'node:timers/promises'
        export default async () => { await sleep(50); return process.pid }
        export const teardown = async () => { await sleep(20); appendFileSync(process.env.NOTE, process.pid + '\\n') }`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 2, env: { ...process.env, NOTE: note } })
    await pool.ready()
    const pids = children()
    await pool.run(0)
    await pool.close()
    assert.deepEqual(linesOf(note).map(Number).sort(), pids.sort())
  })

  test('force cancels what runs, even endless loops, with an error of its own', LIMIT, async (t) => {
    const note = join(folderWith(t), 'began')
    const pool = openPool(t, undefined, { size: 2 })
    const run = rejection(pool.run({ act: 'spin', note }))
    const call = rejection(parallelMap([{ act: 'spin', note }, value(1)], pool).toArray())
    await until(() => linesOf(note).length === 2, 'both to begin')
    await pool.close({ force: true })
    for (const error of [await run, await call]) assert.equal(error.code, 'ERR_POOL_CLOSED')
    assert.deepEqual(children(), [])
  })

  test('force still applies after a close that waits', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const run = rejection(pool.run({ act: 'spin' }))
    const closed = pool.close()
    assert.equal(await isSettled(closed), false)
    await pool.close({ force: true })
    await closed
    assert.equal((await run).code, 'ERR_POOL_CLOSED')
  })

  test('force ends an idle worker that is stopped', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    process.kill(pid, 'SIGSTOP')
    await until(() => stateOf(pid) === 'T')
    await within(5000, pool.close({ force: true }))
    assert.ok(!isAlive(pid))
  })

  test('force ends a busy worker that is stopped', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const pid = await pool.run({ act: 'pid' })
    const run = rejection(pool.run({ act: 'never' }))
    await sleep(50)
    process.kill(pid, 'SIGSTOP')
    await within(5000, pool.close({ force: true }))
    assert.equal((await run).code, 'ERR_POOL_CLOSED')
    assert.ok(!isAlive(pid))
  })

  for (const [name, code] of Object.entries({
    'a setup that never ends': 'export const setup = () => new Promise(() => {}); export default () => {}',
    'a file that never ends loading': 'for (;;);',
    'a teardown that never ends':
      'export const teardown = () => new Promise(() => {}); export default () => {}',
  })) {
    test(`force ends ${name}`, LIMIT, async (t) => {
      const folder = folderWith(t, { 'task.mjs': code })
      const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
      const ready = Promise.allSettled([pool.ready()])
      if (name.includes('teardown')) await ready
      else await sleep(200)
      await within(5000, pool.close({ force: true }))
      await ready
      assert.deepEqual(children(), [])
    })
  }
})

describe('the program', () => {
  const ENDS = {
    'a pool that was never used': '',
    'an idle pool': 'await pool.run({ act: "pid" })',
    'a pool that is ready': 'await pool.ready()',
    'an idle pool whose worker has a timer': 'await pool.run({ act: "exitLater", ms: 1e6 })',
    'a finished call': 'await parallelMap([{ act: "pid" }], pool).toArray()',
    'a call that was never consumed': 'parallelMap([{ act: "pid" }], pool, {}).finished',
    'results that nobody takes any more': `
      const iterator = parallelMap([{ act: 'pid' }, { act: 'pid' }], pool)[Symbol.asyncIterator]()
      await iterator.next()`,
  }
  for (const [name, code] of Object.entries(ENDS)) {
    test(`ends with ${name}, not closed, and nothing is left`, LIMIT, async (t) => {
      const mark = `MARK=${process.pid}-${Object.keys(ENDS).indexOf(name)}`
      const run = program(
        t,
        `import { parallelMap, workerPool } from 'millrace'
         const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
         ${code}`,
        { env: { MARK: mark }, flags: ['--no-warnings'] },
      )
      const { code: exitCode, stderr } = await run.ended
      assert.equal(exitCode, 0, stderr)
      assert.equal(stderr, '')
    })
  }

  test('stays alive for work, for ready() and for close()', LIMIT, async (t) => {
    const run = program(
      t,
      `import { parallelMap, workerPool } from 'millrace'
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       pool.ready().then(() => {
         console.log('ready')
         pool.run({ act: 'sleep', ms: 100 }).then(() => {
           console.log('run')
           parallelMap([{ act: 'sleep', ms: 100 }], pool).forEach(() => console.log('call')).then(() => {
             pool.close().then(() => console.log('closed'))
           })
         })
       })`,
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0, stderr)
    assert.equal(stdout, 'ready\nrun\ncall\nclosed\n')
  })

  const USES = {
    'run()': `await pool.run({ act: 'pid' })`,
    'ready()': 'await pool.ready()',
    'parallelMap()': `await parallelMap([{ act: 'pid' }], pool).toArray()`,
    'parallelMap() that was left': `for await (const _ of parallelMap([1, 2].map(() => ({ act: 'pid' })), pool)) break`,
  }
  for (const [name, use] of Object.entries(USES)) {
    test(
      `pools that are forgotten are given back, but not while somebody waits: ${name}`,
      LIMIT,
      async (t) => {
        const run = program(
          t,
          `import { setTimeout as sleep } from 'node:timers/promises'
         import { parallelMap, workerPool } from 'millrace'
         import { children } from ${JSON.stringify(new URL('./processes.js', import.meta.url).href)}
         const collect = setInterval(gc, 5)
         const use = async () => {
           const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
           ${use}
         }
         const close = () => {
           const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
           return pool.ready().then(() => pool.close())
         }
         const slow = () => workerPool(new URL(process.env.ACTS), { size: 1 }).run({ act: 'sleep', ms: 300, value: 'slow' })
         await Promise.all([use(), use(), use(), close()])
         if (await slow() !== 'slow') throw new Error('not slow')
         let left
         for (let i = 0; i < 100 && (left = children().length) > 0; i++) await sleep(50)
         clearInterval(collect)
         console.log(JSON.stringify(left))`,
          { flags: ['--expose-gc', '--no-warnings'] },
        )
        assert.equal(await run.line(), 0)
        assert.equal((await run.ended).code, 0)
      },
    )
  }

  test('two pools of one file have processes of their own', LIMIT, async (t) => {
    const pools = [openPool(t, undefined, { size: 1 }), openPool(t, undefined, { size: 1 })]
    const [one, other] = await Promise.all(pools.map((pool) => pool.run({ act: 'pid' })))
    assert.notEqual(one, other)
    await pools[0].close()
    assert.equal(await pools[1].run({ act: 'pid' }), other)
  })
})

describe('sharing', () => {
  test('a short call does not wait for the end of a long one', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const long = parallelMap(
      Array.from({ length: 2000 }, () => ({ act: 'busy', ms: 2 })),
      pool,
    )
    let longDone = 0
    const all = long.forEach(() => {
      longDone++
    })
    await until(() => longDone > 50)
    await parallelMap(Array(20).fill({ act: 'busy', ms: 2 }), pool).toArray()
    await pool.run(value(1))
    assert.ok(longDone < 1500, `${longDone} of 2000 items of the long call came first`)
    await all
  })

  test('calls of the same size advance together', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const done = [0, 0, 0, 0]
    const lead = []
    const calls = done.map((_, i) =>
      parallelMap(Array(400).fill({ act: 'busy', ms: 1 }), pool).forEach(() => {
        done[i]++
        if (done[i] === 400) lead.push(Math.min(...done))
      }),
    )
    await Promise.all(calls)
    assert.ok(lead[0] > 100, `when the first call was over, the last had come to ${lead[0]} of 400`)
  })

  test('concurrency holds for its call alone', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    await pool.ready()
    const items = Array(20).fill({ act: 'busy', ms: 5 })
    const [narrow, wide] = await Promise.all([
      parallelMap(items, pool, { concurrency: 1 }).toArray(),
      parallelMap(Array(200).fill({ act: 'busy', ms: 2 }), pool).toArray(),
    ])
    assert.equal(narrow.length, 20)
    assert.equal(new Set(wide).size, 2)
  })

  test('concurrency 1 runs one item at a time', LIMIT, async (t) => {
    const log = join(folderWith(t), 'log')
    const pool = openPool(t, undefined, { size: 3 })
    await pool.ready()
    await parallelMap(Array(30).fill({ act: 'span', log, ms: 5 }), pool, {
      concurrency: 1,
      chunkSize: 2,
    }).toArray()
    const lines = linesOf(log)
    assert.equal(lines.length, 60)
    for (const [i, line] of lines.entries()) assert.equal(line, i % 2 ? 'end' : 'begin')
  })
})

test('isWorker', LIMIT, async (t) => {
  assert.equal(isWorker, false)
  const folder = folderWith(t, {
    'task.mjs': `import { isWorker } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      export default () => isWorker`,
  })
  assert.equal(await openPool(t, join(folder, 'task.mjs'), { size: 1 }).run(0), true)
})

/** A promise that has to settle in time: only against a hang. */
async function within(ms, promise) {
  const late = Symbol('late')
  const first = await Promise.race([promise, sleep(ms, late)])
  assert.notEqual(first, late, 'it does not settle')
}
