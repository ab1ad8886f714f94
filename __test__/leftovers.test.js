// A program that uses pools leaves nothing behind: in itself (file descriptors, children, mapped shared memory) as
// soon as its pools are closed, and on the machine when it ends. And the check for that does find what is left.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Leftovers } from './leftovers.js'

const folder = mkdtempSync(join(tmpdir(), 'millrace-leftovers-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const PROGRAM = fileURLToPath(new URL('./fixtures/pools-come-and-go.js', import.meta.url))

test('closed pools leave no descriptor, child or shared memory in their process', async () => {
  const { output, code } = await run('close')
  assert.equal(code, 0, output)
  const { before, after } = JSON.parse(output)
  assert.deepEqual(after, before)
})

const ENDINGS = { close: 0, exit: 3, throw: 1, open: 0, SIGKILL: 'SIGKILL' }
for (const [ending, expected] of Object.entries(ENDINGS)) {
  test(`nothing is left on the machine after: ${ending}`, async () => {
    const leftovers = new Leftovers(folder)
    const { code, signal, output } = await run(ending, leftovers.env)
    assert.equal(signal ?? code, expected, output)
    const found = await leftovers.find()
    leftovers.end()
    assert.deepEqual(found, [])
  })
}

test('the check finds a process, with or without its environment, and a file', async () => {
  const leftovers = new Leftovers(folder)
  const idle = ['-e', 'setInterval(() => {}, 1000)']
  const marked = spawn(process.execPath, idle, { env: { ...process.env, ...leftovers.env }, stdio: 'ignore' })
  const bare = spawn(process.execPath, idle, { env: {}, cwd: leftovers.env.TMPDIR, stdio: 'ignore' })
  writeFileSync(join(leftovers.env.TMPDIR, 'forgotten'), '')
  await Promise.all([once(marked, 'spawn'), once(bare, 'spawn')])

  const found = await leftovers.find()
  for (const child of [marked, bare]) {
    assert.ok(
      found.some((line) => line.startsWith(`process ${child.pid}: `)),
      found.join('\n'),
    )
    child.kill()
  }
  assert.ok(found.includes('temporary file: forgotten'))
  leftovers.end()
})

/** Runs the program until it ends in the way asked for. */
async function run(ending, env = {}) {
  const child = spawn(process.execPath, [PROGRAM, ending], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
      if (ending === 'SIGKILL' && text.includes('busy')) child.kill('SIGKILL')
    })
  }
  // Not 'close': a worker that outlives its parent would hold the pipe, and the test would wait for it.
  const [code, signal] = await once(child, 'exit')
  return { output, code, signal }
}
