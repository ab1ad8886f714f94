// Scripts that were written for `child_process.fork`, as the task of a pool.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  parallelMap,
  SerializationError,
  TaskTimeoutError,
  WorkerCrashError,
  WorkerStartError,
} from '../index.js'
import { folderWith, isAlive, LIMIT, linesOf, openPool, rejection, until } from './processes.js'

const SCRIPT = fileURLToPath(new URL('./fixtures/fork-script.cjs', import.meta.url))
const MESSAGES = { protocol: 'message', stderr: 'ignore', size: 1 }

/** What the script answers to one message under `child_process.fork`. */
async function forked(t, message, serialization = 'json') {
  const child = fork(SCRIPT, { serialization, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  child.send(message)
  const [answer] = await once(child, 'message')
  child.disconnect()
  return answer
}

class Point {
  constructor(x) {
    this.x = x
    this.label = undefined
  }
}
const VALUES = {
  'a plain object': { data: [1, 'two', null, true, { three: 3 }] },
  'a list of tasks': { tasks: [{ id: 1 }, { id: 2 }] },
  'undefined, functions, holes': { a: undefined, b: () => {}, c: [undefined, , () => {}, Symbol('s')] },
  'Dates, Maps, Sets, expressions': {
    date: new Date(0),
    map: new Map([[1, 2]]),
    set: new Set([1]),
    exp: /a/,
  },
  'numbers that JSON has not': [NaN, Infinity, -Infinity, -0, 0],
  'what has toJSON()': { url: new URL('https://example.com/'), own: { toJSON: () => 'mine' } },
  'an instance': new Point(1),
  'binary data': { buffer: Buffer.from('ab'), array: new Uint8Array([1, 2]) },
  'an error': new Error('lost'),
  'text of any kind': 'ä 😀 \ud800 "quoted" \n',
  'the empty text': '',
  'text that looks like JSON': '{"a":1}',
  null: null,
  false: false,
  'a number': 42,
  'a null prototype': Object.assign(Object.create(null), { a: 1 }),
  'a key called __proto__': JSON.parse('{"__proto__":{"a":1}}'),
  'the same object twice': ((one) => [one, one])({ a: 1 }),
}

describe('messages', () => {
  for (const [name, value] of Object.entries(VALUES)) {
    test(`${name} arrives and comes back as under fork`, LIMIT, async (t) => {
      const expected = await forked(t, { act: 'echo', value })
      for (const options of [MESSAGES, { ...MESSAGES, protocol: undefined }]) {
        // A pool that does not know yet takes what it takes for functions.
        if (options.protocol === undefined && /functions|toJSON/.test(name)) continue
        const pool = openPool(t, SCRIPT, options)
        const answer = await pool.run({ act: 'echo', value })
        assert.deepStrictEqual(answer, expected)
        await pool.close()
      }
    })
  }

  test('an item that is no message is an error of that item', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const cyclic = {}
    cyclic.self = cyclic
    const items = [undefined, () => {}, 1n, Symbol('s'), cyclic, { toJSON: () => undefined }]
    const outcomes = await parallelMap([...items, { act: 'echo', value: 1 }], pool, {
      settled: true,
    }).toArray()
    for (const { reason } of outcomes.slice(0, -1)) {
      assert.ok(reason instanceof SerializationError)
      assert.ok(reason.cause instanceof TypeError)
    }
    assert.equal(outcomes.at(-1).value, 1)
    for (const found of [pool, openPool(t, SCRIPT)]) {
      const { code, message } = await rejection(found.run(undefined))
      assert.equal(code, 'ERR_SERIALIZATION')
      assert.equal(message, 'The item cannot be a message of JSON: The "message" argument must be specified')
    }
  })

  test("serialization: 'advanced' keeps what JSON does not", LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, { ...MESSAGES, serialization: 'advanced' })
    const values = [new Date(0), new Map([[1, { a: undefined }]]), Buffer.from('ab'), -0, NaN, [1n]]
    for (const value of values) {
      const answer = await pool.run({ act: 'echo', value })
      assert.deepStrictEqual(answer, value)
    }
    const { message } = await pool.run({ act: 'echo', value: new RangeError('kept') })
    assert.equal(message, 'kept')
  })

  test("'advanced' holds for a script that is found out, too", LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, { size: 1, serialization: 'advanced' })
    assert.deepStrictEqual(await pool.run({ act: 'echo', value: new Set([1]) }), new Set([1]))
  })

  for (const serialization of ['json', 'advanced']) {
    test(`what is changed after send() is not sent: ${serialization}`, LIMIT, async (t) => {
      const pool = openPool(t, SCRIPT, { ...MESSAGES, serialization })
      assert.deepEqual(await pool.run({ act: 'changedAfterwards' }), { value: 'as it was sent' })
    })
  }

  test('falsy answers are results, in filter() they are false', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const values = [0, '', false, null, 1, 'a', true, {}]
    const items = values.map((value) => ({ act: 'echo', value }))
    assert.deepEqual(await parallelMap(items, pool).toArray(), values)
    const kept = await parallelMap(items, (item) => item)
      .filter(pool)
      .toArray()
    assert.deepEqual(
      kept.map(({ value }) => value),
      [1, 'a', true, {}],
    )
  })

  test('large messages', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const value = { text: 'ä'.repeat(3 << 20), numbers: Array.from({ length: 1e5 }, (_, i) => i) }
    assert.deepEqual(await pool.run({ act: 'echo', value }), value)
  })
})

