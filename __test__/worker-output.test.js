// What workers write, as the options `stdout` and `stderr` say, and what a pool tells its listeners.

import assert from 'node:assert/strict'
import { on as eventsOf, once as nextEvent } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parallelMap, workerPool } from '../index.js'
import { LIMIT, openPool, program, rejection, stateOf, until } from './processes.js'

const BOTH = { stdout: 'pipe', stderr: 'pipe' }
const say = (stream, text) => ({ act: 'eval', code: `process.${stream}.write(${JSON.stringify(text)})` })
const flood = (fd, bytes) => ({
  act: 'eval',
  code: `
    const { writeSync } = process.getBuiltinModule('node:fs')
    const block = Buffer.alloc(8192, 'x')
    for (let left = ${bytes}; left > 0; ) {
      try { left -= writeSync(${fd}, block, 0, Math.min(block.length, left)) }
      catch (error) { if (error.code !== 'EAGAIN') throw error }
    }
    return process.pid`,
})

/** All that a pool has told, in order. */
function told(pool) {
  const events = []
  pool.on('stdout', (chunk, worker) => events.push(['stdout', chunk, worker]))
  pool.on('stderr', (chunk, worker) => events.push(['stderr', chunk, worker]))
  pool.on('workerStart', (event) => events.push(['workerStart', event]))
  pool.on('workerExit', (event) => events.push(['workerExit', event]))
  return events
}

/** The bytes of a stream, as text. */
function text(events, stream) {
  return Buffer.concat(events.filter(([name]) => name === stream).map(([, chunk]) => chunk)).toString()
}

describe('pipe', () => {
  test('bytes come as events, each stream by itself, with the number of the worker', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    const events = told(pool)
    await pool.run(say('stdout', 'out\u{1f600}\n'))
    await pool.run(say('stderr', 'err\n'))
    await pool.close()
    assert.equal(text(events, 'stdout'), 'out\u{1f600}\n')
    assert.equal(text(events, 'stderr'), 'err\n')
    const chunks = events.filter(([name]) => name === 'stdout' || name === 'stderr')
    for (const [, chunk, worker] of chunks) {
      assert.ok(Buffer.isBuffer(chunk))
      assert.equal(worker, 0)
    }
  })

  test('the last words of a worker come, and before its end', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    const events = told(pool)
    const error = await rejection(pool.run({ act: 'stderrFlood', bytes: 60_000, last: 'the end' }))
    assert.match(error.stderr, /xthe end$/)
    await until(() => events.some(([name]) => name === 'workerExit'))
    assert.equal(text(events, 'stderr'), `${'x'.repeat(60_000)}the end`)
    assert.deepEqual(events.at(-1)[0], 'workerExit')
  })

  test('what a blocked event loop has not taken makes the worker wait, and is not lost', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    const BYTES = 8 << 20
    let bytes = 0
    let most = 0
    pool.on('stdout', (chunk) => {
      bytes += chunk.length
      most = Math.max(most, chunk.length)
    })
    const pid = await pool.run({ act: 'pid' })
    const before = writtenBy(pid)
    const running = pool.run(flood(1, BYTES))
    // Longer than it needs to fill every buffer on the way: then it sleeps in write().
    for (const end = Date.now() + 400; Date.now() < end; );
    const used = ticksOf(pid)
    for (const end = Date.now() + 200; Date.now() < end; );
    assert.equal(stateOf(pid), 'S', 'it waits')
    assert.ok(ticksOf(pid) - used < 5, 'asleep')
    assert.equal(bytes, 0)
    const written = writtenBy(pid) - before
    // What is read at once is 32 KiB at most, and less where it comes in pieces.
    assert.ok(written > 64 << 10 && written < 1 << 20, `${written} bytes were taken`)
    await running
    await pool.close()
    assert.equal(bytes, BYTES)
    assert.ok(most <= 1 << 20)
  })

  test('without a listener they are dropped, and nobody waits for one', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    await pool.run(flood(1, 4 << 20))
    await pool.run(flood(2, 4 << 20))
  })

  test('two workers at once', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2, ...BOTH })
    const bytes = new Map()
    pool.on('stdout', (chunk, worker) => bytes.set(worker, (bytes.get(worker) ?? 0) + chunk.length))
    await pool.ready()
    const items = Array.from({ length: 8 }, () => flood(1, 1 << 20))
    const pids = await parallelMap(items, pool, { chunkSize: 1 }).toArray()
    await pool.close()
    assert.equal(
      [...bytes.values()].reduce((sum, some) => sum + some),
      8 << 20,
    )
    assert.equal(bytes.size, new Set(pids).size)
  })

  test('the pool closes even if a grandchild holds the pipe', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    const events = told(pool)
    const code = `
      const { spawn } = process.getBuiltinModule('node:child_process')
      const child = spawn('sleep', ['5'], { stdio: 'inherit', detached: true })
      process.stdout.write('before')
      return child.pid`
    const grandchild = await pool.run({ act: 'eval', code })
    t.after(() => process.kill(grandchild, 'SIGKILL'))
    await pool.close()
    assert.equal(text(events, 'stdout'), 'before')
  })
})

