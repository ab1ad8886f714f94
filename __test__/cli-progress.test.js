// The progress: on a terminal alone, never on stdout, and gone at the end.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { BIN, LIMIT, map, ndjson, TASK, valuesOf } from './cli-program.js'
import { folderWith } from './processes.js'

const lines = ndjson(Array.from({ length: 20 }, () => ({ sleep: 30 })))

/** Run it on a terminal of its own; `script` of util-linux makes one. What the terminal got. */
async function onTerminal(folder, args) {
  const command = [process.execPath, BIN, 'map', TASK, '-j', '2'].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', `${command} ${args}`, '/dev/null'], {
    cwd: folder,
    env: { ...process.env, TERM: 'xterm' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 120_000,
  })
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (screen += text))
  const [code] = await once(child, 'close')
  return { code, screen }
}

describe('progress', LIMIT, () => {
  test('there is none where stderr is no terminal', async (t) => {
    const { stderr } = await map(t, [], { input: lines })
    assert.equal(stderr, '')
  })

  test('a bar where the results go elsewhere: percent, rate, a summary, and the line is cleared', async (t) => {
    const folder = folderWith(t, { data: `x\n${lines}` })
    const { code, screen } = await onTerminal(folder, 'data > out')
    assert.equal(code, 1)
    assert.match(screen, /\d+% \| \d+ lines \| \d+\/s \| \d+ bad \| .* left/)
    // The report stands on a line of its own, and the summary is the last thing.
    assert.match(screen.replaceAll('\u001b', 'ESC'), /ESC\[2Kmillrace: data:1: SyntaxError: [^\r\n]*\r?\n/)
    assert.match(screen, /millrace: 21 lines in [\d.]+ s \(\d+\/s\), 1 bad\r?\n$/)
    assert.deepEqual(valuesOf(readFileSync(join(folder, 'out'), 'utf8')), Array(20).fill(30))
  })

  test('none where the results go to the same terminal, or with --no-progress', async (t) => {
    const folder = folderWith(t, { data: '1\n2\n' })
    assert.deepEqual(await onTerminal(folder, 'data'), { code: 0, screen: '1\r\n2\r\n' })
    assert.deepEqual(await onTerminal(folder, '--no-progress data > out'), { code: 0, screen: '' })
  })

  test('no file, and stdin is a terminal: the help', async (t) => {
    const { code, screen } = await onTerminal(folderWith(t), '')
    assert.equal(code, 2)
    assert.match(screen, /^Usage: millrace map/)
  })

  test('--progress: a line now and then where stderr is no terminal; sizes that are not known', async (t) => {
    const { code, stdout, stderr } = await map(t, ['--progress'], { input: lines })
    assert.equal(code, 0)
    assert.equal(valuesOf(stdout).length, 20)
    assert.match(stderr, /^0 lines \| 0\/s \| 0 bad/)
    assert.match(stderr, /millrace: 20 lines in [\d.]+ s \(\d+\/s\), 0 bad\n$/)
    assert.ok(!stderr.includes('\u001b') && !stderr.includes('%'))
  })
})
