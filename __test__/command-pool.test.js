// commandPool(): programs as workers, one line in, one line out.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { commandPool, failureOf, parallelMap, workerPool } from '../index.js'
import { openCommand, openPython, UNSET } from './commands.js'
import { children, folderWith, LIMIT, linesOf, until } from './processes.js'

const numbers = (length) => Array.from({ length }, (_, i) => i)

describe('formats', () => {
  test('ndjson: JSON goes in and comes out, in order', LIMIT, async (t) => {
    const values = [0, -1.5, 'text\n"é😀', true, null, [1, [2]], { a: { b: [] } }, '']
    assert.deepEqual(await parallelMap(values, openCommand(t, 'cat')).toArray(), values)
  })

  test('lines and nul: strings, which may be empty', LIMIT, async (t) => {
    const upper = openCommand(t, 'sed', ['-u', 's/a/A/g'], { format: 'lines' })
    assert.deepEqual(await parallelMap(['banana', '', 'é', '{}'], upper).toArray(), ['bAnAnA', '', 'é', '{}'])
    const nul = openCommand(t, 'sed', ['-uz', 's/a/A/g'], { format: 'nul' })
    assert.deepEqual(await parallelMap(['two\nlines a', ''], nul).toArray(), ['two\nlines A', ''])
  })

  test('length-prefixed: bytes, as they are', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { format: 'length-prefixed' })
    const all = Buffer.from(numbers(256))
    const items = [
      all,
      new Uint8Array(0),
      new Uint16Array([0xff00, 1]),
      all.buffer.slice(0, 3),
      Buffer.alloc(300_000, 7),
    ]
    const results = await parallelMap(items, pool).toArray()
    assert.ok(results.every((result) => Buffer.isBuffer(result)))
    const bytes = (item) => Buffer.from(item.buffer ?? item, item.byteOffset ?? 0, item.byteLength)
    assert.deepEqual(results, items.map(bytes))
  })

  test(
    'an item that the format cannot carry is its own error, and never reaches the program',
    LIMIT,
    async (t) => {
      const circular = {}
      circular.self = circular
      const cases = [
        ['ndjson', 'ok', [undefined, () => {}, 1n, circular, Symbol('s')], TypeError, 'ERR_INVALID_ARG_TYPE'],
        ['lines', 'ok', [1, null, Buffer.from('x')], TypeError, 'ERR_INVALID_ARG_TYPE'],
        ['lines', 'ok', ['a\nb'], RangeError, 'ERR_OUT_OF_RANGE'],
        ['nul', 'ok', ['a\0b'], RangeError, 'ERR_OUT_OF_RANGE'],
        ['length-prefixed', Buffer.from('ok'), ['text', 5], TypeError, 'ERR_INVALID_ARG_TYPE'],
      ]
      for (const [format, good, bad, errorClass, code] of cases) {
        const pool = openCommand(t, 'cat', [], { format, size: 1 })
        const outcomes = await parallelMap([good, ...bad, good], pool, { settled: true }).toArray()
        assert.deepEqual([outcomes[0].value, outcomes.at(-1).value], [good, good])
        for (const { reason } of outcomes.slice(1, -1)) {
          assert.ok(reason instanceof errorClass, format)
          assert.equal(reason.code, code)
        }
        await assert.rejects(pool.run(bad[0]), { code })
      }
    },
  )

  test('the last line may come without its end', LIMIT, async (t) => {
    const pool = openCommand(t, 'sh', ['-c', 'read line; printf %s "$line"'], { size: 1 })
    assert.equal(await pool.run(17), 17)
  })
})

