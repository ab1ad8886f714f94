// The same 300,000 records, against two forked children and JSON messages in a hand-written loop.

import { records } from '../items.js'
import { time, WINDOW, warmForks } from '../pools.js'
import { slideOver } from '../sliding-window.js'
import { ITEMS, sides as recordSides, WARM } from './records.js'

export const sides = {
  millrace: recordSides.millrace,

  async fork() {
    const items = records(ITEMS)
    const forks = await warmForks('echo-child.cjs', records(WARM))
    const ms = await time(() => slideOver(items, WINDOW, forks.run), ITEMS)
    await forks.close()
    return { value: ITEMS / (ms / 1000) }
  },
}
