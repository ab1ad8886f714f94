// How long others had to wait for the event loop while something ran.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

/** `ms` until `work` has settled; `delay`: after how many milliseconds a timer of one millisecond came meanwhile. */
export async function withDelay(work) {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  await sleep(20)
  monitor.reset()
  // It measures from its next tick on: what blocks at once would be missed.
  await sleep(5)
  const began = performance.now()
  await work()
  const ms = performance.now() - began
  // A timer that is late now is noted now.
  await sleep(2)
  monitor.disable()
  return { ms, delay: { p99: monitor.percentile(99) / 1e6, max: monitor.max / 1e6, samples: monitor.count } }
}