describe('work', () => {
  test('many items, in order and without, for every way of sending ahead', LIMIT, async (t) => {
    for (const readAhead of ['auto', 1, 3, 16_384]) {
      const pool = openCommand(t, 'cat', [], { size: 2, readAhead })
      assert.deepEqual(await parallelMap(numbers(5000), pool).toArray(), numbers(5000))
      const loose = await parallelMap(numbers(5000), pool, { preserveOrder: false }).toArray()
      assert.deepEqual(
        loose.sort((a, b) => a - b),
        numbers(5000),
      )
    }
  })

  test('run(), filter() and flatMap()', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat')
    assert.deepEqual(await Promise.all(numbers(50).map((i) => pool.run(i))), numbers(50))
    assert.deepEqual(
      await parallelMap([1, 0, 2, null], (x) => x)
        .filter(pool)
        .toArray(),
      [1, 2],
    )
    assert.deepEqual(
      await parallelMap([[1, 2], [], [3]], (x) => x)
        .flatMap(pool)
        .toArray(),
      [1, 2, 3],
    )
    await assert.rejects(
      parallelMap([1], (x) => x)
        .flatMap(pool)
        .toArray(),
      TypeError,
    )
  })

  test('large lines both ways, more than any pipe holds', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { size: 2 })
    const items = numbers(12).map((i) => String(i).repeat(300_000))
    assert.deepEqual(await parallelMap(items, pool).toArray(), items)
  })

  test('a call with stages, and a Worker pool behind a program', LIMIT, async (t) => {
    const double = workerPool((number) => number * 2, { size: 1 })
    t.after(() => double.close({ force: true }))
    assert.deepEqual(
      await parallelMap(numbers(100), openCommand(t, 'cat')).map(double).toArray(),
      numbers(100).map((i) => i * 2),
    )
  })

  test('Python is unbuffered unless env says otherwise', LIMIT, async (t) => {
    const source =
      'import os,sys\nfor line in sys.stdin: print(os.environ.get("PYTHONUNBUFFERED", "null"), flush=True)'
    const value = (options) => openCommand(t, 'python3', ['-c', source], options).run(0)
    const { PYTHONUNBUFFERED: _, ...rest } = process.env
    assert.equal(await value({ inheritEnv: ['PATH'] }), 1)
    assert.equal(await value({ env: rest }), 1)
    assert.equal(await value({ env: { ...rest, PYTHONUNBUFFERED: undefined } }), null)
    assert.equal(await value({ env: { ...rest, PYTHONUNBUFFERED: '2' } }), 2)
  })

  test('cwd, env, inheritEnv, niceIncrement and rlimits reach the program', LIMIT, async (t) => {
    const folder = folderWith(t)
    const script = 'while read line; do echo "\\"$(pwd) $A $HOME $(nice) $(ulimit -n)\\""; done'
    const pool = openCommand(t, 'sh', ['-c', script], {
      cwd: folder,
      env: { A: 'b' },
      inheritEnv: ['PATH'],
      niceIncrement: 3,
      rlimits: { openFiles: 77 },
    })
    assert.equal(await pool.run(0), `${folder} b  ${getPriority() + 3} 77`)
  })

  test('a program in the folder of cwd, and one by its URL', LIMIT, async (t) => {
    const folder = folderWith(t)
    const file = join(folder, 'answer.sh')
    writeFileSync(file, '#!/bin/sh\nwhile read line; do echo 42; done\n', { mode: 0o755 })
    assert.equal(await openCommand(t, './answer.sh', [], { cwd: folder }).run(0), 42)
    const pool = openCommand(t, new URL(`file://${file}`))
    assert.deepEqual([pool.label, await pool.run(0)], ['answer.sh', 42])
  })

  test('shell: true is a shell, whose arguments are never code', LIMIT, async (t) => {
    const pool = openCommand(t, 'sed -u "s/^/$1/" | sed -u s/b/B/', ['$(id) b'], {
      shell: true,
      format: 'lines',
    })
    assert.equal(await pool.run('x'), '$(id) Bx')
  })

  test('events tell of its processes, and of its stderr', LIMIT, async (t) => {
    const pool = openCommand(t, 'sh', ['-c', 'echo hello >&2; exec cat'], { size: 1, stderr: 'pipe' })
    const told = []
    for (const name of ['stderr', 'workerStart', 'workerExit'])
      pool.on(name, (event) => told.push([name, Buffer.isBuffer(event) ? String(event) : event]))
    await pool.run(1)
    await pool.close()
    const pid = told.find(([name]) => name === 'workerStart')[1].pid
    assert.ok(pid > 0)
    assert.deepEqual(
      told.filter(([name]) => name !== 'stderr'),
      [
        ['workerStart', { worker: 0, pid }],
        ['workerExit', { worker: 0, pid, exitCode: 0, signal: null }],
      ],
    )
    assert.equal(
      told
        .filter(([name]) => name === 'stderr')
        .map(([, text]) => text)
        .join(''),
      'hello\n',
    )
  })

  test('ready() starts all, and a program that is not asked stays', LIMIT, async (t) => {
    const before = children().length
    const pool = openCommand(t, 'cat', [], { size: 3 })
    await pool.ready()
    assert.equal(children().length, before + 3)
    await pool.close()
    assert.equal(children().length, before)
  })
})

