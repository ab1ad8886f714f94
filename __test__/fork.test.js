// `millrace/fork` and `child_process.fork`: the same program, with another import, does the same.

import assert from 'node:assert/strict'
import * as childProcess from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as millrace from '../lib/compat/fork.js'
import { folderWith, isAlive, LIMIT, linesOf, program, until } from './processes.js'

const CHILD = fileURLToPath(new URL('./fixtures/fork-child.cjs', import.meta.url))
const QUIET = { stdio: ['ignore', 'inherit', 'ignore', 'ipc'] }

/** A program that uses fork(), run with either; what it comes to is the same. */
function same(name, run) {
  test(name, LIMIT, async (t) => {
    const outcome = async ({ fork }) => {
      const children = []
      const counted = (...args) => {
        const child = fork(...args)
        children.push(child)
        return child
      }
      try {
        return await run(counted, t)
      } finally {
        for (const child of children) child.kill('SIGKILL')
        await Promise.all(children.map((child) => isOver(child) || once(child, 'exit')))
      }
    }
    const expected = await outcome(childProcess)
    assert.deepStrictEqual(await outcome(millrace), expected)
    assert.notEqual(expected, undefined)
  })
}

const isOver = ({ pid, exitCode, signalCode }) =>
  pid === undefined || exitCode !== null || signalCode !== null

/** What a child answers to one message. */
async function answer(child, message) {
  child.send(message)
  return (await once(child, 'message'))[0]
}

describe('recipes', () => {
  same('one message per child, merged by Promise.all', async (fork) => {
    const data = Array.from({ length: 10 }, (_, i) => i)
    const shares = [data.slice(0, 4), data.slice(4, 7), data.slice(7)]
    const results = await Promise.all(
      shares.map(
        (share) =>
          new Promise((resolve, reject) => {
            const child = fork(CHILD)
            child.on('message', (message) => {
              resolve(message.data)
              child.kill()
            })
            child.on('error', reject)
            child.on('exit', (code) => {
              if (code !== 0) reject(new Error(`exit ${code}`))
            })
            child.send({ act: 'share', data: share })
          }),
      ),
    )
    return [].concat(...results)
  })

  same('round robin over children, with message, error and exit handlers', async (fork) => {
    const children = Array.from({ length: 3 }, () => fork(CHILD))
    const results = []
    const exits = []
    await new Promise((resolve, reject) => {
      for (const [number, child] of children.entries()) {
        child.on('message', ({ value }) => {
          results[value] = `${value} of ${number}`
          if (results.filter(Boolean).length === 50) resolve()
        })
        child.on('error', reject)
        child.on('exit', (code, signal) => exits.push([code, signal]))
      }
      for (let i = 0; i < 50; i++) children[i % children.length].send({ act: 'echo', value: i })
    })
    for (const child of children) child.disconnect()
    await until(() => exits.length === 3)
    return { results, exits }
  })

  same('shares of a task list, results concatenated', async (fork) => {
    const tasks = Array.from({ length: 11 }, (_, id) => ({ id }))
    const size = Math.ceil(tasks.length / 4)
    const all = []
    let left = 0
    await new Promise((resolve) => {
      for (let worker = 0; tasks.length > 0; worker++) {
        left++
        const child = fork(CHILD, [String(worker)])
        child.send({ act: 'tasks', tasks: tasks.splice(0, size) })
        child.once('message', ({ results }) => {
          all[worker] = results
          child.disconnect()
        })
        child.once('exit', () => {
          if (--left === 0) resolve()
        })
      }
    })
    return all.flat()
  })

  same('batches of n with a remainder', async (fork) => {
    const child = fork(CHILD)
    const items = Array.from({ length: 23 }, (_, i) => i)
    const results = []
    for (let at = 0; at < items.length; at += 5) {
      const { data } = await answer(child, { act: 'share', data: items.slice(at, at + 5) })
      results.push(data)
    }
    return results
  })

  same('a paged async generator feeds children', async (fork) => {
    async function* pages() {
      for (let page = 0; page < 4; page++) yield Array.from({ length: 3 }, (_, i) => page * 3 + i)
    }
    const child = fork(CHILD)
    const sums = []
    for await (const rows of pages()) sums.push((await answer(child, { act: 'share', data: rows })).data)
    return sums
  })

  same('a child that dies is replaced by hand', async (fork) => {
    const tasks = ['echo', 'exit', 'echo']
    const log = []
    for (const [value, act] of tasks.entries()) {
      const child = fork(CHILD)
      child.send({ act, value, code: 9 })
      await new Promise((resolve) => {
        child.on('message', (message) => {
          log.push(message)
          child.disconnect()
        })
        child.on('exit', (code, signal) => {
          log.push({ code, signal })
          resolve()
        })
      })
    }
    return log
  })
})

