// Lines travel several at a time. Nobody should see that: whatever the size of an item, each line counts for itself.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ItemRun } from '../lib/cli/item-run.js'
import { LIMIT, map, ndjson, SIZED, start, TASK, valuesOf } from './cli-program.js'
import { folderWith, until } from './processes.js'

/** Run `millrace map` with items of so many calls. */
const mapBy = (t, item, args, options) =>
  map(t, args, { ...options, program: SIZED, env: { CLI_ITEM: String(item), ...options.env } })

const numbers = (count) => Array.from({ length: count }, (_, n) => n)

/** Of a report: the line, and what kind of error. */
const reports = (stderr) =>
  [...stderr.matchAll(/^millrace: (\S+): (\w+):/gm)].map(([, where, name]) => `${where} ${name}`)

describe('items', LIMIT, () => {
  const odd = [
    '\ufeff{"index":1}',
    '',
    '1',
    'no json',
    ' \t',
    '{"later":"é"}\r',
    '{"throw":"one"}',
    '\r',
    '{"a":"\xff"}',
    '{"skip":1}',
    '{"reject":"two"}',
    '{"context":1}',
    '{"exit":4}',
    '"€ 😀"',
    '{"bigint":1}',
    '',
    '{"undefined":1}',
    '{"index":1}',
  ]
  // Bytes, so that one line is no UTF-8.
  const text = Buffer.concat(
    odd.flatMap((line) => [Buffer.from(line, line.includes('\xff') ? 'latin1' : 'utf8'), Buffer.from('\n')]),
  )
  const outcome = async (t, item, args) => {
    const folder = folderWith(t, { one: text, two: text.subarray(0, -1) })
    const run = await mapBy(t, item, ['one', 'two', '-e', 'bad', ...args], { cwd: folder })
    const bad = valuesOf(readFileSync(join(folder, 'bad'), 'utf8'))
    for (const { error } of bad) error.message = error.message.replace(/Worker \d+/, 'Worker')
    for (const { error } of bad) if (error.name !== 'RangeError') assert.equal(error.stack, undefined)
    const found = { code: run.code, values: valuesOf(run.stdout), reports: reports(run.stderr), bad }
    if (args.includes('--unordered')) {
      for (const list of [found.values, found.reports, found.bad])
        list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    }
    return found
  }

  for (const args of [[], ['--batch', '3'], ['--unordered', '-j', '1']]) {
    test(`every size of item writes and reports the same: ${args.join(' ')}`, async (t) => {
      const alone = await outcome(t, 1, args)
      assert.equal(alone.code, 1)
      if (args.length === 0) {
        const values = [1, 'é', [8, 1, false, 'symbol'], '€ 😀', null, 13]
        const second = [14, 1, 'é', [22, 1, false, 'symbol'], '€ 😀', null, 27]
        assert.deepEqual(alone.values, [0, ...values, ...second])
        assert.deepEqual(
          alone.bad.map(({ file, line }) => `${file}:${line}`),
          ['one', 'two'].flatMap((file) => [4, 7, 9, 11, 13, 15].map((line) => `${file}:${line}`)),
        )
      }
      for (const item of [2, 5, 100]) assert.deepEqual(await outcome(t, item, args), alone, `${item}`)
    })
  }

  test('a worker that dies takes one line with it, wherever in its item that stands', async (t) => {
    for (const at of numbers(5)) {
      const lines = numbers(15).map((n) => (n === 5 + at ? { exit: 3 } : n))
      const { code, stdout, stderr } = await mapBy(t, 5, [], { input: ndjson(lines) })
      assert.equal(code, 1)
      assert.deepEqual(
        valuesOf(stdout),
        numbers(15).filter((n) => n !== 5 + at),
      )
      assert.deepEqual(reports(stderr), [`stdin:${6 + at} WorkerCrashError`])
    }
  })

  test('several die in one item, and in the next one; --unordered knows their lines, too', async (t) => {
    const deadly = [0, 4, 6, 7, 8, 9]
    const lines = numbers(20).map((n) => (deadly.includes(n) ? { exit: 3 } : n))
    for (const args of [[], ['--unordered'], ['--batch', '2']]) {
      const { stdout, stderr } = await mapBy(t, 5, args, { input: ndjson(lines) })
      const values = valuesOf(stdout).sort((a, b) => a - b)
      const found = reports(stderr).sort()
      if (args.includes('--batch')) {
        const died = ['1-2', '5-6', '7-8', '9-10'].map((range) => `stdin:${range} WorkerCrashError`)
        assert.deepEqual(found, died)
        assert.deepEqual(
          valuesOf(stdout).map(({ value }) => value),
          [2, 3, ...numbers(10).map((n) => n + 10)],
        )
        continue
      }
      assert.deepEqual(
        values,
        numbers(20).filter((n) => !deadly.includes(n)),
      )
      assert.deepEqual(found, deadly.map((n) => `stdin:${n + 1} WorkerCrashError`).sort())
    }
  })

  test('--unordered knows the lines of bad ones', async (t) => {
    const lines = numbers(3000).map((n) => (n % 7 === 3 ? 'x' : String(n)))
    const folder = folderWith(t)
    const options = { cwd: folder, input: lines.join('\n') }
    const { stdout } = await mapBy(t, 20, ['--unordered', '-e', 'bad'], options)
    assert.deepEqual(
      valuesOf(stdout).sort((a, b) => a - b),
      numbers(3000).filter((n) => n % 7 !== 3),
    )
    assert.deepEqual(
      valuesOf(readFileSync(join(folder, 'bad'), 'utf8'))
        .map(({ line }) => line)
        .sort((a, b) => a - b),
      numbers(3000)
        .filter((n) => n % 7 === 3)
        .map((n) => n + 1),
    )
  })

  test('--stop-on-error stops at its line, also in the middle of an item', async (t) => {
    const cases = [
      [5, 'x'],
      [7, '{"throw":"no"}'],
      [9, '{"reject":"no"}'],
      [5, '{"exit":3}'],
      [7, '{"exit":3}'],
    ]
    for (const [at, bad] of cases) {
      const input = numbers(40)
        .map((n) => (n === at ? bad : n))
        .join('\n')
      const { code, stdout, stderr } = await mapBy(t, 5, ['--stop-on-error'], { input })
      assert.equal(code, 1)
      assert.deepEqual(valuesOf(stdout), numbers(at), `${at} ${bad}`)
      assert.deepEqual(
        reports(stderr).map((report) => report.split(' ')[0]),
        [`stdin:${at + 1}`],
      )
    }
  })

  test('lines that turn out slow are spread over the workers', async (t) => {
    const input = ndjson(Array(12).fill({ pid: 60 }))
    const learns = { input, env: { CLI_LEARNS: '1' } }
    const late = await mapBy(t, 100, ['-j', '3'], learns)
    assert.equal(valuesOf(late.stdout).length, 12)
    assert.equal(new Set(valuesOf(late.stdout)).size, 3)
    // And so they are from the first on.
    const { stdout } = await map(t, ['-j', '4'], { input: ndjson(Array(8).fill({ pid: 200 })) })
    assert.equal(new Set(valuesOf(stdout)).size, 4)
  })

  test('--unordered does not wait for lines that have to run anew', async (t) => {
    const late = [1, { sleep: 30 }, { sleep: 1500 }]
    const deadly = [2, { exit: 3 }, { sleep: 1000 }]
    const input = ndjson([...late, ...deadly, ...numbers(300)])
    const { stdout, stderr } = await mapBy(t, 3, ['--unordered', '-j', '3'], { input })
    const values = valuesOf(stdout)
    assert.equal(values.length, 305)
    assert.deepEqual(
      values.slice(-2).sort((a, b) => a - b),
      [1000, 1500],
    )
    assert.deepEqual(reports(stderr), ['stdin:5 WorkerCrashError'])
  })

  test('large results of one item', async (t) => {
    const input = ndjson(Array(6).fill({ big: 3 << 20 }))
    const { code, stdout } = await mapBy(t, 6, [], { input })
    assert.equal(code, 0)
    assert.deepEqual(valuesOf(stdout), Array(6).fill('x'.repeat(3 << 20)))
  })

  test('SIGINT: the output is the beginning of the whole one', async (t) => {
    const input = ndjson(numbers(2000).map((later) => ({ later })))
    for (const signals of [1, 2]) {
      const running = start(t, ['map', TASK, '-j', '2'], { input, program: SIZED, env: { CLI_ITEM: '5' } })
      await until(() => running.stdout.includes('\n'))
      running.child.kill('SIGINT')
      if (signals === 2) {
        await until(() => running.stderr.includes('interrupted'))
        running.child.kill('SIGINT')
      }
      const { code, stdout } = await running.ended
      const values = valuesOf(stdout)
      assert.equal(code, 130)
      assert.ok(values.length < 2000)
      assert.deepEqual(values, numbers(values.length))
    }
  })
})

