// `millrace map`: lines in, lines out.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { BIN, LIMIT, map, ndjson, start, TASK, valuesOf } from './cli-program.js'
import { folderWith, linesOf } from './processes.js'

const numbers = (count) => Array.from({ length: count }, (_, n) => n)

describe('millrace map', LIMIT, () => {
  test('from stdin to stdout, in order', async (t) => {
    const values = numbers(20_000).map((n) => ({ n, text: `line ${n} ✓` }))
    const { code, stdout, stderr } = await map(t, [], { input: ndjson(values) })
    assert.equal(stderr, '')
    assert.equal(code, 0)
    assert.deepEqual(valuesOf(stdout), values)
  })

  test('files one after the other, stdin among them', async (t) => {
    const folder = folderWith(t, { a: ndjson([1, 2]), empty: '', b: ndjson([5]) })
    const { code, stdout } = await map(t, ['a', '-', 'empty', 'b'], { cwd: folder, input: '3\n4' })
    assert.equal(code, 0)
    assert.equal(stdout, '1\n2\n3\n4\n5\n')
  })

  test('named pipes, as a shell makes them', (t) => {
    const folder = folderWith(t, { a: ndjson(numbers(5000)) })
    const command = `"$0" "$@" <(cat a) <(cat a) | tail -n 1`
    const shell = ['-c', command, process.execPath, BIN, 'map', TASK, '-j', '1']
    assert.equal(execFileSync('bash', shell, { cwd: folder, encoding: 'utf8', timeout: 120_000 }), '4999\n')
  })

  test('a file that cannot be read to its end: the results before it, and a message', async (t) => {
    const folder = folderWith(t, { a: '1\n2\n', out: 'old' })
    const { code, stdout, stderr } = await map(t, ['a', '/proc/self/mem'], { cwd: folder })
    assert.equal(code, 1)
    assert.equal(stdout, '1\n2\n')
    assert.match(stderr, /^millrace: cannot read \/proc\/self\/mem: EIO[^\n]*\n$/)
    await map(t, ['a', '/proc/self/mem', '-o', 'out'], { cwd: folder })
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'old')
  })

  test('every kind of line: BOM, CRLF, blank, without newline, beyond ASCII', async (t) => {
    const text = '\ufeff{"a":"é"}\r\n\r\n \t \n{"a":"€ 😀"}\r\n\n"\u0000x"\n{"a":"last"}'
    const folder = folderWith(t, { one: text, two: '\ufeff1' })
    const { code, stdout, stderr } = await map(t, ['one', 'two', '-e', 'bad'], { cwd: folder })
    assert.deepEqual(valuesOf(stdout), [{ a: 'é' }, { a: '€ 😀' }, { a: 'last' }, 1])
    // A NUL is no JSON; the line is the sixth.
    assert.equal(code, 1)
    assert.match(stderr, /^millrace: one:6: SyntaxError: .*\n$/)
    assert.equal(valuesOf(readFileSync(join(folder, 'bad'), 'utf8'))[0].line, 6)
  })

  test('a line of many megabytes', async (t) => {
    const long = 'aé'.repeat(8 << 20)
    const { code, stdout } = await map(t, [], { input: ndjson([1, long, 2]) })
    assert.equal(code, 0)
    assert.deepEqual(valuesOf(stdout), [1, long, 2])
  })

  test('what a function may return', async (t) => {
    const acts = [{ undefined: 1 }, { skip: 1 }, { echo: null }, { echo: '' }, { index: 1 }, { big: 300_000 }]
    const { code, stdout } = await map(t, [], { input: ndjson(acts) })
    assert.equal(code, 0)
    assert.deepEqual(valuesOf(stdout), [null, null, '', 4, 'x'.repeat(300_000)])
  })

  test('what a task prints does not end up among the results', async (t) => {
    const { code, stdout, stderr } = await map(t, [], { input: ndjson([{ print: 'hello' }]) })
    assert.equal(code, 0)
    assert.equal(stdout, '"printed"\n')
    assert.equal(stderr, 'hello\nhello\n')
  })

  test('--unordered writes results as they finish', async (t) => {
    const input = ndjson([{ sleep: 1500 }, ...numbers(50)])
    const { code, stdout } = await map(t, ['--unordered'], { input })
    assert.equal(code, 0)
    const values = valuesOf(stdout)
    assert.equal(values.at(-1), 1500)
    assert.deepEqual(
      values.slice(0, -1).sort((a, b) => a - b),
      numbers(50),
    )
  })

  test('a result is written when it is there, not when the input ends', async (t) => {
    const running = start(t, ['map', TASK, '-j', '1'], { input: null })
    for (const line of ['1', '2']) {
      running.child.stdin.write(`${line}\n`)
      while (!running.stdout.endsWith(`${line}\n`)) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    running.child.stdin.end()
    assert.deepEqual(await running.ended, { code: 0, signal: null, stdout: '1\n2\n', stderr: '' })
  })

  test('setup() and teardown() of the task run once per worker', async (t) => {
    const folder = folderWith(t)
    const notes = join(folder, 'notes')
    const { code } = await map(t, ['-j', '1'], { input: '1\n2\n', env: { CLI_NOTES: notes } })
    assert.equal(code, 0)
    assert.deepEqual(linesOf(notes), ['setup', 'teardown'])
  })

  test('a CommonJS task; a path with spaces', async (t) => {
    const folder = folderWith(t, { 'my task.cjs': 'module.exports = (value) => value * 2\n' })
    const { code, stdout } = await start(t, ['map', 'my task.cjs'], { cwd: folder, input: '1\n2\n' }).ended
    assert.equal(code, 0)
    assert.equal(stdout, '2\n4\n')
  })

  test('no lines, no results', async (t) => {
    assert.deepEqual(await map(t, [], { input: '' }), { code: 0, signal: null, stdout: '', stderr: '' })
    assert.deepEqual(await map(t, [], { input: '\n \n' }), { code: 0, signal: null, stdout: '', stderr: '' })
  })
})

