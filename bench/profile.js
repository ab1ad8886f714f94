// Where a process spends its time, by V8's sampling profiler: for a row that misses its goal.

import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../scripts/root.js'

/** What `work` gives, and its ten most expensive functions by their own time. */
export async function profiled(work) {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 200 })
  await session.post('Profiler.start')
  const result = await work()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  return { ...result, profile: mostExpensive(profile) }
}

function mostExpensive({ nodes, samples, timeDeltas }) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map()
  let total = 0
  for (const [index, id] of samples.entries()) {
    total += timeDeltas[index]
    times.set(frames.get(id), (times.get(frames.get(id)) ?? 0) + timeDeltas[index])
  }
  return [...times]
    .sort(([, one], [, other]) => other - one)
    .slice(0, 10)
    .map(([name, time]) => ({ name, share: time / total }))
}

/** `encode (lib/codec.js:12)`; V8's own `(idle)` and `(garbage collector)` have no place. */
function nameOf({ functionName, url, lineNumber }) {
  const name = functionName || '(anonymous)'
  if (url.startsWith('file:')) return `${name} (${relative(root, fileURLToPath(url))}:${lineNumber + 1})`
  return url ? `${name} (${url})` : name
}
