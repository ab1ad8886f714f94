// `npm run chaos`: pools under every fault there is, for a time and a number of items, held against a plan that follows
// from a seed. A program of its own, because it looks at all that its process holds.

import { setTimeout as sleep } from 'node:timers/promises'
import { inspect, parseArgs } from 'node:util'
import { workerPool } from '../../index.js'
import { carryOut } from './carried-call.js'
import { leftSince, memory, settledCensus } from './census.js'
import { Discrepancy, Tally } from './judge.js'
import { Outside } from './outside.js'
import { MAX_MEMORY, Plan, POOLS } from './plan.js'

/** A process takes some 100 ms of a processor to start. */
const DEATHS_PER_SECOND = 6
const CALLS_AT_ONCE = 4
/** After this part of it, whatever grows once has grown. */
const WARM = 0.3
const STALLED_MS = 60_000
/** A leak of 20 bytes an item would be more, in a million items. */
const MOST_HEAP = 8 * 2 ** 20
/** A pool keeps up to 8 buffers of up to 1 MiB for what it reads, made when they are needed. */
const MOST_OUTSIDE = POOLS.length * 8 * 2 ** 20 + MOST_HEAP
/** What the allocator keeps of it goes up and down. */
const MOST_RSS = 64 * 2 ** 20

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seconds: { type: 'string' }, items: { type: 'string' } },
})
const seed = number('seed', Math.floor(Math.random() * 2 ** 31))
const seconds = number('seconds', 60)
const items = number('items', 1_000_000)

console.log(`seed ${seed}`)
const plan = new Plan(seed, items, seconds * DEATHS_PER_SECOND)
const tally = new Tally()
const notes = {}
const exits = {}
const recycled = {}
const note = (name) => (notes[name] = (notes[name] ?? 0) + 1)
/** Never aborted, and given to nearly every call. */
const { signal } = new AbortController()
let unhandled
let warned
let nextPlace = 0
let nextNumber = 0
process.on('warning', (warning) => (warned ??= warning))
process.on('unhandledRejection', (reason) => (unhandled ??= { reason }))
/** Calls that are under way. */
const underWay = new Map()

try {
  await chaos()
} catch (error) {
  console.log(`\nseed ${seed}: FAILED after ${tally.items} items\n${inspect(error, { depth: 4 })}`)
  // Whatever is stuck is not waited for; workers end with their parent.
  process.exit(1)
}

async function chaos() {
  // The first pool starts what lives as long as the program.
  const first = openPools()
  await Promise.all(first.map((pool) => pool.run({ number: 1, tries: 0 })))
  await Promise.all(first.map((pool) => pool.close()))
  const before = await settledCensus(signal)

  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 1000
  const pools = openPools()
  for (const pool of pools) {
    pool.on('workerExit', ({ exitCode, signal }) => {
      const how = signal ?? `exit code ${exitCode}`
      exits[how] = (exits[how] ?? 0) + 1
    })
    pool.on('workerRecycle', ({ reason }) => {
      recycled[reason] = (recycled[reason] ?? 0) + 1
    })
  }
  const outside = new Outside(pools, seed, 400)
  const enough = (part) => tally.items >= items * part && elapsed() >= seconds * part
  await run(pools, (place) => place < CALLS_AT_ONCE || !enough(WARM))
  const warm = await memory()
  const warmItems = tally.items
  await run(pools, () => !enough(1))
  const took = elapsed()
  const end = await memory()
  await outside.end()
  await Promise.all(pools.map((pool, at) => pool.close({ force: at % 2 === 1 })))
  if (unhandled !== undefined) throw new Discrepancy(`unhandled rejection of ${inspect(unhandled.reason)}`)
  if (warned !== undefined) throw new Discrepancy(`a warning: ${inspect(warned)}`)
  report(outside, took)
  hitsAreAccountedFor(outside)
  console.log(`memory of ${tally.items - warmItems} items: ${differences(warm, end)}`)
  memoryIsFlat(warm, end)
  const left = await leftSince(before, signal)
  if (left.length > 0) throw new Discrepancy(`left behind: ${left.join('; ')}`)
  console.log('left behind: no process, descriptor, shared memory or listener')
}

