// Any chain of stages over any source, left in any way, does what the sequential model says. `MILLRACE_PROPERTY_RUNS`
// says how many chains are tried per property. A failure prints its seed and the smallest chain that fails.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { batch, parallelMap, workerPool } from '../index.js'
import planned from './fixtures/planned.js'
import { isEnd, streamsOf } from './sequential-model.js'

const numRuns = Number(process.env.MILLRACE_PROPERTY_RUNS ?? 300)
const pool = workerPool(new URL('./fixtures/planned.js', import.meta.url), { size: 2 })
after(() => pool.close())

// Chains

const options = fc.record(
  {
    concurrency: fc.constantFrom(1, 2, 3, 4, 16),
    backpressure: fc.constantFrom(16, 17, 40),
    chunkSize: fc.constantFrom(1, 2, 5, 'auto'),
    stopOnError: fc.boolean(),
    maxBytes: fc.constantFrom(1, 300, 1e6),
  },
  { requiredKeys: [] },
)
const tight = fc
  .tuple(options, fc.integer({ min: 1, max: 4 }), fc.nat(4))
  .map(([given, concurrency, more]) => ({ ...given, concurrency, backpressure: concurrency + more }))
const mapping = fc.record({
  kind: fc.constantFrom('map', 'filter', 'flatMap'),
  pool: fc.boolean(),
  options: fc.oneof(options, tight),
  step: fc.record({ salt: fc.nat(1000), faults: fc.boolean() }),
})
const batching = fc.record({ kind: fc.constant('batch'), size: fc.integer({ min: 1, max: 5 }) })
const slicing = fc.record({ kind: fc.constantFrom('take', 'drop'), count: fc.nat(8) })
const anyStage = fc.oneof({ weight: 4, arbitrary: mapping }, batching, slicing)
const first = fc.oneof({ weight: 6, arbitrary: mapping }, batching)
const chain = fc
  .tuple(first, fc.array(anyStage, { maxLength: 3 }), fc.boolean())
  .map(([head, tail, settled]) => prepared([head, ...tail], settled))
const unorderedChain = fc
  .tuple(
    fc.array(fc.tuple(mapping, fc.boolean()), { minLength: 1, maxLength: 3 }),
    fc.array(fc.oneof(batching, slicing), { maxLength: 2 }),
    fc.boolean(),
  )
  .map(([mappings, tail, settled]) => {
    const heads = mappings.map(([stage, preserveOrder]) => ({
      ...stage,
      options: { ...stage.options, preserveOrder },
    }))
    return prepared([...heads, ...tail], settled)
  })
const item = fc.record({
  n: fc.nat(999),
  failed: fc.option(fc.constant('rejected item'), { freq: 8, nil: undefined }),
  delay: fc.nat(2),
})
const source = fc
  .record({
    kind: fc.constantFrom('array', 'iterator', 'async iterator', 'Readable'),
    items: fc.array(item, { maxLength: 14 }),
    error: fc.option(fc.constant('source'), { freq: 4, nil: undefined }),
    promises: fc.boolean(),
  })
  .map(feasible)
const abort = fc.option(
  fc.record({
    stage: fc.nat(3),
    after: fc.oneof(fc.record({ results: fc.nat(6) }), fc.record({ ms: fc.nat(6) })),
  }),
  { freq: 2 },
)
const consumer = fc.oneof(
  fc.constant({ kind: 'for await' }),
  fc.constant({ kind: 'toArray' }),
  fc.record({ kind: fc.constant('break'), after: fc.integer({ min: 1, max: 6 }) }),
)

// Properties

property('in order, to the end', source, chain, fc.constant({ kind: 'for await' }), fc.constant(null))
property('in order, left in any way', source, chain, consumer, abort)

