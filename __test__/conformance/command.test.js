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

const lines = {
  name: 'commands, lines',
  capacity: SIZE,
  mappers: new Set(['double']),
  mapper: () =>
    poolOf('lines', () => commandPool('sed', ['-u', 's/item/result/'], { size: SIZE, format: 'lines' })),
  item: (i) => `item ${i}`,
  result: (i) => `result ${i}`,
  badItem: 42,
}
conformance(lines)
