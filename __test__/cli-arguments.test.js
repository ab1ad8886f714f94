// What the user types: help, wrong usage, task files that do not load. All of it is said before anything starts.

import assert from 'node:assert/strict'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { root } from '../scripts/root.js'
import { LIMIT, start, TASK } from './cli-program.js'
import { folderWith } from './processes.js'

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

describe('help', LIMIT, () => {
  test('--version', async (t) => {
    assert.deepEqual(await start(t, ['--version']).ended, {
      code: 0,
      signal: null,
      stdout: `${version}\n`,
      stderr: '',
    })
  })

  test('--help', async (t) => {
    const { code, stdout } = await start(t, ['--help']).ended
    assert.equal(code, 0)
    assert.match(stdout, /millrace map/)
  })

  test('map --help names every option, and has examples', async (t) => {
    const { code, stdout, stderr } = await start(t, ['map', '--help']).ended
    assert.equal(code, 0)
    assert.equal(stderr, '')
    const options = [
      'jobs',
      'output',
      'unordered',
      'errors',
      'batch',
      'stop-on-error',
      'progress',
      'no-progress',
    ]
    for (const option of options) assert.match(stdout, new RegExp(`--${option}\\b`))
    assert.match(stdout, /Exit code:[\s\S]*Examples:\n +\$ millrace map/)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 120, line)
  })

  test('nothing at all: the help, as an error', async (t) => {
    const { code, stdout, stderr } = await start(t, []).ended
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /^Usage: millrace/)
  })
})

describe('wrong usage', LIMIT, () => {
  const cases = [
    [['mop'], /unknown command 'mop'/],
    [['map'], /missing required argument 'task'/],
    [['map', TASK, '--nope'], /unknown option '--nope'/],
    [['map', TASK, '-j', '0'], /positive integer, got "0"/],
    [['map', TASK, '-j', '100%'], /positive integer, got "100%"/],
    [['map', TASK, '-j', '1e3'], /positive integer, got "1e3"/],
    [['map', TASK, '--batch', 'many'], /positive integer, got "many"/],
    [['map', TASK, '-o'], /argument missing/],
    [['map', 'missing.js'], /^millrace: cannot read task file missing.js: ENOENT/],
    [['map', '.'], /^millrace: the task file . is a directory/],
    [['map', TASK, 'data', 'missing'], /^millrace: cannot read missing: ENOENT/],
    [['map', TASK, '.'], /^millrace: cannot read .: it is a directory/],
    [['map', TASK, '-', '-'], /stdin \(-\) can be read only once/],
    [['map', TASK, 'data', '-o', 'missing/out'], /^millrace: cannot write missing\/out: ENOENT/],
    [['map', TASK, 'data', '-o', '.'], /^millrace: cannot write .: it is a directory/],
    [['map', TASK, 'data', '-e', './data'], /input data is also what is written to \(.\/data\)/],
    [['map', TASK, '-e', '-'], /--errors needs a file/],
    [['map', TASK, '-o', 'new', '-e', 'new'], /--errors new is the output, too/],
    [['map', TASK, '-o', 'data', '-e', './data'], /--errors .\/data is the output, too/],
  ]
  for (const [args, message] of cases) {
    test(args.map((arg) => (arg === TASK ? 'task.js' : arg)).join(' '), async (t) => {
      const folder = folderWith(t, { data: '1\n' })
      const { code, stdout, stderr } = await start(t, args, { cwd: folder }).ended
      assert.match(stderr, message)
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.equal(readFileSync(join(folder, 'data'), 'utf8'), '1\n')
    })
  }

  test('stdout appends to an input', async (t) => {
    const folder = folderWith(t, { data: '1\n' })
    const stdio = ['pipe', openSync(join(folder, 'data'), 'a'), 'pipe']
    const { code, stderr } = await start(t, ['map', TASK, 'data'], { cwd: folder, stdio }).ended
    assert.equal(code, 2)
    assert.match(stderr, /the input data is also what is written to \(stdout\)/)
  })
})

describe('a task file that does not load', LIMIT, () => {
  const cases = [
    ['no JavaScript', 'export default (=> 1', /^millrace: cannot load .\/task.mjs: SyntaxError: /],
    [
      'missing package',
      "import 'does-not-exist'",
      /cannot load .\/task.mjs: Error: Cannot find package 'does-not-exist'/,
    ],
    ['no function', 'export const a = 1', /cannot load .\/task.mjs: .* must export a default function/],
    [
      'throws',
      'throw new TypeError("at the top")',
      /cannot load .\/task.mjs: TypeError: at the top\n +at .*task.mjs:1/,
    ],
    [
      'setup() throws',
      'export default () => 1\nexport function setup() { throw new Error("no database") }',
      /Error: no database\n +at setup .*task.mjs:2/,
    ],
    ['exits', 'process.exit(7)', /cannot load .\/task.mjs: .* exited with code 7 before it was ready/],
  ]
  for (const [name, source, message] of cases) {
    for (const input of ['1\n', '']) {
      test(`${name}, ${input === '' ? 'no lines' : 'a line'}`, async (t) => {
        const folder = folderWith(t, { 'task.mjs': source })
        const { code, stdout, stderr } = await start(t, ['map', './task.mjs'], { cwd: folder, input }).ended
        assert.match(stderr, message)
        assert.doesNotMatch(stderr, /node:internal|lib\/worker|lib\/cli/)
        assert.equal(code, 2)
        assert.equal(stdout, '')
      })
    }
  }
})