test('without order', async () => {
  await fc.assert(
    fc.asyncProperty(source, unorderedChain, fc.boolean(), async (from, stages, collected) => {
      const run = start(from, stages, null)
      const { results, thrown } = await run.consume({ kind: collected ? 'toArray' : 'for await' })
      await run.end()
      const mappings = stages.filter(({ kind }) => kind === 'pass' || MAPPINGS.has(kind))
      const tail = stages.slice(mappings.length)
      // Nothing stops: then it is all that there can be.
      const patient = mappings.map((stage) => ({
        ...stage,
        options: { ...stage.options, stopOnError: false },
      }))
      const [all] = streamsOf(run.items, patient)
      const sequential = streamsOf(run.items, mappings)
      const complete = sequential.every(({ end }) => !stops(end))
      const [whole] = streamsOf({ items: all.results.map((value) => ({ value })) }, tail)
      const where = stages.filter(({ kind }) => MAPPINGS.has(kind)).length === 1
      const left = all.results.map((result) => canonical(result, where))
      const depth = tail.filter(({ kind }) => kind === 'batch').length
      for (const result of (results ?? []).flat(depth)) {
        const at = left.indexOf(canonical(result, where))
        assert.notEqual(at, -1, `${canonical(result, where)} is one too many`)
        left.splice(at, 1)
      }
      // Without order a stage may come to items that an error would have kept from it.
      const said = new Set(
        mappings.flatMap((_, at) => messagesOf(streamsOf(run.items, patient.slice(0, at + 1))[0].end)),
      )
      for (const message of [thrown ?? []].flat(Infinity)) assert.ok(said.has(message), message)
      if (results !== undefined)
        assert.ok(results.length <= whole.results.length, 'no more than there can be')
      // It rejects at once, with what is known first.
      if (!complete || (collected && thrown !== undefined)) return
      const untaken = streamsOf({ items: all.results.map((value) => ({ value })), error: 'end' }, tail)[0].end
      const end = untaken === undefined ? undefined : sequential[0].end
      // Of one stage, in the order of its items; those of a later one come as they come.
      if (where) assert.ok(isEnd(end, thrown), `${thrown} is not the end`)
      else assert.equal([thrown ?? []].flat(Infinity).length, messagesOf(oneOf(end)).length)
      if (results !== undefined)
        assert.deepEqual(results.map(sizeOf(depth)), whole.results.map(sizeOf(depth)))
    }),
    { numRuns, includeErrorInReport: true },
  )
})

function property(name, ...parts) {
  test(name, async () => {
    await fc.assert(
      fc.asyncProperty(...parts, async (from, stages, leaving, aborting) => {
        const run = start(from, stages, aborting)
        const { results, thrown } = await run.consume(leaving)
        await run.end()
        const streams = run.streams()
        const given = results?.map((result) => canonical(result, true))
        const legal =
          leaving.kind === 'toArray' && thrown !== undefined
            ? run.ends().some((end) => isEnd(end, thrown))
            : streams.some((stream) => isOutcome(stream, given, thrown, leaving.after))
        assert.ok(
          legal,
          `${JSON.stringify({ given, thrown })} is none of ${JSON.stringify(
            streams.map((stream) => [stream.results.map((result) => canonical(result, true)), stream.end]),
            (_, value) => (value instanceof Set ? [...value] : value),
          )}`,
        )
      }),
      { numRuns, includeErrorInReport: true },
    )
  })
}

/** @param {number | undefined} breaksAfter so many results */
function isOutcome({ results, end }, given, thrown, breaksAfter) {
  const whole = results.map((result) => canonical(result, true))
  if (breaksAfter !== undefined && whole.length >= breaksAfter)
    return thrown === undefined && String(given) === String(whole.slice(0, breaksAfter))
  return given.length === whole.length && String(given) === String(whole) && isEnd(end, thrown)
}

// One run

