// A worker that cannot get ready is a WorkerStartError with its cause, at once: no hang, and no process is started over
// and over again.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MillraceError, parallelMap, SerializationError, WorkerStartError, workerPool } from '../index.js'
import { ACTS, children, folderWith, LIMIT, linesOf, openPool, program, rejection } from './processes.js'

const COUNT_STARTS = fileURLToPath(new URL('./fixtures/count-starts.cjs', import.meta.url))

/** Files that are no good, and what the error has to say. */
const TASKS = {
  'a file that is missing': {
    file: 'missing.mjs',
    check: ({ cause, message }) => {
      assert.equal(cause.code, 'ERR_MODULE_NOT_FOUND')
      assert.match(message, /missing\.mjs/)
    },
  },
  'a file that imports one that is missing': {
    text: `import './nowhere.js'; export default () => {}`,
    check: ({ cause }) => {
      assert.equal(cause.code, 'ERR_MODULE_NOT_FOUND')
      assert.match(cause.message, /nowhere\.js/)
    },
  },
  'a syntax error': {
    text: 'export default function ( { }',
    check: ({ cause }) => assert.ok(cause instanceof SyntaxError),
  },
  'a syntax error in CommonJS': {
    file: 'task.cjs',
    text: 'module.exports = function ( { }',
    check: ({ cause }) => assert.ok(cause instanceof SyntaxError),
  },
  'no export at all': {
    text: '// nothing',
    check: ({ cause }) =>
      assert.match(cause.message, /must export a default function, expected .*, got no function$/),
  },
  'a default export that is no function': {
    text: 'export default { run() {} }; export function other() {}',
    check: ({ cause }) => assert.match(cause.message, /got functions other$/),
  },
  'no export of that name': {
    text: 'export default () => {}; export const wanted = 1',
    options: { exportName: 'wanted' },
    check: ({ cause }) =>
      assert.match(cause.message, /must export a function "wanted".*got functions default$/),
  },
  'a file that throws while it loads': {
    text: `throw Object.assign(new RangeError('at load'), { extra: 1 })`,
    check: ({ cause, message }) => {
      assert.ok(cause instanceof RangeError)
      assert.equal(cause.message, 'at load')
      assert.equal(cause.extra, 1)
      assert.match(cause.stack, /task\.mjs/)
      assert.match(message, /exited with code 1 before it was ready: at load$/)
    },
  },
  'a file that throws what is no error': {
    text: 'throw undefined',
    check: (error) => {
      assert.ok('cause' in error)
      assert.equal(error.cause, undefined)
    },
  },
  'a setup that throws': {
    text: `export default () => {}; export function setup() { throw new TypeError('in setup') }`,
    check: ({ cause }) => {
      assert.ok(cause instanceof TypeError)
      assert.equal(cause.message, 'in setup')
    },
  },
  'a setup that rejects': {
    text: `export default () => {}; export async function setup() { throw new TypeError('in setup') }`,
    check: ({ cause }) => assert.equal(cause.message, 'in setup'),
  },
  'an uncaught exception before it is ready': {
    text: `setImmediate(() => { throw new RangeError('early') }); await new Promise(() => {})`,
    check: ({ cause, stderr }) => {
      assert.ok(cause instanceof RangeError)
      assert.equal(cause.message, 'early')
      assert.match(stderr, /RangeError: early/)
    },
  },
  'an unhandled rejection before it is ready': {
    text: `Promise.reject(new RangeError('early')); await new Promise(() => {})`,
    check: ({ cause }) => assert.equal(cause.message, 'early'),
  },
  // Without a reason it may have been bad luck: only the third in a row is one too many.
  'an exit with code 0 before it is ready': {
    starts: 3,
    text: `process.stderr.write('so long'); process.exit(0)`,
    check: (error) => {
      assert.equal(error.exitCode, 0)
      assert.equal(error.stderr, 'so long')
      assert.equal('cause' in error, false)
      assert.match(error.message, /exited with code 0 before it was ready; it wrote: so long$/)
    },
  },
  'an exit in setup': {
    starts: 3,
    text: `export default () => {}; export function setup() { process.exit(12) }`,
    check: ({ exitCode }) => assert.equal(exitCode, 12),
  },
  'a kill before it is ready': {
    starts: 3,
    text: `process.kill(process.pid, 'SIGKILL'); for (;;);`,
    check: ({ signal, message }) => {
      assert.equal(signal, 'SIGKILL')
      assert.match(message, /was ended by SIGKILL before it was ready/)
    },
  },
  'flags that node does not know': {
    text: 'export default () => {}',
    options: { execArgv: ['--no-such-flag'] },
    starts: 0,
    check: ({ exitCode, stderr }) => {
      assert.equal(exitCode, 9)
      assert.match(stderr, /no-such-flag/)
    },
  },
  'a folder that is not there': {
    text: 'export default () => {}',
    options: { cwd: '/nowhere/at/all' },
    starts: 0,
    check: ({ message, exitCode }) => {
      assert.equal(exitCode, undefined)
      assert.match(message, /could not be started: .*No such file or directory/)
    },
  },
}