describe('programs that fail', () => {
  test('one that does not exist, a directory, a file that cannot be run', LIMIT, async (t) => {
    const folder = folderWith(t, { 'plain.txt': 'text' })
    writeFileSync(join(folder, 'script'), '#!/no/such/interpreter\n', { mode: 0o755 })
    for (const [command, code, why, more] of [
      ['no-such-program', 'ENOENT', 'the command no-such-program does not exist in any folder of PATH'],
      [
        'cat -n',
        'ENOENT',
        'the command cat -n does not exist in any folder of PATH: its arguments are an array of their own, or else the option shell is to be true',
      ],
      ['./no-such-program', 'ENOENT', 'the command ./no-such-program does not exist'],
      ['./script', 'ENOENT', 'what is to run ./script does not exist: see its first line'],
      ['cat', 'ENOENT', `there is no folder ${folder}/none`, { cwd: join(folder, 'none') }],
      [folder, 'EACCES', `${folder} is a folder`],
      [join(folder, 'plain.txt'), 'EACCES', `${folder}/plain.txt is no program that may be run`],
    ]) {
      for (const options of [{}, { perItem: true }]) {
        const pool = openCommand(t, command, [], { cwd: folder, ...options, ...more })
        for (const start of [() => pool.run('x'), () => parallelMap(['x'], pool).toArray()]) {
          await assert.rejects(start(), (error) => {
            assert.equal(error.code, 'ERR_WORKER_START')
            assert.ok(error.message.includes(pool.label), error.message)
            assert.ok(error.message.includes(`: ${why} (`), error.message)
            assert.equal(error.cause.code, code)
            return true
          })
        }
      }
    }
    const long = openCommand(t, 'echo', ['{}'], { perItem: true })
    await assert.rejects(long.run('x'.repeat(1 << 20)), {
      message: /an argument, or all of them, are too long/,
    })
    await assert.rejects(openCommand(t, 'no-such-program-here').ready(), { code: 'ERR_WORKER_START' })
  })

  test(
    'the item that ran is charged with the crash, with exit code and stderr; others run elsewhere',
    LIMIT,
    async (t) => {
      const source = `
import sys
for line in sys.stdin:
    if line == "13\\n":
        print("unlucky", file=sys.stderr); sys.exit(3)
    print(int(line) * 2, flush=True)`
      const pool = openPython(t, source, { size: 2, stderr: 'ignore' })
      const outcomes = await parallelMap(numbers(200), pool, { settled: true, chunkSize: 50 }).toArray()
      for (const { index, value, reason } of outcomes) {
        if (index !== 13) assert.equal(value, index * 2)
        else {
          assert.equal(reason.code, 'ERR_WORKER_CRASHED')
          assert.deepEqual(
            [reason.exitCode, reason.index, reason.attempt, reason.stderr],
            [3, 13, 1, 'unlucky\n'],
          )
          assert.match(reason.message, /python3 exited with code 3 while it ran item 13; it wrote: unlucky/)
        }
      }
      assert.equal(await pool.run(4), 8)
    },
  )

  test('one that reads nothing has not begun: a pool of it cannot start', LIMIT, async (t) => {
    for (const [script, exitCode, wrote] of [
      ['exit 1', 1, ''],
      ['exit 0', 0, ''],
      ['echo why >&2; exit 3', 3, 'why\n'],
      // Its items were written for certain, and lie in the pipe.
      ['sleep .1; exit 3', 3, ''],
      ['exec <&-; exit 4', 4, ''],
      ['exec <&-; sleep 1000', undefined, ''],
      ['sleep .1; exec <&-; sleep 1000', undefined, ''],
    ]) {
      for (const size of exitCode === undefined ? [1] : [1, 2]) {
        const pool = openCommand(t, 'sh', ['-c', script], { size, stderr: 'ignore', stallTimeout: 40 })
        for (const start of [() => pool.run(0), () => parallelMap(numbers(50), pool).toArray()]) {
          const error = await start().then(assert.fail, (error) => error)
          assert.deepEqual([error.code, error.exitCode, error.stderr], ['ERR_WORKER_START', exitCode, wrote])
          const how =
            exitCode === undefined ? 'was killed (it closed its stdin)' : `exited with code ${exitCode}`
          assert.ok(error.message.includes(`${how} again and again`), error.message)
        }
      }
    }
  })

  test('nor has an item that it leaves in the pipe, whatever it was sent', LIMIT, async (t) => {
    for (const [readAhead, end] of [
      [1, 'exit 0'],
      [16, 'sleep .02; exit 0'],
      [16, 'exit 5'],
    ]) {
      const script = `read a; echo "$a"; read b; echo "$b"; ${end}`
      const pool = openCommand(t, 'sh', ['-c', script], { size: 2, readAhead })
      assert.deepEqual(await parallelMap(numbers(40), pool).toArray(), numbers(40))
    }
  })

  test('a signal is a crash, and crashRetries try again', LIMIT, async (t) => {
    const folder = folderWith(t)
    const script =
      'while read line; do if [ "$line" = 1 ] && mkdir once; then kill -9 $$; fi; echo "$line"; done'
    const pool = openCommand(t, 'sh', ['-c', script], { cwd: folder, size: 1 })
    assert.deepEqual(await parallelMap([0, 1, 2], pool, { crashRetries: 1 }).toArray(), [0, 1, 2])
    const deadly = openCommand(t, 'sh', ['-c', 'read line; kill -9 $$'])
    await assert.rejects(deadly.run(0), { code: 'ERR_WORKER_CRASHED', signal: 'SIGKILL' })
  })

  test('maxMemory ends one that takes too much', LIMIT, async (t) => {
    const source = 'import sys,time\nfor line in sys.stdin:\n  x = bytearray(300 << 20)\n  time.sleep(1000)'
    const pool = openPython(t, source, { maxMemory: 100 * 2 ** 20 })
    await assert.rejects(pool.run(0), { code: 'ERR_WORKER_OUT_OF_MEMORY', limit: 100 * 2 ** 20 })
  })

  test(
    'a timeout counts from the turn of an item, kills the program, and the others go on',
    LIMIT,
    async (t) => {
      const source = `
import sys,time
for line in sys.stdin:
    if line == "5\\n": time.sleep(1000)
    time.sleep(.02)
    print(line, end="", flush=True)`
      const pool = openPython(t, source, { size: 1, gracePeriod: 20 })
      // Python takes its time to start, which is a part of the first item's.
      const options = { timeout: 2000, settled: true, chunkSize: 30 }
      const outcomes = await parallelMap(numbers(40), pool, options).toArray()
      for (const { index, value, reason } of outcomes) {
        if (index === 5) assert.equal(reason.code, 'ERR_TASK_TIMEOUT')
        else assert.equal(value, index, 'what waits behind it has not begun')
      }
    },
  )
})

