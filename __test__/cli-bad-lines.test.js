// Lines that cannot be mapped: reported, kept, counted; the others go on.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { LIMIT, map, valuesOf } from './cli-program.js'
import { folderWith } from './processes.js'

describe('bad lines', LIMIT, () => {
  test('each is reported in one line, with its number, and the others go on', async (t) => {
    const lines = [
      '1',
      'not json',
      '{"throw":"first\\nsecond\\u001b[2J"}',
      '',
      '{"exit":3}',
      '{"bigint":1}',
      '{"cycle":1}',
    ]
    const text = [...lines, '{"function":1}', '{"throwValue":0}', '{"a":"\xff"}', '2'].join('\n')
    const folder = folderWith(t, { other: '9\n[' })
    const input = Buffer.from(text, 'latin1')
    const { code, stdout, stderr } = await map(t, ['-', 'other', '-e', 'bad'], { cwd: folder, input })
    assert.equal(code, 1)
    assert.deepEqual(valuesOf(stdout), [1, 2, 9])
    const said = stderr.split('\n')
    assert.match(said[0], /^millrace: stdin:2: SyntaxError: .*not valid JSON$/)
    assert.equal(said[1], 'millrace: stdin:3: RangeError: first\\nsecond\\u001b[2J')
    assert.match(
      said[2],
      /^millrace: stdin:5: WorkerCrashError: Worker \d of .*cli-acts.js exited with code 3$/,
    )
    assert.match(said[3], /^millrace: stdin:6: TypeError: .*BigInt$/)
    assert.match(said[4], /^millrace: stdin:7: TypeError: .*circular/)
    assert.match(said[5], /^millrace: stdin:8: TypeError: .*JSON.*got a function$/)
    assert.equal(said[6], 'millrace: stdin:9: Error: 0')
    assert.equal(said[7], 'millrace: stdin:10: SyntaxError: The line is not valid UTF-8')
    assert.match(said[8], /^millrace: other:2: SyntaxError: /)
    assert.deepEqual(said.slice(9), [''])

    const kept = valuesOf(readFileSync(join(folder, 'bad'), 'utf8'))
    const places = kept.map(({ file, line }) => `${file}:${line}`)
    assert.deepEqual(places, [2, 3, 5, 6, 7, 8, 9, 10].map((line) => `stdin:${line}`).concat('other:2'))
    const inputs = kept.map(({ input }) => input)
    assert.deepEqual(inputs.slice(0, 3), ['not json', lines[2], lines[4]])
    assert.equal(inputs[7], '{"a":"\ufffd"}')
    const { stack, ...thrown } = kept[1].error
    assert.deepEqual(thrown, { name: 'RangeError', message: 'first\nsecond\u001b[2J', code: 'E_ACT' })
    assert.match(stack, /cli-acts\.js:\d+/)
    for (const { error } of kept)
      assert.doesNotMatch(String(error.stack), /millrace\/lib|main\/lib|node:internal/)
    assert.equal(kept[2].error.code, 'ERR_WORKER_CRASHED')
  })

  test('of many, some are shown and all are counted and kept', async (t) => {
    const folder = folderWith(t)
    const input = 'x\n'.repeat(3000)
    const shown = await map(t, [], { input })
    assert.equal(shown.code, 1)
    const said = shown.stderr.trimEnd().split('\n')
    assert.equal(said.length, 21)
    assert.match(said.at(-1), /3000 bad lines.*--errors <file>/)
    const kept = await map(t, ['--errors', 'bad', '--unordered'], { cwd: folder, input })
    assert.doesNotMatch(kept.stderr, /--errors/)
    const lines = valuesOf(readFileSync(join(folder, 'bad'), 'utf8')).map(({ line }) => line)
    assert.deepEqual(
      lines.sort((a, b) => a - b),
      Array.from({ length: 3000 }, (_, at) => at + 1),
    )
  })

  test('no bad lines leave an empty file', async (t) => {
    const folder = folderWith(t, { bad: 'old' })
    assert.equal((await map(t, ['-e', 'bad'], { cwd: folder, input: '1\n' })).code, 0)
    assert.equal(readFileSync(join(folder, 'bad'), 'utf8'), '')
  })

  test('in a batch: no JSON concerns its line, a throw all others', async (t) => {
    const folder = folderWith(t)
    const input = '1\nx\n\n2\n3\n{"throw":1}\ny\n4\n5\n6\n{"elements":[1,1]}\n'
    const { code, stdout, stderr } = await map(t, ['-b', '4', '-e', 'bad'], { cwd: folder, input })
    assert.equal(code, 1)
    assert.deepEqual(valuesOf(stdout), [
      ...[1, 2, 3].map((value) => ({ of: 3, value })),
      ...[6, { elements: [1, 1] }].map((value) => ({ of: 2, value })),
    ])
    const said = stderr.trimEnd().split('\n')
    assert.match(said[0], /^millrace: stdin:2: SyntaxError/)
    assert.match(said[1], /^millrace: stdin:7: SyntaxError/)
    assert.equal(said[2], 'millrace: stdin:6-9: RangeError: batch')
    assert.equal(said.length, 3)
    const kept = valuesOf(readFileSync(join(folder, 'bad'), 'utf8'))
    assert.deepEqual(
      kept.map(({ line, input }) => [line, input]),
      [
        [2, 'x'],
        [7, 'y'],
        [6, '{"throw":1}'],
        [8, '4'],
        [9, '5'],
      ],
    )
  })

  test('--stop-on-error ends at the first one', async (t) => {
    const folder = folderWith(t, { out: 'old' })
    const input = `1\n2\nx\n${'3\n'.repeat(50_000)}y\n`
    const { code, stdout, stderr } = await map(t, ['--stop-on-error'], { input })
    assert.equal(code, 1)
    assert.equal(stdout, '1\n2\n')
    assert.match(stderr, /^millrace: stdin:3: SyntaxError: [^\n]*\n$/)
    const kept = await map(t, ['--stop-on-error', '-o', 'out'], { cwd: folder, input })
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'old')
    const partial = /the results so far are in (.*)\n/.exec(kept.stderr)[1]
    assert.equal(readFileSync(join(folder, partial), 'utf8'), '1\n2\n')
  })
})