/** What one can ask of a pool. */
const REQUESTS = {
  'run()': (pool) => pool.run(1),
  'parallelMap()': (pool) => parallelMap([1, 2, 3, 4, 5, 6, 7, 8], pool, { chunkSize: 1 }).toArray(),
  'ready()': (pool) => pool.ready(),
}

for (const [name, { file = 'task.mjs', text, options = {}, starts = 1, check }] of Object.entries(TASKS)) {
  test(name, LIMIT, async (t) => {
    const folder = folderWith(t, text === undefined ? {} : { [file]: text })
    for (const [way, request] of Object.entries(REQUESTS)) {
      const log = join(folder, way)
      const size = way === 'run()' ? 1 : 2
      const pool = openPool(t, join(folder, file), {
        size,
        label: 'mill',
        execArgv: ['--require', COUNT_STARTS],
        env: { ...process.env, STARTS: log },
        ...options,
        ...(options.execArgv && { execArgv: [...options.execArgv, '--require', COUNT_STARTS] }),
      })
      const error = await rejection(request(pool))
      assert.ok(error instanceof WorkerStartError, `${way}: ${error}`)
      assert.ok(error instanceof MillraceError)
      assert.equal(error.code, 'ERR_WORKER_START')
      assert.match(error.message, /mill/)
      assert.equal(typeof error.worker, 'number')
      check(error)
      await pool.close()
      const started = linesOf(log).length
      // Two that are started together may both have begun when the last one ends.
      assert.ok(
        started >= starts && started <= Math.max(starts, 1) + size - 1,
        `${way}: ${started} processes`,
      )
      assert.deepEqual(children(), [])
    }
  })
}