describe('size', () => {
  /** How many programs, or slots, work at once: each says when it begins and ends. */
  const most = (lines) => {
    let [now, highest] = [0, 0]
    for (const line of lines) {
      now += line === 'begin' ? 1 : -1
      highest = Math.max(highest, now)
    }
    return highest
  }

  test('may be changed while a call runs, and nothing is lost', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { maxWorkers: 3, readAhead: 4 })
    assert.equal(pool.size, 3)
    const alive = new Set()
    pool.on('workerStart', ({ pid }) => alive.add(pid))
    pool.on('workerExit', ({ pid }) => alive.delete(pid))
    const results = []
    for await (const value of parallelMap(numbers(3000), pool)) {
      results.push(value)
      if (results.length === 500) pool.size = 1
      if (results.length === 1500) pool.size = 3
      if (results.length === 2500) pool.size = 1
    }
    assert.deepEqual(results, numbers(3000))
    await until(() => alive.size <= 1, 'one program at most')
    assert.throws(() => (pool.size = 0), { code: 'ERR_OUT_OF_RANGE' })
    assert.throws(() => commandPool('cat', [], { size: 1, maxWorkers: 1 }), { code: 'ERR_INVALID_ARG_TYPE' })
  })

  test('larger: more programs run at once, with one per item, too', LIMIT, async (t) => {
    for (const perItem of [false, true]) {
      const log = join(folderWith(t), 'log')
      const script = perItem
        ? 'echo begin >>"$1"; sleep .3; echo end >>"$1"; echo "$2"'
        : 'while read line; do echo begin >>"$1"; sleep .3; echo end >>"$1"; echo "$line"; done'
      const pool = openCommand(t, 'sh', ['-c', script, 'sh', log], { size: 1, perItem })
      const results = parallelMap(['1', '2', '3', '4', '5'], pool, { chunkSize: 1 }).toArray()
      await until(() => linesOf(log).length > 0, 'one runs')
      pool.size = 3
      assert.deepEqual((await results).map(Number), [1, 2, 3, 4, 5])
      assert.ok(most(linesOf(log)) > 1, `${most(linesOf(log))} at once`)
      pool.size = 1
      assert.equal(Number(await pool.run('6')), 6)
    }
  })
})

