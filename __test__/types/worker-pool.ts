// What workerPool(), native and the error classes promise.

import {
  type ConsumedError,
  type isWorker,
  type MillraceError,
  native,
  type ParallelMap,
  type PoolClosedError,
  parallelMap,
  type SerializationError,
  type Settled,
  WorkerCrashError,
  type WorkerPool,
  type WorkerStartError,
  workerPool,
} from 'millrace'
import { type Equal, expect } from './expect.js'

// Without types, everything goes in and comes out.
{
  const pool = workerPool('./task.js')
  expect<Equal<typeof pool, WorkerPool<any, any>>>()
  const results = parallelMap([1], pool)
  expect<Equal<typeof results, ParallelMap<any>>>()
  expect<Equal<typeof pool.size, number>>()
  expect<Equal<typeof pool.label, string>>()
}

// With types, items and results are checked.
{
  await using pool = workerPool<string, { words: number }>(new URL('./task.js', import.meta.url), {
    size: 2,
    env: { A: '1', B: undefined },
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