describe('an item in its worker', () => {
  const runOf = (run, text, settings = {}) =>
    new ItemRun(
      { bytes: Buffer.from(text), firstCall: 10 },
      { signal: undefined },
      { task: { run }, batch: 1, stopOnError: false, ...settings },
    ).run()

  test('says what came of it', async (t) => {
    // A run ends early where lines are slow, and on a busy machine any may be.
    t.mock.method(performance, 'now', () => 0)
    const report = runOf((value, { index }) => [value, index], '1\n\n2\r\nx\n3')
    assert.ok(report.micros >= 0)
    assert.equal(report.output.toString(), '[1,10]\n[2,11]\n[3,13]\n')
    assert.deepEqual([report.calls, report.lines, report.isWhole], [4, 4, true])
    assert.deepEqual(
      report.bad.map(({ from, to, lines }) => [from, to, lines]),
      [[3, 3, [3]]],
    )
    const ran = []
    const rejecting = await runOf(async (value) => {
      ran.push(value)
      if (value === 2) throw new Error('two')
      return value
    }, '1\n2\n3')
    assert.deepEqual(ran, [1, 2, 3])
    assert.equal(rejecting.output.toString(), '1\n3\n')
    assert.deepEqual(
      rejecting.bad.map(({ lines, error }) => [...lines, error.message]),
      [[1, 'two']],
    )
    const batch = await runOf(async (values) => values, '1\nx\n\n2\n3', { batch: 3 })
    assert.equal(batch.output.toString(), '1\n2\n3\n')
    assert.deepEqual([batch.calls, batch.lines, batch.isWhole], [2, 4, true])
  })

  test('ends early where lines are slow, sync or async, or their output is large', async () => {
    const text = Array(100).fill('1').join('\n')
    const busy = (ms) => {
      const end = performance.now() + ms
      while (performance.now() < end);
    }
    const slow = [() => busy(8), async () => busy(8), () => 'x'.repeat(600_000), () => 'x'.repeat(2 << 20)]
    for (const [at, run] of slow.entries()) {
      const report = await runOf(run, text)
      assert.equal(report.isWhole, false, `${at}`)
      assert.ok(report.calls >= 1 && report.calls <= 4, `${at}: ${report.calls}`)
      assert.equal(report.output.toString().split('\n').length - 1, report.calls)
    }
  })

  test('ends at the first bad line if nothing after it is wanted', async () => {
    for (const run of [(value) => value, async (value) => value]) {
      const report = await runOf(run, '1\nx\n2', { stopOnError: true })
      assert.equal(report.output.toString(), '1\n')
      assert.equal(report.bad.length, 1)
    }
  })

  test('what is thrown need not be an error, and may resist being looked at', () => {
    const hostile = new Proxy(new Error('x'), {
      get() {
        throw new Error('no')
      },
    })
    const thrown = [undefined, 'text', { a: 1 }, hostile]
    const report = runOf((at) => {
      throw thrown[at]
    }, '0\n1\n2\n3')
    assert.deepEqual(
      report.bad.map(({ error }) => `${error.name}: ${error.message}`),
      ['Error: undefined', 'Error: text', 'Error: { a: 1 }', 'Error: What was thrown cannot be described'],
    )
  })
})