function start(from, stages, aborting) {
  const controller = new AbortController()
  const watch = { running: 0, starts: 0 }
  const aborted = aborting === null ? -1 : aborting.stage % stages.length
  const opened = open(from, stages.plan)
  let results = opened.source
  for (const [at, { kind, options, size, count, pool: inPool }] of stages.entries()) {
    const mapper = inPool ? pool : counted(watch)
    const given = { ...options, ...(at === aborted && { signal: controller.signal }) }
    if (kind === 'pass') results = parallelMap(results, passOn, given)
    else if (at === 0) results = kind === 'batch' ? batch(results, size) : parallelMap(results, mapper, given)
    else if (kind === 'batch') results = results.batch(size)
    else if (kind === 'take' || kind === 'drop') results = results[kind](count)
    else results = results[kind](mapper, given)
  }
  const spec = stages.map((stage, at) =>
    at === aborted && 'options' in stage ? { ...stage, aborts: 'aborted' } : stage,
  )
  const stop = () => controller.abort(new Error('aborted'))

  return {
    items: opened.items,
    streams: () => streamsOf(opened.items, spec),
    /** Everything that any stage may end with. */
    ends: () =>
      [undefined, ...spec].flatMap((_, at) =>
        streamsOf(opened.items, spec.slice(0, at)).map(({ end }) => end),
      ),
    async consume(consumer) {
      if (aborting?.after.ms !== undefined) setTimeout(stop, aborting.after.ms)
      if (aborting?.after.results === 0) stop()
      return await inTime(consumed(results, consumer, (count) => count === aborting?.after.results && stop()))
    },
    async end() {
      await inTime(results.finished)
      assert.equal(watch.running, 0, 'nothing runs when it is finished')
      const { starts } = watch
      const pulls = opened.pulls()
      await turn()
      assert.equal(watch.starts, starts, 'nothing starts after the end')
      assert.equal(opened.pulls(), pulls, 'nothing is pulled after the end')
      opened.check()
    },
  }
}

async function consumed(calls, { kind, after: most }, onCount) {
  const results = []
  const each = (result) => {
    results.push(result)
    onCount(results.length)
  }
  try {
    if (kind === 'toArray') return { results: await calls.toArray() }
    for await (const result of calls) {
      each(result)
      if (results.length === most) break
    }
    return { results }
  } catch (error) {
    return kind === 'toArray' ? { thrown: thrownOf(error) } : { results, thrown: thrownOf(error) }
  }
}

function passOn(value) {
  return value
}

function counted(watch) {
  return async (value) => {
    watch.running++
    watch.starts++
    try {
      return await planned(value)
    } finally {
      watch.running--
    }
  }
}

async function inTime(promise) {
  const late = new AbortController()
  const hangs = sleep(10_000, undefined, late).then(
    () => assert.fail('it hangs'),
    () => {},
  )
  try {
    return await Promise.race([promise, hangs])
  } finally {
    late.abort()
  }
}

// Sources

/** What this kind of source can do. */
function feasible(from) {
  const promises = from.promises && from.kind !== 'Readable'
  const items = promises ? from.items : from.items.map(({ failed: _, ...rest }) => rest)
  return { ...from, promises, items, error: FAILING.has(from.kind) ? from.error : undefined }
}

