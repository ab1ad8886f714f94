// Hash and compress a folder. Rust threads find the files, hash them (which they read themselves) and compress them; this
// event loop reads what is compressed, counts, and has time for a progress bar: `node examples/hash-folder.js [folder]`,
// by default the lib/ of this package. What is compressed goes nowhere but into the last line.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import progress from 'cli-progress'
import { files, native, parallelMap } from 'millrace'

const folder = process.argv[2] ?? fileURLToPath(new URL('../lib', import.meta.url))
const paths = await files('**', { cwd: folder }).toArray()

// It draws on stderr, and only where somebody looks.
const bar = new progress.SingleBar({ hideCursor: true, format: '{bar} {value} of {total}, {step}' })
bar.start(2 * paths.length, 0, { step: 'hashed' })

const digests = new Set()
for await (const digest of parallelMap(paths, native.digestFile('sha256'))) {
  digests.add(digest)
  bar.increment()
}

const total = { read: 0, packed: 0 }
const packed = parallelMap(paths, async (path) => {
  const bytes = await readFile(path)
  total.read += bytes.length
  return bytes
}).map(native.gzip({ level: 9 }))
for await (const { length } of packed) {
  total.packed += length
  bar.increment(1, { step: 'compressed' })
}
bar.stop()

// Of nothing, there is no share: an empty file is packed into some 20 bytes.
const share = total.read > 0 ? `${Math.round((total.packed / total.read) * 100)} % of ` : ''
console.log(`${paths.length} files, ${digests.size} of them different: ${share}${total.read} bytes`)