describe('--batch', LIMIT, () => {
  test('the function gets arrays, an array becomes a line per element', async (t) => {
    const folder = folderWith(t, { a: ndjson(numbers(7)), b: ndjson([8]) })
    const { code, stdout } = await map(t, ['--batch', '3', 'a', 'b'], { cwd: folder })
    assert.equal(code, 0)
    const sizes = [3, 3, 3, 3, 3, 3, 1, 1]
    assert.deepEqual(
      valuesOf(stdout),
      [...numbers(7), 8].map((value, at) => ({ of: sizes[at], value })),
    )
  })

  test('anything else is one line', async (t) => {
    const input = ndjson([{ whole: 1 }, 2, { elements: [undefined, null] }, 3])
    const { stdout } = await map(t, ['--batch', '2'], { input })
    assert.deepEqual(valuesOf(stdout), [{ values: [{ whole: 1 }, 2] }, null, null])
  })

  test('a batch may be larger than what is read at once', async (t) => {
    const values = numbers(40_000).map((n) => ({ n, text: 'x'.repeat(n % 50) }))
    const { code, stdout } = await map(t, ['--batch', '30000'], { input: ndjson(values) })
    assert.equal(code, 0)
    assert.deepEqual(
      valuesOf(stdout),
      values.map((value, at) => ({ of: at < 30_000 ? 30_000 : 10_000, value })),
    )
  })
})

describe('-o', LIMIT, () => {
  test('the output may be an input, and keeps its mode and its links', async (t) => {
    const folder = folderWith(t)
    writeFileSync(join(folder, 'data'), '1\n2\n')
    symlinkSync('data', join(folder, 'link'))
    const mode = statSync(join(folder, 'data')).mode
    assert.equal((await map(t, ['data', '-o', 'link'], { cwd: folder })).code, 0)
    assert.equal(readFileSync(join(folder, 'data'), 'utf8'), '1\n2\n')
    assert.equal(statSync(join(folder, 'link')).mode, mode)
    assert.deepEqual(await map(t, ['data', '-o', '/dev/null'], { cwd: folder }), {
      code: 0,
      signal: null,
      stdout: '',
      stderr: '',
    })
  })

  test('- is stdout', async (t) => {
    const folder = folderWith(t)
    const { code, stdout } = await map(t, ['-o', '-'], { cwd: folder, input: '1\n' })
    assert.equal(code, 0)
    assert.equal(stdout, '1\n')
    assert.deepEqual(readdirSync(folder), [])
  })

  test('a task that does not load, or a folder that takes no file, leaves nothing behind', async (t) => {
    const folder = folderWith(t, { 'task.mjs': 'throw new Error("no")', out: 'old' })
    const failed = await start(t, ['map', './task.mjs', '-o', 'out'], { cwd: folder, input: '1\n' }).ended
    assert.equal(failed.code, 2)
    assert.deepEqual(readdirSync(folder).sort(), ['out', 'task.mjs'])
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'old')
    // Root may write everywhere, but not here.
    const refused = await map(t, ['-o', '/proc/millrace'], { input: '1\n' })
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /^millrace: [^\n]*\/proc\/millrace[^\n]*\n$/)
  })

  test('bad lines do not keep the good ones from their file', async (t) => {
    const folder = folderWith(t, { out: 'old' })
    const { code } = await map(t, ['-o', 'out'], { cwd: folder, input: '1\nx\n2\n' })
    assert.equal(code, 1)
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), '1\n2\n')
  })
})
