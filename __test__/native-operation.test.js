// What all native operations have in common: run(), runSync(), pipe(), errors, and that nothing is left behind.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { failureOf, native, parallelMap } from '../index.js'

const { md5, pipe, sha256 } = native
const digest = (algorithm, item) => createHash(algorithm).update(item).digest('hex')

test('run(): one item, many at once, and after each other', async () => {
  const operation = sha256()
  assert.equal(await operation.run('a'), digest('sha256', 'a'))
  assert.equal(await operation.run('b'), digest('sha256', 'b'))
  const items = Array.from({ length: 500 }, (_, i) => `item ${i}`)
  const results = await Promise.all(items.map((item) => operation.run(item)))
  assert.deepEqual(
    results,
    items.map((item) => digest('sha256', item)),
  )
})

test('run() takes a signal and tries', async () => {
  const reason = new Error('enough')
  await assert.rejects(sha256().run('a', { signal: AbortSignal.abort(reason) }), reason)
  assert.equal(await sha256().run('a', { retries: 2, timeout: 10_000 }), digest('sha256', 'a'))
  await assert.rejects(sha256().run('a', { retrys: 2 }), { code: 'ERR_INVALID_ARG_TYPE' })
})

test('an item of a type that is not taken is an error of that item', async () => {
  const expected = 'a string, a Buffer, a TypedArray, a DataView or an ArrayBuffer'
  for (const item of [42, null, undefined, {}, [], Symbol.iterator, 1n, new Date(0)]) {
    const check = (error) =>
      error instanceof TypeError && error.code === 'ERR_INVALID_ARG_TYPE' && error.message.includes(expected)
    assert.throws(() => sha256().runSync(item), check)
    await assert.rejects(sha256().run(item), check)
  }
  const outcomes = await parallelMap(['a', 42, 'b'], sha256(), { settled: true }).toArray()
  assert.deepEqual(
    outcomes.map(({ status, index }) => [status, index]),
    [
      ['fulfilled', 0],
      ['rejected', 1],
      ['fulfilled', 2],
    ],
  )
  assert.equal(failureOf(outcomes[1]).index, 1)
})

test('after a wrong item, runSync() goes on', () => {
  const operation = sha256()
  assert.throws(() => operation.runSync(42), TypeError)
  assert.equal(operation.runSync('a'), digest('sha256', 'a'))
})

test('pipe() does one after the other', async () => {
  const both = pipe(sha256({ encoding: 'buffer' }), md5())
  const expected = digest('md5', createHash('sha256').update('a').digest())
  assert.equal(both.runSync('a'), expected)
  assert.equal(await both.run('a'), expected)
  assert.deepEqual(await parallelMap(['a'], both).toArray(), [expected])
  assert.equal(pipe(both, sha256()).runSync('a'), digest('sha256', expected), 'pipes can be piped')
  assert.equal(pipe(sha256()).runSync('a'), digest('sha256', 'a'))
})

test('pipe() of what is no operation, or of nothing, is refused', () => {
  assert.throws(() => pipe(), { code: 'ERR_INVALID_ARG_TYPE', message: /one native operation at least/ })
  for (const other of [undefined, null, 'sha256', sha256, {}, (item) => item]) {
    assert.throws(() => pipe(sha256(), other), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /Invalid "operations\[1\]": expected a native operation/,
    })
  }
})

test('calls of several operations at once share the threads', async () => {
  const items = Array.from({ length: 300 }, (_, i) => `item ${i}`)
  const algorithms = ['sha256', 'sha1', 'md5', 'sha512']
  const all = await Promise.all(
    algorithms.map((algorithm) => parallelMap(items, native[algorithm](), { preserveOrder: true }).toArray()),
  )
  for (const [at, algorithm] of algorithms.entries())
    assert.deepEqual(
      all[at],
      items.map((item) => digest(algorithm, item)),
    )
})

test('what takes too long, or is not wanted any more, ends at once; its thread is waited for', async () => {
  // All matches of it are as many searches to the end of the text.
  const operation = native.countMatches(/.*[^A-Z]|[A-Z]/)
  const long = 'A'.repeat(30_000)
  const [first, second] = await parallelMap([long, 'AB'], operation, {
    timeout: 250,
    settled: true,
  }).toArray()
  assert.deepEqual([first.reason?.code, second.value], ['ERR_TASK_TIMEOUT', 2])

  const reason = new Error('enough')
  const controller = new AbortController()
  const results = parallelMap([long, long], operation, { signal: controller.signal })
  const told = []
  const rejected = results.toArray().catch((error) => told.push(error))
  await new Promise((resolve) => setTimeout(resolve, 20))
  controller.abort(reason)
  await Promise.all([rejected, results.finished.then(() => told.push('finished'))])
  assert.deepEqual(told, [reason, 'finished'])
  assert.equal(await operation.run('AB'), 2, 'its threads are free again')
})

test('calls that are left in the middle leave nothing of their large items behind', async () => {
  const item = Buffer.alloc(1 << 20, 'a')
  function* endless() {
    for (;;) yield item
  }
  const rounds = async (count) => {
    for (let round = 0; round < count; round++) {
      for await (const result of parallelMap(endless(), sha256())) {
        assert.equal(result.length, 64)
        break
      }
    }
    return process.memoryUsage().rss
  }
  const before = await rounds(20)
  const after = await rounds(60)
  // Each round has pulled dozens of MiB: what stayed of them would be gigabytes.
  assert.ok(after - before < 300 << 20, `${(after - before) >> 20} MiB more`)
})
