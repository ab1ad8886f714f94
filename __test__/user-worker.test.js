// Pools inside a user's own worker threads: the addon is loaded once more in each, and goes with it, whatever it is
// doing then.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAlive, LIMIT, program, until } from './processes.js'

/** A program that starts worker threads, one after the other, and says what is left of each round. */
const ROUNDS = ({ inside, after, rounds = 20 }) => `
  import { once } from 'node:events'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { Worker } from 'node:worker_threads'
  import { heldAfter, settled } from ${HOLDINGS}
  const code = ${JSON.stringify(`import('millrace').then(async ({ native, parallelMap, throughWorkers, workerPool }) => {
    const { parentPort } = await import('node:worker_threads')
    ${inside}
  })`)}
  // The first round starts what lives as long as the program: the addon's own threads.
  const round = async (number) => {
    const worker = new Worker(code, { eval: true })
    const [message] = await once(worker, 'message')
    ${after}
    await worker.terminate()
    return message
  }
  await round(0)
  const before = await settled()
  const messages = []
  for (let number = 1; number <= ${rounds}; number++) messages.push(await round(number))
  const now = await heldAfter(before)
  console.log(JSON.stringify({ messages, before, now }))
`

const HOLDINGS = JSON.stringify(new URL('./holdings.js', import.meta.url).href)

