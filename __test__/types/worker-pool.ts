// What workerPool(), native and the error classes promise.

import {
  type ConsumedError,
  type Failure,
  failureOf,
  type isWorker,
  type MillraceError,
  native,
  type ParallelMap,
  type PoolClosedError,
  parallelMap,
  type SerializationError,
  type Settled,
  skip,
  type TaskModule,
  type TaskTimeoutError,
  WorkerCrashError,
  type WorkerPool,
  type WorkerStartError,
  workerPool,
} from 'millrace'
import { type Equal, expect } from './expect.js'
import type * as compiledTask from './task-compiled.cjs'
import type * as moduleTask from './task-module.cjs'

// Without types, everything goes in and comes out.
{
  const pool = workerPool('./task.js')
  expect<Equal<typeof pool, WorkerPool<any, any>>>()
  const results = parallelMap([1], pool)
  expect<Equal<typeof results, ParallelMap<any>>>()
  expect<Equal<typeof pool.size, number>>()
  pool.size = 3
  // @ts-expect-error no number
  pool.size = '3'
  workerPool('./task.js', { maxWorkers: 2 })
  expect<Equal<typeof pool.label, string>>()
}

// With types, items and results are checked.
{
  await using pool = workerPool<string, { words: number }>(new URL('./task.js', import.meta.url), {
    size: 2,
    concurrencyPerWorker: 4,
    env: { A: '1', B: undefined },
    stdout: 'pipe',
    stderr: 'ignore',
    inheritEnv: ['PATH'],
    niceIncrement: 5,
    maxMemory: 2 ** 30,
    permission: { fsRead: ['data', new URL('file:///tmp/')], fsWrite: [], childProcess: false, worker: true },
    rlimits: { cpuSeconds: 10, openFiles: 256, coreSize: 0 },
    execArgv: ['--import', 'tsx'],
    cwd: new URL('.', import.meta.url),
    setupData: new Map(),
    exportName: 'count',
    label: 'counter',
  })
  const results = parallelMap(['a'], pool)
  expect<Equal<typeof results, ParallelMap<{ words: number }>>>()
  const settled = parallelMap([Promise.resolve('a')], pool, { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<{ words: number }>>>>()
  const one = await pool.run('a', { signal: AbortSignal.timeout(10) })
  expect<Equal<typeof one, { words: number }>>()
  const nothing = [await pool.ready(), await pool.close(), await pool.close({ force: true })]
  expect<Equal<typeof nothing, void[]>>()
  // @ts-expect-error items of another type
  parallelMap([1], pool)
  // @ts-expect-error an item of another type
  pool.run(1)
  // @ts-expect-error a typo
  pool.close({ forced: true })
}
// The two types may be literal ones, also with an exportName.
{
  const states = workerPool<{ id: number }, 'ok' | 'bad'>('./task.js', { exportName: 'check' })
  expect<Equal<typeof states, WorkerPool<{ id: number }, 'ok' | 'bad'>>>()
  const lengths = workerPool<string, 'one'>('./task.js', { exportName: 'check' })
  expect<Equal<typeof lengths, WorkerPool<string, 'one'>>>()
  const done = workerPool<{ id: number }, 'done'>('./task.js', { size: 1 })
  expect<Equal<typeof done, WorkerPool<{ id: number }, 'done'>>>()
  const text = workerPool<{ id: number }, string>('./task.js', { exportName: 'check' })
  expect<Equal<typeof text, WorkerPool<{ id: number }, string>>>()
  const any = workerPool<any, any>('./task.js', { exportName: 'check' })
  expect<Equal<typeof any, WorkerPool<any, any>>>()
  const never = workerPool<{ id: number }, never>('./task.js', { exportName: 'check' })
  expect<Equal<typeof never, WorkerPool<{ id: number }, never>>>()
  const key = workerPool<{ done: boolean }, 'done'>('./task.js')
  expect<Equal<typeof key, WorkerPool<{ done: boolean }, 'done'>>>()
  const unknown = workerPool<unknown, string>('./task.js', { exportName: 'check' })
  expect<Equal<typeof unknown, WorkerPool<unknown, string>>>()
}

// The types of a module's default export.
{
  const url = new URL('./tasks.js', import.meta.url)
  const pool = workerPool<typeof import('./tasks.js')>(url, { size: 2 })
  expect<Equal<typeof pool, WorkerPool<string, { words: number }>>>()
  const one = await pool.run('a')
  expect<Equal<typeof one, { words: number }>>()
  const results = parallelMap(['a'], pool)
  expect<Equal<typeof results, ParallelMap<{ words: number }>>>()
  const mapped = parallelMap([1], (n) => String(n)).map(pool)
  expect<Equal<typeof mapped, ParallelMap<{ words: number }>>>()
  const settled = parallelMap(new Set(['a']), pool, { settled: true })
  expect<Equal<typeof settled, ParallelMap<Settled<{ words: number }>>>>()
  // @ts-expect-error items of another type
  parallelMap([1], pool)
  // @ts-expect-error an item of another type
  pool.run(1)
  // @ts-expect-error results of another type
  parallelMap([1], (n) => n).map(pool)
  // @ts-expect-error the types are those of the default export
  workerPool<typeof import('./tasks.js')>(url, { exportName: 'resize' })
  // @ts-expect-error a typo
  workerPool<typeof import('./tasks.js')>(url, { sizes: 2 })
  const explicit = workerPool<typeof import('./tasks.js')>(url, { exportName: 'default' })
  expect<Equal<typeof explicit, typeof pool>>()
  // A path will do.
  expect<Equal<ReturnType<typeof workerPool<typeof import('./tasks.js')>>, typeof pool>>()
}

// The types of another export, named twice: for the compiler and for the worker.
{
  type Tasks = typeof import('./tasks.js')
  const resize = workerPool<Tasks, 'resize'>('./tasks.js', { exportName: 'resize', size: 1 })
  expect<Equal<typeof resize, WorkerPool<{ width: number }, Uint8Array>>>()
  const odd = workerPool<Tasks, 'odd'>('./tasks.js', { exportName: 'odd' })
  expect<Equal<typeof odd, WorkerPool<number, number>>>()
  const indexed = workerPool<Tasks, 'indexed'>('./tasks.js', { exportName: 'indexed' })
  expect<Equal<typeof indexed, WorkerPool<string, [string, number]>>>()
  const overloaded = workerPool<Tasks, 'overloaded'>('./tasks.js', { exportName: 'overloaded' })
  expect<Equal<typeof overloaded, WorkerPool<number, boolean>>>()
  const none = workerPool<Tasks, 'none'>('./tasks.js', { exportName: 'none' })
  expect<Equal<typeof none, WorkerPool<unknown, void>>>()
  const optional = workerPool<Tasks, 'optional'>('./tasks.js', { exportName: 'optional' })
  expect<Equal<typeof optional, WorkerPool<string | undefined, string>>>()
  const lines = parallelMap(['a'], (text) => text).flatMap(
    workerPool<Tasks, 'lines'>('./tasks.js', { exportName: 'lines' }),
  )
  expect<Equal<typeof lines, ParallelMap<string>>>()
  // @ts-expect-error no such export
  workerPool<Tasks, 'missing'>('./tasks.js', { exportName: 'missing' })
  // @ts-expect-error no function
  workerPool<Tasks, 'VERSION'>('./tasks.js', { exportName: 'VERSION' })
  // @ts-expect-error needs two items
  workerPool<Tasks, 'two'>('./tasks.js', { exportName: 'two' })
  // @ts-expect-error the worker is told another name
  workerPool<Tasks, 'resize'>('./tasks.js', { exportName: 'odd' })
  // @ts-expect-error the worker is told no name
  workerPool<Tasks, 'resize'>('./tasks.js')
}

// CommonJS: module.exports, a default export that was compiled, and others beside it.
{
  const whole = workerPool<typeof import('./task-module.cjs')>('./task-module.cjs')
  expect<Equal<typeof whole, WorkerPool<number, string>>>()
  const compiled = workerPool<typeof import('./task-compiled.cjs')>('./task-compiled.cjs')
  expect<Equal<typeof compiled, WorkerPool<number, bigint>>>()
  const named = workerPool<typeof import('./task-compiled.cjs'), 'named'>('./task-compiled.cjs', {
    exportName: 'named',
  })
  expect<Equal<typeof named, WorkerPool<bigint, number>>>()
  // As ESM imports them, their module.exports is the default export.
  const imported = workerPool<typeof moduleTask>('./task-module.cjs')
  expect<Equal<typeof imported, typeof whole>>()
  const importedCompiled = workerPool<typeof compiledTask>('./task-compiled.cjs')
  expect<Equal<typeof importedCompiled, typeof compiled>>()
}

// A module without a mapper is none.
{
  // @ts-expect-error no default export
  workerPool<typeof import('./expect.js')>('./expect.js')
  // @ts-expect-error a default export that is no function
  workerPool<{ default: { a: 1 } }>('./task.js')
  // @ts-expect-error one type alone is that of a module
  workerPool<string>('./task.js')
  const _module: TaskModule = { default: (n: number) => n }
  // @ts-expect-error of another name
  const _other: TaskModule<'other'> = { default: (n: number) => n }
}

// A function says what its items and results are.
{
  const pool = workerPool((n: number) => String(n), { size: 1, label: 'text', cwd: '.' })
  expect<Equal<typeof pool, WorkerPool<number, string>>>()
  const results = parallelMap([1], pool)
  expect<Equal<typeof results, ParallelMap<string>>>()
  // @ts-expect-error items of another type
  parallelMap(['a'], pool)
  const later = workerPool(async (text: string, { index, signal }) => {
    expect<Equal<typeof signal, AbortSignal>>()
    return text.length + index
  })
  expect<Equal<typeof later, WorkerPool<string, number>>>()
  const odd = workerPool((n: number, context) => (n % 2 ? n : context.skip))
  expect<Equal<typeof odd, WorkerPool<number, number>>>()
  const either = workerPool((n: number) => (n % 2 ? n : Promise.resolve(skip)))
  expect<Equal<typeof either, WorkerPool<number, number>>>()
  const given = workerPool<number, Promise<string>>(async (n) => String(n))
  expect<Equal<typeof given, WorkerPool<number, string>>>()
  const nothing = workerPool(() => {})
  expect<Equal<typeof nothing, WorkerPool<unknown, void>>>()
  const many = parallelMap([1], pool).flatMap(
    workerPool(function* (text: string) {
      yield* [...text]
    }),
  )
  expect<Equal<typeof many, ParallelMap<string>>>()
  // @ts-expect-error a function has no exports
  workerPool((n: number) => n, { exportName: 'resize' })
  // @ts-expect-error a function has no setup
  workerPool((n: number) => n, { setupData: 1 })
  // @ts-expect-error a typo
  workerPool((n: number) => n, { sizes: 1 })
  // @ts-expect-error a class is no mapper
  workerPool(class {})
  // @ts-expect-error a mapper has one item
  workerPool((a: number, b: number) => a + b)
}

// @ts-expect-error no task
workerPool()
// @ts-expect-error a typo
workerPool('./task.js', { sizes: 2 })
// @ts-expect-error no number
workerPool('./task.js', { env: { A: 1 } })

// Native operations.
{
  const hashes = parallelMap(['a', Buffer.from('b'), new ArrayBuffer(1)], native.sha256())
  expect<Equal<typeof hashes, ParallelMap<string>>>()
  // @ts-expect-error numbers have no bytes
  parallelMap([1], native.sha256())
}
expect<Equal<typeof isWorker, boolean>>()

// Errors.
{
  const error = new WorkerCrashError('gone', { cause: undefined, index: 1, exitCode: 3 })
  expect<Equal<typeof error.code, 'ERR_WORKER_CRASHED'>>()
  const base: MillraceError = error
  expect<Equal<typeof base.code, string>>()
  expect<Equal<typeof base.exitCode, number | undefined>>()
  expect<Equal<WorkerStartError['code'], 'ERR_WORKER_START'>>()
  expect<Equal<SerializationError['code'], 'ERR_SERIALIZATION'>>()
  expect<Equal<PoolClosedError['code'], 'ERR_POOL_CLOSED'>>()
  expect<Equal<ConsumedError['code'], 'ERR_CONSUMED'>>()
}

// Listeners: the event says what they are called with.
{
  const pool = workerPool('./task.js')
  const same = pool
    .on('stdout', (chunk, worker) => {
      expect<Equal<typeof chunk, Buffer>>()
      expect<Equal<typeof worker, number>>()
    })
    .once('workerStart', ({ worker, pid }) => expect<Equal<[typeof worker, typeof pid], [number, number]>>())
    .on('message', (_value, { worker, index }) =>
      expect<Equal<[typeof worker, typeof index], [number, number | undefined]>>(),
    )
    .on('progress', ({ done, total }) => expect<Equal<[typeof done, typeof total], [number, number]>>())
    .off('workerExit', ({ signal }) => expect<Equal<typeof signal, string | null>>())
    .on('error', (error) => expect<Equal<typeof error, Error>>())
    .removeListener('stderr', (chunk) => expect<Equal<typeof chunk, Buffer>>())
  expect<Equal<typeof same, typeof pool>>()
  expect<Equal<ReturnType<typeof pool.postMessage>, number>>()
  parallelMap([1], (number, { emit, progress }) => {
    emit({ number })
    progress(0.5)
    progress(1, 2)
    // @ts-expect-error: no number
    progress('half')
    return number
  })
  // @ts-expect-error: nothing to send
  pool.postMessage()
  // @ts-expect-error: there is no such event
  pool.on('data', () => {})
  // @ts-expect-error: not a way to treat output
  workerPool('./task.js', { stdout: 'overlapped' })
  // @ts-expect-error: there is no such limit
  workerPool('./task.js', { rlimits: { memory: 1 } })
}

// Tries.
{
  const pool = workerPool<number, string>('./task.js', { gracePeriod: 100 })
  const retryIf = (error: unknown, context: { index: number; attempt: number }) => error !== context
  pool.run(1, {
    retries: Infinity,
    backoff: { initial: 1, factor: 2, max: 3, jitter: 0 },
    retryIf,
    timeout: 1,
  })
  const [outcome] = await parallelMap([1], pool, { retries: 1, crashRetries: 1, settled: true }).toArray()
  const failure = failureOf(outcome)
  expect<Equal<typeof failure, Failure | undefined>>()
  expect<Equal<Failure['errors'], readonly unknown[]>>()
  expect<Equal<TaskTimeoutError['code'], 'ERR_TASK_TIMEOUT'>>()
  // @ts-expect-error a typo
  pool.run(1, { retry: 1 })
  // @ts-expect-error no number
  pool.run(1, { backoff: { initial: '1s' } })
}

// What goes first, and keys.
{
  const pool = workerPool<{ id: string }, string>('./task.js')
  pool.run({ id: 'a' }, { priority: 1 })
  parallelMap([{ id: 'a' }], pool, { priority: -1, key: ({ id }) => id })
  parallelMap([1], async (n: number) => n, { key: (n: number) => n % 2 === 0 })
  // @ts-expect-error no number
  pool.run({ id: 'a' }, { priority: 'high' })
  // @ts-expect-error no key
  parallelMap([1], pool, { key: () => ({}) })
}

// How many workers, and for how long.
{
  const pool = workerPool('./task.js', {
    minWorkers: 1,
    maxWorkers: 4,
    idleTimeout: 0,
    maxTasksPerWorker: 1000,
    maxAge: 60_000,
    startTimeout: 5000,
    minFreeMemory: 1e9,
  })
  pool.on('workerRecycle', ({ worker, pid, reason }) => {
    expect<Equal<typeof worker, number>>()
    expect<Equal<typeof pid, number>>()
    const because: 'size' | 'idleTimeout' | 'maxTasksPerWorker' | 'maxAge' | 'minFreeMemory' | 'maxMemory' =
      reason
    void because
  })
  // @ts-expect-error no number
  workerPool('./task.js', { idleTimeout: '1s' })
}
