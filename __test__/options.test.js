// Options: defaults, ranges, and errors that say what was expected and what came.

import assert from 'node:assert/strict'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import { blocks, commandPool, files, lines, native } from '../index.js'
import { batchSettings, mapperKind, parallelMapSettings, resultCount, runSettings } from '../lib/options.js'
import { startCall } from '../lib/outcome.js'
import { closeSettings, inheritedExecArgv, workerPoolSettings } from '../lib/worker-pool-options.js'

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /expected .+, got / }
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE', message: /expected .+, got / }
const MB = 1024 * 1024

describe('batch, take and drop', () => {
  test('a number is the size', () => {
    assert.deepEqual(batchSettings(3), { size: 3, bytes: Infinity, wait: undefined })
    assert.deepEqual(batchSettings({ bytes: 1, wait: 0 }), { size: Infinity, bytes: 1, wait: 0 })
    assert.ok(Object.isFrozen(batchSettings(1)))
  })

  test('wrong types and values', () => {
    for (const wrong of [undefined, null, '3', [], {}, { wait: 1 }, { size: '3' }, { size: 1, of: 2 }])
      assert.throws(() => batchSettings(wrong), TYPE)
    for (const wrong of [
      0,
      -1,
      1.5,
      NaN,
      Infinity,
      { bytes: 0 },
      { size: 1, wait: -1 },
      { size: 1, wait: 2 ** 31 },
    ])
      assert.throws(() => batchSettings(wrong), RANGE)
  })

  test('a count of results', () => {
    for (const count of [0, 1, Infinity]) assert.equal(resultCount(count), count)
    for (const wrong of [undefined, null, '1', 1n]) assert.throws(() => resultCount(wrong), TYPE)
    for (const wrong of [-1, 1.5, NaN]) assert.throws(() => resultCount(wrong), RANGE)
  })
})