describe('messages', () => {
  same('values are what JSON makes of them', async (fork) => {
    const child = fork(CHILD)
    const values = [
      { data: [1, undefined, () => {}, new Date(0)], map: new Map([[1, 2]]), gone: undefined },
      'text',
      '',
      '[1]',
      null,
      false,
      [-0, NaN, Infinity],
      Buffer.from('ab'),
      { toJSON: () => 'mine' },
    ]
    const answers = []
    for (const value of values) answers.push(await answer(child, { act: 'echo', value }))
    return answers
  })

  same('null, numbers, texts and booleans are messages, too', async (fork, t) => {
    const folder = folderWith(t, { 'child.cjs': `process.on('message', (m) => process.send([typeof m, m]))` })
    const child = fork(join(folder, 'child.cjs'))
    const answers = []
    for (const message of [null, 0, -0, 1.5, '', 'text', true, false, []])
      answers.push(await answer(child, message))
    return answers
  })

  same("serialization: 'advanced'", async (fork) => {
    const child = fork(CHILD, { serialization: 'advanced' })
    const values = [new Date(0), new Map([[1, new Set([2])]]), Buffer.from('ab'), [1n, -0, undefined], /a/]
    const answers = []
    for (const value of values) answers.push(await answer(child, { act: 'echo', value }))
    return answers
  })

  same('what is false is no handle', async (fork) => {
    const child = fork(CHILD)
    const answers = []
    for (const handle of [false, 0, '', null, undefined]) {
      child.send({ act: 'echo', value: String(handle) }, handle)
      answers.push((await once(child, 'message'))[0])
    }
    return answers
  })

  same("what begins with NODE_ is an 'internalMessage', both ways", async (fork, t) => {
    const folder = folderWith(t, {
      'child.cjs': `
        process.on('internalMessage', (m) => process.send({ internal: m }))
        process.on('message', (m) => { process.send({ message: m }); process.send(m) })`,
    })
    const child = fork(join(folder, 'child.cjs'))
    const seen = []
    child.on('message', (m) => seen.push(['message', m]))
    child.on('internalMessage', (m) => seen.push(['internalMessage', m]))
    const messages = [
      { cmd: 'NODE_TEST' },
      { cmd: 'NODE_' },
      { cmd: 'node_x' },
      { cmd: 1 },
      [],
      { cmd: 'NODE_b' },
    ]
    for (const message of messages) child.send(message)
    child.send('over')
    await until(() => seen.some(([, m]) => m === 'over'))
    child.disconnect()
    return seen
  })

  same('many at once, in order, both ways', async (fork) => {
    const child = fork(CHILD)
    const seen = []
    child.on('message', ({ value }) => seen.push(value))
    for (let value = 0; value < 20_000; value++) child.send({ act: 'echo', value })
    await until(() => seen.length === 20_000)
    return seen
  })

  same('large ones', async (fork) => {
    const child = fork(CHILD)
    const value = 'ä'.repeat(3 << 20)
    return (await answer(child, { act: 'echo', value })).value === value
  })

  same('not in pairs: one that says much, one that speaks first, one that says nothing', async (fork) => {
    const children = [fork(CHILD), fork(CHILD, ['greets']), fork(CHILD)]
    const seen = children.map(() => [])
    for (const [at, child] of children.entries()) child.on('message', (message) => seen[at].push(message))
    children[0].send({ act: 'say', count: 1000 })
    children[2].send({ act: 'never' })
    children[2].send({ act: 'disconnect' })
    await once(children[2], 'exit')
    await until(() => seen[0].length === 1000 && seen[1].length === 1)
    return seen
  })

  same('what was sent before an exit arrives before it', async (fork) => {
    const child = fork(CHILD)
    const seen = []
    child.on('message', ({ i }) => seen.push(i))
    child.send({ act: 'say', count: 100 })
    child.send({ act: 'disconnect' })
    const [code, signal] = await once(child, 'exit')
    return { seen, code, signal }
  })

  same('messages wait for the first listener, on both sides', async (fork, t) => {
    const folder = folderWith(t, {
      'late.cjs': `process.send('early'); setTimeout(() => process.on('message', (m) => process.send(m)), 50)`,
    })
    const child = fork(join(folder, 'late.cjs'))
    for (const message of [1, 2, 3]) child.send(message)
    await once(child, 'spawn')
    await new Promise((resolve) => setTimeout(resolve, 20))
    const seen = []
    child.on('message', (message) => seen.push(message))
    await until(() => seen.length === 4)
    return seen
  })

  same('what cannot be sent', async (fork) => {
    const child = fork(CHILD)
    const cyclic = {}
    cyclic.self = cyclic
    const thrown = []
    for (const message of [undefined, () => {}, 1n, Symbol('s'), cyclic]) {
      try {
        child.send(message)
      } catch ({ name, code }) {
        thrown.push([name, code])
      }
    }
    try {
      child.send(1, {})
    } catch ({ name, code }) {
      thrown.push([name, code])
    }
    return thrown
  })

  same('callbacks and return values, before and after the end', async (fork) => {
    const child = fork(CHILD)
    const log = []
    log.push(child.send({ act: 'echo', value: 1 }, (error) => log.push(error)))
    await once(child, 'message')
    child.disconnect()
    log.push(
      child.connected,
      child.channel,
      child.send(1, ({ code }) => log.push(code)),
    )
    const errors = []
    child.on('error', ({ code }) => errors.push(code))
    child.disconnect()
    log.push(child.send(1))
    await until(() => errors.length === 2 && child.exitCode !== null)
    return { log, errors }
  })
})

