// What workerPool() promises to TypeScript that compiles to CommonJS.

import { type WorkerPool, workerPool } from 'millrace'

import compiled = require('./task-compiled.cjs')
import whole = require('./task-module.cjs')

import { type Equal, expect } from './expect.js'

{
  const pool = workerPool<typeof whole>('./task-module.cjs')
  expect<Equal<typeof pool, WorkerPool<number, string>>>()
  const named = workerPool<typeof import('./task-module.cjs')>('./task-module.cjs')
  expect<Equal<typeof named, typeof pool>>()
}
{
  const pool = workerPool<typeof compiled>('./task-compiled.cjs')
  expect<Equal<typeof pool, WorkerPool<number, bigint>>>()
  const named = workerPool<typeof compiled, 'named'>('./task-compiled.cjs', { exportName: 'named' })
  expect<Equal<typeof named, WorkerPool<bigint, number>>>()
}
