// 200,000 small messages to one forked child and back, 256 on their way: the same loop with either import.

import * as childProcess from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as millrace from '../../lib/compat/fork.js'
import { time, WINDOW } from '../pools.js'

const ITEMS = 200_000
const WARM = 20_000
const CHILD = fileURLToPath(new URL('../tasks/echo-child.cjs', import.meta.url))

export const sides = {
  millrace: () => echo(millrace.fork),
  fork: () => echo(childProcess.fork),
}

async function echo(fork) {
  const child = fork(CHILD)
  await there(child, WARM)
  const ms = await time(() => there(child, ITEMS), ITEMS)
  child.disconnect()
  return { value: ITEMS / (ms / 1000) }
}

/** Send so many messages, and hear of each. */
function there(child, count) {
  return new Promise((resolve) => {
    let sent = 0
    let heard = 0
    const send = () => child.send({ id: sent++, name: 'message' })
    const onMessage = () => {
      if (++heard === count) {
        child.off('message', onMessage)
        resolve(heard)
      } else if (sent < count) send()
    }
    child.on('message', onMessage)
    while (sent < WINDOW) send()
  })
}
