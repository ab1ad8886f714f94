// The same for lines, as one writes it without a library: stdin to stdout.

import { createInterface } from 'node:readline'
import anonymise from './anonymise.js'

let output = ''
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity })
lines.on('line', (line) => {
  output += `${JSON.stringify(anonymise(JSON.parse(line)))}\n`
  if (output.length < 65_536) return
  process.stdout.write(output)
  output = ''
})
lines.on('close', () => process.stdout.write(output))
