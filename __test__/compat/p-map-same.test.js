// Random calls of `millrace/p-map` beside the original: the same steps in the same microtasks, the source closed at the same
// moment, the same end.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import * as ours from 'millrace/p-map'
import * as original from 'p-map'

const CALLS = 1500
const SEED = Number(process.env.MILLRACE_COMPAT_SEED ?? 1)

const FUNCTIONS = {
  pMap: (library, { source, mapper, options }) => library.default(source, mapper, options),
  pMapSettled: (library, { source, mapper, options }) => library.pMapSettled(source, mapper, options),
  pMapKeyed: (library, { values, mapper, options }) => library.pMapKeyed(values(), mapper, options),
  pMapSettledKeyed: (library, { values, mapper, options }) =>
    library.pMapSettledKeyed(values(), mapper, options),
  pMapIterable: async (library, { source, mapper, options, plan, note }) => {
    const results = []
    for await (const result of library.pMapIterable(source, mapper, options)) {
      note(`got ${result}`)
      results.push(result)
      if (result === plan.breaksAt) break
      await ticks(plan.consumes)
    }
    return results
  },
}

/** @param {number} count microtasks that pass */
async function ticks(count) {
  for (let left = count; left > 0; left--) await undefined
}

/** What a call is, by chance. */
function planned(seed) {
  let state = seed
  /** From 0 to below `count`. */
  const chance = (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >> 8) % count
  }
  for (let burnt = 0; burnt < 3; burnt++) chance(2)
  const oneOf = (values) => values[chance(values.length)]
  const rarely = (value) => (chance(3) === 0 ? value() : -1)
  const item = () => chance(6)
  return {
    name: oneOf(Object.keys(FUNCTIONS)),
    count: item(),
    isAsync: chance(2) === 0,
    answersAfter: [chance(4), chance(4), chance(4)],
    throwsAt: rarely(item),
    mapsFor: [chance(6), chance(6), chance(6), chance(6)],
    failsAt: rarely(item),
    stopsAt: rarely(item),
    skipsAt: rarely(item),
    abortsAfter: rarely(() => chance(20)),
    breaksAt: rarely(item),
    consumes: chance(4),
    options: {
      concurrency: oneOf([1, 2, 3, Infinity]),
      stopOnError: chance(3) > 0,
      preserveOrder: chance(2) === 0,
    },
  }
}

/** Everything that can be seen of a call, each with the microtask in which it was. */
async function seen(library, plan) {
  const trace = []
  let clock = 0
  let over = false
  const note = (what) => trace.push(`${what} @${clock}`)
  const keepTime = async () => {
    for (; !over && clock < 500; clock++) await undefined
  }

  let next = 0
  const answer = () => {
    const value = next++
    note(`next ${value}`)
    if (value === plan.throwsAt) throw new Error('source')
    return value < plan.count ? { done: false, value } : { done: true, value: undefined }
  }
  const later = async () => {
    await ticks(plan.answersAfter[next % 3])
    return answer()
  }
  const iterator = {
    next: plan.isAsync ? later : answer,
    return() {
      note('return')
      return { done: true, value: undefined }
    },
  }
  const source = { [plan.isAsync ? Symbol.asyncIterator : Symbol.iterator]: () => iterator }
  const valueAfter = async (value) => {
    await ticks(plan.answersAfter[value % 3])
    if (value === plan.throwsAt) throw new Error('value')
    return value
  }
  const keys = [...Array(plan.count).keys()]
  const values = () =>
    Object.fromEntries(keys.map((key) => [`k${key}`, plan.isAsync ? valueAfter(key) : key]))

  const mapper = async (value, at) => {
    note(`map ${value} ${at}`)
    await ticks(plan.mapsFor[value % 4])
    if (value === plan.failsAt) throw new Error(`map ${value}`)
    if (value === plan.stopsAt) return library.pMapStop
    return value === plan.skipsAt ? library.pMapSkip : value
  }
  const options = { ...plan.options }
  if (plan.abortsAfter >= 0) {
    const controller = new AbortController()
    options.signal = controller.signal
    ticks(plan.abortsAfter).then(() => controller.abort(new Error('abort')))
  }

  keepTime()
  try {
    const result = await FUNCTIONS[plan.name](library, { source, values, mapper, options, plan, note })
    note(`gave ${JSON.stringify(result)} ${Object.getPrototypeOf(result) === null}`)
  } catch (error) {
    note(`failed of ${error} ${error.errors}`)
  }
  await turn()
  over = true
  return trace
}

test('random calls do the same in the same microtasks', async () => {
  for (let seed = SEED; seed < SEED + CALLS; seed++) {
    const plan = planned(seed)
    const expected = await seen(original, plan)
    const got = await seen(ours, plan)
    assert.deepEqual(got, expected, `MILLRACE_COMPAT_SEED=${seed}: ${JSON.stringify(plan)}`)
  }
})