test(
  'a worker that is killed while it starts is followed by another, and nothing fails',
  LIMIT,
  async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { mkdirSync } from 'node:fs'
      let first = true
      try { mkdirSync(new URL('./first', import.meta.url)) } catch { first = false }
      if (first) process.kill(process.pid, 'SIGKILL')
      export default (item) => [item, process.pid]`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
    const exits = []
    pool.on('workerExit', ({ signal }) => exits.push(signal))
    await pool.ready()
    const results = await parallelMap([1, 2, 3], pool).toArray()
    assert.deepEqual(
      results.map(([item, pid]) => [item, pid]),
      [1, 2, 3].map((item) => [item, children()[0]]),
    )
    assert.deepEqual(exits, ['SIGKILL'])
  },
)

describe('after a failed start', () => {
  test(
    'several runs and calls that wait fail together, with one process each that was started',
    LIMIT,
    async (t) => {
      const folder = folderWith(t, { 'task.mjs': `throw new Error('never')` })
      const log = join(folder, 'starts')
      const pool = openPool(t, join(folder, 'task.mjs'), {
        size: 2,
        execArgv: ['--require', COUNT_STARTS],
        env: { ...process.env, STARTS: log },
      })
      const runs = Array.from({ length: 50 }, () => pool.run(1))
      const calls = [1, 2].map(() => parallelMap(Array(50).fill(0), pool, { settled: true }).toArray())
      for (const outcome of await Promise.allSettled([...runs, ...calls])) {
        assert.equal(outcome.reason?.code, 'ERR_WORKER_START')
        assert.equal(outcome.reason.cause.message, 'never')
      }
      assert.ok(linesOf(log).length <= 2, `${linesOf(log).length} processes`)
    },
  )

  test('it does not depend on stopOnError and settled: the call fails as a whole', LIMIT, async (t) => {
    const folder = folderWith(t, { 'task.mjs': `throw new Error('never')` })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
    for (const options of [{ settled: true }, { stopOnError: false }, { preserveOrder: false }]) {
      const error = await rejection(parallelMap([1, 2, 3], pool, options).toArray())
      assert.equal(error.code, 'ERR_WORKER_START')
    }
  })

  test('the source is closed, and finished settles', LIMIT, async (t) => {
    const folder = folderWith(t, { 'task.mjs': `throw new Error('never')` })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
    let closed = 0
    function* source() {
      try {
        for (;;) yield 1
      } finally {
        closed++
      }
    }
    const results = parallelMap(source(), pool)
    assert.equal((await rejection(results.toArray())).code, 'ERR_WORKER_START')
    await results.finished
    assert.equal(closed, 1)
  })

  test('the next request tries again', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { existsSync } from 'node:fs'
        if (!existsSync(new URL('./now', import.meta.url))) throw new Error('not yet')
        export default (item) => item`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 2 })
    assert.equal((await rejection(pool.run(1))).cause.message, 'not yet')
    assert.equal((await rejection(pool.ready())).cause.message, 'not yet')
    assert.equal((await rejection(pool.run(1))).cause.message, 'not yet')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(join(folder, 'now'), '')
    await pool.ready()
    assert.equal(await pool.run(2), 2)
  })

  test('workers that are up go on while their new neighbours cannot start', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { mkdirSync } from 'node:fs'
        try { mkdirSync(new URL('./first', import.meta.url)) } catch { throw new Error('only one') }
        export default (item) => { for (const end = Date.now() + 20; Date.now() < end;); return item }`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 2 })
    await pool.run(0)
    const items = Array.from({ length: 30 }, (_, i) => i)
    assert.deepEqual(await parallelMap(items, pool, { chunkSize: 1 }).toArray(), items)
    assert.equal((await rejection(pool.ready())).cause.message, 'only one')
    assert.equal(await pool.run(5), 5)
  })

  test('ready() does not wait for ever for a worker that ended when it had got ready', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { mkdirSync } from 'node:fs'
        import { setTimeout as sleep } from 'node:timers/promises'
        let first = true
        try { mkdirSync(new URL('./first', import.meta.url)) } catch { first = false }
        if (first) setTimeout(() => process.exit(0), 50)
        else await sleep(500)
        export default (item) => item`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 2 })
    const outcome = await pool.ready().then(
      () => 'ready',
      (error) => error.code,
    )
    assert.ok(['ready', 'ERR_WORKER_START'].includes(outcome), outcome)
  })

  test(
    'workers that die after they were ready, before they did anything, end in an error too',
    LIMIT,
    async (t) => {
      const folder = folderWith(t, {
        'task.mjs': `setImmediate(() => process.exit(3))
        export default () => new Promise(() => {})`,
      })
      const log = join(folder, 'starts')
      const pool = openPool(t, join(folder, 'task.mjs'), {
        size: 2,
        execArgv: ['--require', COUNT_STARTS],
        env: { ...process.env, STARTS: log },
      })
      const error = await rejection(pool.run(1))
      // Whether the item had begun is a race.
      assert.ok(['ERR_WORKER_START', 'ERR_WORKER_CRASHED'].includes(error.code), error.message)
      assert.equal(error.exitCode, 3)
      await pool.close()
      assert.ok(linesOf(log).length <= 10)
    },
  )

  test('setupData that cannot be cloned', LIMIT, async (t) => {
    const pool = openPool(t, ACTS, { setupData: { at: () => {} } })
    const error = await rejection(pool.run({ act: 'pid' }))
    assert.ok(error instanceof SerializationError)
    assert.match(error.message, /setupData/)
    assert.deepEqual(children(), [])
  })
})

