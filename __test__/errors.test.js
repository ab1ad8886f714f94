// The error classes, and their table in docs/errors.md, which has to list exactly what the code can throw.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as errors from '../lib/errors.js'

const { describe, invalidArgType, MillraceError, outOfRange, unknownOption, WorkerCrashError } = errors
const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')
const classes = Object.values(errors).filter((value) => value.prototype instanceof MillraceError)

test('every code that lib/ can give is in the table, and the other way round', () => {
  const listed = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)
  assert.equal(new Set(listed).size, listed.length, 'each code once')
  const source = readFileSync(new URL('../lib/errors.js', import.meta.url), 'utf8')
  const defined = new Set([...source.matchAll(/'(ERR_[A-Z_]+|MILLRACE_[A-Z_]+)'/g)].map(([, code]) => code))
  assert.deepEqual(listed.toSorted(), [...defined].sort())
})

test('every class is in the table, beside its code', () => {
  assert.ok(classes.length >= 5)
  for (const errorClass of classes)
    assert.match(page, new RegExp(`\\| \`${errorClass.code}\` \\| \`${errorClass.name}\` \\|`))
})

test('no code is written anywhere else in lib/', () => {
  const folder = new URL('../lib/', import.meta.url)
  const own = classes.map((errorClass) => errorClass.code)
  for (const name of readdirSync(folder)) {
    if (!/\.c?js$/.test(name) || name === 'errors.js' || name === 'binding.js') continue
    const text = readFileSync(new URL(name, folder), 'utf8')
    for (const code of own) assert.ok(!text.includes(`'${code}'`), `${name} writes ${code}`)
  }
})

test('every property in the table is one that the classes take', () => {
  const details = {
    index: 1,
    attempt: 2,
    worker: 3,
    exitCode: 4,
    signal: 'SIGKILL',
    stderr: 'text',
    rss: 5,
    limit: 6,
    line: 'text',
  }
  const properties = [...page.matchAll(/^\| `([a-z]\w*)` \|/gm)].map(([, name]) => name)
  assert.deepEqual(properties, ['cause', ...Object.keys(details)])
  const error = new WorkerCrashError('gone', { ...details, cause: undefined })
  assert.deepEqual({ ...error }, { code: 'ERR_WORKER_CRASHED', ...details })
  assert.ok('cause' in error)
  assert.equal('cause' in new WorkerCrashError('gone'), false)
  assert.deepEqual(
    { ...new WorkerCrashError('gone', { index: 0 }) },
    { code: 'ERR_WORKER_CRASHED', index: 0 },
  )
})

test('classes have their names and extend MillraceError', () => {
  for (const errorClass of classes) {
    const error = new errorClass('text')
    assert.ok(error instanceof MillraceError && error instanceof Error)
    assert.equal(error.name, errorClass.name)
    assert.match(String(error), new RegExp(`^${errorClass.name}: text$`))
    assert.match(error.stack, new RegExp(`^${errorClass.name}: text\n`))
  }
})

test('wrong arguments: what was expected, what came', () => {
  const type = invalidArgType('size', 'a positive integer', 'two')
  assert.ok(type instanceof TypeError)
  assert.equal(type.code, 'ERR_INVALID_ARG_TYPE')
  assert.equal(type.message, 'Invalid "size": expected a positive integer, got "two"')
  const range = outOfRange('size', 'a positive integer', -0)
  assert.ok(range instanceof RangeError)
  assert.equal(range.code, 'ERR_OUT_OF_RANGE')
  assert.equal(range.message, 'Invalid "size": expected a positive integer, got -0')
  const unknown = unknownOption('sise', ['size', 'label'])
  assert.ok(unknown instanceof TypeError)
  assert.equal(unknown.message, 'Unknown option "sise": expected one of size, label, got "sise"')
})

test('describe() names any value and runs no code of it', () => {
  const trap = () => assert.fail('code of the value ran')
  class Car {}
  const cases = [
    [undefined, 'undefined'],
    [null, 'null'],
    [true, 'true'],
    [NaN, 'NaN'],
    [10n, '10n'],
    ['a"b', '"a\\"b"'],
    ['x'.repeat(100), `"${'x'.repeat(60)}…"`],
    [Symbol('s'), 'Symbol(s)'],
    [[], 'an array'],
    [{}, 'an object'],
    [Object.create(null), 'an object'],
    [new Car(), 'an instance of Car'],
    [new Map(), 'an instance of Map'],
    [Car, 'a function'],
    [new Proxy({}, { getPrototypeOf: trap }), 'an object'],
    [{ toString: trap, [Symbol.toPrimitive]: trap }, 'an object'],
    [
      {
        get constructor() {
          return trap()
        },
      },
      'an object',
    ],
  ]
  for (const [value, text] of cases) assert.equal(describe(value), text)
})
