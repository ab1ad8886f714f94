// Warm pools of two workers, ours and the peers'. Warm: workers started, and the code between compiled, for which every
// side works for the same time.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parallelMap, workerPool } from 'millrace'
import { Piscina } from 'piscina'
import { slideOver } from './sliding-window.js'

export async function warmMillrace(task, items) {
  const pool = workerPool(new URL(task, TASKS), { size: 2 })
  await pool.ready()
  await warm(async () => {
    for await (const _ of parallelMap(items, pool));
  })
  return pool
}

export async function warmPiscina(task, items) {
  const pool = new Piscina({ filename: fileURLToPath(new URL(task, TASKS)), minThreads: 2, maxThreads: 2 })
  await warm(() => slideOver(items, WINDOW, (item) => pool.run(item)))
  return pool
}

/**
 * Two children with a `run(item)` written by hand: messages to each in turn, and because a child answers in order, a
 * queue per child of who waits.
 */
export async function warmForks(task, items) {
  const lanes = [0, 1].map(() => {
    const child = fork(fileURLToPath(new URL(task, TASKS)))
    const waiting = []
    child.on('message', (result) => waiting.shift()(result))
    return { child, waiting }
  })
  let turn = 0
  const run = (item) =>
    new Promise((resolve) => {
      const { child, waiting } = lanes[turn++ % lanes.length]
      waiting.push(resolve)
      child.send(item)
    })
  await warm(() => slideOver(items, WINDOW, run))
  return { run, close: () => closeForks(lanes.map(({ child }) => child)) }
}

export async function closeForks(children) {
  await Promise.all(
    children.map((child) => {
      const ended = once(child, 'exit')
      child.disconnect()
      return ended
    }),
  )
}

async function warm(work) {
  const until = performance.now() + WARM_MS
  do await work()
  while (performance.now() < until)
}

/** Milliseconds that `work` takes; it must say how many results it saw. */
export async function time(work, expected) {
  const began = performance.now()
  const results = await work()
  const ms = performance.now() - began
  if (results !== expected) throw new Error(`expected ${expected} results, got ${results}`)
  return ms
}

/** Consumes a call by `for await`, as most programs do. */
export async function consume(results) {
  let count = 0
  for await (const _ of results) count++
  return count
}

export const WINDOW = 256
const TASKS = new URL('./tasks/', import.meta.url)
const WARM_MS = 1000