describe('parallelMap', () => {
  const common = {
    preserveOrder: true,
    maxBytes: 64 * MB,
    chunkSize: 0,
    signal: undefined,
    stopOnError: true,
    settled: false,
    tries: undefined,
    priority: 0,
    key: undefined,
    form: 0,
    transfer: false,
  }

  test('defaults, by the kind of the mapper', () => {
    for (const options of [undefined, {}, { concurrency: undefined }]) {
      const ofFunction = parallelMapSettings(options, 'function')
      assert.deepEqual(ofFunction, { ...common, concurrency: 16, backpressure: 32 })
      assert.ok(Object.isFrozen(ofFunction))
      const ofPool = parallelMapSettings(options, 'pool')
      assert.deepEqual(ofPool, { ...common, concurrency: undefined, backpressure: undefined })
      assert.ok(Object.isFrozen(ofPool))
    }
  })

  test('the window follows the concurrency', () => {
    assert.equal(parallelMapSettings({ concurrency: 3 }, 'function').backpressure, 6)
    assert.equal(parallelMapSettings({ concurrency: Infinity }, 'function').backpressure, Infinity)
    assert.equal(parallelMapSettings({ concurrency: 3, backpressure: 3 }, 'function').backpressure, 3)
    assert.equal(parallelMapSettings({ concurrency: 3 }, 'pool').backpressure, undefined)
    assert.equal(parallelMapSettings({ concurrency: Infinity }, 'pool').concurrency, undefined)
    assert.equal(parallelMapSettings({ backpressure: 1 }, 'pool').backpressure, 1)
    for (const kind of ['function', 'pool']) {
      assert.throws(() => parallelMapSettings({ concurrency: 3, backpressure: 2 }, kind), {
        ...RANGE,
        message: /at least the concurrency \(3\), got 2/,
      })
    }
    assert.throws(
      () => parallelMapSettings({ backpressure: 8 }, 'function'),
      RANGE,
      'the default concurrency counts',
    )
    assert.throws(() => parallelMapSettings({ backpressure: Infinity }, 'pool'), RANGE)
  })

  test('right values arrive', () => {
    const { signal } = new AbortController()
    const given = Object.freeze({
      preserveOrder: false,
      maxBytes: 1,
      chunkSize: 16_384,
      signal,
      stopOnError: false,
    })
    assert.deepEqual(parallelMapSettings({ ...given, settled: true }, 'pool'), {
      ...common,
      ...given,
      settled: true,
      concurrency: undefined,
      backpressure: undefined,
    })
    assert.equal(parallelMapSettings({ chunkSize: 'auto' }, 'pool').chunkSize, 0)
    const otherRealm = { aborted: false, addEventListener() {} }
    assert.equal(parallelMapSettings({ signal: otherRealm }, 'pool').signal, otherRealm)
  })

  const wrongTypes = {
    concurrency: ['4', null, true, 4n, {}],
    backpressure: ['4', null, {}],
    maxBytes: ['1 MB', null],
    chunkSize: ['large', null, true],
    signal: [null, {}, 'abort', new AbortController()],
    preserveOrder: [null, 1, 'false'],
    stopOnError: [null, 0],
    settled: [null, 1],
    retries: ['1', null, true, 1n],
    priority: ['1', null, true, 1n],
    key: ['id', null, 1, {}],
    backoff: [null, 100, [], { initial: '1' }, { factor: null }, { max: [] }, { jitter: true }, { min: 1 }],
    retryIf: [null, true, {}],
    crashRetries: ['1', null],
    timeout: ['1s', null, {}],
  }
  const wrongValues = {
    concurrency: [0, -1, 1.5, NaN, -Infinity, 2 ** 60],
    backpressure: [0, -1, 1.5, NaN],
    maxBytes: [0, -1, 1.5, NaN, Infinity],
    chunkSize: [0, -1, 1.5, NaN, Infinity, 16_385],
    retries: [-1, 1.5, NaN, -Infinity],
    priority: [1.5, NaN, Infinity, 1_000_001, -1_000_001],
    backoff: [
      { initial: -1 },
      { initial: Infinity },
      { factor: 0.5 },
      { factor: 1_001 },
      { factor: NaN },
      { max: 2 ** 31 },
      { jitter: -0.1 },
      { jitter: 1.1 },
    ],
    crashRetries: [-1, 0.5, 1_001, Infinity],
    timeout: [0, 0.5, -1, NaN, Infinity, 2 ** 31],
  }
  for (const kind of ['function', 'pool']) {
    test(`wrong types and values, for a ${kind}`, () => {
      for (const [name, values] of Object.entries(wrongTypes)) {
        for (const value of values) {
          assert.throws(() => parallelMapSettings({ [name]: value }, kind), {
            ...TYPE,
            message: new RegExp(`"${name}[.\\w]*"`),
          })
        }
      }
      for (const [name, values] of Object.entries(wrongValues)) {
        for (const value of values) {
          assert.throws(() => parallelMapSettings({ [name]: value }, kind), {
            ...RANGE,
            message: new RegExp(`"${name}[.\\w]*"`),
          })
        }
      }
      for (const options of [null, 1, 'options', [], () => {}]) {
        assert.throws(() => parallelMapSettings(options, kind), TYPE)
      }
    })
  }

  test('what cannot be options is refused, not taken for none', async () => {
    const wrong = [
      [],
      ['concurrency'],
      new Map([['concurrency', 1]]),
      new Set(),
      new AbortController().signal,
      new Date(),
      /a/,
      new Error('a'),
      Promise.resolve({}),
      Buffer.alloc(0),
      new ArrayBuffer(0),
      new URL('file:///a'),
      Object(1),
      Object('a'),
      () => {},
      1n,
    ]
    const makers = [
      (options) => parallelMapSettings(options, 'pool'),
      runSettings,
      closeSettings,
      (options) => workerPoolSettings('task.js', options),
      (options) => commandPool('cat', [], options),
      (options) => lines('file', options),
      (options) => blocks('file', options),
      (options) => files('*', options),
      native.sha256,
      native.gzip,
      native.gunzip,
      native.base64,
      native.array.variance,
      (options) => native.replace('a', 'b', options),
    ]
    const expected = { ...TYPE, message: /^Invalid "options": expected an object, got / }
    for (const options of wrong) {
      for (const make of makers) assert.throws(() => make(options), expected)
      await assert.rejects(native.sha256().run('a', options), expected)
    }
    for (const backoff of wrong)
      assert.throws(() => parallelMapSettings({ backoff }, 'function'), { ...TYPE, message: /"backoff"/ })
    for (const given of wrong) {
      assert.throws(() => workerPoolSettings('task.js', { env: given }), { ...TYPE, message: /"env"/ })
      assert.throws(() => workerPoolSettings('task.js', { rlimits: given }), {
        ...TYPE,
        message: /"rlimits"/,
      })
    }
  })

  test('options may come from anywhere else', async () => {
    class Settings {
      concurrency = 3
    }
    const inherited = Object.create({ concurrency: 3 })
    const bare = Object.assign(Object.create(null), { concurrency: 3 })
    const foreign = runInNewContext('({ concurrency: 3 })')
    const module = await import('data:text/javascript,export const concurrency = 3')
    for (const options of [
      new Settings(),
      inherited,
      bare,
      foreign,
      module,
      Object.freeze({ concurrency: 3 }),
    ])
      assert.equal(parallelMapSettings(options, 'function').concurrency, 3)
  })

  test('an unknown option is named, with those that exist', () => {
    assert.throws(() => parallelMapSettings({ concurency: 2 }, 'function'), {
      ...TYPE,
      message: /"concurency".*concurrency, preserveOrder, backpressure/,
    })
    assert.throws(() => parallelMapSettings({ timeOut: undefined }, 'pool'), TYPE)
  })

  test('tries: settings only where something is asked for', () => {
    const idle = [{ retries: 0 }, { crashRetries: 0 }, { backoff: { initial: 1 } }, { retryIf: () => true }]
    for (const options of idle) assert.equal(parallelMapSettings(options, 'pool').tries, undefined)
    const backoff = { initial: 100, factor: 2, max: 30_000, jitter: 0.5 }
    const defaults = { retries: 0, backoff, retryIf: undefined, crashRetries: 0, timeout: 0 }
    for (const given of [
      { retries: Infinity },
      { crashRetries: 1_000 },
      { timeout: 1 },
      { timeout: 2 ** 31 - 1 },
    ]) {
      const { tries } = parallelMapSettings(given, 'function')
      assert.deepEqual(tries, { ...defaults, ...given })
      assert.ok(Object.isFrozen(tries))
      assert.deepEqual(runSettings(given), { signal: undefined, tries, priority: 0 })
    }
    const other = Object.freeze({ initial: 0, factor: 1, max: 0, jitter: 0 })
    assert.deepEqual(parallelMapSettings({ retries: 1, backoff: other }, 'pool').tries.backoff, other)
    assert.deepEqual(parallelMapSettings({ retries: 1, backoff: { jitter: 1 } }, 'pool').tries.backoff, {
      ...backoff,
      jitter: 1,
    })
  })

  test('what is a mapper', () => {
    assert.equal(
      mapperKind(() => {}),
      'function',
    )
    assert.equal(mapperKind({ [startCall]() {} }), 'pool')
    for (const wrong of [undefined, null, 'task.js', {}, [], 1]) {
      assert.throws(() => mapperKind(wrong), {
        ...TYPE,
        message: /a function, a pool or a native operation, got/,
      })
    }
  })
})