describe('ends', () => {
  for (const act of ['exit', 'throw', 'kill', 'disconnect', 'sendAndExit']) {
    same(`events of a child that ends by: ${act}`, async (fork) => {
      const child = fork(CHILD, QUIET)
      const events = []
      for (const event of ['spawn', 'exit', 'close', 'disconnect', 'error'])
        child.on(event, (...args) => events.push([event, ...args]))
      child.send({ act, code: 3, count: 0 })
      await once(child, 'close')
      const { connected, exitCode, signalCode, killed, channel } = child
      // Node tells of a lost channel before or after the exit, as it comes.
      events.sort(([one], [other]) => ORDER.indexOf(one) - ORDER.indexOf(other))
      return { events, connected, exitCode, signalCode, killed, channel, again: child.kill() }
    })
  }

  same('kill(), by name, number and default', async (fork) => {
    const ends = []
    for (const signal of [undefined, 'SIGKILL', 9, 'SIGINT']) {
      const child = fork(CHILD)
      await answer(child, { act: 'pid' })
      const sent = child.kill(signal)
      ends.push([sent, child.killed, ...(await once(child, 'exit')), child.kill()])
    }
    const child = fork(CHILD)
    const alive = child.kill(0)
    let code
    try {
      child.kill('SIGNONE')
    } catch (error) {
      code = error.code
    }
    return { ends, alive, killed: child.killed, code }
  })

  same('an endless loop', async (fork) => {
    const child = fork(CHILD, { timeout: 700, killSignal: 'SIGKILL' })
    child.send({ act: 'spin' })
    return once(child, 'exit')
  })

  same('an aborted signal', async (fork) => {
    const abort = new AbortController()
    const child = fork(CHILD, { signal: abort.signal })
    await answer(child, { act: 'pid' })
    const failed = once(child, 'error')
    abort.abort(new Error('the reason'))
    const [{ name, code, cause }] = await failed
    await once(child, 'exit')
    return { name, code, cause: cause.message, signal: child.signalCode }
  })

  same('a file that is missing', async (fork) => {
    const child = fork('/nowhere/child.js', QUIET)
    return once(child, 'exit')
  })

  same('a working directory that is missing', async (fork) => {
    const child = fork(CHILD, { cwd: '/nowhere' })
    const told = (event) => new Promise((resolve) => child.on(event, (...args) => resolve(args)))
    const ends = Promise.all([told('close'), told('disconnect'), Promise.race([told('exit'), told('close')])])
    const [{ code, syscall }] = await once(child, 'error')
    const { exitCode, pid } = child
    return { code, syscall: syscall.startsWith('spawn '), pid, exitCode, ends: await ends }
  })

  same('a Node that is missing', async (fork) => {
    const child = fork(CHILD, { execPath: '/nowhere/node' })
    const closed = new Promise((resolve) => child.on('close', (...end) => resolve(end)))
    const [{ code, path }] = await once(child, 'error')
    return { code, path, end: await closed }
  })

  same('a signal to kill with that there is not', async (fork) => {
    try {
      return fork(CHILD, { killSignal: 'SIGNOTHING' }).pid
    } catch ({ name, code, message }) {
      return { name, code, message }
    }
  })

  test('using ends it', LIMIT, async () => {
    const child = millrace.fork(CHILD)
    child[Symbol.dispose]()
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
  })

  test('a child is not started again, whatever waits for it', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'child.cjs': `require('node:fs').appendFileSync(process.argv[2], 'start\\n'); process.on('message', () => process.exit(5))`,
    })
    const log = join(folder, 'log')
    const child = millrace.fork(join(folder, 'child.cjs'), [log])
    for (let i = 0; i < 1000; i++) child.send(i)
    assert.deepEqual(await once(child, 'close'), [5, null])
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.deepEqual(linesOf(log), ['start'])
  })

  test('a child dies with its parent', LIMIT, async (t) => {
    const run = program(
      t,
      `import { fork } from 'millrace/fork'
       const child = fork(process.env.CHILD)
       child.on('message', (message) => console.log(JSON.stringify(message)))
       child.send({ act: 'pid' })`,
      { env: { CHILD } },
    )
    const { pid } = await run.line()
    assert.ok(isAlive(pid))
    run.child.kill('SIGKILL')
    await until(() => !isAlive(pid), 'the child to end')
  })
})

