// Every code block in README.md, docs/ and the doc comments of the typings runs, as it stands there (code-blocks.js
// says how).

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { root } from '../scripts/root.js'
import { codeBlocks } from './code-blocks.js'
import { flagsFor } from './typescript.js'

// Inside the package, so that `import 'millrace'` finds it by its own name.
mkdirSync(join(root, 'target'), { recursive: true })
const folder = mkdtempSync(join(root, 'target/docs-'))
after(() => rmSync(folder, { recursive: true, force: true }))

// The task file that examples in doc comments refer to: a comment is too short for two files.
const TASK = '/** @param {number} number */\nexport default (number) => number * 2\n'
const STRICT = [
  '--ignoreConfig',
  '--noEmit',
  '--strict',
  '--allowJs',
  '--module',
  'nodenext',
  '--target',
  'es2023',
  '--types',
  'node',
  '--allowImportingTsExtensions',
]
const COMMENT_MARGIN = /^ +\* ?/gm

const documents = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
const typings = readdirSync(join(root, 'lib/compat')).filter((name) => name.endsWith('.d.ts'))
for (const page of [
  'README.md',
  'index.d.ts',
  ...typings.map((name) => `lib/compat/${name}`),
  ...documents.map((name) => `docs/${name}`),
]) {
  const blocks = codeBlocks(readFileSync(join(root, page), 'utf8').replaceAll(COMMENT_MARGIN, ''))
  if (blocks.length === 0) continue
  const place = join(folder, page.replaceAll(/\W/g, '-'))
  mkdirSync(place)
  if (page.endsWith('.d.ts')) writeFileSync(join(place, 'double.js'), TASK)
  for (const { name, code } of blocks) writeFileSync(join(place, name), code)

  describe(page, () => {
    for (const { name, line } of blocks) {
      test(`line ${line}: ${name}`, () => {
        const { status, signal, stderr } = spawnSync(process.execPath, [...flagsFor(name), name], {
          cwd: place,
          encoding: 'utf8',
          timeout: 60_000,
        })
        assert.equal(status, 0, `${page}:${line} ended with ${signal ?? status}\n${stderr}`)
        assert.equal(stderr, '', `${page}:${line} warns`)
      })
    }
    const typed = blocks.map(({ name }) => name).filter((name) => name.endsWith('.ts'))
    if (typed.length > 0) {
      test('TypeScript has no wrong types', () => {
        const compiler = join(root, 'node_modules/typescript/bin/tsc')
        const { status, stdout } = spawnSync(process.execPath, [compiler, ...STRICT, ...typed], {
          cwd: place,
          encoding: 'utf8',
        })
        assert.equal(status, 0, stdout)
      })
    }
  })
}

test('the README has code', () => {
  assert.ok(codeBlocks(readFileSync(join(root, 'README.md'), 'utf8')).length >= 2)
})

test('hidden code goes in front of its block, named code into a file', () => {
  const fence = '```'
  const page = [
    'Text',
    '<!-- js',
    'const a = 1',
    '-->',
    `${fence}js`,
    'a + 1',
    fence,
    `${fence}sh`,
    'ls',
    fence,
    `${fence}js`,
    '// task.js: runs there',
    'export default 1',
    fence,
  ].join('\n')
  assert.deepEqual(codeBlocks(page), [
    { name: 'line-5.js', code: 'const a = 1\na + 1\n', line: 5 },
    { name: 'task.js', code: '// task.js: runs there\nexport default 1\n', line: 11 },
  ])
})
