// How much more memory the parent needs at its peak for 10 M items than for 1 M, against the same loop over the
// source alone. Every peak is that of a process of its own.

import { readFileSync } from 'node:fs'
import { parallelMap, workerPool } from 'millrace'
import { numbers } from '../items.js'
import { consume } from '../pools.js'

export const sides = {
  millrace: { few: () => peakOf(FEW, inWorkers), many: () => peakOf(MANY, inWorkers) },
  source: { few: () => peakOf(FEW, alone), many: () => peakOf(MANY, alone) },
}

async function inWorkers(source) {
  const pool = workerPool(new URL('../tasks/no-op.js', import.meta.url), { size: 2 })
  const count = await consume(parallelMap(source, pool))
  await pool.close()
  return count
}

async function alone(source) {
  return consume(source)
}

async function peakOf(items, loop) {
  const results = await loop(numbers(items))
  if (results !== items) throw new Error(`expected ${items} results, got ${results}`)
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return { value: kibibytes / 1024 }
}

const FEW = 1_000_000
const MANY = 10_000_000