describe('how long the parent lives', () => {
  const ends = {
    'the child disconnects': `child.send({ act: 'disconnect' })`,
    'it disconnects': `child.disconnect()`,
    'the child exits': `child.send({ act: 'exit', code: 2 })`,
    'it kills the child': `child.kill()`,
    'it wants to wait for nothing': `child.unref(); child.channel.unref()`,
  }
  for (const [name, code] of Object.entries(ends)) {
    test(`as long as with child_process.fork: ${name}`, LIMIT, async (t) => {
      for (const from of ['node:child_process', 'millrace/fork']) {
        const run = program(
          t,
          `import { fork } from '${from}'
           const child = fork(process.env.CHILD)
           child.once('message', () => { ${code} })
           child.send({ act: 'pid' })`,
          { env: { CHILD } },
        )
        const { code: exitCode, stderr } = await run.ended
        assert.equal(exitCode, 0, stderr)
      }
    })
  }

  test('while the child runs and may be spoken to, it lives', LIMIT, async (t) => {
    for (const from of ['node:child_process', 'millrace/fork']) {
      const run = program(
        t,
        `import { fork } from '${from}'
         const child = fork(process.env.CHILD)
         child.once('message', () => console.log('true'))
         child.send({ act: 'pid' })`,
        { env: { CHILD } },
      )
      assert.equal(await run.line(), true)
      await new Promise((resolve) => setTimeout(resolve, 200))
      assert.equal(run.child.exitCode, null)
    }
  })
})

