// The main job on real input: every JavaScript file under node_modules is parsed in worker processes and summed up.
// `npm start` runs it; `node examples/parse-node-modules.js [folder]` reads another folder.

import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SingleBar } from 'cli-progress'
import { parallelMap, workerPool } from 'millrace'
import parseFile from './parse-file.js'

const folder = resolve(process.argv[2] ?? fileURLToPath(new URL('../node_modules', import.meta.url)))
const files = javaScriptFiles(folder)

// A file that does not parse is an outcome like others: it is counted, and ends nothing.
const options = { settled: true, preserveOrder: false }
const size = availableParallelism()
const pool = workerPool(new URL('./parse-file.js', import.meta.url), { size })
const parallel = await summarise(`${size} processes`, parallelMap(files, pool, options))
await pool.close()
// The same files in the same order, one after the other, here: what a program without workers would do.
const alone = await summarise('one process', parallelMap(files, parseFile, { ...options, concurrency: 1 }))
report(parallel, alone)

/** Takes the outcomes as they come and adds them up. */
async function summarise(title, outcomes) {
  const summary = { bytes: 0, functions: 0, packages: new Map(), slowest: { ms: 0 }, failures: [], ms: 0 }
  const bar = new SingleBar({
    format: `${title} {bar} {percentage}% | {value}/{total} files`,
    clearOnComplete: true,
  })
  bar.start(files.length, 0)
  const began = performance.now()
  for await (const outcome of outcomes) {
    const path = files[outcome.index]
    if (outcome.status === 'fulfilled') add(summary, path, outcome.value)
    else summary.failures.push({ path, reason: outcome.reason })
    bar.increment()
  }
  summary.ms = performance.now() - began
  bar.stop()
  return summary
}

function add(summary, path, { bytes, functions, ms }) {
  summary.bytes += bytes
  summary.functions += functions
  if (ms > summary.slowest.ms) summary.slowest = { path, ms }
  const name = packageOf(path)
  const total = summary.packages.get(name) ?? { name, files: 0, bytes: 0, functions: 0 }
  summary.packages.set(name, total)
  total.files += 1
  total.bytes += bytes
  total.functions += functions
}

function report({ bytes, functions, packages, slowest, failures, ms }, alone) {
  const seconds = ms / 1000
  const largest = [...packages.values()].sort((a, b) => b.bytes - a.bytes).slice(0, 10)
  console.log(`${count(files.length)} JavaScript files of ${count(packages.size)} packages`)
  console.log(`  bytes      ${megabytes(bytes)} MB`)
  console.log(`  functions  ${count(functions)}`)
  console.log(`  time       ${seconds.toFixed(2)} s in ${size} worker processes, their start included`)
  console.log(
    `  speed      ${count(files.length / seconds)} files/s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`,
  )
  console.log(
    `  speed-up   ${(alone.ms / ms).toFixed(2)}× (one process: ${(alone.ms / 1000).toFixed(2)} s, same files)`,
  )
  console.log(`  slowest    ${relative(folder, slowest.path)}, ${count(slowest.ms)} ms`)

  console.log('\nThe ten largest packages        MB   files  functions')
  for (const { name, files, bytes, functions } of largest) {
    const columns = [megabytes(bytes).padStart(6), count(files).padStart(7), count(functions).padStart(10)]
    console.log(`  ${name.padEnd(26)} ${columns.join(' ')}`)
  }

  console.log(`\n${count(failures.length)} files did not parse`)
  failures.sort((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path, reason } of failures.slice(0, 5))
    console.log(`  ${relative(folder, path)}: ${reason.message}`)
  if (failures.length > 5) console.log(`  … and ${count(failures.length - 5)} more`)
}

function javaScriptFiles(place) {
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?js$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** The package that a file belongs to: what follows the last node_modules/ (or the folder), with its scope. */
function packageOf(path) {
  const inside = relative(folder, path).split('node_modules/')
  const [scope, name] = inside.at(-1).split('/')
  // A second copy inside another package is another version: it keeps where it lies.
  const owner = inside.length > 1 ? ` (in ${inside[0].replace(/\/$/, '')})` : ''
  return (scope.startsWith('@') ? `${scope}/${name}` : scope) + owner
}

function count(number) {
  return Math.round(number).toLocaleString('en')
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(2)
}