describe('ways out', () => {
  const HANGS = 'sh -c "sleep 1000; true" & sleep 1000; wait'

  test('break, abort and close({ force }) leave no process, nor what it has started', LIMIT, async (t) => {
    const folder = folderWith(t)
    const script = `while read line; do if [ "$line" = 0 ]; then echo 0; else touch begun; ${HANGS}; fi; done`
    for (const way of ['break', 'abort', 'force']) {
      const pool = openCommand(t, 'sh', ['-c', script], { cwd: folder, size: 1, gracePeriod: 20, label: way })
      const exit = new Promise((resolve) => pool.on('workerExit', resolve))
      const controller = new AbortController()
      const results = parallelMap([0, 1, 2], pool, { signal: controller.signal, chunkSize: 1 })
      const iterator = results[Symbol.asyncIterator]()
      assert.deepEqual(await iterator.next(), { done: false, value: 0 })
      if (way === 'abort') {
        const next = iterator.next()
        controller.abort(new Error('enough'))
        await assert.rejects(next, /enough/)
        await results.finished
      } else {
        await iterator.return()
      }
      await pool.close({ force: true })
      const { signal } = await exit
      assert.equal(signal, 'SIGKILL')
      assert.deepEqual(linesOf(join(folder, 'none')), [])
    }
    assert.deepEqual(children(), [])
  })

  test('close() lets work end, and ends a program that does not end by itself', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { size: 1 })
    const running = parallelMap(numbers(1000), pool).toArray()
    await pool.run(0)
    await pool.close()
    assert.deepEqual(await running, numbers(1000))
    await assert.rejects(pool.run(1), { code: 'ERR_POOL_CLOSED' })
    const stubborn = openCommand(
      t,
      'sh',
      ['-c', 'while :; do read line && echo "$line" || sleep 1000; done'],
      { size: 1 },
    )
    assert.equal(await stubborn.run(1), 1)
    await stubborn.close()
    assert.deepEqual(children(), [])
  })

  test('an idle pool does not keep the program alive', LIMIT, async (t) => {
    const { spawn } = await import('node:child_process')
    const source = `import { commandPool } from '${new URL('../index.js', import.meta.url)}'
console.log(await commandPool('cat').run(7))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
  })

  test('what a program reads too slowly waits here, within the window', LIMIT, async (t) => {
    const pool = openCommand(t, 'sh', ['-c', 'sleep 1000'], { size: 1, gracePeriod: 0 })
    let pulled = 0
    const items = (function* () {
      for (;;) {
        pulled++
        yield 'x'.repeat(100_000)
      }
    })()
    const controller = new AbortController()
    const results = parallelMap(items, pool, { signal: controller.signal, backpressure: 50, chunkSize: 25 })
    const ended = results.toArray()
    while (pulled < 50) await sleep(5)
    controller.abort(new Error('enough'))
    await assert.rejects(ended, /enough/)
    await results.finished
    assert.equal(pulled, 50)
  })
})

describe('wrong arguments', () => {
  const refused = (args, name, message) => {
    assert.throws(() => commandPool(...args), { name, message })
  }

  test('command and args', () => {
    refused(
      [],
      'TypeError',
      /Invalid "command": expected the name or path of a program, or its file URL, got undefined/,
    )
    refused([5], 'TypeError', /"command"/)
    refused([new URL('http://example.com')], 'TypeError', /"command"/)
    refused([''], 'RangeError', /"command"/)
    refused(['a\0'], 'RangeError', /"command"/)
    refused(['cat', 'x'], 'TypeError', /Invalid "args": expected an array of strings, got "x"/)
    refused(['cat', ['a', 1]], 'TypeError', /Invalid "args\[1\]": expected a string, got 1/)
    refused(['cat', ['a\0b']], 'RangeError', /"args\[0\]"/)
    refused(['cat', [], 5], 'TypeError', /Invalid "options": expected an object, got 5/)
  })

  test('options', () => {
    const wrong = (options, name, message) => refused(['cat', [], options], name, message)
    wrong({ formatt: 'lines' }, 'TypeError', /Unknown option "formatt"/)
    wrong({ execArgv: [] }, 'TypeError', /Unknown option "execArgv": expected one of size, .*maxAge.*, got/)
    wrong(
      { format: 5 },
      'TypeError',
      /Invalid "format": expected 'ndjson', 'lines', 'nul' or 'length-prefixed', got 5/,
    )
    wrong({ format: 'csv' }, 'RangeError', /"format"/)
    wrong({ perItem: 1 }, 'TypeError', /Invalid "perItem": expected a boolean, got 1/)
    wrong({ shell: 'bash' }, 'TypeError', /"shell"/)
    wrong(
      { readAhead: '5' },
      'TypeError',
      /Invalid "readAhead": expected 'auto' or an integer from 1 to 16384/,
    )
    for (const readAhead of [0, 1.5, 16_385]) wrong({ readAhead }, 'RangeError', /"readAhead"/)
    wrong({ maxLineBytes: '1' }, 'TypeError', /"maxLineBytes"/)
    for (const maxLineBytes of [0, 2 ** 30 + 1]) wrong({ maxLineBytes }, 'RangeError', /"maxLineBytes"/)
    wrong({ stallTimeout: true }, 'TypeError', /"stallTimeout"/)
    for (const stallTimeout of [-1, 2 ** 31]) wrong({ stallTimeout }, 'RangeError', /"stallTimeout"/)
    wrong({ size: 0 }, 'RangeError', /"size"/)
    wrong({ stderr: 'file' }, 'RangeError', /"stderr"/)
    wrong({ label: '' }, 'RangeError', /"label"/)
  })

  test('nothing is written to the options, and failureOf() knows the item', LIMIT, async (t) => {
    const options = Object.freeze({ size: 1, env: Object.freeze({ ...UNSET }) })
    const pool = openCommand(t, 'sh', Object.freeze(['-c', 'read line; exit 3']), options)
    const error = await pool.run(0).catch((error) => error)
    assert.equal(error.code, 'ERR_WORKER_CRASHED')
    assert.deepEqual([failureOf(error).worker, failureOf(error).attempt], [0, 1])
  })
})
