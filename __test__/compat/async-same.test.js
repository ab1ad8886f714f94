// Every collection function of `millrace/async` beside the original: the same calls in the same order, the same answer,
// for every form, kind of collection, kind of iteratee and way to end.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import original from 'async'
import ours from 'millrace/async'

/** What stands between the collection and the iteratee, by function. */
const INITIAL = { reduce: 10, inject: 10, foldl: 10, reduceRight: 10, foldr: 10 }
const NAMES = Object.keys(ours).filter((name) => !/queue|cargo/i.test(name))

const COLLECTIONS = {
  'an array': () => [3, 1, 2, 0],
  'an empty array': () => [],
  nothing: () => null,
  'a string': () => 'cab',
  'an array-like': () => ({ length: 2, 0: 5, 1: 4 }),
  'a Set': () => new Set([3, 1, 2]),
  'a Map': () =>
    new Map([
      ['a', 2],
      ['b', 1],
    ]),
  'a generator': () =>
    (function* () {
      yield 2
      yield 1
    })(),
  'an object': () => JSON.parse('{"a":2,"__proto__":7,"b":1}'),
  'an async generator': () =>
    (async function* () {
      yield 2
      yield 1
    })(),
  'an async generator that throws': () =>
    (async function* () {
      yield 2
      throw new Error('source')
    })(),
  'an async iterable that throws': () => {
    const answers = [Promise.resolve({ done: false, value: 2 }), Promise.reject(new Error('source'))]
    for (const answer of answers) answer.catch(() => {})
    return { [Symbol.asyncIterator]: () => ({ next: () => answers.shift() }) }
  },
}

/** How the iteratee calls back: at once, later, the later the earlier it was called, or by a promise. */
const WAYS = {
  'at once': (answer) => answer(),
  later: (answer) => queueMicrotask(answer),
  'in reverse': (answer, call) => {
    let ticks = 40 - call * 10
    const tick = () => (ticks-- > 0 ? queueMicrotask(tick) : answer())
    tick()
  },
}
const ENDS = { well: undefined, 'with an error': new Error('no'), 'with false': false }

/** Everything that can be seen of one call. */
async function seen(library, name, makeCollection, way, end, withCallback) {
  const trace = []
  let calls = 0
  let clock = 0
  let over = false
  const keepTime = async () => {
    for (; !over && clock < 200; clock++) await undefined
  }
  keepTime()
  const result = (args) => {
    const value = args.find((arg) => typeof arg === 'number' || typeof arg === 'string') ?? args[0]?.[1]
    return name === 'transform' ? undefined : typeof value === 'number' ? value % 2 : value
  }
  const iteratee = (...args) => {
    const callback = args.pop()
    const call = calls++
    trace.push(['called', clock, ...structuredClone(args)])
    const answer = () => {
      trace.push(['answers', call])
      if (call === 1 && end !== undefined) callback(end, 'with', 'more')
      else callback(null, result(args), ...(name.startsWith('concat') ? [[call]] : []))
    }
    way(answer, call)
  }
  const collection = makeCollection()
  const args = [collection]
  if (name.endsWith('Limit')) args.push(2)
  if (name in INITIAL) args.push(INITIAL[name])
  args.push(iteratee)
  const finish = (...values) => trace.push(['finished', clock, ...structuredClone(values)])
  try {
    if (withCallback) trace.push(['returned', library[name](...args, finish)])
    else {
      library[name](...args).then(
        (value) => finish('resolved', value),
        (error) => finish('rejected', error),
      )
    }
  } catch (error) {
    trace.push(['threw', error.constructor.name])
  }
  for (let turns = 0; turns < 3; turns++) await turn()
  over = true
  return trace
}

test('every name is there', () => {
  for (const name of Object.keys(ours)) assert.equal(typeof original[name], 'function', name)
  const aliases = NAMES.filter((name) => NAMES.some((other) => other !== name && ours[other] === ours[name]))
  for (const name of aliases) {
    for (const other of aliases) {
      assert.equal(ours[name] === ours[other], original[name] === original[other], `${name} and ${other}`)
    }
  }
})

for (const name of NAMES) {
  describe(name, () => {
    for (const [kind, makeCollection] of Object.entries(COLLECTIONS)) {
      // A promise cannot be traced where the original throws before there is one.
      test(`over ${kind}`, async () => {
        for (const [wayName, way] of Object.entries(WAYS)) {
          for (const [endName, end] of Object.entries(ENDS)) {
            for (const withCallback of [true, false]) {
              const expected = await seen(original, name, makeCollection, way, end, withCallback)
              const got = await seen(ours, name, makeCollection, way, end, withCallback)
              const form = withCallback ? 'callback' : 'promise'
              assert.deepEqual(got, expected, `${wayName}, ends ${endName}, ${form}`)
            }
          }
        }
      })
    }
  })
}
