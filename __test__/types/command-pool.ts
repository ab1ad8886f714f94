// What commandPool() promises.

import {
  type CommandPool,
  CommandProtocolError,
  commandPool,
  type ParallelMap,
  parallelMap,
  TaskTimeoutError,
} from 'millrace'
import { type Equal, expect } from './expect.js'

{
  const pool = commandPool('cat')
  expect<Equal<typeof pool, CommandPool<any, any>>>()
  const results = parallelMap([1], pool)
  expect<Equal<typeof results, ParallelMap<any>>>()
}

{
  await using pool = commandPool<{ text: string }, { score: number }>('python3', ['score.py'], {
    maxWorkers: 2,
    minWorkers: 1,
    idleTimeout: 1000,
    maxTasksPerWorker: 100,
    maxAge: 60_000,
    minFreeMemory: 1e9,
    format: 'ndjson',
    perItem: false,
    shell: false,
    readAhead: 'auto',
    maxLineBytes: 1024,
    stallTimeout: 100,
    gracePeriod: 10,
    env: { A: 'b', C: undefined },
    inheritEnv: ['PATH'],
    niceIncrement: 1,
    rlimits: { cpuSeconds: 1 },
    cwd: new URL('file:///'),
    stderr: 'pipe',
    maxMemory: 1,
    label: 'score',
  })
  const results = parallelMap([{ text: 'a' }], pool)
  expect<Equal<typeof results, ParallelMap<{ score: number }>>>()
  const one = await pool.run({ text: 'a' })
  expect<Equal<typeof one, { score: number }>>()
  // @ts-expect-error another item
  await pool.run(5)
  // @ts-expect-error a program hears no messages
  pool.postMessage(1)
}

// @ts-expect-error no such format
commandPool('cat', [], { format: 'csv' })
// @ts-expect-error results come from there
commandPool('cat', [], { stdout: 'pipe' })
// @ts-expect-error a program does not say when it is ready
commandPool('cat', [], { startTimeout: 1000 })
// @ts-expect-error no number
commandPool('cat', [], { maxAge: '1s' })
// @ts-expect-error strings only
commandPool('cat', [1])

const { line } = new CommandProtocolError('text', { line: 'what' })
expect<Equal<typeof line, string | undefined>>()

const late = new TaskTimeoutError('text', { stderr: 'what' })
expect<Equal<typeof late.stderr, string | undefined>>()
