// What the manual of the command line shows: its shell blocks run, in order, and print what the text blocks behind them
// say. (That its code runs, docs.test.js sees to.)

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../scripts/root.js'
import { BIN, LIMIT } from './cli-program.js'
import { codeBlocks } from './code-blocks.js'
import { folderWith } from './processes.js'

const SHOWN =
  /^```sh\n(?<command>(?:(?!```)[\s\S])*?\bmillrace(?:(?!```)[\s\S])*?|node (?:(?!```)[\s\S])*?)```\n\n```text\n(?<printed>[\s\S]*?)```$/gm

for (const [page, least] of [
  ['docs/cli.md', 4],
  ['README.md', 1],
]) {
  test(`${page}: commands print what is said`, LIMIT, (t) => {
    const text = readFileSync(join(root, page), 'utf8')
    const folder = folderWith(t, { 'package.json': '{ "type": "module" }' })
    for (const { name, code } of codeBlocks(text)) writeFileSync(join(folder, name), code)
    mkdirSync(join(folder, 'bin'))
    symlinkSync(BIN, join(folder, 'bin/millrace'))
    const shown = [...text.matchAll(SHOWN)].map(({ groups }) => groups)
    assert.ok(shown.length >= least, `${shown.length} commands`)
    for (const { command, printed } of shown) {
      const env = { ...process.env, PATH: `${join(folder, 'bin')}:${process.env.PATH}` }
      const { stdout, stderr } = spawnSync('bash', ['-c', command], { cwd: folder, env, encoding: 'utf8' })
      assert.equal(stdout + stderr, printed, command)
    }
  })
}

test('the manual names every option and exit code that --help names', LIMIT, () => {
  const { stdout } = spawnSync(process.execPath, [BIN, 'map', '--help'], { encoding: 'utf8' })
  const manual = readFileSync(join(root, 'docs/cli.md'), 'utf8')
  const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, option]) => option)
  assert.ok(options.length >= 8)
  for (const option of options) if (option !== '--help') assert.ok(manual.includes(option), option)
})
