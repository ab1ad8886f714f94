// What a chain of stages may yield, computed one item after the other on plain arrays. Written for its simplicity: it
// knows nothing of windows, slots and promises.
//
// Where things run at the same time more than one outcome is legal, so the model gives all of them. A stream is
// { results, end }: `end` is undefined, or what is thrown after the results, as a set of candidates:
// - { any: Set of messages }: one of these;
// - { all: [messages], then: end | undefined }: an AggregateError of all these and, last, one of `then`.
//
// What is legal beyond the one sequential outcome:
// - A stopping error starts nothing more, and which of several errors is known first is a matter of time: any failing
//   item of that stage may be the one that is thrown. It stands at the place of the first item that has no result.
// - Results before it are delivered if their items had begun. A function's items begin in order. Items that are
//   promises begin when they arrive, and those of a pool when a worker takes them: there the results may be cut earlier.
// - An abort cuts the results of its stage anywhere.

import { decide } from './fixtures/planned.js'

/**
 * @param {{ items: { value: unknown, failed?: string }[], error?: string, promises?: boolean }} source `failed`: the
 *   item is a promise that rejects with this message; `error`: what the source throws at its end
 * @param {{ kind: 'pass' | 'map' | 'filter' | 'flatMap' | 'batch' | 'take' | 'drop', pool?: boolean, options?: object, size?: number, count?: number, aborts?: string }[]} stages
 */
export function streamsOf(source, stages) {
  const end = source.error === undefined ? undefined : { any: new Set([source.error]) }
  let streams = [{ results: source.items, end, raw: true, promises: source.promises }]
  for (const stage of stages) streams = distinct(streams.flatMap((stream) => throughStage(stream, stage)))
  return streams
}

/** Whether that is what was thrown: a message, or an array of messages for an AggregateError. */
export function isEnd(end, thrown) {
  if (end === undefined || thrown === undefined) return end === thrown
  if (end.any !== undefined) return end.any.has(thrown)
  const { all, then } = end
  if (!Array.isArray(thrown) || all.some((message, i) => message !== thrown[i])) return false
  return then === undefined
    ? thrown.length === all.length
    : thrown.length === all.length + 1 && isEnd(then, thrown.at(-1))
}

function throughStage(stream, stage) {
  const items = stream.results.map((item) => (stream.raw ? item : { value: item }))
  let streams
  if (stage.kind === 'batch') streams = [batched(items, stream.end, stage.size)]
  else if (stage.kind === 'take') streams = [taken(stream, stage.count)]
  else if (stage.kind === 'drop') streams = [{ ...stream, results: stream.results.slice(stage.count) }]
  else streams = mapped(items, stream, stage)
  if (stage.aborts === undefined) return streams
  const aborted = { any: new Set([stage.aborts]) }
  return streams.flatMap((whole) => [whole, ...prefixes(whole.results, aborted)])
}

function batched(items, end, size) {
  const failed = items.findIndex((item) => item.failed !== undefined)
  const values = (failed === -1 ? items : items.slice(0, failed)).map(({ value }) => value)
  const results = []
  for (let at = 0; at < values.length; at += size) results.push(values.slice(at, at + size))
  return { results, end: failed === -1 ? end : { any: new Set([items[failed].failed]) } }
}

/** What comes after the last one that is wanted is not looked at, also if that is an error. */
function taken({ results, end }, count) {
  return results.length >= count ? { results: results.slice(0, count), end: undefined } : { results, end }
}

function mapped(items, { end, promises }, { kind, pool, options = {} }) {
  const { settled = false, stopOnError = true } = options
  const results = []
  const errors = []
  let place = -1
  for (const [index, item] of items.entries()) {
    const { yielded, error } =
      item.failed === undefined ? ended(item.value, kind, pool) : { yielded: [], error: item.failed }
    if (place === -1)
      results.push(...yielded.map((value) => (settled ? { status: 'fulfilled', value, index } : value)))
    if (error === undefined) continue
    if (settled) results.push({ status: 'rejected', reason: error, index })
    else errors.push(error)
    if (!settled && stopOnError && place === -1) place = results.length
  }
  if (errors.length === 0) return [{ results, end }]
  if (!stopOnError) return [{ results, end: { all: errors, then: end } }]
  const stopped = { any: new Set(errors) }
  return pool || promises ? prefixes(results, stopped) : [{ results, end: stopped }]
}

/** How one item ends: what it yields, and then its error. */
function ended(item, kind, pool) {
  if (kind === 'pass') return { yielded: [item] }
  const decision = decide(item)
  if (decision.kind === 'throw') return { yielded: [], error: decision.error }
  if (decision.kind === 'skip') return { yielded: [] }
  if (kind === 'filter') {
    const truth = decision.kind === 'many' || (decision.kind === 'value' && decision.value)
    return { yielded: truth ? [item] : [] }
  }
  const { value = false, results = value, error } = decision
  if (kind === 'map') return { yielded: [results] }
  if (!Array.isArray(results)) return { yielded: [], error: 'TypeError' }
  // A worker sends the results of one item together, so there are none if it fails.
  return { yielded: pool && error !== undefined ? [] : results, error }
}

function prefixes(results, end) {
  return Array.from({ length: results.length + 1 }, (_, length) => ({
    results: results.slice(0, length),
    end,
  }))
}

function distinct(streams) {
  const seen = new Map()
  for (const stream of streams) {
    const key = JSON.stringify(stream, (_, value) => (value instanceof Set ? [...value].sort() : value))
    if (!seen.has(key)) seen.set(key, stream)
  }
  return [...seen.values()]
}