describe('a pool of its own task file', () => {
  const SELF = (make) => `
    import { workerPool, isWorker } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
    import { appendFileSync } from 'node:fs'
    appendFileSync(process.env.STARTS, 'x\\n')
    ${make}
    export default (item) => item * 2
    if (!isWorker) {
      const { code, cause } = await pool.run(21).catch((error) => error)
      console.log(JSON.stringify(code ? { code, cause: cause.code } : { result: await pool.run(21) }))
      await pool.close()
    }`

  for (const [name, task] of [
    ['a URL', 'new URL(import.meta.url)'],
    ['a path', 'process.argv[1]'],
  ]) {
    test(`made at its top, by ${name}, is a typed error and no fork bomb`, LIMIT, async (t) => {
      const folder = folderWith(t, { 'self.mjs': SELF(`const pool = workerPool(${task}, { size: 2 })`) })
      const run = program(
        t,
        `process.argv[1] = ${JSON.stringify(join(folder, 'self.mjs'))}; await import(process.argv[1])`,
        {
          env: { STARTS: join(folder, 'starts') },
        },
      )
      const { code, stdout, stderr } = await run.ended
      assert.equal(code, 0, stderr)
      assert.deepEqual(JSON.parse(stdout), { code: 'ERR_WORKER_START', cause: 'ERR_WORKER_START' })
      assert.equal(linesOf(join(folder, 'starts')).length, 2, 'the program and one worker')
    })
  }

  test('made only where isWorker is false, works', LIMIT, async (t) => {
    const make = 'const pool = isWorker ? undefined : workerPool(new URL(import.meta.url), { size: 1 })'
    const folder = folderWith(t, { 'self.mjs': SELF(make) })
    const run = program(t, `await import(${JSON.stringify(join(folder, 'self.mjs'))})`, {
      env: { STARTS: join(folder, 'starts') },
    })
    const { stdout, stderr } = await run.ended
    assert.deepEqual(JSON.parse(stdout || stderr), { result: 42 })
  })

  test('through a symbolic link, too', LIMIT, async (t) => {
    const { symlinkSync } = await import('node:fs')
    const folder = folderWith(t, {
      'self.mjs': SELF(`const pool = workerPool(process.env.LINK, { size: 1 })`),
    })
    symlinkSync(join(folder, 'self.mjs'), join(folder, 'link.mjs'))
    const run = program(t, `await import(${JSON.stringify(join(folder, 'self.mjs'))})`, {
      env: { STARTS: join(folder, 'starts'), LINK: join(folder, 'link.mjs') },
    })
    const { stdout, stderr } = await run.ended
    assert.deepEqual(JSON.parse(stdout || stderr), { code: 'ERR_WORKER_START', cause: 'ERR_WORKER_START' })
  })

  test('a worker may have a pool of another file', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'outer.mjs': `import { workerPool, isWorker } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
        const pool = workerPool(${JSON.stringify(ACTS.href)}, { size: 1 })
        export default async (value) => [isWorker, process.pid, await pool.run({ act: 'pid' }), await pool.run({ act: 'value', value })]
        export const teardown = () => pool.close()`,
    })
    const pool = openPool(t, join(folder, 'outer.mjs'), { size: 1 })
    const [inside, outer, inner, value] = await pool.run('deep')
    assert.equal(inside, true)
    assert.equal(value, 'deep')
    assert.notEqual(outer, inner)
    await pool.close()
  })
})

test('a pool is made without touching its file', () => {
  assert.equal(workerPool('/nowhere.js', { label: 'lazy' }).label, 'lazy')
})
