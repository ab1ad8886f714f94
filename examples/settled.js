// Errors as outcomes: bad records are collected, good ones go on. No error of an item ends the call.

import { parallelMap, workerPool } from 'millrace'

const lines = ['{"id":1}', '{"id":2}', '{"id":', '{"id":4}', 'exit', '{"id":6}']

const pool = workerPool((line) => {
  // A worker that dies takes only its own item with it.
  if (line === 'exit') process.exit(3)
  return JSON.parse(line).id
})

for await (const outcome of parallelMap(lines, pool, { settled: true })) {
  if (outcome.status === 'fulfilled') console.log(`line ${outcome.index + 1}: ${outcome.value}`)
  else console.log(`line ${outcome.index + 1}: ${outcome.reason.name}`)
}
await pool.close()
