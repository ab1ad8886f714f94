// What AsyncLocalStorage holds where a function is given to us, it holds where we call that function: whoever wakes us
// then, and whoever else uses the same pool.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { parallelMap, throughWorkers } from '../index.js'
import { LIMIT, openPool, program } from './processes.js'

const storage = new AsyncLocalStorage()
const seen = () => storage.getStore()
const value = (number) => ({ act: 'value', value: number })
const values = Array.from({ length: 300 }, (_, i) => value(i))
const all = (store, { length } = values) => Array(length).fill(store)

/** Do it at the same time as two who hold something else; what each of them has got. */
function three(fn) {
  return Promise.all(['A', 'B', 'C'].map((store) => storage.run(store, () => fn(store))))
}

describe('a mapper on this event loop is called in the context of its call', () => {
  test('now, later, as often as it is tried, and after what is tried in time', LIMIT, async () => {
    const mapper = async (number, { attempt }) => {
      await (number % 3 === 0 ? turn() : undefined)
      if (attempt === 1 && number % 5 === 0) throw new Error('again')
      if (attempt === 1 && number % 49 === 1) await sleep(60)
      return `${seen()} ${attempt < 3}`
    }
    const options = { retries: 2, backoff: { initial: 1 }, timeout: 50 }
    const results = await three(() => parallelMap(Array(100).keys(), mapper, options).toArray())
    assert.deepEqual(results, [
      all('A true', Array(100)),
      all('B true', Array(100)),
      all('C true', Array(100)),
    ])
  })

  test('whoever consumes the results, and however', LIMIT, async () => {
    const call = () => storage.run('A', () => parallelMap(values, async () => seen()))
    assert.deepEqual(await storage.run('B', () => call().toArray()), all('A'))
    const results = []
    for await (const result of call()) storage.run('B', () => results.push(result))
    await storage.run('B', () => call().forEach((result) => void results.push(result)))
    await storage.run('B', () =>
      pipeline(call().toReadable(), (from) => from.forEach((it) => void results.push(it))),
    )
    assert.deepEqual(results, [...all('A'), ...all('A'), ...all('A')])
  })

  test('what it entered itself is not what the next one sees', LIMIT, async () => {
    const mapper = async (number) => {
      const before = seen()
      await storage.run(number, () => turn())
      return before
    }
    assert.deepEqual(await storage.run('A', () => parallelMap(values, mapper).toArray()), all('A'))
  })

  test('a store may be falsy', LIMIT, async () => {
    for (const store of [0, '', null, false, Number.NaN]) {
      const results = storage.run(store, () => parallelMap([1, 2], () => [seen()]))
      assert.deepEqual(await results.toArray(), [[store], [store]])
    }
  })

  test('also where nothing is stored', LIMIT, async () => {
    const results = parallelMap(values, async () => seen())
    assert.deepEqual(await results.toArray(), all(undefined))
  })
})

describe('calls that share a pool keep their contexts apart', () => {
  test('in the stages behind it', LIMIT, async (t) => {
    const pool = await storage.run('the first', async () => openPool(t, undefined, { size: 2 }))
    const results = await three(() =>
      parallelMap(values, pool)
        .filter(async () => seen())
        .flatMap(() => [seen()])
        .toArray(),
    )
    assert.deepEqual(results, [all('A'), all('B'), all('C')])
  })

  test('in the source, its end, and the questions whether to try again', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const results = await three(async () => {
      const stores = new Set()
      async function* source() {
        try {
          for (let i = 0; i < 200; i++) {
            stores.add(seen())
            if (i % 20 === 0) await turn()
            yield i === 150 ? { act: 'throw', message: 'on purpose' } : value(i)
          }
        } finally {
          stores.add(seen())
        }
      }
      const retryIf = () => stores.add(seen())
      await assert.rejects(
        parallelMap(source(), pool, { retries: 1, backoff: { initial: 1 }, retryIf }).toArray(),
        /on purpose/,
      )
      await assert.rejects(pool.run({ act: 'throw', message: 'here' }, { retries: 1, retryIf }), /here/)
      return [...stores]
    })
    assert.deepEqual(results, [['A'], ['B'], ['C']])
  })

  test('in what takes the results', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const results = await three(async () => {
      const stores = []
      await parallelMap(values, pool).forEach(() => void stores.push(seen()))
      for await (const _ of parallelMap(values, pool)) stores.push(seen())
      stores.push(await parallelMap(values, pool).reduce(() => seen(), undefined))
      await Promise.all(values.map((item) => pool.run(item).then(() => stores.push(seen()))))
      return [...new Set(stores), stores.length]
    })
    const count = 3 * values.length + 1
    assert.deepEqual(results, [
      ['A', count],
      ['B', count],
      ['C', count],
    ])
  })

  test('in a stage of a stream', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 2 })
    const results = await three(async () => {
      const stores = []
      await pipeline(
        values,
        throughWorkers(pool),
        throughWorkers(() => seen()),
        async (stream) => {
          for await (const store of stream) stores.push(store)
        },
      )
      return stores
    })
    assert.deepEqual(results, [all('A'), all('B'), all('C')])
  })
})

test('listeners of a pool are called in the context of the one who made it', LIMIT, async (t) => {
  const pool = storage.run('owner', () => openPool(t, undefined, { size: 1 }))
  const stores = []
  storage.run('listener', () => pool.on('workerStart', () => stores.push(seen())))
  storage.run('listener', () => pool.once('workerExit', () => stores.push(seen())))
  await storage.run('caller', () => pool.run(value(1)))
  await storage.run('closer', () => pool.close())
  assert.deepEqual(stores, ['owner', 'owner'])
})

test('a listener of a pool that was made without a context sees none of its callers', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const stores = []
  pool.on('workerStart', () => stores.push(seen()))
  await storage.run('caller', () => pool.run(value(1)))
  assert.deepEqual(stores, [undefined])
})

test('a pool does not hold what its first caller had stored', LIMIT, async (t) => {
  const run = program(
    t,
    `import { AsyncLocalStorage } from 'node:async_hooks'
     import { setTimeout as sleep } from 'node:timers/promises'
     import { parallelMap, workerPool } from 'millrace'
     const storage = new AsyncLocalStorage()
     const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
     const stored = await (async () => {
       const store = { large: Buffer.alloc(1024) }
       await storage.run(store, () => parallelMap([{ act: 'value' }], pool).map(async (it) => it).toArray())
       return new WeakRef(store)
     })()
     for (let attempt = 0; attempt < 100 && stored.deref() !== undefined; attempt++) {
       await sleep(20)
       gc()
     }
     console.log(stored.deref() === undefined, await pool.run({ act: 'value', value: 5 }))
     await pool.close()`,
    { flags: ['--expose-gc'] },
  )
  const { stdout, stderr } = await run.ended
  assert.equal(stdout, 'true 5\n', stderr)
})

test('what a function enters when a pool wakes us does not stay', LIMIT, async (t) => {
  const pool = openPool(t, undefined, { size: 1 })
  const other = new AsyncLocalStorage()
  pool.on('workerStart', () => other.enterWith('entered'))
  await pool.ready()
  const stores = []
  pool.on('workerExit', () => stores.push(other.getStore()))
  await pool.close()
  assert.deepEqual(stores, [undefined])
})
