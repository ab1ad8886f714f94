// What workers and those who hold their pool say to each other: context.emit(), pool.postMessage().

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parallelMap, SerializationError, workerPool } from '../index.js'
import { folderWith, LIMIT, linesOf, openPool, program, rejection, stateOf, until } from './processes.js'

const LISTENING = new URL('./fixtures/listening.js', import.meta.url)
const say = (code, more) => ({ act: 'eval', code, ...more })
const later = (condition) => until(condition)

/** All that a pool has told of its workers' words, in order. */
function heardFrom(pool) {
  const messages = []
  pool.on('message', (value, from) => messages.push([value, from.index, from.worker]))
  return messages
}

const values = (messages) => messages.map(([value]) => value)

describe('emit', () => {
  test('values travel as results do, and say whose they are', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const code = `
      const { emit } = context
      emit(undefined)
      emit('text €')
      emit({ bytes: Buffer.from('abc'), when: new Date(5), map: new Map([[1, { deep: [-0, NaN] }]]) })
      emit(Object.assign(new RangeError('wrong', { cause: 'why' }), { extra: 1 }))
      const round = {}
      round.self = round
      context.emit(round)`
    await parallelMap([{ act: 'value', value: 1 }, say(code)], pool).toArray()
    const [nothing, text, record, error, round] = values(messages)
    assert.equal(messages.length, 5)
    for (const [, index, worker] of messages) assert.deepEqual([index, worker], [1, 0])
    assert.equal(nothing, undefined)
    assert.equal(text, 'text €')
    assert.ok(Buffer.isBuffer(record.bytes))
    assert.deepEqual(record, {
      bytes: Buffer.from('abc'),
      when: new Date(5),
      map: new Map([[1, { deep: [-0, NaN] }]]),
    })
    assert.ok(error instanceof RangeError)
    assert.deepEqual([error.message, error.cause, error.extra], ['wrong', 'why', 1])
    assert.equal(round.self, round)
  })

  test('those of a worker come in its order, each before its item’s result', LIMIT, async (t) => {
    for (const options of [{ size: 1 }, { size: 2, concurrencyPerWorker: 3 }]) {
      for (const preserveOrder of [true, false]) {
        const pool = openPool(t, undefined, options)
        const last = new Map()
        const seen = new Map()
        pool.on('message', ({ index, at, count }, from) => {
          assert.equal(from.index, index)
          assert.ok(count > (last.get(from.worker) ?? 0), 'in order')
          last.set(from.worker, count)
          seen.set(index, [...(seen.get(index) ?? []), at])
        })
        const code = `
          const { index, emit } = context
          const tell = (at) => emit({ index, at, count: globalThis.count = (globalThis.count ?? 0) + 1, ['key' + index % 40]: index })
          tell(0)
          tell(1)
          if (index % 3 > 0) return { index, ['own' + index % 30]: 1 }
          return new Promise((resolve) => setImmediate(() => { tell(2); resolve({ index }) }))`
        const items = Array.from({ length: 400 }, () => say(code))
        let results = 0
        for await (const { index } of parallelMap(items, pool, { preserveOrder })) {
          assert.deepEqual(seen.get(index), index % 3 > 0 ? [0, 1] : [0, 1, 2])
          results++
        }
        assert.equal(results, 400)
        await pool.close()
      }
    }
  })

  test('before the promise of run() settles, however it does', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const told = []
    pool.on('message', (value) => told.push(value))
    pool.on('workerExit', () => told.push('exit'))
    await pool.run(say(`context.emit('value')`)).then(() => told.push('resolved'))
    await pool.run(say(`context.emit(Buffer.alloc(300_000)); throw 1`)).catch(() => told.push('rejected'))
    const dies = pool.run(say(`context.emit('last'); process.exit(3)`))
    const error = await dies.catch((error) => error)
    assert.equal(error.code, 'ERR_WORKER_CRASHED')
    await later(() => told.includes('exit'))
    told[2] = told[2].length
    assert.deepEqual(told, ['value', 'resolved', 300_000, 'rejected', 'last', 'exit'])
  })

  test('of every size', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const sizes = [0, 100, 131_000, 131_072, 600_000, 5 << 20, 1, 20 << 20]
    const code = sizes.map((size, at) => `context.emit(Buffer.alloc(${size}, ${at}))`).join('\n')
    await pool.run(say(code))
    assert.deepEqual(
      values(messages).map((bytes) => [bytes.length, bytes.at(-1)]),
      sizes.map((size, at) => [size, size > 0 ? at : undefined]),
    )
    await pool.run(say(`context.emit('é'.repeat(3 << 20))`))
    assert.equal(messages.at(-1)[0].length, 3 << 20)
  })

  test('what cannot be copied is thrown there, and nothing is sent of it', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const code = (value) => `
      try { context.emit(${value}) } catch (error) { return error }`
    const error = await pool.run(say(code('{ list: [() => {}] }')))
    assert.ok(error instanceof SerializationError)
    assert.match(error.message, /value\.list\[0\]/)
    const large = await pool.run(say(code('Buffer.alloc((64 << 20) + 1)')))
    assert.ok(large instanceof SerializationError)
    assert.match(large.message, /too large/)
    await pool.run(say(`context.emit('after')`))
    assert.deepEqual(values(messages), ['after'])
  })

  test('works after the item has ended, with its index', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const code = `setTimeout(context.emit, 30, 'late')`
    await parallelMap([{ act: 'value', value: 1 }, say(code)], pool).toArray()
    await later(() => messages.length > 0)
    assert.deepEqual(messages, [['late', 1, 0]])
  })

  test('while nobody listens nothing is sent, and nothing thrown', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    await pool.run(
      say(`for (let i = 0; i < 1e5; i++) context.emit(Buffer.alloc(10_000)); context.emit(() => {})`),
    )
    const heard = []
    const listener = (value) => heard.push(value)
    pool.on('message', listener)
    await pool.run(say(`context.emit('now')`))
    pool.off('message', listener)
    await pool.run(say(`context.emit('not now')`))
    pool.once('message', listener)
    await pool.run(say(`context.emit('once'); context.emit('twice')`))
    await pool.run(say(`context.emit(() => {})`))
    assert.deepEqual(heard, ['now', 'once'])
  })

  test(
    'a listener that was there before the first worker hears a worker that is replaced, too',
    LIMIT,
    async (t) => {
      const pool = openPool(t, undefined, { size: 1 })
      const messages = heardFrom(pool)
      await pool.run(say(`context.emit(1)`))
      await rejection(pool.run({ act: 'exit', code: 1 }))
      await pool.run(say(`context.emit(2)`))
      assert.deepEqual(values(messages), [1, 2])
    },
  )

  test('a getter may emit while its value is encoded', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const result = `{ a: 1, get b() { context.emit({ from: 'getter' }); return 'b' }, c: Buffer.alloc(5, 1) }`
    const back = await pool.run(say(`return ${result}`))
    assert.deepEqual(back, { a: 1, b: 'b', c: Buffer.alloc(5, 1) })
    assert.ok(messages.length > 0)
    for (const value of values(messages)) assert.deepEqual(value, { from: 'getter' })
    messages.length = 0
    await pool.run(say(`context.emit(${result}); context.emit('end')`))
    assert.deepEqual(messages.at(-2)[0], { a: 1, b: 'b', c: Buffer.alloc(5, 1) })
    assert.deepEqual(messages.at(-1)[0], 'end')
    // One that throws after it, in a result and in a message.
    const throws = `{ get a() { context.emit('before'); throw new Error('mine') } }`
    messages.length = 0
    assert.match((await rejection(pool.run(say(`return ${throws}`)))).message, /mine/)
    await pool.run(say(`try { context.emit(${throws}) } catch { context.emit('caught') }`))
    assert.equal(messages.at(-1)[0], 'caught')
    assert.ok(
      values(messages)
        .slice(0, -1)
        .every((value) => value === 'before'),
    )
    assert.equal(await pool.run({ act: 'value', value: 'well' }), 'well')
  })

  test('a blocked event loop makes the worker wait, and loses nothing', LIMIT, async (t) => {
    const note = join(folderWith(t), 'said')
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const pid = await pool.run({ act: 'pid' })
    const code = `
      const { appendFileSync } = process.getBuiltinModule('node:fs')
      for (let i = 0; i < 300; i++) {
        context.emit(Buffer.alloc(16 << 10, i))
        appendFileSync(${JSON.stringify(note)}, i + '\\n')
      }`
    const running = pool.run(say(code))
    for (const end = Date.now() + 500; Date.now() < end; );
    assert.equal(stateOf(pid), 'S', 'it waits')
    const said = linesOf(note).length
    assert.ok(said > 0 && said <= 17, `${said} messages of 16 KiB, in a window of 256 KiB`)
    assert.equal(messages.length, 0)
    await running
    assert.deepEqual(
      values(messages).map((bytes) => bytes[0]),
      Array.from({ length: 300 }, (_, i) => i % 256),
    )
  })

  test('what other items became is read meanwhile', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1, gracePeriod: 100 })
    heardFrom(pool)
    await pool.ready()
    const flood = `for (let i = 0; i < 40; i++) context.emit(Buffer.alloc(16 << 10)); return context.index`
    // All of the rings would be full of messages: the first item's result stands before them.
    const results = parallelMap([{ act: 'value', value: 'first' }, say(flood)], pool, {
      chunkSize: 2,
      settled: true,
      timeout: 1500,
    }).toArray()
    await new Promise((resolve) => setImmediate(resolve))
    for (const end = Date.now() + 3000; Date.now() < end; );
    const [first, second] = await results
    assert.equal(first.value, 'first')
    assert.equal(second.reason.code, 'ERR_TASK_TIMEOUT', 'while it waits its time goes on')
  })

  test('a worker that retires is heard to the end', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 1 })
    const told = []
    pool.on('message', (value) => told.push(value))
    pool.on('workerExit', ({ exitCode }) => told.push(exitCode))
    await pool.run('keep')
    await pool.close()
    assert.deepEqual(told, ['the last word', 0])
  })

  test('calls of the worker’s own are no items of the pool', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const messages = heardFrom(pool)
    const code = `
      return import(${JSON.stringify(new URL('../index.js', import.meta.url).href)}).then(({ parallelMap }) =>
        parallelMap([1, 2, 3], (n, { emit }) => emit(n)).toArray()).then(() => context.emit('outer'))`
    await pool.run(say(code))
    assert.deepEqual(messages, [['outer', 0, 0]])
  })

  test('messages do not keep the program alive', LIMIT, async (t) => {
    const ended = await program(
      t,
      `
      import { workerPool } from './index.js'
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      pool.on('message', () => {}).on('progress', () => {})
      await pool.run({ act: 'eval', code: 'setInterval(() => { context.emit("x".repeat(1000)); context.progress(1) }, 1)' })
      console.log('end')`,
    ).ended
    assert.deepEqual(ended, { code: 0, signal: null, stdout: 'end\n', stderr: '' })
  })
})

