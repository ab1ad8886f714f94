// How long programs live: commandPool() takes what worker pools take, and replacing a program loses nothing.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { commandPool, parallelMap } from '../index.js'
import { NO_JQ, openCommand, openPython } from './commands.js'
import { folderWith, isSettled, LIMIT, linesOf, rejection, until } from './processes.js'

const numbers = (length) => Array.from({ length }, (_, i) => i)

/** What a pool tells of its programs. */
function heard(pool) {
  const events = { started: 0, exited: 0, codes: new Set(), reasons: [] }
  pool.on('workerStart', () => events.started++)
  pool.on('workerExit', ({ exitCode, signal }) => {
    events.exited++
    events.codes.add(exitCode ?? signal)
  })
  pool.on('workerRecycle', ({ reason }) => events.reasons.push(reason))
  return events
}

/** A Python program that notes each item that it runs. */
const noting = (log, flush) => `
import sys
for line in sys.stdin:
    with open(${JSON.stringify(log)}, "a") as log: log.write(line)
    print(line, end="", flush=${flush})`

describe('maxTasksPerWorker', () => {
  const most = { size: 2, maxTasksPerWorker: 3 }
  /** 100 items come back in order, and as many programs as it takes have run. */
  const all = async (pool, options = {}) => {
    const events = heard(pool)
    assert.deepEqual(await parallelMap(numbers(100), pool, options).toArray(), numbers(100))
    await pool.close()
    assert.ok(events.started >= 34, `${events.started} programs`)
    assert.equal(events.exited, events.started)
    assert.deepEqual([...events.codes], [0])
    assert.ok(events.reasons.length > 0)
    assert.deepEqual([...new Set(events.reasons)], ['maxTasksPerWorker'])
  }

  test('a program that answers at once, for every way of sending ahead', LIMIT, async (t) => {
    for (const readAhead of ['auto', 1, 16]) await all(openCommand(t, 'cat', [], { ...most, readAhead }))
    await all(openCommand(t, 'cat', [], { size: 1, maxTasksPerWorker: 3 }), { chunkSize: 7 })
    await all(openCommand(t, 'cat', [], { size: 2, maxTasksPerWorker: 1 }))
  })

  test('one that holds its answers back, whose stdin is closed for them', LIMIT, async (t) => {
    const warned = new Promise((resolve) => process.once('warning', resolve))
    await all(openCommand(t, 'sed', ['s/a/a/'], { ...most, stallTimeout: 20 }))
    assert.equal((await warned).code, 'MILLRACE_BUFFERED_COMMAND')
  })

  test('jq, told to answer at once and not', { ...LIMIT, skip: NO_JQ }, async (t) => {
    await all(openCommand(t, 'jq', ['--unbuffered', '.'], most))
    await all(openCommand(t, 'jq', ['-c', '.'], { ...most, stallTimeout: 20 }))
  })

  for (const flush of ['True', 'False']) {
    test(`Python, flush=${flush}: no item runs twice`, LIMIT, async (t) => {
      const log = join(folderWith(t), 'log')
      await all(openPython(t, noting(log, flush), { ...most, stallTimeout: 20 }))
      assert.deepEqual(
        linesOf(log)
          .map(Number)
          .sort((a, b) => a - b),
        numbers(100),
      )
    })
  }

  test('one that dies at its second item is charged for it, and the others go on', LIMIT, async (t) => {
    const script =
      'read a || exit 0; echo "$a"; read b || exit 0; if [ "$b" = 9 ]; then exit 7; fi; echo "$b"; exec cat'
    const pool = openCommand(t, 'sh', ['-c', script], { size: 1, maxTasksPerWorker: 2 })
    const outcomes = await parallelMap(numbers(40), pool, { settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ value, reason }) => value ?? [reason.code, reason.exitCode]),
      numbers(40).map((i) => (i === 9 ? ['ERR_WORKER_CRASHED', 7] : i)),
    )
  })

  test('run(), keys, an early end, and close() meanwhile', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { size: 1, maxTasksPerWorker: 2 })
    const events = heard(pool)
    for (const i of numbers(6)) assert.equal(await pool.run(i), i)
    assert.ok(events.started >= 3, `${events.started}`)
    assert.deepEqual(await parallelMap(numbers(20), pool, { key: (item) => item % 2 }).toArray(), numbers(20))
    for await (const value of parallelMap(numbers(100), pool)) if (value === 5) break
    const last = parallelMap(numbers(9), pool).toArray()
    await pool.close()
    assert.deepEqual(await last, numbers(9))
    assert.equal(events.exited, events.started)
  })
})

