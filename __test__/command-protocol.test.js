// Programs that do not keep to the protocol: too much, too little, nonsense, or answers that they hold back.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parallelMap } from '../index.js'
import { openCommand, openPython } from './commands.js'
import { LIMIT } from './processes.js'

const numbers = (length) => Array.from({ length }, (_, i) => i)
const shell = (t, script, options) =>
  openCommand(t, 'sh', ['-c', script], { size: 1, stderr: 'ignore', ...options })

describe('broken protocols', () => {
  const PROTOCOL = { name: 'CommandProtocolError', code: 'ERR_COMMAND_PROTOCOL' }

  test('a line that is no JSON fails its item, with the line, and no other', LIMIT, async (t) => {
    const pool = shell(
      t,
      'while read line; do if [ "$line" = 7 ]; then echo "oops {"; else echo "$line"; fi; done',
    )
    const outcomes = await parallelMap(numbers(30), pool, { settled: true, chunkSize: 10 }).toArray()
    for (const { index, value, reason } of outcomes) {
      if (index !== 7) assert.equal(value, index)
      else {
        const { name, code, line, worker } = reason
        assert.deepEqual({ name, code, line, worker }, { ...PROTOCOL, line: 'oops {', worker: 0 })
        assert.deepEqual([reason.index, reason.attempt], [7, 1])
        assert.match(reason.message, /broke the protocol at item 7: an answer is no JSON: "oops {"/)
      }
    }
  })

  test('a banner before the first answer moves no results', LIMIT, async (t) => {
    const pool = shell(t, 'echo Ready.; cat')
    await assert.rejects(parallelMap(numbers(5), pool).toArray(), { ...PROTOCOL, index: 0, line: 'Ready.' })
  })

  test('bytes that are no UTF-8', LIMIT, async (t) => {
    for (const format of ['ndjson', 'lines']) {
      const pool = shell(t, `while read line; do printf '"\\377"\\n'; done`, { format })
      await assert.rejects(pool.run('x'), { ...PROTOCOL, line: '"\ufffd"' })
    }
  })

  test('a line that is too long is not kept, whether it ends or not', LIMIT, async (t) => {
    for (const script of [
      'read line; head -c 5000 /dev/zero | tr "\\0" 1; echo; cat',
      'read line; exec tr "\\0" 1 </dev/zero',
    ]) {
      const pool = shell(t, script, { maxLineBytes: 1000 })
      await assert.rejects(pool.run(0), (error) => {
        assert.equal(error.code, 'ERR_COMMAND_PROTOCOL')
        assert.match(error.message, /more than 1000 bytes/)
        assert.equal(error.line, `${'1'.repeat(200)}…`)
        return true
      })
    }
    const fits = shell(t, 'cat', { maxLineBytes: 1000, format: 'lines' })
    assert.equal(await fits.run('x'.repeat(1000)), 'x'.repeat(1000))
    await assert.rejects(fits.run('x'.repeat(1001)), PROTOCOL)
    const huge = shell(t, `read line; printf '\\377\\377\\377\\377'; sleep 1000`, {
      format: 'length-prefixed',
    })
    await assert.rejects(huge.run(Buffer.from('\n')), PROTOCOL)
  })

  // Each line is a write of its own, so the second one comes when the first one may have been read.
  const TWICE = {
    'a shell': ['sh', ['-c', 'while read line; do echo "$line"; echo "$line"; done']],
    sed: ['sed', ['-u', 'p']],
    Python: [
      'python3',
      ['-c', 'import sys\nfor line in sys.stdin: print(line.strip()); print(line.strip())'],
    ],
  }
  for (const [name, [command, args]] of Object.entries(TWICE)) {
    test(`two lines for each item, in two writes: ${name}`, LIMIT, async (t) => {
      for (const options of [{ size: 1 }, { size: 1, readAhead: 1 }, { size: 3 }]) {
        const pool = openCommand(t, command, args, { stderr: 'ignore', ...options })
        for (const length of [1, 2, 5, 40]) {
          const outcomes = await parallelMap(numbers(length), pool, { settled: true }).toArray()
          assert.deepEqual(
            outcomes.map(({ reason }) => reason?.code),
            numbers(length).map(() => 'ERR_COMMAND_PROTOCOL'),
          )
          assert.equal(outcomes[0].reason.line, '0')
        }
        await assert.rejects(pool.run(7), { ...PROTOCOL, line: '7', message: /no item waited for: "7"/ })
      }
    })
  }

  test('both lines in one write', LIMIT, async (t) => {
    const pool = shell(t, 'while read line; do printf "%s\\n%s\\n" "$line" "extra"; done', {
      format: 'lines',
    })
    await assert.rejects(parallelMap(['a', 'b', 'c'], pool).toArray(), {
      ...PROTOCOL,
      line: 'extra',
      message: /no item waited for: "extra"/,
    })
  })

  test(
    'one line too many, in the middle or at the end, moves no result to another item',
    LIMIT,
    async (t) => {
      for (const extra of [0, 2, 4, 19]) {
        const script = `while read line; do echo "$line"; if [ "$line" = ${extra} ]; then echo "$line"; fi; done`
        for (const options of [{}, { readAhead: 1 }, { size: 2 }]) {
          const pool = shell(t, script, options)
          const outcomes = await parallelMap(numbers(20), pool, { settled: true }).toArray()
          for (const { index, status, value } of outcomes)
            if (status === 'fulfilled') assert.equal(value, index)
          const { reason } = outcomes[extra]
          assert.equal(reason?.code, 'ERR_COMMAND_PROTOCOL', `item ${extra} of 20`)
          if (options.readAhead === 1) {
            const failed = outcomes.filter(({ status }) => status === 'rejected')
            assert.deepEqual([failed.length, reason.line], [1, String(extra)])
          }
        }
      }
    },
  )

  test('a banner that could be an answer is none', LIMIT, async (t) => {
    for (const [script, format] of [
      ['echo 0; exec cat', 'ndjson'],
      ['echo Ready.; exec cat', 'lines'],
      ['echo 1; echo 2; while read line; do echo "$line"; done', 'lines'],
      ['echo 0', 'lines'],
    ]) {
      const pool = shell(t, script, { format })
      await assert.rejects(pool.run('x'), PROTOCOL)
      const outcomes = await parallelMap(['a', 'b', 'c'], pool, { settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(({ reason }) => reason?.code),
        ['a', 'b', 'c'].map(() => 'ERR_COMMAND_PROTOCOL'),
      )
    }
  })

  test('a line that nobody asked for, where no item is left to fail, is a warning', LIMIT, async (t) => {
    const warned = new Promise((resolve) => {
      const listen = (warning) => warning.code === 'MILLRACE_SURPLUS_OUTPUT' && resolve(warning)
      process.on('warning', listen)
      t.after(() => process.off('warning', listen))
    })
    // An idle pool keeps nobody alive.
    const alive = setInterval(() => {}, 60_000)
    t.after(() => clearInterval(alive))
    const pool = shell(t, 'read line; echo 1; sleep .2; echo late; cat')
    assert.equal(await pool.run(0), 1)
    assert.match((await warned).message, /"late"/)
    assert.equal(await pool.run(5), 1, 'in a new process')
  })

  test('it exits with 0 and leaves items without an answer', LIMIT, async (t) => {
    const pool = shell(t, 'read line; echo "$line"; read line; echo why >&2')
    const outcomes = await parallelMap([1, 2, 3], pool, { settled: true, chunkSize: 3 }).toArray()
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    const { reason } = outcomes[1]
    assert.deepEqual([reason.code, reason.exitCode, reason.stderr], ['ERR_COMMAND_PROTOCOL', 0, 'why\n'])
    assert.match(reason.message, /exited with code 0 and left it without an answer; it wrote: why/)
  })

  test('it ends in the middle of an answer', LIMIT, async (t) => {
    const pool = shell(t, `head -c 5 >/dev/null; printf '\\005\\000\\000\\000ab'`, {
      format: 'length-prefixed',
    })
    await assert.rejects(pool.run(Buffer.from('x')), { ...PROTOCOL, message: /middle of an answer/ })
  })

  test('it closes its stdout, or its stdin, and stays', LIMIT, async (t) => {
    await assert.rejects(shell(t, 'read line; exec >&-; sleep 1000').run(0), {
      ...PROTOCOL,
      message: /closed its stdout/,
    })
    const answers = shell(t, 'read line; exec <&-; sleep .1; echo "$line"; sleep 1000')
    assert.equal(await answers.run(4), 4)
    assert.equal(await answers.run(5), 5)
  })

  test('retries are for these errors, too', LIMIT, async (t) => {
    const { mkdtempSync, rmSync } = await import('node:fs')
    const cwd = mkdtempSync(`${process.env.TMPDIR ?? '/tmp'}/millrace-test-`)
    t.after(() => rmSync(cwd, { recursive: true }))
    const pool = shell(
      t,
      'while read line; do if mkdir once; then echo nonsense; else echo "$line"; fi; done',
      { cwd },
    )
    const options = { retries: 1, backoff: { initial: 1 } }
    assert.deepEqual(await parallelMap([1, 2, 3], pool, options).toArray(), [1, 2, 3])
  })
})

describe('programs that hold their answers back', () => {
  const BUFFERED = 'import sys\nfor line in sys.stdin: print(int(line) * 2)'
  const warnings = (t) => {
    const seen = []
    const listen = (warning) => warning.code === 'MILLRACE_BUFFERED_COMMAND' && seen.push(warning)
    process.on('warning', listen)
    t.after(() => process.off('warning', listen))
    return seen
  }

  test('they answer all the same, in order, and one warning names a remedy', LIMIT, async (t) => {
    const seen = warnings(t)
    const pool = openPython(t, BUFFERED, { size: 2 })
    assert.deepEqual(
      await parallelMap(numbers(3000), pool).toArray(),
      numbers(3000).map((i) => i * 2),
    )
    assert.equal(await pool.run(4), 8)
    assert.deepEqual(await Promise.all([1, 2, 3].map((i) => pool.run(i))), [2, 4, 6])
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(seen.length, 1)
    assert.match(seen[0].message, /python3 .*jq --unbuffered.*stdbuf -oL/)
    assert.equal(seen[0].name, 'MillraceWarning')
  })

  test('with a window of one, and with a source that has no more', LIMIT, async (t) => {
    const pool = openPython(t, BUFFERED, { size: 1 })
    const one = { concurrency: 1, backpressure: 1 }
    assert.deepEqual(await parallelMap([1, 2, 3], pool, one).toArray(), [2, 4, 6])
  })

  test('a pipeline in a shell, too', LIMIT, async (t) => {
    const pool = openCommand(t, 'sed s/a/b/ | sed s/b/c/', [], { shell: true, format: 'lines', size: 1 })
    assert.deepEqual(await parallelMap(['a', 'xa', 'b'], pool).toArray(), ['c', 'xc', 'c'])
  })

  test('one that takes its time is not taken for one of them', LIMIT, async (t) => {
    const seen = warnings(t)
    const pool = openCommand(t, 'sh', ['-c', 'while read line; do sleep .3; echo "$line"; done'], {
      size: 1,
      stallTimeout: 40,
    })
    const starts = []
    pool.on('workerStart', (event) => starts.push(event))
    assert.deepEqual(await parallelMap([1, 2, 3], pool).toArray(), [1, 2, 3])
    assert.deepEqual([seen.length, starts.length], [0, 1])
  })

  test('one that does not answer even so has stalled', LIMIT, async (t) => {
    const pool = openCommand(t, 'sh', ['-c', 'cat >/dev/null'], { size: 1, stallTimeout: 40 })
    await assert.rejects(pool.run(1), (error) => {
      assert.deepEqual([error.name, error.code, error.exitCode], ['StalledError', 'ERR_STALLED', 0])
      assert.match(
        error.message,
        /stalled at an item: it answered nothing, not even when its stdin was closed/,
      )
      return true
    })
    await assert.rejects(parallelMap([1, 2], pool).toArray(), { code: 'ERR_STALLED', index: 0 })
  })

  test('a filter answers too little', LIMIT, async (t) => {
    const pool = openCommand(t, 'grep', ['--line-buffered', '-v', '2'], {
      size: 1,
      stallTimeout: 40,
      stderr: 'ignore',
    })
    const outcomes = await parallelMap([1, 3, 2], pool, { settled: true }).toArray()
    for (const { value, status, index } of outcomes)
      if (status === 'fulfilled') assert.equal(value, [1, 3][index])
    // grep says by its exit code that no line has passed; it has answered before, or is a new process.
    assert.match(outcomes[2].reason.code, /^ERR_(STALLED|COMMAND_PROTOCOL|WORKER_CRASHED)$/)
  })
})
