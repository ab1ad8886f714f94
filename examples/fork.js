// A script for child_process.fork, unmodified: under the loop that it was written for, and as the task of a pool.

import { parallelMap, workerPool } from 'millrace'
import { fork } from 'millrace/fork' // was: from 'node:child_process'

const script = new URL('./fork-script.cjs', import.meta.url)
const jobs = Array.from({ length: 6 }, (_, i) => ({ data: [i, i + 1, i + 2] }))

// Round robin over two children.
const children = [fork(script), fork(script)]
let sum = 0
let answers = 0
for (const child of children) {
  child.on('message', (message) => {
    sum += message.sum
    if (++answers === jobs.length) for (const each of children) each.disconnect()
  })
}
const exits = children.map((child) => new Promise((resolve) => child.on('exit', resolve)))
for (const [i, job] of jobs.entries()) children[i % 2].send(job)
console.log(`exits ${await Promise.all(exits)}, sum ${sum}`)

// The same in one line.
const pool = workerPool(script, { size: 2, protocol: 'message' })
console.log((await parallelMap(jobs, pool).toArray()).map((message) => message.sum).join(' '))
await pool.close()