describe('idleTimeout, minWorkers and maxAge', () => {
  test('what is idle goes, and comes back with work', LIMIT, async (t) => {
    const pool = openCommand(t, 'cat', [], { size: 3, idleTimeout: 10, minWorkers: 1 })
    const events = heard(pool)
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await parallelMap(numbers(300), pool).toArray(), numbers(300))
      await until(() => events.started - events.exited === 1, 'one is left')
    }
    assert.ok(events.reasons.every((reason) => reason === 'idleTimeout'))
  })

  test('programs that are too old are replaced, and no item runs twice', LIMIT, async (t) => {
    const log = join(folderWith(t), 'log')
    const script = 'while read line; do echo "$line" >>"$1"; echo "$line"; done'
    const pool = openCommand(t, 'sh', ['-c', script, 'sh', log], { size: 2, maxAge: 5 })
    const events = heard(pool)
    let items = 0
    while (!events.reasons.includes('maxAge')) {
      assert.deepEqual(await parallelMap(numbers(500), pool).toArray(), numbers(500))
      items += 500
    }
    assert.equal(linesOf(log).length, items)
    await pool.close()
    assert.deepEqual([...events.codes], [0])
  })

  test('programs that end at once are not started again and again for minWorkers', LIMIT, async (t) => {
    for (const script of ['exit 0', 'exit 3']) {
      const pool = openCommand(t, 'sh', ['-c', script], { size: 2, minWorkers: 2, stderr: 'ignore' })
      const events = heard(pool)
      await assert.rejects(pool.run(1), { code: 'ERR_WORKER_START' })
      await until(() => events.exited === events.started, 'all have ended')
      const { started } = events
      // Each start takes some milliseconds.
      await sleep(100)
      assert.equal(events.started, started)
      await assert.rejects(pool.run(1), { code: 'ERR_WORKER_START' })
      assert.ok(events.started > started, 'with work they are tried again')
    }
  })
})

describe('minFreeMemory', () => {
  test('without it nothing begins, with perItem too', LIMIT, async (t) => {
    for (const perItem of [false, true]) {
      const pool = openCommand(t, 'echo', ['{}'], {
        size: 1,
        perItem,
        minFreeMemory: Number.MAX_SAFE_INTEGER,
      })
      // The first look at the memory may come after the first items have begun, or before.
      let run
      await until(async () => {
        run = pool.run('next')
        return !(await isSettled(run))
      }, 'a run that does not begin')
      const other = openCommand(t, 'echo', ['{}'], { size: 1, perItem, minFreeMemory: 1 })
      for (let i = 0; i < 3; i++) await other.run(i).catch(() => {})
      assert.equal(await isSettled(run), false)
      await pool.close({ force: true })
      assert.equal((await rejection(run)).code, 'ERR_POOL_CLOSED')
    }
  })

  test('with enough of it nothing is to be seen', LIMIT, async (t) => {
    for (const perItem of [false, true]) {
      const pool = openCommand(t, perItem ? 'echo' : 'cat', [], { size: 2, perItem, minFreeMemory: 1 })
      assert.deepEqual((await parallelMap(numbers(20), pool).toArray()).map(Number), numbers(20))
    }
  })
})

describe('options that mean nothing here', () => {
  const refused = (options, name, why) => {
    const message = new RegExp(`^Invalid "${name}": expected no ${name}: .*${why}.*, got `)
    assert.throws(() => commandPool('cat', [], options), {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message,
    })
  }

  test('for programs', () => {
    refused({ startTimeout: 1000 }, 'startTimeout', 'does not say when it is ready')
    refused({ concurrencyPerWorker: 2 }, 'concurrencyPerWorker', 'one item after the other')
    refused({ stdout: 'pipe' }, 'stdout', 'its results')
    refused({ permission: {} }, 'permission', 'Node.js processes')
  })

  test('for a program of each item', () => {
    for (const name of ['minWorkers', 'idleTimeout', 'maxTasksPerWorker', 'maxAge']) {
      refused({ perItem: true, [name]: 1 }, name, 'ends with its item')
      commandPool('cat', [], { perItem: true, [name]: undefined })
      commandPool('cat', [], { perItem: false, [name]: 1 })
    }
    for (const name of ['readAhead', 'stallTimeout'])
      refused({ perItem: true, [name]: 1 }, name, 'as an argument')
    commandPool('cat', [], { perItem: true, size: 2, minFreeMemory: 1, maxMemory: 2 ** 30, maxLineBytes: 5 })
  })

  test('values out of their range', () => {
    const wrong = (options, name) =>
      assert.throws(() => commandPool('cat', [], options), {
        name,
        message: new RegExp(Object.keys(options)[0]),
      })
    for (const name of ['minWorkers', 'idleTimeout', 'maxTasksPerWorker', 'maxAge', 'minFreeMemory']) {
      wrong({ [name]: '1' }, 'TypeError')
      wrong({ [name]: -1 }, 'RangeError')
    }
    for (const name of ['maxTasksPerWorker', 'maxAge', 'minFreeMemory']) wrong({ [name]: 0 }, 'RangeError')
    wrong({ minWorkers: 3, maxWorkers: 2 }, 'RangeError')
  })
})
