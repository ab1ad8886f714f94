// TypeScript: the pool takes its types from the task file, and results have theirs. Node 22.18 and newer run this as it
// is; before that, start it with a loader, which the workers inherit: node --import tsx examples/typescript.ts

import { parallelMap, type Settled, workerPool } from 'millrace'

const pool = workerPool<typeof import('./word-count.ts')>(new URL('./word-count.ts', import.meta.url))

const texts: string[] = ['a stitch in time', 'saves nine']
for await (const { words, longest } of parallelMap(texts, pool)) {
  console.log(`${words} words, the longest is ${longest.toUpperCase()}`)
}

// @ts-expect-error: a number is no text
const wrong = parallelMap([1], pool, { settled: true })
const outcomes: Settled<{ words: number; longest: string }>[] = await wrong.toArray()
console.log(outcomes[0]?.status)
await pool.close()
