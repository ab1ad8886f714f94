// Carries out one call of the plan: consumes it in the way that is planned, stalls, leaves it early, and has the judge
// look at all that comes.

import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap, SerializationError, TaskTimeoutError } from '../../index.js'
import { thrownBy } from './faults.js'
import { Judge } from './judge.js'

/**
 * @param call of the plan
 * @param pool that it runs on
 * @param around { plan, tally, signal, note }: the shared signal that is never aborted; `note(name)` counts what was done
 */
export async function carryOut(call, pool, { plan, tally, signal, note }) {
  const judge = new Judge(plan, call, tally)
  const control = call.ending.startsWith('abort') ? new AbortController() : undefined
  const options = { ...call.options, signal: control?.signal ?? signal, retryIf: retryIfOf(plan, call) }
  const reason = { aborted: call.place }
  if (call.ending === 'abort later') setTimeout(() => control.abort(reason), call.endsAfter % 1000)
  const context = { call, pool, judge, plan, options, control, reason, note }
  if (call.consumer === 'run') await runs(context)
  else await results(context)
  note(`call: ${call.consumer}`)
  if (call.keys > 0 && call.consumer !== 'run') note('call with keys')
  if (call.options.priority !== 0) note('call with a priority')
}

/** An item that hangs at every try is cut off once; all else that fails is tried again. */
function retryIfOf(plan, call) {
  return (error, { index }) =>
    !(error instanceof TaskTimeoutError && plan.item(call, index).expect === 'TaskTimeoutError') &&
    !(error instanceof SerializationError)
}

async function results(context) {
  const { call, pool, judge, plan, options, control, reason, note } = context
  const key = call.keys > 0 ? ({ number }) => number % call.keys : undefined
  let calls = parallelMap(itemsOf(plan, call), pool, { ...options, key })
  if (call.consumer === 'stages') calls = calls.batch(9).flatMap((some) => some.values())
  let failed
  let left = false
  try {
    left = await consume(context, calls)
  } catch (error) {
    if (error?.name === 'Discrepancy') throw error
    failed = { error }
  }
  await calls.finished
  if (failed === undefined) {
    if (left) note('call left by break')
    else judge.complete()
  } else if (control?.signal.aborted && failed.error === reason) note('call aborted')
  else if (call.errors === 'collected') {
    judge.collected(failed.error)
    judge.complete()
    note('call with an AggregateError')
  } else {
    judge.stopped(failed.error)
    note('call ended by an error')
  }
}

/** @returns whether it was left early */
async function consume({ call, judge, control, reason, note }, calls) {
  const stallEvery = call.stalls === 0 ? Infinity : Math.ceil(call.count / (call.stalls + 1))
  const take = (result) => {
    if (call.errors === 'settled') judge.outcome(result)
    else judge.tagged(result)
    if (call.ending === 'abort' && judge.count === call.endsAfter) control.abort(reason)
    return judge.count % stallEvery === 0 ? stall(judge.count, note) : undefined
  }
  if (call.consumer === 'toArray') {
    for (const result of await calls.toArray()) take(result)
    return false
  }
  if (call.consumer === 'forEach') {
    await calls.forEach(take)
    return false
  }
  for await (const result of calls) {
    await take(result)
    if (call.ending === 'break' && judge.count >= call.endsAfter) return true
  }
  return false
}

/** The consumer waits, or holds the whole event loop. */
function stall(dice, note) {
  if (dice % 2 === 0) {
    note('consumer stalled')
    return sleep(20 + (dice % 300))
  }
  note('event loop blocked')
  for (const end = performance.now() + 20 + (dice % 200); performance.now() < end; );
  return undefined
}

/** The same items by `run()`, some hundred at a time. */
async function runs({ call, pool, judge, plan, options, control, reason, note }) {
  const { settled: _, stopOnError: _1, preserveOrder: _2, chunkSize: _3, backpressure: _4, ...each } = options
  let next = 0
  const lane = async () => {
    while (next < call.count && !control?.signal.aborted) {
      const index = next++
      // Of a run, the index is always 0.
      const retryIf = (error, { attempt }) => options.retryIf(error, { index, attempt })
      const item = itemOf(plan.item(call, index), false)
      const [outcome] = await Promise.allSettled([
        Promise.resolve(item).then((value) => pool.run(value, { ...each, retryIf })),
      ])
      if (control?.signal.aborted && outcome.reason === reason) continue
      judge.run(index, outcome)
      if (call.ending === 'abort' && judge.count === call.endsAfter) control.abort(reason)
    }
  }
  await Promise.all(Array.from({ length: 200 }, lane))
  if (control?.signal.aborted) note('runs aborted')
  else judge.complete()
}

function* itemsOf(plan, call) {
  for (let index = 0; index < call.count; index++) {
    yield itemOf(plan.item(call, index), call.errors !== 'settled')
  }
}

function itemOf({ number, fault, tries }, tagged) {
  const item = { number, fault, tries, tagged }
  if (fault === 'unclonable item') return { ...item, deep: { fn: () => {} } }
  if (fault === 'item is a promise') return sleep(number % 5, item)
  if (fault === 'rejected item') return rejected(number)
  return item
}

function rejected(number) {
  const promise = sleep(number % 5).then(() => Promise.reject(thrownBy('rejected item', number)))
  // Whoever never pulls it leaves it unhandled.
  promise.catch(() => {})
  return promise
}
