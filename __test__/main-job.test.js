// The main job of `npm start`, on a small folder: what it sums up, and files that do not parse.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { root } from '../scripts/root.js'

const folder = mkdtempSync(join(tmpdir(), 'millrace-main-job-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const FILES = {
  'one/index.js': 'exports.a = () => 1\nfunction b() {}\n',
  'one/module.mjs': 'export default class { method() {} }\n',
  '@scope/two/main.js': 'import fs from "node:fs"\nawait fs.promises.readFile("x")\n',
  '@scope/two/node_modules/one/old.cjs': 'return require("x")\n',
  'broken/a.js': 'let let = 1\n',
  'broken/b.mjs': 'return 1\n',
  'one/README.md': 'no code',
}

test('the main job sums up every JavaScript file and reports those that do not parse', () => {
  for (const [path, code] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), code)
  }
  const job = join(root, 'examples/parse-node-modules.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [job, folder], { encoding: 'utf8' })

  assert.equal(status, 0, stderr)
  assert.equal(stderr, '', 'no progress bar where there is no terminal')
  assert.match(stdout, /^6 JavaScript files of 3 packages$/m)
  assert.match(stdout, /^ {2}functions +3$/m)
  assert.match(stdout, /^ {2}speed-up +\d+\.\d+× \(one process: /m)
  assert.match(stdout, /^ {2}one \(in @scope\/two\) +0\.00 +1 +0$/m)
  assert.match(stdout, /^2 files did not parse$/m)
  assert.match(stdout, /^ {2}broken\/a\.js: .*\(1:\d+\)$/m)
  assert.match(stdout, /^ {2}broken\/b\.mjs: 'return' outside of function \(1:0\)$/m)
})
