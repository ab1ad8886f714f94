// The conformance suite for programs. One that fails an item can only end, so mappers that throw or look at their context
// are not among those that JSON can carry.

import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { commandPool } from '../../index.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const SIZE = 2
const program = fileURLToPath(new URL('../fixtures/command-mappers.js', import.meta.url))
/** @type {Map<string, ReturnType<typeof commandPool>>} */
const pools = new Map()

after(async () => {
  await Promise.all([...pools.values()].map((pool) => pool.close()))
})

function poolOf(key, make) {
  let pool = pools.get(key)
  pool ??= make()
  pools.set(key, pool)
  return pool
}

function place(size) {
  return (name) =>
    poolOf(`${name} ${size}`, () =>
      commandPool(process.execPath, [program, name], { size, stderr: 'ignore' }),
    )
}

const ndjson = {
  name: 'commands, ndjson',
  capacity: SIZE,
  // No JSON, so it fails before it leaves, with a TypeError.
  badItem: () => {},
  badRuns: false,
  mappers: new Set([
    'double',
    'doubleAtOnce',
    'doubleShuffled',
    'identity',
    'span',
    'isEven',
    'isEvenShuffled',
    'keep',
    'times',
    'timesShuffled',
    'spans',
  ]),
  mapper: place(SIZE),
  single: place(1),
}
conformance(ndjson)
// Of stages, those whose items and errors JSON carries.
const STAGES = ['identity', 'doubleShuffled', 'span', 'isEvenShuffled', 'timesShuffled', 'spans']
stageConformance({ ...ndjson, mappers: new Set(STAGES) })

/** Texts, each in a format that carries them; sed is 'double'. */
const texts = {
  capacity: SIZE,
  mappers: new Set(['double']),
  item: (i) => `item ${i}`,
  result: (i) => `result ${i}`,
  badItem: 42,
  badRuns: false,
}
/** A pool of sed for both suites. @type {(key: string, args: readonly string[], options: object) => (size: number) => () => object} */
const sed = (key, args, options) => (size) => () =>
  poolOf(`${key} ${size}`, () => commandPool('sed', args, { size, ...options }))

for (const [format, flags] of [
  ['lines', '-u'],
  ['nul', '-uz'],
]) {
  const place = sed(format, [flags, 's/item/result/'], { format })
  // What separates lines is a part of a text where something else ends it.
  const end = format === 'nul' ? '\n' : ''
  const suite = { ...texts, item: (i) => `item ${i}${end}`, result: (i) => `result ${i}${end}` }
  conformance({ ...suite, name: `commands, ${format}`, mapper: place(SIZE) })
  stageConformance({ ...suite, name: `commands, ${format}`, mapper: place(SIZE), single: place(1) })
}

// Bytes come out as they went in.
conformance({
  name: 'commands, length-prefixed',
  capacity: SIZE,
  mappers: new Set(['double']),
  mapper: () => poolOf('cat', () => commandPool('cat', [], { size: SIZE, format: 'length-prefixed' })),
  item: (i) => Buffer.from(`item ${i}\n\0`),
  result: (i) => Buffer.from(`item ${i}\n\0`),
  badItem: 'text',
  badRuns: false,
})

conformance({
  ...texts,
  name: 'commands, one per item',
  // Anything that JSON can hold is an argument.
  badItem: () => {},
  // Each is a process.
  many: 100,
  mapper: () => poolOf('item', () => commandPool('echo', ['-n', 're{}'], { size: SIZE, perItem: true })),
  item: (i) => `sult ${i}`,
})