describe('options', () => {
  same('arguments, flags, environment, folder', async (fork, t) => {
    const folder = folderWith(t)
    const child = fork(CHILD, ['a', 'b'], {
      cwd: folder,
      execArgv: ['--no-warnings'],
      env: { ...process.env, OWN_VARIABLE: 7 },
    })
    const { cwd, ...rest } = await answer(child, { act: 'where' })
    assert.ok(cwd.endsWith(folder.split('/').at(-1)))
    return rest
  })

  same('options without arguments; a file URL; a path without its extension', async (fork, t) => {
    const folder = folderWith(t, { 'child.js': `process.send(process.argv.slice(2))` })
    const answers = []
    for (const args of [
      [new URL(`file://${CHILD}`), ['greets']],
      [join(folder, 'child')],
      [join(folder, 'child.js'), {}],
    ]) {
      answers.push((await once(fork(...args), 'message'))[0])
    }
    return answers
  })

  same('one that sends and ends at once: its end comes after who awaits the message', async (fork, t) => {
    const folder = folderWith(t, { 'child.cjs': "process.send('last', () => process.exit(3))" })
    // So that both are there when we look.
    const child = fork(join(folder, 'child.cjs'))
    const end = performance.now() + 700
    while (performance.now() < end);
    const [message] = await once(child, 'message')
    return { message, end: await once(child, 'exit') }
  })

  same('an ES module', async (fork, t) => {
    const folder = folderWith(t, {
      'child.mjs': `import { once } from 'node:events'
        const [first] = await once(process, 'message')
        process.send([first, import.meta.url.endsWith('child.mjs')])`,
    })
    const child = fork(join(folder, 'child.mjs'))
    const answered = await answer(child, 'hello')
    return { answered, end: await once(child, 'exit') }
  })

  const PIPES = [
    { silent: true },
    { stdio: 'pipe' },
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    { stdio: ['pipe', 'pipe', 'pipe', 'ipc'] },
    { stdio: [0, null, undefined, 'ipc'] },
  ]
  for (const options of PIPES) {
    same(`what it writes: ${JSON.stringify(options)}`, async (fork) => {
      const child = fork(CHILD, options)
      const written = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => (written[name] += chunk))
      const read = [once(child.stdout, 'close'), once(child.stderr, 'close'), once(child, 'exit')]
      await answer(child, { act: 'print', text: 'hello' })
      child.disconnect()
      await Promise.all(read)
      return written
    })
  }

  same('stdout and stderr of this process by their numbers', async (fork) => {
    const { stdout, stderr } = fork(CHILD, { stdio: ['ignore', 1, 2, 'ipc'] })
    return { stdout, stderr }
  })

  for (const killSignal of ['SIGINT', 'sigint', 2]) {
    same(`kill() and killSignal: ${killSignal}`, async (fork) => {
      const controller = new AbortController()
      const children = [fork(CHILD, QUIET), fork(CHILD, { ...QUIET, killSignal, signal: controller.signal })]
      for (const child of children) {
        child.on('error', () => {})
        await answer(child, { act: 'pid' })
      }
      // Not `once()`: an abort is an error, too.
      const end = (child) => new Promise((resolve) => child.on('exit', (...how) => resolve(how)))
      const ends = children.map(end)
      const sent = children[0].kill(killSignal)
      controller.abort()
      return [sent, ...(await Promise.all(ends))]
    })
  }

  test("'close' comes, though nobody reads", LIMIT, async () => {
    const child = millrace.fork(CHILD, { silent: true })
    const closed = once(child, 'close')
    await answer(child, { act: 'print', text: 'hello' })
    child.disconnect()
    assert.deepEqual(await closed, [0, null])
  })

  same('spawnfile, spawnargs, stdio', async (fork) => {
    // Flags of the test runner, which this process may have, are none for a child of ours.
    const { spawnfile, spawnargs, stdout, stderr, stdio } = fork(CHILD, ['a'], { ...QUIET, execArgv: [] })
    return { spawnfile, spawnargs, stdout, stderr, entries: stdio.length }
  })

  test('what is not there is a clear error', () => {
    const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /expected .+, got / }
    const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE', message: /expected .+, got / }
    for (const [name, value] of Object.entries({ uid: 1, gid: 1, detached: true, argv0: 'a', shell: true }))
      assert.throws(() => millrace.fork(CHILD, { [name]: value }), {
        ...type,
        message: /none of detached, uid, gid, argv0, shell/,
      })
    const wrongTypes = [
      { unknown: 1 },
      { cwd: 1 },
      { env: 'A=1' },
      { execArgv: 'flag' },
      { execPath: 1 },
      { signal: {} },
      { silent: 1 },
      { stdio: 1 },
      { timeout: '1' },
    ]
    for (const options of wrongTypes) assert.throws(() => millrace.fork(CHILD, options), type)
    const wrongValues = [
      { stdio: 'overlapped' },
      { stdio: ['ignore', 'pipe', 'pipe'] },
      { stdio: ['ignore', 2, 1, 'ipc'] },
      { stdio: ['ignore', 3, 'pipe', 'ipc'] },
      { serialization: 'xml' },
      { timeout: -1 },
    ]
    for (const options of wrongValues) assert.throws(() => millrace.fork(CHILD, options), range)
    for (const path of [undefined, null, 1, '', new URL('https://example.com/')])
      assert.throws(() => millrace.fork(path), type)
    for (const args of ['a', 1, true]) assert.throws(() => millrace.fork(CHILD, args), type)
  })
})

const ORDER = ['spawn', 'error', 'disconnect', 'exit', 'close']