test('on the event loop emit() does nothing', LIMIT, async () => {
  const mapper = (value, context) => {
    const { emit } = context
    emit(() => {})
    context.emit(value)
    return value
  }
  assert.deepEqual(await parallelMap([1, 2], mapper).toArray(), [1, 2])
})

describe('postMessage', () => {
  test('every worker hears, in order, before the items that come after it', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 2 })
    await pool.ready()
    const sent = [1, { bytes: Buffer.from('b'), text: '€' }, new RangeError('r'), { shape: 1 }, { shape: 2 }]
    for (const value of sent) assert.equal(pool.postMessage(value), 2)
    const items = ['heard', 'heard', 'heard', 'heard']
    for (const heard of await parallelMap(items, pool, { chunkSize: 1 }).toArray()) {
      assert.deepEqual(heard, ['set up', ...sent])
      assert.ok(Buffer.isBuffer(heard[2].bytes))
      assert.ok(heard[3] instanceof RangeError)
    }
  })

  test('one that starts hears when it is set up, one that starts later does not', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 1, setupData: 100 })
    assert.equal(pool.postMessage('to nobody'), 0)
    const first = pool.run('heard')
    assert.equal(pool.postMessage('early'), 1)
    assert.deepEqual(await first, ['set up', 'early'])
    process.kill(await pool.run('pid'), 'SIGKILL')
    await new Promise((resolve) => pool.once('workerExit', resolve))
    assert.deepEqual(await pool.run('heard'), ['set up'])
  })

  test('while an item awaits something', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 1 })
    await pool.ready()
    const waits = pool.run('wait')
    pool.postMessage('go')
    assert.equal(await Promise.race([waits, later(() => false).catch(() => 'never')]), 'go')
  })

  test('large ones, and more than the ring holds', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 1 })
    await pool.ready()
    for (let i = 0; i < 50; i++) pool.postMessage(Buffer.alloc(100_000, i))
    pool.postMessage(Buffer.alloc(3 << 20, 7))
    const heard = await pool.run('heard')
    assert.equal(heard.length, 52)
    for (let i = 0; i < 50; i++) assert.equal(heard[i + 1][99_999], i)
    assert.equal(heard[51].length, 3 << 20)
  })

  for (const how of ['throw', 'reject']) {
    test(`an error of onMessage (${how}) is an uncaught one of its worker`, LIMIT, async (t) => {
      const pool = openPool(t, LISTENING, { size: 1, stderr: 'ignore' })
      await pool.ready()
      const exit = new Promise((resolve) => pool.once('workerExit', resolve))
      const waits = rejection(pool.run('wait'))
      pool.postMessage({ [how]: 'no such rate' })
      const error = await waits
      assert.equal(error.code, 'ERR_WORKER_CRASHED')
      assert.equal(error.cause.name, 'RangeError')
      assert.equal(error.cause.message, 'no such rate')
      assert.equal((await exit).exitCode, 1)
      assert.equal(await pool.run('well'), 'well')
    })
  }

  test('a worker that reads nothing is left out after 64 MiB, the others are not', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 2 })
    const pids = new Set()
    await pool.ready()
    while (pids.size < 2)
      for (const pid of await parallelMap(['pid', 'pid'], pool, { chunkSize: 1 }).toArray()) pids.add(pid)
    const [stopped] = pids
    process.kill(stopped, 'SIGSTOP')
    const sent = []
    for (let i = 0; i < 12; i++) {
      sent.push(pool.postMessage(Buffer.alloc(8 << 20)))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.equal(sent[0], 2)
    assert.equal(sent.at(-1), 1, `${sent}`)
  })

  test('a task that does not listen', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    await pool.ready()
    assert.equal(pool.postMessage('hello'), 1)
    assert.equal(await pool.run({ act: 'value', value: 1 }), 1)
  })

  test('what cannot be sent', LIMIT, async (t) => {
    const pool = openPool(t, LISTENING, { size: 1 })
    assert.throws(() => pool.postMessage(() => {}), { name: 'SerializationError', code: 'ERR_SERIALIZATION' })
    assert.throws(() => pool.postMessage(Buffer.alloc((64 << 20) + 1)), { code: 'ERR_SERIALIZATION' })
    await pool.close()
    assert.throws(() => pool.postMessage(1), { code: 'ERR_POOL_CLOSED' })
    const shipped = workerPool((n) => n)
    assert.throws(() => shipped.postMessage(1), {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: /expected a file that exports onMessage, got a function/,
    })
  })
})