describe('workerPool', () => {
  test('defaults', () => {
    const settings = workerPoolSettings('tasks/task.js', undefined)
    const path = join(process.cwd(), 'tasks/task.js')
    assert.deepEqual(settings, {
      task: { url: pathToFileURL(path).href, path },
      maxWorkers: undefined,
      minWorkers: 0,
      idleTimeout: undefined,
      maxTasksPerWorker: undefined,
      maxAge: undefined,
      startTimeout: 60_000,
      minFreeMemory: undefined,
      concurrencyPerWorker: 1,
      gracePeriod: 200,
      env: { ...process.env },
      execArgv: inheritedExecArgv(process.execArgv),
      cwd: process.cwd(),
      stdout: 'inherit',
      stderr: 'inherit',
      niceIncrement: 0,
      rlimits: { cpuSeconds: undefined, openFiles: undefined, coreSize: undefined },
      permission: undefined,
      maxMemory: undefined,
      protocol: undefined,
      serialization: 'json',
      lastMessage: undefined,
      setupData: undefined,
      exportName: 'default',
      label: basename(path),
    })
    assert.ok(Object.isFrozen(settings))
  })

  test('a task is a file URL, its text, or a path relative to cwd', () => {
    const url = new URL('file:///a%20folder/task.js')
    for (const task of [url, url.href]) {
      assert.deepEqual(workerPoolSettings(task, undefined).task, { url: url.href, path: '/a folder/task.js' })
    }
    assert.equal(workerPoolSettings('task.js', { cwd: '/elsewhere' }).task.path, '/elsewhere/task.js')
    assert.equal(workerPoolSettings('/task #1.js', undefined).task.url, 'file:///task%20%231.js')
    for (const wrong of [
      undefined,
      null,
      '',
      1,
      {},
      new URL('https://example.org/task.js'),
      'file://host/x.js',
    ]) {
      assert.throws(() => workerPoolSettings(wrong, undefined), { ...TYPE, message: /"task"/ })
    }
  })

  test('right values arrive, and the caller keeps its objects', () => {
    const env = { A: '1', B: undefined }
    const execArgv = ['--no-warnings']
    const setupData = { any: 'thing' }
    const settings = workerPoolSettings('task.js', {
      size: 3,
      concurrencyPerWorker: 128,
      gracePeriod: 0,
      env,
      execArgv,
      cwd: new URL('file:///tmp/'),
      setupData,
      exportName: 'parse',
      label: 'parser',
      stdout: 'ignore',
      stderr: 'pipe',
    })
    assert.equal(settings.stdout, 'ignore')
    assert.equal(settings.stderr, 'pipe')
    assert.deepEqual(settings.env, { A: '1' })
    assert.deepEqual(env, { A: '1', B: undefined })
    assert.deepEqual(settings.execArgv, execArgv)
    assert.equal(Object.isFrozen(execArgv), false)
    assert.equal(settings.setupData, setupData)
    assert.equal(settings.cwd, '/tmp/')
    assert.equal(settings.maxWorkers, 3)
    assert.equal(workerPoolSettings('task.js', { maxWorkers: 4 }).maxWorkers, 4)
    assert.equal(settings.concurrencyPerWorker, 128)
    assert.equal(settings.gracePeriod, 0)
    assert.equal(settings.exportName, 'parse')
    assert.equal(settings.label, 'parser')
  })

  test('fork scripts', () => {
    const { protocol, serialization, lastMessage } = workerPoolSettings('task.js', {
      protocol: 'message',
      serialization: 'advanced',
      lastMessage: { done: true },
      concurrencyPerWorker: 1,
    })
    assert.deepEqual([protocol, serialization, lastMessage], ['message', 'advanced', { done: true }])
    for (const wrong of [{ exportName: 'run' }, { setupData: 1 }])
      assert.throws(() => workerPoolSettings('task.js', { protocol: 'message', ...wrong }), TYPE)
    assert.throws(
      () => workerPoolSettings('task.js', { protocol: 'message', concurrencyPerWorker: 2 }),
      RANGE,
    )
    for (const wrong of [{ serialization: 'json' }, { lastMessage: 1 }]) {
      assert.throws(() => workerPoolSettings('task.js', { protocol: 'function', ...wrong }), TYPE)
      assert.throws(() => workerPoolSettings(() => {}, wrong), TYPE)
    }
    assert.throws(() => workerPoolSettings(() => {}, { protocol: 'message' }), TYPE)
    const cyclic = {}
    cyclic.self = cyclic
    for (const lastMessage of [() => {}, Symbol('s'), 1n, cyclic])
      assert.throws(() => workerPoolSettings('task.js', { lastMessage }), TYPE)
  })

  test('wrong types and values', () => {
    const wrongTypes = {
      size: ['2', null],
      protocol: [null, 1, ['message']],
      serialization: [null, true],
      maxWorkers: ['2', null, 2n],
      minWorkers: ['2', null, 2n],
      idleTimeout: ['1s', null],
      maxTasksPerWorker: ['9', null],
      maxAge: ['1h', null],
      startTimeout: ['1s', null],
      minFreeMemory: ['1 GB', null, 1n],
      concurrencyPerWorker: ['4', null, true],
      gracePeriod: ['1s', null],
      env: [null, 'A=1', [], { A: 1 }, { A: null }],
      execArgv: [null, '--flag', [1]],
      cwd: [null, 1, '', new URL('https://example.org/')],
      exportName: [null, 1, Symbol('s')],
      label: [null, 1],
      sizes: [2],
      stdout: [null, 1, ['pipe']],
      stderr: [null, true, process.stderr],
      maxMemory: [null, '1 GB', 1n],
      permission: [
        null,
        true,
        [],
        { fsread: [] },
        { net: true },
        { fsRead: '/' },
        { fsRead: [1] },
        { fsRead: ['file://host/x'] },
        { fsWrite: [new URL('https://example.com/')] },
        { fsWrite: null },
        { childProcess: 1 },
        { worker: null },
      ],
      inheritEnv: [null, 'PATH', { PATH: true }, [1], ['PATH', null]],
      niceIncrement: [null, '5', 5n],
      rlimits: [null, 5, [], { cpu: 1 }, { cpuSeconds: '1' }, { openFiles: null }, { coreSize: 0n }],
    }
    for (const [name, values] of Object.entries(wrongTypes)) {
      for (const value of values) assert.throws(() => workerPoolSettings('task.js', { [name]: value }), TYPE)
    }
    const wrongValues = {
      size: [0, -1, 1.5, NaN, Infinity],
      maxWorkers: [0, -1, 1.5, NaN, Infinity],
      minWorkers: [-1, 0.5, NaN, Infinity, 65_537],
      idleTimeout: [-1, NaN, Infinity, 2 ** 31],
      maxTasksPerWorker: [0, -1, 1.5, NaN, Infinity],
      maxAge: [0, -1, NaN, Infinity, 2 ** 31],
      startTimeout: [0, NaN, Infinity, 2 ** 31],
      minFreeMemory: [0, -1, 0.5, NaN, Infinity],
      concurrencyPerWorker: [0, -1, 1.5, NaN, 129, Infinity],
      gracePeriod: [-1, NaN, Infinity, 2 ** 31],
      exportName: [''],
      label: [''],
      stdout: ['', 'null', 'Pipe'],
      stderr: ['', 'overlapped'],
      maxMemory: [0, -1, 1.5, NaN, Infinity],
      permission: [{ fsRead: [''] }, { fsWrite: ['a\0b'] }],
      inheritEnv: [[''], ['A=B'], ['A\0B']],
      niceIncrement: [-1, 0.5, 20, NaN, Infinity],
      protocol: ['', 'child', 'ipc'],
      serialization: ['', 'JSON'],
      rlimits: [{ cpuSeconds: -1 }, { openFiles: 1.5 }, { coreSize: Infinity }, { coreSize: 2 ** 53 }],
      env: [{ 'A=B': '1' }, { A: 'a\0b' }],
    }
    for (const [name, values] of Object.entries(wrongValues)) {
      for (const value of values) assert.throws(() => workerPoolSettings('task.js', { [name]: value }), RANGE)
    }
    for (const options of [null, 1, []]) assert.throws(() => workerPoolSettings('task.js', options), TYPE)
    assert.equal(workerPoolSettings('task.js', { minWorkers: 2, maxWorkers: 2 }).minWorkers, 2)
    for (const most of [{ maxWorkers: 2 }, { size: 2 }])
      assert.throws(() => workerPoolSettings('task.js', { minWorkers: 3, ...most }), {
        ...RANGE,
        message: /"minWorkers".*at most maxWorkers \(2\)/,
      })
  })

  test('the environment: all, some, none, and what comes on top', () => {
    const { PATH } = process.env
    const envOf = (options) => workerPoolSettings('task.js', options).env
    assert.deepEqual(envOf({ inheritEnv: ['PATH', 'MILLRACE_NOT_SET'] }), { PATH })
    assert.deepEqual(envOf({ inheritEnv: [] }), {})
    assert.deepEqual(envOf({ env: { A: '1' } }), { A: '1' })
    assert.deepEqual(envOf({ inheritEnv: ['PATH'], env: { A: '1' } }), { PATH, A: '1' })
    assert.deepEqual(envOf({ inheritEnv: ['PATH'], env: { PATH: '/bin' } }), { PATH: '/bin' })
    assert.deepEqual(envOf({ inheritEnv: ['PATH'], env: { PATH: undefined } }), { PATH })
    assert.ok(Object.isFrozen(envOf({ inheritEnv: ['PATH'] })))
  })

  test('permissions: nothing that is not said; paths from cwd', () => {
    const permissionOf = (permission) =>
      workerPoolSettings('task.js', { cwd: '/base', permission }).permission
    assert.deepEqual(permissionOf({}), { fsRead: [], fsWrite: [], childProcess: false, worker: false })
    const given = {
      fsRead: ['data', '../x/*', new URL('file:///a%20b')],
      fsWrite: ['*', 'file:///out/'],
      worker: true,
    }
    assert.deepEqual(permissionOf(given), {
      fsRead: ['/base/data', '/x/*', '/a b'],
      fsWrite: ['*', '/out'],
      childProcess: false,
      worker: true,
    })
  })

  test('limits', () => {
    assert.equal(workerPoolSettings('task.js', { maxMemory: 1 }).maxMemory, 1)
    const limits = { cpuSeconds: 0, openFiles: 100, coreSize: 2 ** 53 - 1 }
    const settings = workerPoolSettings('task.js', { niceIncrement: 19, rlimits: limits })
    assert.equal(settings.niceIncrement, 19)
    assert.deepEqual(settings.rlimits, limits)
    assert.throws(() => workerPoolSettings('task.js', { rlimits: { cpuSeconds: -1 } }), {
      ...RANGE,
      message: /"rlimits.cpuSeconds"/,
    })
    assert.throws(() => workerPoolSettings('task.js', { rlimits: { cpus: 1 } }), {
      ...TYPE,
      message: /"rlimits.cpus": expected one of cpuSeconds, openFiles, coreSize/,
    })
  })

  test('flags of the parent that workers take over', () => {
    const cases = [
      [['--import', 'tsx', '--max-old-space-size=100'], '--import tsx --max-old-space-size=100'],
      [['-r', './hook.js', '--inspect', '--enable-source-maps'], '-r ./hook.js --enable-source-maps'],
      [['--inspect-brk=9230', '--inspect-port', '9231', '--no-warnings'], '--no-warnings'],
      [['--test', '--test-reporter', 'spec', '--test-timeout=1', '--conditions', 'x'], '--conditions x'],
      [['--watch', '--watch-path', 'lib', '--import', 'tsx'], '--import tsx'],
      [['--input-type=module', '-e', 'work()', '--no-warnings'], '--no-warnings'],
      [['-pe', '1 + 1'], ''],
      [['--eval', 'work()', '-r', 'x'], '-r x'],
      [['--experimental-test-coverage'], ''],
      [['--env-file=.env', '--cpu-prof'], '--env-file=.env --cpu-prof'],
    ]
    for (const [flags, inherited] of cases) assert.equal(inheritedExecArgv(flags).join(' '), inherited)
  })

  test('run() and close()', () => {
    const { signal } = new AbortController()
    assert.deepEqual(runSettings(undefined), { signal: undefined, tries: undefined, priority: 0 })
    assert.deepEqual(runSettings({ signal }), { signal, tries: undefined, priority: 0 })
    assert.equal(runSettings({ priority: -3 }).priority, -3)
    assert.throws(() => runSettings({ priority: 0.5 }), RANGE)
    assert.deepEqual(closeSettings(undefined), { force: false })
    assert.deepEqual(closeSettings({ force: true }), { force: true })
    for (const wrong of [null, 1, { signal: 1 }, { timeout: null }, { settled: true }])
      assert.throws(() => runSettings(wrong), TYPE)
    for (const wrong of [null, true, { force: 1 }, { forced: true }])
      assert.throws(() => closeSettings(wrong), TYPE)
  })
})
