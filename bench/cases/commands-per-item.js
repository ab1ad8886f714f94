// A program for each of 1,000 items: `echo`, which answers with its item. All sides run two at a time, and read what comes.

import { spawnSync } from 'node:child_process'
import { commandPool, parallelMap } from 'millrace'
import { time } from '../pools.js'

const ITEMS = 1000

export const sides = {
  async millrace() {
    const pool = commandPool('/bin/echo', [], { perItem: true, size: 2 })
    const ms = await time(async () => sum(await parallelMap(items(), pool).toArray()), SUM)
    await pool.close()
    return { value: ITEMS / (ms / 1000) }
  },
  parallel: () => rate('parallel', ['--will-cite', '-k', '-j2', '/bin/echo']),
  xargs: () => rate('xargs', ['-P2', '-n1', '/bin/echo']),
}

async function rate(command, args) {
  const ms = await time(async () => {
    const { error, stdout } = spawnSync(command, args, { input: items().join('\n'), encoding: 'utf8' })
    if (error?.code === 'ENOENT') throw new Error(`${command} is not installed`)
    return sum(stdout.trim().split('\n'))
  }, SUM)
  return { value: ITEMS / (ms / 1000) }
}

const items = () => Array.from({ length: ITEMS }, (_, i) => `${i}`)
const sum = (answers) => answers.reduce((total, answer) => total + Number(answer), 0)
const SUM = (ITEMS * (ITEMS - 1)) / 2