test('ignore: nothing is shown, and errors still have the end of stderr', LIMIT, async (t) => {
  const shown = program(
    t,
    `
    import { workerPool } from './index.js'
    const pool = workerPool(new URL(process.env.ACTS), { size: 1, stdout: 'ignore', stderr: 'ignore' })
    await pool.run({ act: 'eval', code: 'console.log("out"); console.error("err")' })
    const error = await pool.run({ act: 'exit', code: 1, stderr: 'last words' }).catch((error) => error)
    console.log(JSON.stringify(error.stderr))
    await pool.close()`,
  )
  const { code, stdout, stderr } = await shown.ended
  assert.equal(stderr, '')
  assert.match(stdout, /^"err\\nlast words"\n$/)
  assert.equal(code, 0)
})

test('inherit, the default: stdout and stderr are the program’s', LIMIT, async (t) => {
  const shown = program(
    t,
    `
    import { workerPool } from './index.js'
    const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
    const heard = []
    pool.on('stdout', () => heard.push('stdout')).on('stderr', () => heard.push('stderr'))
    await pool.run({ act: 'eval', code: 'console.log("out"); console.error("err")' })
    await pool.close()
    await new Promise((resolve) => setTimeout(resolve, 100))
    console.log(heard.length)`,
  )
  assert.deepEqual(await shown.ended, { code: 0, signal: null, stdout: 'out\n0\n', stderr: 'err\n' })
})