describe('order and pairs', () => {
  test('each item has the answer to its own message', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, { ...MESSAGES, size: 2 })
    const acts = ['echo', 'later', 'promised']
    const items = Array.from({ length: 300 }, (_, i) => ({ act: acts[i % 3], value: i, ms: i % 4 }))
    const results = await parallelMap(items, pool).toArray()
    assert.deepEqual(
      results,
      items.map(({ value }) => value),
    )
  })

  test(
    'what is sent in the turn of the answer is not taken for the answer of the next item',
    LIMIT,
    async (t) => {
      const pool = openPool(t, SCRIPT, MESSAGES)
      const items = Array.from({ length: 20 }, (_, i) => ({
        act: i % 2 ? 'many' : 'manyInOneTurn',
        values: [i, 'more', 'and more'],
      }))
      assert.deepEqual(
        await parallelMap(items, pool).toArray(),
        items.map(({ values }) => values[0]),
      )
    },
  )

  test(
    "what is sent while no item runs is the pool's event, in both ways to name the protocol",
    LIMIT,
    async (t) => {
      const folder = folderWith(t, {
        'script.cjs': `process.send({ ready: true })
        process.on('message', (n) => { process.send(n); process.send({ after: n }) })`,
      })
      for (const protocol of ['message', undefined]) {
        const pool = openPool(t, join(folder, 'script.cjs'), { ...MESSAGES, protocol })
        const heard = []
        pool.on('message', (message, from) => heard.push([message, from]))
        assert.deepEqual(await parallelMap([1, 2], pool).toArray(), [1, 2])
        await until(() => heard.length === 3)
        assert.deepEqual(
          heard.map(([message]) => message),
          [{ ready: true }, { after: 1 }, { after: 2 }],
        )
        for (const [, from] of heard) assert.deepEqual(from, { worker: 0, index: undefined })
      }
    },
  )

  test('send(): errors as under fork, callback, return value', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    for (const what of ['undefined', 'function', 'bigint', 'symbol', 'cyclic']) {
      assert.deepEqual(await pool.run({ act: 'sends', what }), await forked(t, { act: 'sends', what }))
    }
    const { name, code } = await pool.run({ act: 'sends', what: 'handle' })
    assert.deepEqual([name, code], ['TypeError', 'ERR_INVALID_HANDLE_TYPE'])
    const both = await parallelMap([{ act: 'callback' }], (item) => item)
      .flatMap(pool)
      .toArray()
    assert.deepEqual(both, ['first', { error: null, returned: true }])
  })

  test('the script sees what a forked one sees', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const { pid, ...rest } = await pool.run({ act: 'where' })
    const { pid: other, ...expected } = await forked(t, { act: 'where' })
    assert.deepEqual(rest, expected)
    assert.notEqual(pid, other)
  })
})