/** Keep some calls going at once, as long as more are wanted; then wait for all of them. */
async function run(pools, more) {
  const lane = async () => {
    while (more(nextPlace)) {
      const call = plan.call(nextPlace++, nextNumber)
      nextNumber += call.count
      underWay.set(call.place, call)
      await carryOut(call, pools[call.pool], { plan, tally, signal, note })
      underWay.delete(call.place)
    }
  }
  const over = new AbortController()
  const lanes = Promise.all(Array.from({ length: CALLS_AT_ONCE }, lane))
  try {
    await Promise.race([lanes, watch(over.signal)])
  } finally {
    over.abort()
  }
}

/** Throws when nothing has come for a long time. */
async function watch(over) {
  for (let last = -1; !over.aborted; ) {
    if (tally.items === last && underWay.size > 0) {
      const calls = inspect([...underWay.values()], { depth: 3 })
      throw new Discrepancy(`nothing has come for ${STALLED_MS / 1000} s; under way: ${calls}`)
    }
    last = tally.items
    await sleep(STALLED_MS, undefined, { signal: over }).catch(() => {})
  }
  // Those who race with this have won.
  return undefined
}

function openPools() {
  const file = new URL('./task.js', import.meta.url)
  return POOLS.map((options) =>
    workerPool(file, {
      ...options,
      maxMemory: MAX_MEMORY,
      execArgv: ['--max-old-space-size=40'],
      stderr: 'ignore',
      rlimits: { coreSize: 0 },
    }),
  )
}

function report(outside, took) {
  const { SIGKILL, SIGSTOP } = outside.sent
  print('faults survived', tally.faults)
  print('from outside', { SIGKILL, SIGSTOP, 'pool resized': outside.resized })
  print('calls and consumers', notes)
  print('processes ended by', exits)
  print('processes replaced or sent away for', recycled)
  print('hit by what was meant for others', tally.hit)
  const rate = Math.round(tally.items / took).toLocaleString('en')
  console.log(
    `\n${tally.items.toLocaleString('en')} items in ${took.toFixed(1)} s: ${rate} a second, each with its one right outcome`,
  )
}

function print(title, counts) {
  console.log(`\n${title}:`)
  for (const [name, count] of Object.entries(counts).sort()) {
    console.log(`  ${String(count).padStart(9)}  ${name}`)
  }
}

/** What fails of a signal from outside has had as many of them as it has tries. */
function hitsAreAccountedFor({ sent }) {
  if (tally.hit.crashed > sent.SIGKILL) throw new Discrepancy('more items were killed than signals were sent')
  // An item in an endless loop fails alone; a process that is stopped from outside may run one item, which is blamed.
  if (tally.hit.timedOut > sent.SIGSTOP)
    throw new Discrepancy('more items were late than processes were stopped')
}

function memoryIsFlat(warm, end) {
  if (
    end.heap - warm.heap > MOST_HEAP ||
    end.outside - warm.outside > MOST_OUTSIDE ||
    end.rss - warm.rss > MOST_RSS
  ) {
    throw new Discrepancy(`memory is not flat: ${differences(warm, end)}`)
  }
}

function differences(warm, end) {
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1)
  return Object.keys(warm)
    .map((key) => `${key} ${mib(warm[key])} → ${mib(end[key])} MiB`)
    .join(', ')
}

function number(name, otherwise) {
  const given = values[name]
  if (given === undefined) return otherwise
  if (!/^\d+$/.test(given)) {
    console.error(`--${name}: expected a number, got ${given}`)
    process.exit(1)
  }
  return Number(given)
}
