// `npm run bench`: measures each row of the table against its peer, interleaved (ours, peer, ours, peer …), and
// prints medians, the ratio and whether the goal was reached. A full run writes docs/benchmarks.md and
// bench/results.json. `npm run bench -- --only 3,4 --rounds 3` measures some rows and writes nothing.

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { root } from '../scripts/root.js'
import { SetupError } from '../scripts/tools.js'
import { machine, versions } from './machine.js'
import { asLine, asMarkdown } from './report.js'
import { ROWS } from './rows.js'

export default function bench(args) {
  const { only, rounds } = chosen(args)
  const rows = []
  for (const number of only) {
    rows.push({ number, ...measureRow(ROWS[number - 1], rounds) })
    console.log(asLine(rows.at(-1)))
  }
  const costs = only.some((number) => number <= 3) ? partCosts() : undefined
  const results = {
    date: new Date().toISOString(),
    machine: machine(),
    versions: versions(),
    rounds,
    rows,
    costs,
  }
  const page = asMarkdown(results)
  console.log(`\n${page}`)
  if (only.length === ROWS.length && rounds >= ENOUGH_ROUNDS) {
    writeFileSync(join(root, 'bench/results.json'), `${JSON.stringify(results, null, 2)}\n`)
    writeFileSync(join(root, 'docs/benchmarks.md'), page)
    console.log('written: docs/benchmarks.md, bench/results.json')
  }
  // A goal that is missed is a result; a row that could not be measured is a failure.
  if (rows.some((row) => row.error)) process.exitCode = 1
}

function chosen(args) {
  const { values } = parseArgs({ args, options: { only: { type: 'string' }, rounds: { type: 'string' } } })
  const only = values.only?.split(',').map(Number) ?? ROWS.map((_, index) => index + 1)
  const rounds = Number(values.rounds ?? ENOUGH_ROUNDS)
  if (!only.every((number) => ROWS[number - 1])) throw new SetupError(`--only: expected 1 to ${ROWS.length}`)
  if (!Number.isInteger(rounds) || rounds < 1) throw new SetupError('--rounds: expected a positive integer')
  return { only, rounds }
}

function measureRow(row, rounds) {
  const sides = row.limit === undefined ? ['ours', 'peer'] : ['ours', 'peer', 'limit']
  const samples = Object.fromEntries(sides.map((side) => [side, []]))
  let settings
  try {
    settings = row.calibrated ? measure(row.name, 'calibrate') : {}
    for (let round = 1; round <= rounds; round++) {
      for (const side of sides) {
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${row.name}, round ${round}, ${row[side]}\r`)
        samples[side].push(measureSide(row, row[side], settings))
      }
    }
  } catch (error) {
    return { ...row, error: String(error.stderr || error.message).trim() }
  }
  const ours = median(samples.ours.map(({ value }) => value))
  const peer = median(samples.peer.map(({ value }) => value))
  const delays = samples.ours.flatMap(({ delay }) => (delay === undefined ? [] : [delay]))
  const delay = delays.length > 0 ? median(delays.map(({ p99 }) => p99)) : undefined
  const longest = delays.length > 0 ? median(delays.map(({ max }) => max)) : undefined
  const verdict = judge(row, ours, peer, delay)
  // Memory is not a matter of time, so a profile would not say why.
  const profile = verdict.ok || row.growth ? undefined : profileOf(row, settings)
  const most = samples.limit && median(samples.limit.map(({ value }) => value))
  return { ...row, samples, ...verdict, longest, most, profile }
}

function profileOf(row, settings) {
  return measure(row.name, `sides.${row.ours}`, settings, 'profile').profile
}

function measureSide({ name, growth }, side, settings) {
  if (!growth) return measure(name, `sides.${side}`, settings)
  const few = measure(name, `sides.${side}.few`, settings).value
  const many = measure(name, `sides.${side}.many`, settings).value
  return { value: many - few, few, many }
}

function judge({ atLeast, atMost, atMostMore, delayAtMost }, ours, peer, delay) {
  if (atMostMore !== undefined) return { ours, peer, more: ours - peer, ok: ours - peer <= atMostMore }
  const ratio = ours / peer
  const isFast = atLeast !== undefined ? ratio >= atLeast : ratio <= atMost
  return { ours, peer, ratio, delay, ok: isFast && (delayAtMost === undefined || delay <= delayAtMost) }
}

function partCosts() {
  return { numbers: measure('parts', 'costs.numbers'), records: measure('parts', 'costs.records') }
}

function measure(name, path, settings = {}, ...more) {
  const program = fileURLToPath(new URL('./measure.js', import.meta.url))
  const args = [program, name, path, JSON.stringify(settings), ...more]
  const output = execFileSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: SIDE_LIMIT,
  })
  return JSON.parse(output.trim().split('\n').at(-1))
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const ENOUGH_ROUNDS = 5
const SIDE_LIMIT = 10 * 60 * 1000