describe('flatMap', () => {
  const flat = (items, pool) =>
    parallelMap(items, (item) => item)
      .flatMap(pool)
      .toArray()

  for (const act of ['many', 'manyLater', 'manyInOneTurn']) {
    for (const serialization of ['json', 'advanced']) {
      test(`every message is a result: ${act}, ${serialization}`, LIMIT, async (t) => {
        const pool = openPool(t, SCRIPT, { ...MESSAGES, size: 2, serialization })
        const items = Array.from({ length: 12 }, (_, i) => ({
          act,
          values: Array.from({ length: 1 + (i % 4) }, (_, j) => ({ i, j })),
        }))
        assert.deepEqual(
          await flat(items, pool),
          items.flatMap(({ values }) => values),
        )
      })
    }
  }

  test('an array is one result', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const values = [[1, 2], [], '[3]']
    assert.deepEqual(await flat([{ act: 'many', values }], pool), values)
  })

  test('lastMessage ends the item, whenever it comes; none is a fine number of results', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, { ...MESSAGES, lastMessage: { done: true } })
    const items = [3, 0, 1].map((count) => ({
      act: 'manyTurns',
      values: [...Array.from({ length: count }, (_, j) => ({ count, j })), { done: true }],
    }))
    assert.deepEqual(await flat(items, pool), [
      { count: 3, j: 0 },
      { count: 3, j: 1 },
      { count: 3, j: 2 },
      { count: 1, j: 0 },
    ])
    assert.deepEqual(
      await parallelMap(items, pool).toArray(),
      [
        { count: 3, j: 0 },
        { count: 1, j: 0 },
      ],
      'the first one for a map, nothing for none',
    )
  })

  test('a crash in the middle drops what was sent', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const outcomes = await parallelMap(
      [
        { act: 'sendAndThrow', text: 'no' },
        { act: 'many', values: [1] },
      ],
      (item) => item,
    )
      .flatMap(pool, { settled: true })
      .toArray()
    assert.equal(outcomes[0].reason.cause.message, 'no')
    assert.deepEqual(outcomes.slice(1), [{ status: 'fulfilled', value: 1, index: 1 }])
  })
})

