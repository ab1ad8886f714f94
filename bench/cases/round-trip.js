// `pool.run(record)`, one at a time: the median latency of a warm pool of two.

import { records } from '../items.js'
import { warmMillrace, warmPiscina } from '../pools.js'

export const sides = {
  async millrace() {
    const pool = await warmMillrace('no-op.js', records(CALLS))
    const value = await medianLatency((record) => pool.run(record))
    await pool.close()
    return { value }
  },

  async piscina() {
    const pool = await warmPiscina('no-op.js', records(CALLS))
    const value = await medianLatency((record) => pool.run(record))
    await pool.destroy()
    return { value }
  },
}

async function medianLatency(run) {
  const items = records(CALLS)
  for (const item of items.slice(0, CALLS / 10)) await run(item)
  const latencies = new Float64Array(CALLS)
  for (let call = 0; call < CALLS; call++) {
    const began = performance.now()
    await run(items[call])
    latencies[call] = performance.now() - began
  }
  return latencies.sort()[CALLS / 2] * 1000
}

const CALLS = 20_000
