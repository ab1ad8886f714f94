// 200,000 small records to `cat` and back, as JSON lines: our pool of programs against one program and `readline`, written by
// hand with the same window and with the back-pressure of its pipe. One program is enough for that side: `cat` waits for it.
// And both from the start of the programs on, against GNU parallel, which is given all of it at once: it hands out blocks
// of a megabyte, so a window would be too small for it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { commandPool, parallelMap } from 'millrace'
import { consume, time } from '../pools.js'

const ITEMS = 200_000
const WARM = 20_000
/** What an automatic window of ours is at most. */
const WINDOW = 16_384

export const sides = {
  async millrace() {
    const pool = commandPool('cat', [], { size: 2 })
    await consume(parallelMap(records(WARM), pool))
    const items = records(ITEMS)
    const ms = await time(() => consume(parallelMap(items, pool)), ITEMS)
    await pool.close()
    return { value: ITEMS / (ms / 1000) }
  },

  async whole() {
    const items = records(ITEMS)
    const ms = await time(async () => {
      const pool = commandPool('cat', [], { size: 2 })
      const count = await consume(parallelMap(items, pool))
      await pool.close()
      return count
    }, ITEMS)
    return { value: ITEMS / (ms / 1000) }
  },

  async parallel() {
    const items = records(ITEMS)
    const ms = await time(async () => {
      const child = spawn('parallel', ['--will-cite', '--pipe', '-k', '-j2', 'cat'], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const failed = once(child, 'error').then(() => Promise.reject(new Error('parallel is not installed')))
      const heard = there(child, createInterface({ input: child.stdout }), items, ITEMS)
      return Promise.race([heard, failed])
    }, ITEMS)
    return { value: ITEMS / (ms / 1000) }
  },

  async readline() {
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })
    await there(child, lines, records(WARM))
    const items = records(ITEMS)
    const ms = await time(() => there(child, lines, items), ITEMS)
    child.stdin.end()
    await once(child, 'exit')
    return { value: ITEMS / (ms / 1000) }
  },
}

/** Sends so many records as lines, and reads each that comes back; says how many. */
function there({ stdin }, lines, items, window = WINDOW) {
  return new Promise((resolve) => {
    let [sent, heard, full] = [0, 0, false]
    const send = () => {
      while (!full && sent < items.length && sent - heard < window)
        full = !stdin.write(`${JSON.stringify(items[sent++])}\n`)
      // Nothing more: with all of it there it is told so.
      if (sent === items.length && window >= items.length) stdin.end()
    }
    const onDrain = () => {
      full = false
      send()
    }
    const onLine = (line) => {
      if (JSON.parse(line).id !== heard) throw new Error(`expected ${heard}, got ${line}`)
      if (++heard === items.length) {
        lines.off('line', onLine)
        stdin.off('drain', onDrain)
        resolve(heard)
      } else send()
    }
    stdin.on('drain', onDrain)
    lines.on('line', onLine)
    send()
  })
}

function records(length) {
  return Array.from({ length }, (_, id) => ({
    id,
    name: `user${(id * 7919) % 1009}`,
    score: (id % 1000) / 10,
  }))
}