describe('faults', () => {
  for (const [act, check] of Object.entries({
    throw: ({ cause, exitCode }) => assert.deepEqual([cause.message, exitCode], ['no', 1]),
    sendAndThrow: ({ cause, exitCode }) => assert.deepEqual([cause.message, exitCode], ['no', 1]),
    reject: ({ cause, exitCode }) => assert.deepEqual([cause.message, exitCode], ['no', 1]),
    exit: ({ exitCode }) => assert.equal(exitCode, 3),
    disconnect: ({ exitCode }) => assert.equal(exitCode, 0),
  })) {
    test(`the item is charged with the end of its process: ${act}`, LIMIT, async (t) => {
      const pool = openPool(t, SCRIPT, MESSAGES)
      const before = await pool.run({ act: 'where' })
      const items = [1, 2, 3].map((value) => ({ act: 'echo', value }))
      items.splice(1, 0, { act, text: 'no', code: 3 })
      const outcomes = await parallelMap(items, pool, { settled: true }).toArray()
      const { reason } = outcomes[1]
      assert.ok(reason instanceof WorkerCrashError, String(reason))
      assert.equal(reason.index, 1)
      check(reason)
      assert.deepEqual(
        outcomes.map(({ value }) => value),
        [1, undefined, 2, 3],
      )
      assert.notEqual((await pool.run({ act: 'where' })).pid, before.pid)
    })
  }

  for (const act of ['never', 'spin']) {
    test(`a script that never answers: ${act}`, LIMIT, async (t) => {
      const pool = openPool(t, SCRIPT, { ...MESSAGES, gracePeriod: 20 })
      const { pid } = await pool.run({ act: 'where' })
      const error = await rejection(pool.run({ act }, { timeout: 100 }))
      assert.ok(error instanceof TaskTimeoutError)
      assert.notEqual((await pool.run({ act: 'where' })).pid, pid)
      await until(() => !isAlive(pid), 'the one that was silent to end')
    })
  }

  test('retries and crashRetries', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const error = await rejection(pool.run({ act: 'exit', code: 7 }, { crashRetries: 1 }))
    assert.deepEqual([error.exitCode, error.attempt], [7, 2])
  })

  test('one that disconnects after each answer works: each item has a process', LIMIT, async (t) => {
    const pool = openPool(t, SCRIPT, MESSAGES)
    const items = [1, 2, 3].map((value) => ({ act: 'last', value }))
    assert.deepEqual(await parallelMap(items, pool).toArray(), [1, 2, 3])
  })

  // What is usual for one task per child. Under fork the message arrives, whatever the code.
  const ONE_TASK = {
    'send, exit': 'process.on("message", (n) => { process.send(n * 2); process.exit() })',
    'send, exit after an await': `
      process.on('message', async (n) => {
        await new Promise(setImmediate)
        process.send(n * 2)
        process.exit(0)
      })`,
    'send, disconnect, exit': `
      process.on('message', (n) => { process.send(n * 2); process.disconnect(); process.exit(0) })`,
    'send, and exit with a failure': `
      process.on('message', (n) => { process.send(n * 2); process.exit(3) })`,
    'a handler for uncaught exceptions that sends, and exits': `
      process.on('uncaughtException', ({ message }) => { process.send(message * 2); process.exit(1) })
      process.on('message', (n) => { throw new Error(n) })`,
  }
  for (const [name, text] of Object.entries(ONE_TASK)) {
    for (const options of [MESSAGES, { stderr: 'ignore', size: 2, serialization: 'advanced' }]) {
      test(`a result that was sent counts: ${name}, ${options.protocol}`, LIMIT, async (t) => {
        const file = join(folderWith(t, { 'script.cjs': text }), 'script.cjs')
        const pool = openPool(t, file, options)
        assert.deepEqual(await parallelMap([1, 2, 3, 4], pool).toArray(), [2, 4, 6, 8])
        const flat = parallelMap([1, 2, 3], (n) => n).flatMap(pool)
        assert.deepEqual(await flat.toArray(), [2, 4, 6])
        assert.equal(await pool.run(5), 10)
      })
    }
  }

  test('before its lastMessage an item that exits has no result; after it, all', LIMIT, async (t) => {
    const file = join(
      folderWith(t, {
        'script.cjs': `process.on('message', (list) => { for (const n of list) process.send(n); process.exit() })`,
      }),
      'script.cjs',
    )
    const pool = openPool(t, file, { ...MESSAGES, lastMessage: 'end' })
    const outcomes = await parallelMap([[1, 2, 'end'], [3], ['end'], [4, 'end', 5]], (list) => list)
      .flatMap(pool, { settled: true })
      .toArray()
    assert.deepEqual(
      outcomes.map(({ value, reason }) => value ?? [reason.code, reason.exitCode, reason.index]),
      [1, 2, ['ERR_WORKER_CRASHED', 0, 1], 4],
    )
  })

  test('disconnect, connected, and errors after it', LIMIT, async (t) => {
    const log = join(folderWith(t), 'log')
    const pool = openPool(t, SCRIPT, MESSAGES)
    await rejection(pool.run({ act: 'afterDisconnect', log }))
    assert.deepEqual(
      linesOf(log),
      [
        'disconnect false null',
        'ERR_IPC_DISCONNECTED',
        'false',
        'ERR_IPC_CHANNEL_CLOSED',
        'ERR_IPC_CHANNEL_CLOSED',
        'exit 0',
      ].sort((a, b) => linesOf(log).indexOf(a) - linesOf(log).indexOf(b)),
    )
  })
})

describe('scripts', () => {
  const scripts = {
    'once()': `process.once('message', (n) => process.send([n, process.pid]))`,
    'once() again and again': `
      (async () => {
        const { once } = require('node:events')
        for (;;) {
          const [n] = await once(process, 'message')
          process.send([n, process.pid])
        }
      })()`,
    'a listener that comes late': `
      setTimeout(() => process.on('message', (n) => process.send([n, process.pid])), 50)`,
    'a queue of its own': `
      const queue = []
      let busy = false
      process.on('message', (n) => { queue.push(n); work() })
      async function work() {
        if (busy) return
        busy = true
        while (queue.length > 0) {
          await new Promise(setImmediate)
          process.send([queue.shift(), process.pid])
        }
        busy = false
      }`,
    'process.channel.unref()': `
      process.on('message', (n) => process.send([n, process.pid]))
      process.channel.unref()
      setTimeout(() => {}, 100000)`,
    'a handler for uncaught exceptions': `
      process.on('uncaughtException', ({ message }) => process.send([Number(message), process.pid]))
      process.on('message', (n) => { throw new Error(n) })`,
  }
  for (const [name, text] of Object.entries(scripts)) {
    test(name, LIMIT, async (t) => {
      const folder = folderWith(t, { 'script.cjs': text })
      const pool = openPool(t, join(folder, 'script.cjs'), MESSAGES)
      const results = await parallelMap([1, 2, 3], pool).toArray()
      assert.deepEqual(
        results.map(([n]) => n),
        [1, 2, 3],
      )
      assert.equal(new Set(results.map(([, pid]) => pid)).size, name === 'once()' ? 3 : 1)
    })
  }

  test('an ES module that awaits its first message while it is loaded', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'script.mjs': `
        import { once } from 'node:events'
        const [first] = await once(process, 'message')
        process.on('message', (n) => process.send(n - first))
        process.send(first)`,
    })
    const pool = openPool(t, join(folder, 'script.mjs'), MESSAGES)
    assert.deepEqual(await parallelMap([10, 11, 12], pool).toArray(), [10, 1, 2])
  })

  test("close() tells a script by 'disconnect', and waits for what that promises", LIMIT, async (t) => {
    const folder = folderWith(t, {
      'script.mjs': `
        import { appendFileSync } from 'node:fs'
        process.on('message', (log) => {
          process.on('disconnect', async () => {
            await new Promise((resolve) => setTimeout(resolve, 20))
            appendFileSync(log, \`gone \${process.connected}\\n\`)
          })
          process.send(true)
        })`,
    })
    const log = join(folder, 'log')
    const pool = openPool(t, join(folder, 'script.mjs'), MESSAGES)
    await pool.run(log)
    await pool.close()
    assert.deepEqual(linesOf(log), ['gone false'])
  })
})

