// From nothing to the first result: a pool of two that is just being made, against two forks of a CommonJS file.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parallelMap, workerPool } from 'millrace'
import { closeForks } from '../pools.js'

export const sides = {
  async millrace() {
    const began = performance.now()
    const pool = workerPool(new URL('../tasks/no-op.js', import.meta.url), { size: 2 })
    const results = parallelMap([1, 2], pool, { chunkSize: 1 })[Symbol.asyncIterator]()
    await results.next()
    const value = performance.now() - began
    await results.next()
    const both = performance.now() - began
    await pool.close()
    return { value, both }
  },

  async fork() {
    const task = fileURLToPath(new URL('../tasks/echo-child.cjs', import.meta.url))
    const began = performance.now()
    const children = [fork(task), fork(task)]
    const answers = children.map((child) => once(child, 'message'))
    for (const child of children) child.send(1)
    await Promise.race(answers)
    const value = performance.now() - began
    await Promise.all(answers)
    const both = performance.now() - began
    await closeForks(children)
    return { value, both }
  },
}