function open({ kind, items, error, promises }, plan) {
  const values = items.map(({ n }) => ({ n, at: 0, plan }))
  const known = {
    items: items.map(({ failed }, i) => ({ value: values[i], failed })),
    error,
    promises,
  }
  const itemAt = (at) => {
    if (!promises) return values[at]
    const { failed, delay } = items[at]
    const arrival = delay === 0 ? Promise.resolve() : sleep(delay)
    return arrival.then(() => {
      if (failed !== undefined) throw new Error(failed)
      return values[at]
    })
  }
  const counts = { pulls: 0, returns: 0, ended: false }
  const pull = () => {
    assert.equal(counts.returns, 0, 'nothing is pulled from a source that was closed')
    if (counts.pulls < items.length) return { done: false, value: itemAt(counts.pulls++) }
    counts.ended = true
    if (error !== undefined) throw new Error(error)
    return { done: true, value: undefined }
  }
  const opened = (source, check) => ({ source, items: known, pulls: () => counts.pulls, check })
  if (kind === 'array') {
    const array = items.map((_, at) => itemAt(at))
    // They are there before anyone asks for them.
    for (const value of array) if (promises) value.catch(() => {})
    return opened(array, () => {})
  }
  if (kind === 'Readable') {
    const stream = Readable.from(
      (async function* () {
        for (const value of values) {
          if (value.n % 5 === 0) await turn()
          yield value
        }
        if (error !== undefined) throw new Error(error)
      })(),
      { highWaterMark: 2 },
    )
    return opened(stream, () => assert.equal(stream.destroyed, true, 'the stream was destroyed'))
  }
  const closing = () => {
    counts.returns++
    return { done: true, value: undefined }
  }
  const iterator =
    kind === 'iterator'
      ? { next: pull, return: closing, [Symbol.iterator]: () => iterator }
      : {
          async next() {
            if (counts.pulls % 3 === 1) await turn()
            return pull()
          },
          async return() {
            await turn()
            return closing()
          },
          [Symbol.asyncIterator]: () => iterator,
        }
  return opened(iterator, () => {
    if (counts.ended) assert.ok(counts.returns <= (kind === 'iterator' ? 0 : 1), 'it had ended')
    else assert.equal(counts.returns, 1, 'the source was closed once')
  })
}

// What the model is told, and what is compared

/** Which transformation does what is part of the items; only the last mapping may be settled. */
function prepared(stages, settled) {
  const last = stages.findLastIndex(({ kind }) => MAPPINGS.has(kind))
  const falsy = stages.every(({ kind, step }) => kind !== 'flatMap' || step.faults)
  const plan = []
  let filter
  const chained = stages.map((stage, at) => {
    if (!MAPPINGS.has(stage.kind)) return stage
    const { kind, step } = stage
    if (kind === 'filter') filter ??= step
    else {
      plan.push({ ...(filter ?? step), falsy, flat: kind === 'flatMap' })
      filter = undefined
    }
    return at === last ? { ...stage, options: { ...stage.options, settled } } : stage
  })
  // Only a call has these methods.
  if (stages[0].kind === 'filter' || stages[0].kind === 'flatMap')
    chained.unshift({ kind: 'pass', options: { concurrency: 2, backpressure: 3 } })
  if (filter !== undefined) plan.push({ ...filter, falsy, flat: false })
  chained.plan = plan
  return chained
}

function canonical(value, where) {
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one, where))}]`
  if (value?.status !== undefined) {
    const { status, index, reason } = value
    const what = status === 'fulfilled' ? canonical(value.value, where) : thrownOf(reason)
    return `${status} ${where ? index : ''} ${what}`
  }
  return Array.isArray(value?.plan) ? `${value.n}@${value.at}` : String(value)
}

/** An error as the model writes it. */
function thrownOf(error) {
  if (error instanceof AggregateError) return error.errors.map(thrownOf)
  return error?.code === 'ERR_INVALID_ARG_TYPE' ? 'TypeError' : (error?.message ?? error)
}

function messagesOf(end) {
  if (end === undefined) return []
  return end.any === undefined ? [...end.all, ...messagesOf(end.then)] : [...end.any]
}

/** Whether an error of an item ends a stage before its items have ended; the source's own error does not. */
function stops(end) {
  if (end === undefined) return false
  return end.any === undefined ? stops(end.then) : !end.any.has('source')
}

/** The same, with one for those of which any is thrown. */
function oneOf(end) {
  if (end === undefined) return end
  return end.any === undefined
    ? { ...end, then: oneOf(end.then) }
    : { any: new Set([...end.any].slice(0, 1)) }
}

function sizeOf(depth) {
  return (result) => (depth === 0 ? 1 : result.map(sizeOf(depth - 1)))
}

// A Readable that fails drops what it has read ahead, so nothing can be said of what comes before its error.
const FAILING = new Set(['iterator', 'async iterator'])
const MAPPINGS = new Set(['map', 'filter', 'flatMap'])
