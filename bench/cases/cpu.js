// One millisecond of CPU per item, against two independent processes that do half of the items each and exchange
// nothing on the way: what this machine can give.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parallelMap } from 'millrace'
import { closeForks, consume, time, warmMillrace } from '../pools.js'
import spin from '../tasks/spin.js'

/** How many turns take a millisecond here; once, so that both sides do the same work. */
export function calibrate() {
  spin(1e7)
  const began = performance.now()
  spin(1e8)
  return { turns: Math.round(1e8 / (performance.now() - began)) }
}

export const sides = {
  async millrace({ turns }) {
    const pool = await warmMillrace('spin.js', Array(WARM).fill(turns))
    const items = Array(ITEMS).fill(turns)
    const ms = await time(() => consume(parallelMap(items, pool)), ITEMS)
    await pool.close()
    return { value: ITEMS / (ms / 1000) }
  },

  async independent({ turns }) {
    const task = fileURLToPath(new URL('../tasks/spin-child.js', import.meta.url))
    const children = [fork(task), fork(task)]
    const both = async (items) => {
      const answers = children.map((child) => once(child, 'message'))
      for (const child of children) child.send({ turns, items: items / 2 })
      await Promise.all(answers)
      return items
    }
    await both(WARM)
    const ms = await time(() => both(ITEMS), ITEMS)
    await closeForks(children)
    return { value: ITEMS / (ms / 1000) }
  },
}

const ITEMS = 4_000
const WARM = 100