describe('which protocol', () => {
  const start = async (t, files, options = {}) => {
    const folder = folderWith(t, files)
    const pool = openPool(t, join(folder, Object.keys(files)[0]), { size: 1, stderr: 'ignore', ...options })
    return rejection(pool.ready())
  }
  const LISTENER = `process.on('message', (n) => process.send(n * 2))`

  for (const [name, text] of Object.entries({
    'it listens, and exports nothing': LISTENER,
    'it asks for process.send first': `if (process.send && process.connected) { ${LISTENER} }`,
    'it exports a value': `${LISTENER}; module.exports = { version: 1 }`,
  })) {
    test(`is found out: ${name}`, LIMIT, async (t) => {
      const pool = openPool(t, join(folderWith(t, { 'task.cjs': text }), 'task.cjs'), { size: 1 })
      assert.deepEqual(await parallelMap([1, 2], pool).toArray(), [2, 4])
    })
  }

  test('a file that exports a function is none, whether it listens or not', LIMIT, async (t) => {
    const text = `process.on('message', () => {}); module.exports = (n) => [n, typeof process.send, 'connected' in process]`
    for (const options of [{}, { protocol: 'function' }]) {
      const pool = openPool(t, join(folderWith(t, { 'task.cjs': text }), 'task.cjs'), { size: 1, ...options })
      assert.deepEqual(await pool.run(1), [1, 'undefined', false])
    }
  })

  test('neither a function nor a listener', LIMIT, async (t) => {
    const error = await start(t, { 'task.cjs': '' })
    assert.ok(error instanceof WorkerStartError)
    assert.match(error.message, /must export a default function.*or.*'message' listener on process/)
  })

  test('functions, but no mapper, and a listener', LIMIT, async (t) => {
    const error = await start(t, { 'task.cjs': `${LISTENER}; exports.help = () => {}` })
    assert.ok(error instanceof WorkerStartError)
    assert.match(error.message, /listens for messages.*protocol: 'message'/)
  })

  test("protocol 'function' does not look for listeners", LIMIT, async (t) => {
    const error = await start(t, { 'task.cjs': LISTENER }, { protocol: 'function' })
    assert.match(error.message, /must export a default function/)
  })

  test("protocol 'message': a script that ends without a listener, or cannot be loaded", LIMIT, async (t) => {
    const silent = await start(t, { 'task.cjs': 'setTimeout(() => {}, 20)' }, { protocol: 'message' })
    assert.ok(silent instanceof WorkerStartError)
    assert.match(silent.message, /no 'message' listener, and has ended/)
    for (const text of ['throw new Error("broken")', `${LISTENER}; throw new Error("broken")`]) {
      for (const file of ['task.cjs', 'task.mjs']) {
        const error = await start(t, { [file]: text }, { protocol: 'message' })
        assert.ok(error instanceof WorkerStartError)
        assert.equal(error.cause.message, 'broken')
      }
    }
  })

  test('a script that is found out runs one item at a time', LIMIT, async (t) => {
    const error = await start(t, { 'task.cjs': LISTENER }, { concurrencyPerWorker: 2 })
    assert.match(error.message, /expected concurrencyPerWorker 1, got 2/)
  })
})
