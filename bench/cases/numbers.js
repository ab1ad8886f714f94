// No-op over a million numbers, consumed by `for await`.

import { parallelMap } from 'millrace'
import { numbers } from '../items.js'
import { consume, time, WINDOW, warmMillrace, warmPiscina } from '../pools.js'
import { slideOver } from '../sliding-window.js'

export const sides = {
  async millrace() {
    const pool = await warmMillrace('no-op.js', [...numbers(WARM)])
    const ms = await time(() => consume(parallelMap(numbers(ITEMS), pool)), ITEMS)
    await pool.close()
    return { value: ITEMS / (ms / 1000) }
  },

  async piscina() {
    const pool = await warmPiscina('no-op.js', [...numbers(WARM)])
    const ms = await time(() => slideOver(numbers(ITEMS), WINDOW, (item) => pool.run(item)), ITEMS)
    await pool.destroy()
    return { value: ITEMS / (ms / 1000) }
  },
}

const ITEMS = 1_000_000
const WARM = 20_000
