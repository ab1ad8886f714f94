// The lines of a file of 80 MB, one after the other.

import { createReadStream, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { lines } from 'millrace'
import { root } from '../../scripts/root.js'
import { withDelay } from '../event-loop-delay.js'

export const sides = {
  millrace: () =>
    rate(async (file, take) => {
      await lines(file).forEach(take)
    }),
  'for await': () =>
    rate(async (file, take) => {
      for await (const line of lines(file)) take(line)
    }),
  readline: () =>
    rate(async (file, take) => {
      for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity }))
        take(line)
    }),
  split: () =>
    rate(async (file, take) => {
      const text = await readFile(file, 'utf8')
      for (const line of text.slice(0, -1).split('\n')) take(line)
    }),
}

async function rate(read) {
  const file = fileOfLines()
  let [count, length] = [0, 0]
  const take = (line) => {
    count++
    length += line.length
  }
  // It is in memory then, and the code is compiled.
  await read(file, take)
  count = length = 0
  const { ms, delay } = await withDelay(() => read(file, take))
  if (count !== LINES || length !== CHARACTERS) throw new Error(`${count} lines of ${length} characters`)
  return { value: LINES / (ms / 1000), delay }
}

/** The file, made once. */
function fileOfLines() {
  const folder = join(root, 'target/bench')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'lines.txt')
  if (!existsSync(path)) {
    writeFileSync(`${path}.new`, `${'x'.repeat(LENGTH)}\n`.repeat(LINES))
    renameSync(`${path}.new`, path)
  }
  return path
}

const LINES = 1_000_000
const LENGTH = 79
const CHARACTERS = LINES * LENGTH
