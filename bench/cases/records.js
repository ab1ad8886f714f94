// No-op over 300,000 records of five fields, against piscina.

import { parallelMap } from 'millrace'
import { records } from '../items.js'
import { consume, time, WINDOW, warmMillrace, warmPiscina } from '../pools.js'
import { slideOver } from '../sliding-window.js'

export const sides = {
  async millrace() {
    const items = records(ITEMS)
    const pool = await warmMillrace('no-op.js', records(WARM))
    const ms = await time(() => consume(parallelMap(items, pool)), ITEMS)
    await pool.close()
    return { value: ITEMS / (ms / 1000) }
  },

  async piscina() {
    const items = records(ITEMS)
    const pool = await warmPiscina('no-op.js', records(WARM))
    const ms = await time(() => slideOver(items, WINDOW, (item) => pool.run(item)), ITEMS)
    await pool.destroy()
    return { value: ITEMS / (ms / 1000) }
  },
}

export const ITEMS = 300_000
export const WARM = 20_000