const INSIDE = {
  'in the middle of much work': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
      const source = function* () { for (let value = 0; ; value++) yield { act: 'value', value } }
      let seen = 0
      for await (const _ of parallelMap(source(), pool)) if (++seen === 1000) parentPort.postMessage(seen)`,
    after: 'await sleep(number * 3)',
  },
  'while a file is read': {
    inside: `
      const { lines } = await import('millrace')
      let seen = 0
      for await (const _ of lines(process.execPath, { encoding: 'latin1' })) if (++seen === 1000) parentPort.postMessage(seen)`,
    after: 'await sleep(number)',
  },
  'while its workers are starting': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
      pool.ready()
      parentPort.postMessage(0)`,
    after: 'await sleep(number * 4)',
  },
  'while its workers are in an endless loop': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
      const pid = await pool.run({ act: 'pid' })
      pool.run({ act: 'spin' })
      parentPort.postMessage(pid)`,
    after: 'await sleep(20)',
  },
  'while it closes': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
      await pool.ready()
      const run = pool.run({ act: 'sleep', ms: 30 })
      pool.close()
      parentPort.postMessage(0)`,
    after: 'await sleep(number * 3)',
  },
  'in the middle of a native operation': {
    inside: `
      const source = function* () { for (;;) yield Buffer.alloc(1 << 16) }
      let seen = 0
      for await (const _ of parallelMap(source(), native.sha256())) if (++seen === 100) parentPort.postMessage(seen)`,
    after: 'await sleep(number * 3)',
  },
  'while items crash, are cut off and tried again': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2, concurrencyPerWorker: 2, gracePeriod: 20, stderr: 'ignore' })
      const acts = [{ act: 'throw', message: 'again' }, { act: 'exit', code: 1 }, { act: 'spin' }, { act: 'value', value: 1 }]
      const source = function* () { for (let at = 0; ; at++) yield at % 20 === 0 ? acts[(at / 20) % 4] : acts[3] }
      const options = { retries: 3, crashRetries: 2, timeout: 50, backoff: { initial: 20 }, settled: true, preserveOrder: false }
      let seen = 0
      for await (const _ of parallelMap(source(), pool, options)) if (++seen === 60) parentPort.postMessage(seen)`,
    after: 'await sleep(number * 6)',
  },
  'while an abort cuts off what runs': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2, gracePeriod: 40 })
      await pool.ready()
      const control = new AbortController()
      const runs = [1, 2, 3].map(() => pool.run({ act: 'spin' }, { signal: control.signal }).catch(() => {}))
      setTimeout(() => { control.abort(); parentPort.postMessage(0) }, 30)
      await Promise.all(runs)`,
    after: 'await sleep(number * 3)',
  },
  'while it holds its own event loop': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
      const source = function* () { for (let value = 0; ; value++) yield { act: 'value', value } }
      let seen = 0
      for await (const _ of parallelMap(source(), pool)) {
        if (++seen < 500) continue
        parentPort.postMessage(seen)
        for (;;);
      }`,
    after: 'await sleep(number * 3)',
  },
  'in a pipeline of streams, with listeners': {
    inside: `
      const { Readable } = await import('node:stream')
      const { pipeline } = await import('node:stream/promises')
      const pool = workerPool(new URL(process.env.ACTS), { size: 2, stdout: 'pipe', stderr: 'pipe' })
      for (const event of ['stdout', 'stderr', 'workerStart', 'workerExit']) pool.on(event, () => {})
      const source = function* () { for (let value = 0; ; value++) yield { act: 'value', value } }
      let seen = 0
      await pipeline(Readable.from(source()), throughWorkers(pool), async (stream) => {
        for await (const _ of stream) if (++seen === 200) parentPort.postMessage(seen)
      })`,
    after: 'await sleep(number * 3)',
  },
  'in a large result': {
    inside: `
      const pool = workerPool(new URL(process.env.ACTS), { size: 2 })
      await pool.ready()
      parentPort.postMessage(0)
      for (;;) await Promise.all([1, 2, 3, 4].map(() => pool.run({ act: 'make', bytes: 5 << 20 })))`,
    after: 'await sleep(number * 5)',
  },
}

describe('a worker thread that is terminated', () => {
  for (const [name, round] of Object.entries(INSIDE)) {
    test(`${name}, 20 times over: no abort, nothing left`, LIMIT, async (t) => {
      const run = program(t, ROUNDS(round))
      const { code, signal, stdout, stderr } = await run.ended
      assert.equal(signal, null, stderr)
      assert.equal(code, 0, stderr)
      assert.equal(stderr, '')
      const { messages, before, now } = JSON.parse(stdout)
      assert.equal(messages.length, 20)
      assert.deepEqual(now, before)
      for (const pid of messages) if (pid > 1000) assert.ok(!isAlive(pid) || name.includes('much'))
    })
  }
})

test('pools in several threads and in the main one work side by side', LIMIT, async (t) => {
  const run = program(
    t,
    `import { once } from 'node:events'
     import { Worker } from 'node:worker_threads'
     import { native, parallelMap, workerPool } from 'millrace'
     const code = ${JSON.stringify(`import('millrace').then(async ({ native, parallelMap, workerPool }) => {
       const { parentPort } = await import('node:worker_threads')
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       const items = Array.from({ length: 5000 }, (_, value) => ({ act: 'value', value }))
       const results = await parallelMap(items, pool).toArray()
       const hashes = await parallelMap(['a', 'b'], native.sha256()).toArray()
       await pool.close()
       parentPort.postMessage([results.length, results.at(-1), hashes.length])
     })`)}
     const threads = [1, 2, 3].map(() => new Worker(code, { eval: true }))
     const exits = Promise.all(threads.map((thread) => once(thread, 'exit')))
     const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
     const answers = Promise.all(threads.map(async (thread) => (await once(thread, 'message'))[0]))
     const own = await parallelMap(Array(3000).fill({ act: 'value', value: 1 }), pool).toArray()
     console.log(JSON.stringify([own.length, ...(await answers)]))
     await exits
     await pool.close()`,
  )
  const { code, stdout, stderr } = await run.ended
  assert.equal(code, 0, stderr)
  assert.deepEqual(JSON.parse(stdout), [3000, [5000, 4999, 2], [5000, 4999, 2], [5000, 4999, 2]])
})

test('a thread that ends by itself with a pool open leaves no process', LIMIT, async (t) => {
  const run = program(
    t,
    `import { once } from 'node:events'
     import { Worker } from 'node:worker_threads'
     const thread = new Worker(${JSON.stringify(`import('millrace').then(async ({ workerPool }) => {
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       console.log(JSON.stringify(await pool.run({ act: 'pid' })))
     })`)}, { eval: true })
     await once(thread, 'exit')
     console.log('"gone"')
     setInterval(() => {}, 1000)`,
  )
  const pid = await run.line()
  assert.equal(await run.line(), 'gone')
  await until(() => !isAlive(pid), 'the worker process to end')
})

test('a task may use worker threads of its own', LIMIT, async (t) => {
  const run = program(
    t,
    `import { workerPool } from 'millrace'
     const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
     console.log(JSON.stringify(await pool.run({ act: 'thread' })))
     await pool.close()`,
  )
  const { stdout, stderr } = await run.ended
  assert.equal(stdout, '2\n', stderr)
})
