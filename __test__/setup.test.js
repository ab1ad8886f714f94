// A tool that is missing or too old ends every command with one line that says so, and exit code 1.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { root } from '../scripts/root.js'

// A clone whose addon is not built, on a machine with no tool but what a test puts on its PATH.
const clone = mkdtempSync(join(tmpdir(), 'millrace-setup-'))
const tools = join(clone, 'tools')
after(() => rmSync(clone, { recursive: true, force: true }))
for (const path of [
  'scripts',
  '__test__/leftovers.js',
  'package.json',
  'package-lock.json',
  'Cargo.toml',
  'index.d.ts',
]) {
  cpSync(join(root, path), join(clone, path), { recursive: true })
}
mkdirSync(join(clone, 'lib'))
symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))

beforeEach(() => {
  rmSync(tools, { recursive: true, force: true })
  mkdirSync(tools)
})

test('Node.js is too old', () => {
  const pretend = 'Object.defineProperty(process, "versions", { value: { node: "20.18.1" } })'
  writeFileSync(join(clone, 'pretend.cjs'), pretend)
  assert.match(
    oneLine('test', ['--require', './pretend.cjs']),
    /^millrace needs Node\.js 20\.19 or newer; this is v/,
  )
})

test('there is no cargo', () => {
  assert.match(oneLine('start'), /^cargo is missing: install Rust \d\.\d+ or newer/)
})

test('there is no rustc', () => {
  pretendTool('cargo', 'cargo 1.99.0')
  assert.match(oneLine('start'), /^rustc is missing: /)
})

test('Rust is too old', () => {
  pretendTool('cargo', 'cargo 1.70.0')
  pretendTool('rustc', 'rustc 1.70.0 (90c541806 2023-05-31)')
  assert.match(oneLine('test'), /^rustc 1\.70\.0 is too old: millrace needs \d\.\d+ or newer/)
})

test('there is no C compiler', () => {
  pretendTool('cargo', 'cargo 1.99.0')
  pretendTool('rustc', 'rustc 1.99.0')
  assert.match(oneLine('start'), /^cc is missing: install a C compiler/)
})

test('an unknown command', () => {
  assert.match(oneLine('strat'), /^usage: /)
})

/** What a command prints that cannot go on; it must be one line. */
function oneLine(command, nodeArgs = []) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, 'scripts/run.js', command], {
    cwd: clone,
    encoding: 'utf8',
    env: { PATH: tools, npm_execpath: process.env.npm_execpath ?? '' },
  })
  assert.equal(status, 1, stdout + stderr)
  assert.equal(stdout, '')
  assert.equal(stderr.split('\n').length, 2, stderr)
  return stderr
}

function pretendTool(name, version) {
  writeFileSync(join(tools, name), `#!/bin/sh\necho "${version}"\n`)
  chmodSync(join(tools, name), 0o755)
}