describe('listeners', () => {
  test('a worker starts, and ends by itself or by a signal', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const events = told(pool)
    const first = await pool.run({ act: 'pid' })
    assert.deepEqual(events, [['workerStart', { worker: 0, pid: first }]])
    await rejection(pool.run({ act: 'exit', code: 3 }))
    const second = await pool.run({ act: 'pid' })
    await rejection(pool.run({ act: 'kill', signal: 'SIGKILL' }))
    await pool.run({ act: 'pid' })
    await pool.close()
    const [start, exit, startAgain, killed, , retired] = events
    assert.equal(events.length, 6)
    assert.deepEqual(start, ['workerStart', { worker: 0, pid: first }])
    assert.deepEqual(exit[1], { worker: 0, pid: first, exitCode: 3, signal: null })
    assert.equal(startAgain[1].pid, second)
    assert.deepEqual(
      { ...killed[1], worker: 0 },
      { worker: 0, pid: second, exitCode: null, signal: 'SIGKILL' },
    )
    assert.equal(retired[1].exitCode, 0)
  })

  test('on, once and off', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    let on = 0
    let once = 0
    const listener = () => on++
    assert.equal(pool.on('workerStart', listener), pool)
    assert.equal(
      pool.once('workerStart', () => once++),
      pool,
    )
    await rejection(pool.run({ act: 'exit', code: 1 }))
    await rejection(pool.run({ act: 'exit', code: 1 }))
    assert.deepEqual([on, once], [2, 1])
    assert.equal(pool.off('workerStart', listener), pool)
    await pool.run({ act: 'pid' })
    assert.equal(on, 2)
  })

  test('events.once() and events.on() of Node wait for them', LIMIT, async (t) => {
    const warnings = []
    const onWarning = (warning) => warnings.push(warning)
    process.on('warning', onWarning)
    t.after(() => process.off('warning', onWarning))
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    // More often than an emitter bears listeners that nobody takes away.
    for (let code = 1; code <= 12; code++) {
      const exit = nextEvent(pool, 'workerExit')
      await rejection(pool.run({ act: 'exit', code }))
      const [event] = await exit
      assert.equal(event.exitCode, code)
    }
    const leaving = new AbortController()
    const gone = nextEvent(pool, 'workerRecycle', { signal: leaving.signal })
    leaving.abort()
    await assert.rejects(gone, { name: 'AbortError' })
    const chunks = eventsOf(pool, 'stdout')
    for (const letter of ['a', 'b']) {
      await pool.run(say('stdout', letter))
      const { value } = await chunks.next()
      assert.deepEqual([String(value[0]), value[1]], [letter, 12])
    }
    await chunks.return()
    // Warnings come in a turn of their own.
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(warnings, [])
  })

  test("'error' may be listened to, and is never told", LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const told = []
    const listener = (error) => told.push(error)
    assert.equal(pool.on('error', listener).once('error', listener), pool)
    await rejection(pool.run({ act: 'exit', code: 1 }))
    await rejection(pool.run({ act: 'throw' }))
    assert.equal(pool.removeListener('error', listener).off('error', listener), pool)
    await pool.close()
    assert.deepEqual(told, [])
  })

  test('wrong arguments', () => {
    const pool = workerPool('task.js')
    for (const method of ['on', 'once', 'off', 'removeListener']) {
      for (const args of [
        [],
        ['data', () => {}],
        [Symbol('stdout'), () => {}],
        ['stdout'],
        ['stdout', null],
      ]) {
        assert.throws(() => pool[method](...args), {
          name: 'TypeError',
          code: 'ERR_INVALID_ARG_TYPE',
          message: /"(event|listener)": expected .+, got /,
        })
      }
    }
  })

  test('one that throws is an uncaught exception, and nothing of the pool is lost', LIMIT, async (t) => {
    const ended = await program(
      t,
      `
      import { workerPool } from './index.js'
      const uncaught = []
      process.on('uncaughtException', (error) => uncaught.push(error.message))
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      pool.on('workerStart', () => { throw new Error('mine') })
      const value = await pool.run({ act: 'value', value: 7 })
      await pool.close()
      console.log(value, uncaught.join())`,
    ).ended
    assert.deepEqual(ended, { code: 0, signal: null, stdout: '7 mine\n', stderr: '' })
  })

  test('one may close the pool, and give it work', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, ...BOTH })
    const more = new Promise((resolve) => {
      pool.once('stdout', () => {
        resolve(pool.run({ act: 'value', value: 'more' }))
        pool.close()
      })
    })
    await pool.run(say('stdout', 'now'))
    assert.equal(await more, 'more')
  })

  test('they do not keep the program alive, however much is written', LIMIT, async (t) => {
    const ended = await program(
      t,
      `
      import { workerPool } from './index.js'
      const pool = workerPool(new URL(process.env.ACTS), { size: 1, stdout: 'pipe' })
      pool.on('stdout', () => {}).on('workerExit', () => {})
      await pool.run({ act: 'eval', code: 'setInterval(() => process.stdout.write("x".repeat(1000)), 1)' })
      console.log('end')`,
    ).ended
    assert.deepEqual(ended, { code: 0, signal: null, stdout: 'end\n', stderr: '' })
  })
})

test('nothing is left behind', LIMIT, async (t) => {
  const ended = await program(
    t,
    `
    import { workerPool } from './index.js'
    import { heldAfter, settled } from './__test__/holdings.js'
    const round = async (force) => {
      const pool = workerPool(new URL(process.env.ACTS), { size: 2, stdout: 'pipe', stderr: 'pipe' })
      pool.on('stdout', () => {})
      await pool.ready()
      await pool.run({ act: 'eval', code: 'process.stdout.write("x".repeat(100000))' })
      await pool.run({ act: 'exit', code: 1 }).catch(() => {})
      const running = pool.run({ act: 'sleep', ms: 50 }).catch(() => {})
      await pool.close({ force })
      await running
    }
    await round(false)
    const before = await settled()
    for (const force of [false, true, false]) await round(force)
    console.log(JSON.stringify({ before, after: await heldAfter(before) }))`,
  ).ended
  assert.equal(ended.stderr, '')
  const { before, after } = JSON.parse(ended.stdout)
  assert.deepEqual(after, before)
})

/** Clock ticks of processor time that a process has used. */
function ticksOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Bytes that a process has written, to whatever it was. */
function writtenBy(pid) {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))[1])
}
