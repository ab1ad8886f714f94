// What workers write to stderr reaches ours whole, however slowly that is read.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { folderWith, LIMIT } from './processes.js'

const PACKAGE = new URL('../index.js', import.meta.url).href
const BYTES = 2 << 20

test('nothing is lost where our stderr is slow, and Node has made it non-blocking', LIMIT, async (t) => {
  const folder = folderWith(t, {
    'task.mjs': `
      import { writeSync } from 'node:fs'
      export default () => {
        const block = Buffer.alloc(8192, 'x')
        for (let left = ${BYTES}; left > 0; ) left -= writeSync(2, block, 0, Math.min(block.length, left))
      }`,
    'program.mjs': `
      import { workerPool } from ${JSON.stringify(PACKAGE)}
      process.stderr.write('')
      const pool = workerPool(process.argv[2], { size: 1 })
      await pool.run(1)
      // What is on its way when a program ends is nobody's any more.
      await new Promise((resolve) => setTimeout(resolve, 500))
      await pool.close()`,
  })
  const child = spawn(process.execPath, [`${folder}/program.mjs`, `${folder}/task.mjs`], {
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  let bytes = 0
  for await (const part of child.stderr) {
    // At first long enough for every buffer on the way to be full.
    await sleep(bytes === 0 ? 500 : 1)
    bytes += part.length
  }
  assert.deepEqual(await ended, [0, null])
  assert.equal(bytes, BYTES)
})
