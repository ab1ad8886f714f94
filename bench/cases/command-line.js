// A file of 400,000 lines through a function, from the start of the command to its end, on as many processes as there are
// processors. All sides write the same bytes.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../../scripts/root.js'

export const sides = {
  millrace: () => rate(process.execPath, [join(root, 'bin/millrace.js'), 'map', TASK]),
  parallel: () =>
    rate('parallel', [
      '--will-cite',
      '--pipe',
      '-k',
      `-j${availableParallelism()}`,
      process.execPath,
      SCRIPT,
    ]),
  readline: () => rate(process.execPath, [SCRIPT]),
}

function rate(command, args) {
  const [input, output] = [openSync(lines(), 'r'), openSync(OUTPUT, 'w')]
  const began = performance.now()
  const { status, error } = spawnSync(command, args, { stdio: [input, output, 'inherit'] })
  const seconds = (performance.now() - began) / 1000
  closeSync(input)
  closeSync(output)
  if (error?.code === 'ENOENT') throw new Error(`${command} is not installed`)
  if (status !== 0) throw new Error(`${command} ended with ${status}`)
  const digest = createHash('sha256').update(readFileSync(OUTPUT)).digest('hex')
  if (digest !== EXPECTED) throw new Error(`${command} wrote something else: ${digest}`)
  return { value: LINES / seconds }
}

/** The file, made once. */
function lines() {
  mkdirSync(FOLDER, { recursive: true })
  const path = join(FOLDER, 'lines.ndjson')
  if (existsSync(path)) return path
  let text = ''
  for (let id = 0; id < LINES; id++) {
    const name = `user${(id * 7919) % 100_003}`
    const record = { id, name, email: `u${id}@example.com`, score: ((id * 31) % 1000) / 10, tags: ['a', 'b'] }
    text += `${JSON.stringify(record)}\n`
  }
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
  return path
}

const LINES = 400_000
const FOLDER = join(root, 'target/bench')
const OUTPUT = join(FOLDER, 'output.ndjson')
const TASK = fileURLToPath(new URL('../tasks/anonymise.js', import.meta.url))
const SCRIPT = fileURLToPath(new URL('../tasks/anonymise-lines.js', import.meta.url))
const EXPECTED = 'aa852ee0181d062d1cfba69016477ee1fcdaf85ec44d6b77f9bfa6a01744aa56'
