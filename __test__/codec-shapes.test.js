// Records go by shape; shapes are bounded, and exist without code generation too.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { Decoder } from '../lib/codec.js'
import { SerializationError } from '../lib/errors.js'
import { assertSameGraph, Channel } from './codec-graph.js'

test('records of one shape are defined once', () => {
  const channel = new Channel()
  const values = Array.from({ length: 100 }, (_, i) => ({ id: i, name: `n${i}`, ok: true, tags: ['a'] }))
  assert.deepEqual(channel.batch(values), values)
  assert.deepEqual(channel.definitions, ['["nsbv","id","name","ok","tags"]'])
})

test('an object that is seen once makes no shape', () => {
  const channel = new Channel()
  channel.batch(Array.from({ length: 1000 }, (_, i) => ({ [`id${i}`]: i })))
  assert.deepEqual(channel.definitions, [])
})

test('a field of changing type becomes a tagged value, and the keys settle on one shape', () => {
  const channel = new Channel()
  const values = Array.from({ length: 300 }, (_, i) => ({
    a: i % 2 ? i : null,
    b: i % 3 ? 'x' : undefined,
    c: i % 5 ? true : 'ключ',
    d: i % 7 ? 'short' : 'long'.repeat(100),
  }))
  assert.deepEqual(channel.batch(values), values)
  assert.ok(channel.definitions.length <= 5, String(channel.definitions))
  assert.equal(channel.definitions.at(-1), '["vvvv","a","b","c","d"]')
})

test('the same keys have at most 8 shapes', () => {
  const channel = new Channel()
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
  const values = Array.from({ length: 100 }, (_, i) =>
    Object.fromEntries(keys.map((key, j) => [key, i > j ? null : j])),
  )
  assert.deepEqual(channel.batch(values), values)
  assert.ok(channel.definitions.length <= 8, String(channel.definitions.length))
})

test('shapes are bounded, and what has none arrives all the same', () => {
  const channel = new Channel()
  const values = Array.from({ length: 2000 }, (_, i) => ({ [`key${i}`]: i, other: `o${i}` }))
  const twice = values.flatMap((value) => [value, value, value])
  channel.batch(twice).forEach((result, i) => {
    assertSameGraph(result, twice[i])
  })
  assert.ok(channel.definitions.length <= 256)
})

test('an object that only looks like something else does not use up shapes', () => {
  const odd = [
    (a) => Object.assign(Object.create(null), { a, [Symbol.toStringTag]: 'x' }),
    (a) => Object.defineProperty({ a }, 'constructor', { value: Map }),
    (a) => Object.defineProperty({ a }, 'length', { value: 1 }),
  ]
  for (const make of odd) {
    const channel = new Channel()
    for (let i = 0; i < 50; i++) assert.deepEqual(channel.trip(make(i)), { a: i })
    assert.ok(channel.definitions.length <= 1)
  }
})

test('an object that inherits a key of a known shape does not send it', () => {
  const channel = new Channel()
  for (let i = 0; i < 3; i++) channel.trip({ a: 1, b: 2 })
  assert.deepEqual(channel.trip(Object.assign(Object.create({ b: 2 }), { a: 1 })), { a: 1 })
  assert.deepEqual(channel.trip(Object.assign(Object.create({ a: 1, b: 2 }), {})), {})
})

test('records arrive with the same hidden class each', () => {
  const program = `
    import { Channel } from ${JSON.stringify(new URL('./codec-graph.js', import.meta.url).href)}
    const values = Array.from({ length: 50 }, (_, i) => ({ id: i, name: 'n' + i, nested: { x: i } }))
    const results = new Channel().batch(values).slice(5)
    console.log(results.every((x) => %HaveSameMap(x, results[0]) && %HaveSameMap(x.nested, results[0].nested)))
  `
  assert.equal(run(['--allow-natives-syntax', '--input-type=module', '-e', program]), 'true\n')
})

test('the same bytes without code generation', () => {
  const program = `
    import { Channel } from ${JSON.stringify(new URL('./codec-graph.js', import.meta.url).href)}
    import { cloneable } from ${JSON.stringify(new URL('./codec-values.js', import.meta.url).href)}
    import { createHash } from 'node:crypto'
    import v8 from 'node:v8'
    let generates = true
    try { new Function('') } catch { generates = false }
    const hash = createHash('sha256')
    const channel = new Channel()
    for (let round = 0; round < 3; round++) {
      for (const [name, make] of Object.entries(cloneable)) {
        for (const value of [make(), { id: round, value: make(), name: 'x', ok: true }, { constructor: 1, value: make() }]) {
          const result = channel.trip(value)
          if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'id') && result.name !== value.name) throw new Error(name)
          hash.update(channel.encoder.rows.subarray(0, channel.encoder.rowPos))
          hash.update(channel.encoder.text.subarray(0, channel.encoder.textPos))
        }
      }
    }
    console.log(JSON.stringify([generates, hash.digest('hex'), channel.definitions]))
  `
  const flags = ['--input-type=module', '-e', program]
  const [generates, hash, definitions] = JSON.parse(run(flags))
  const [denied, sameHash, sameDefinitions] = JSON.parse(
    run(['--disallow-code-generation-from-strings', ...flags]),
  )
  assert.deepEqual([generates, denied], [true, false])
  assert.equal(sameHash, hash)
  assert.deepEqual(sameDefinitions, definitions)
})

test('a definition is read strictly', () => {
  const nonsense = [
    '',
    'null',
    '{}',
    '[]',
    '["n"]',
    '["","a"]',
    '["nn","a"]',
    '["n","a","b"]',
    '["x","a"]',
    '["n",1]',
    '["n",null]',
    '["nn","a","a"]',
    '["n","a"',
    `["n","${'k'.repeat(129)}"]`,
    JSON.stringify(['n'.repeat(129), ...Array.from({ length: 129 }, (_, i) => `k${i}`)]),
    ' '.repeat(1e6),
    undefined,
    7,
    ['n', 'a'],
  ]
  const decoder = new Decoder()
  for (const definition of nonsense) {
    assert.throws(() => decoder.define(0, definition), SerializationError, String(definition).slice(0, 50))
  }
  for (const id of [-1, 1.5, NaN, 256, 2 ** 32, '0', undefined]) {
    assert.throws(() => decoder.define(id, '["n","a"]'), SerializationError)
  }
  decoder.define(0, '["n","a"]')
  decoder.define(0, '["n","a"]')
  assert.throws(() => decoder.define(0, '["n","b"]'), SerializationError)
})

test('the text of a definition is never code', () => {
  const keys = [
    'a"]: globalThis.hacked = 1, ["b',
    `a\`\${globalThis.hacked = 1}\``,
    '*/ globalThis.hacked = 1 /*',
    '\u2028globalThis.hacked=1',
    '\\"]);globalThis.hacked=1//',
    '__proto__',
    'constructor',
  ]
  const channel = new Channel()
  for (let i = 0; i < 3; i++) {
    const value = Object.fromEntries(keys.map((key, j) => [key, [j, 'x', true, null][j % 4]]))
    assertSameGraph(channel.trip(value), value)
  }
  assert.equal(channel.definitions.length, 1)
  assert.equal(globalThis.hacked, undefined)
})

function run(args) {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}
