// Sorting one array of five million doubles, and what the event loop feels of it.

import { availableParallelism } from 'node:os'
import { native } from 'millrace'
import { withDelay } from '../event-loop-delay.js'

export const sides = {
  millrace: () => sorted(),
  transferred: () => sorted({ transfer: true }),

  async TypedArray() {
    doubles(WARM).sort()
    const item = doubles(ITEMS)
    const began = performance.now()
    item.sort()
    const ms = performance.now() - began
    isSorted(item)
    return { value: ITEMS / (ms / 1000) }
  },

  /** As if every processor did nothing but what one thread does that sorts in place. */
  async limit() {
    const sort = native.array.sort()
    sort.runSync(doubles(WARM), { transfer: true })
    const item = doubles(ITEMS)
    const began = performance.now()
    const result = sort.runSync(item, { transfer: true })
    const ms = performance.now() - began
    isSorted(result)
    return { value: (ITEMS / (ms / 1000)) * availableParallelism() }
  },
}

async function sorted(options) {
  const sort = native.array.sort()
  await sort.run(doubles(WARM), options)
  const item = doubles(ITEMS)
  const { ms, delay } = await withDelay(() => sort.run(item, options).then(isSorted))
  return { value: ITEMS / (ms / 1000), delay }
}

/** The same every time: uniform, of both signs. */
function doubles(count) {
  let state = 1
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state * 1.25
  })
}

function isSorted(item) {
  if (item.length !== ITEMS && item.length !== WARM) throw new Error(`${item.length} numbers`)
  for (let at = 1; at < item.length; at += 997) if (item[at - 1] > item[at]) throw new Error('not sorted')
}

const ITEMS = 5_000_000
const WARM = 100_000
