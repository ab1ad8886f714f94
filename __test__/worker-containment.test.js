// Options that hold a worker process in, seen from inside real ones.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { getPriority } from 'node:os'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { WorkerCrashError, WorkerStartError } from '../index.js'
import { addonPath } from '../lib/binding.js'
import { folderWith, LIMIT, openPool, rejection } from './processes.js'

const evaluate = (code) => ({ act: 'eval', code })
const limitsOf = (pid) =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/limits`, 'utf8')
      .split('\n')
      .map((line) => /^(Max .+?) {2,}(\S+) +(\S+)/.exec(line))
      .filter(Boolean)
      .map(([, name, soft, hard]) => [name, [soft, hard]]),
  )

describe('the environment', () => {
  test('inheritEnv: only these variables', LIMIT, async (t) => {
    process.env.MILLRACE_TEST_SECRET = 'secret'
    process.env.MILLRACE_TEST_SHARED = 'shared'
    t.after(() => {
      delete process.env.MILLRACE_TEST_SECRET
      delete process.env.MILLRACE_TEST_SHARED
    })
    const seen = async (options) =>
      openPool(t, undefined, { size: 1, ...options }).run(evaluate('return { ...process.env }'))
    assert.deepEqual(await seen({ inheritEnv: ['MILLRACE_TEST_SHARED'] }), { MILLRACE_TEST_SHARED: 'shared' })
    assert.deepEqual(await seen({ inheritEnv: [] }), {})
    assert.deepEqual(
      await seen({ inheritEnv: ['MILLRACE_TEST_SHARED', 'PATH'], env: { PATH: '/x', A: '1' } }),
      {
        MILLRACE_TEST_SHARED: 'shared',
        PATH: '/x',
        A: '1',
      },
    )
    assert.deepEqual(await seen({}), { ...process.env })
  })
})

describe('niceIncrement', () => {
  test('added to our own, up to 19', LIMIT, async (t) => {
    const pid = await openPool(t, undefined, { size: 1, niceIncrement: 7 }).run({ act: 'pid' })
    assert.equal(getPriority(pid), Math.min(getPriority() + 7, 19))
    const most = await openPool(t, undefined, { size: 1, niceIncrement: 19 }).run({ act: 'pid' })
    assert.equal(getPriority(most), 19)
    const own = await openPool(t, undefined, { size: 1 }).run({ act: 'pid' })
    assert.equal(getPriority(own), getPriority())
  })
})

describe('rlimits', () => {
  test('are those of the process, and only those that were given', LIMIT, async (t) => {
    const own = limitsOf(process.pid)
    const pid = await openPool(t, undefined, { size: 1, rlimits: { openFiles: 200, coreSize: 0 } }).run({
      act: 'pid',
    })
    assert.deepEqual(limitsOf(pid), {
      ...own,
      'Max open files': ['200', '200'],
      'Max core file size': ['0', '0'],
    })
    const timed = await openPool(t, undefined, { size: 1, rlimits: { cpuSeconds: 100 } }).run({ act: 'pid' })
    assert.deepEqual(limitsOf(timed)['Max cpu time'], ['100', '101'])
  })

  test('too many open files are an error of the item that opens them', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { openFiles: 60 } })
    const code = `
      const { openSync } = process.getBuiltinModule('node:fs')
      for (;;) openSync('/dev/null')`
    assert.equal((await rejection(pool.run(evaluate(code)))).code, 'EMFILE')
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('one that has used its processor time is ended, and replaced', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { cpuSeconds: 1 } })
    const error = await rejection(pool.run({ act: 'spin' }))
    assert.ok(error instanceof WorkerCrashError)
    assert.equal(error.signal, 'SIGXCPU')
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
    const caught = await rejection(pool.run(evaluate(`process.on('SIGXCPU', () => {}); for (;;);`)))
    assert.equal(caught.signal, 'SIGKILL')
  })

  test('one that is refused is named: a start error', LIMIT, async (t) => {
    // More than the system allows to anybody (fs.nr_open).
    const pool = openPool(t, undefined, { size: 1, rlimits: { coreSize: 0, openFiles: 2 ** 53 - 1 } })
    const error = await rejection(pool.run({ act: 'pid' }))
    assert.ok(error instanceof WorkerStartError)
    assert.equal(error.code, 'ERR_WORKER_START')
    assert.match(error.message, /could not be started: rlimits\.openFiles was refused: .*\(os error 1\)/)
    assert.equal(error.cause.code, 'EPERM')
    assert.equal(error.cause.errno, -1)
    assert.match(error.cause.message, / EPERM: rlimits\.openFiles was refused/)
  })

  test('too few to start with are a start error', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, rlimits: { openFiles: 4 } })
    assert.ok((await rejection(pool.run({ act: 'pid' }))) instanceof WorkerStartError)
  })
})

describe('permission', () => {
  /** A package with a task that does what it is told, a file to read, and one that it imports. */
  const project = (t, options = {}) => {
    const folder = folderWith(t, {
      'package.json': '{ "type": "module" }',
      'data.txt': 'data',
      'task.js': `
        import fs from 'node:fs'
        export default ({ code }) => new Function('fs', code)(fs)`,
      'imports.js': `export { default } from './task.js'`,
    })
    const pool = (permission, file = 'task.js', more = {}) =>
      openPool(t, file, { size: 1, cwd: folder, permission, ...options, ...more })
    return { folder, pool }
  }
  const denied = async (promise, resource) => {
    const error = await rejection(promise)
    assert.equal(error.code, 'ERR_ACCESS_DENIED', error.stack)
    if (resource !== undefined) assert.equal(error.resource, resource)
  }

  test('what is not said is denied, each time to its item alone', LIMIT, async (t) => {
    const { folder, pool } = project(t)
    const confined = pool({})
    const pid = await confined.run({ code: 'return process.pid' })
    const data = JSON.stringify(`${folder}/data.txt`)
    await denied(confined.run({ code: `return fs.readFileSync(${data}, 'utf8')` }), `${folder}/data.txt`)
    await denied(confined.run({ code: `fs.writeFileSync(${data}, 'mine')` }))
    await denied(confined.run({ code: `process.getBuiltinModule('child_process').execFileSync('true')` }))
    await denied(
      confined.run({ code: `new (process.getBuiltinModule('worker_threads').Worker)('', { eval: true })` }),
    )
    await denied(confined.run({ code: `fs.writeFileSync(process.argv[1], '')` }))
    assert.equal(await confined.run({ code: 'return process.pid' }), pid)
    assert.equal(readFileSync(`${folder}/data.txt`, 'utf8'), 'data')
  })

  test('what can be read cannot be written through the descriptors of the process', LIMIT, async (t) => {
    const { folder, pool } = project(t)
    const confined = pool({ fsRead: ['data.txt'] })
    const pid = await confined.run({ code: 'return process.pid' })
    const inherited = readdirSync(`/proc/${pid}/fd`).filter((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`).includes('millrace-report'),
    )
    assert.equal(inherited.length, 1)
    // The one number that nobody misses is closed, and made that of a file that may be read alone.
    const attack = (file, number) =>
      confined.run({
        code: `
          fs.closeSync(${number})
          const fds = []
          do fds.push(fs.openSync(${JSON.stringify(file)}, 'r')); while (fds.at(-1) !== ${number} && fds.length < 100)
          const done = []
          for (const fd of [...Array(100).keys()])
            for (const path of ['/proc/self/fd/', '/proc/thread-self/fd/', '/dev/fd/', '/proc/' + process.pid + '/fd/'])
              for (const write of [fs.writeFileSync, fs.appendFileSync, fs.truncateSync])
                try {
                  write(path + fd, 'export default () => "mine"')
                  done.push(path + fd)
                } catch (error) {
                  if (error.code !== 'ERR_ACCESS_DENIED') done.push(error.code)
                }
          for (const fd of fds) if (fd !== ${number}) fs.closeSync(fd)
          return { took: fds.at(-1), done }`,
      })
    const number = Number(inherited[0])
    for (const file of [`${folder}/data.txt`, `${folder}/task.js`]) {
      const before = readFileSync(file, 'utf8')
      assert.deepEqual(await attack(file, number), { took: number, done: [] })
      assert.equal(readFileSync(file, 'utf8'), before)
    }
    assert.equal(await confined.run({ code: 'return process.pid' }), pid)
    assert.equal(
      await confined.run({
        code: `return process.execArgv.some((flag) => flag.startsWith('--allow-fs-write'))`,
      }),
      false,
    )
  })

  test('what is said is permitted: paths from cwd, directories as a whole, patterns', LIMIT, async (t) => {
    const { folder, pool } = project(t)
    for (const fsRead of [
      ['data.txt'],
      ['.'],
      ['da*'],
      [pathToFileURL(`${folder}/`)],
      ['*'],
      ['.', './*', folder],
    ]) {
      const code = `return fs.readFileSync('data.txt', 'utf8')`
      assert.equal(await pool({ fsRead }).run({ code }), 'data')
    }
    const writing = pool({ fsWrite: ['new/*', 'data.txt'] })
    await writing.run({
      code: `fs.mkdirSync('new/deep', { recursive: true }); fs.writeFileSync('new/deep/file', '1')`,
    })
    await denied(writing.run({ code: `fs.writeFileSync('elsewhere', '')` }))
    await denied(writing.run({ code: `fs.readFileSync('data.txt')` }))
    const starting = pool({ childProcess: true, worker: true })
    const code = `
      process.getBuiltinModule('child_process').execFileSync('true')
      const thread = new (process.getBuiltinModule('worker_threads').Worker)('', { eval: true })
      return new Promise((resolve) => thread.on('exit', () => resolve(1)))`
    assert.equal(await starting.run({ code }), 1)
  })

  test('the task file can be read by itself, its imports have to be listed', LIMIT, async (t) => {
    const { folder, pool } = project(t)
    const error = await rejection(pool({}, 'imports.js').run({ code: 'return 1' }))
    assert.ok(error instanceof WorkerStartError)
    assert.equal(error.cause.code, 'ERR_ACCESS_DENIED')
    assert.equal(await pool({ fsRead: ['task.js'] }, 'imports.js').run({ code: 'return 1' }), 1)
    symlinkSync(`${folder}/task.js`, `${folder}/link.js`)
    assert.equal(await pool({}, 'link.js').run({ code: 'return 1' }), 1)
  })

  test('with a function; with flags and an environment of its own', LIMIT, async (t) => {
    const permission = { fsRead: [new URL('../package.json', import.meta.url)] }
    const read = async (file) => (await import('node:fs')).readFileSync(file, 'utf8').length
    const pool = openPool(t, read, { size: 1, permission, execArgv: ['--no-warnings'], inheritEnv: [] })
    assert.ok((await pool.run('package.json')) > 0)
    await denied(pool.run('README.md'))
  })

  test('the network is not restricted', LIMIT, async (t) => {
    const code = `
      const net = process.getBuiltinModule('net')
      return new Promise((resolve, reject) => {
        const server = net.createServer((socket) => socket.end()).on('error', reject)
        server.listen(0, '127.0.0.1', () => {
          net.connect(server.address().port, '127.0.0.1').on('error', reject).on('close', () => {
            server.close(() => resolve('connected'))
          }).resume()
        })
      })`
    assert.equal(await project(t).pool({}).run({ code }), 'connected')
  })

  test('other addons: denied where Node can take that permission back', LIMIT, async (t) => {
    const pool = project(t).pool({})
    const code = `process.dlopen({ exports: {} }, ${JSON.stringify(addonPath())}); return 'loaded'`
    if (Number(process.versions.node.split('.')[0]) >= 24) await denied(pool.run({ code }))
    else assert.equal(await pool.run({ code }), 'loaded')
  })

  test('no warning about the flags is on stderr', LIMIT, async (t) => {
    const pool = project(t, { stderr: 'pipe' }).pool({})
    let text = ''
    pool.on('stderr', (chunk) => (text += chunk))
    await pool.run({ code: 'return 1' })
    await pool.close()
    assert.equal(text, '')
  })

  test('without it there is none', LIMIT, async (t) => {
    assert.equal(
      await project(t).pool(undefined).run({ code: 'return process.permission === undefined' }),
      true,
    )
  })
})
