// A stage of a Node pipeline: the lines of a file are hashed in worker processes and written to stdout. Back-pressure
// reaches from the terminal to the file; an error anywhere destroys every stage.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { throughWorkers, workerPool } from 'millrace'

const pool = workerPool(async (line) => {
  const { scryptSync } = await import('node:crypto')
  return `${scryptSync(line, 'salt', 8, { N: 1024 }).toString('hex')}  ${line}\n`
})

const file = createReadStream(new URL(import.meta.url))
const lines = Readable.from(createInterface({ input: file, crlfDelay: Infinity }))
await pipeline(lines, throughWorkers(pool), process.stdout, { end: false })
await pool.close()
