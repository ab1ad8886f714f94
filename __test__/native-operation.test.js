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

test('the errors of an operation say which item and try it was', async () => {
  const zipped = native.gzip().runSync('a')
  const cases = [
    ['CorruptDataError', native.gunzip(), zipped, 'no gzip'],
    ['InvalidTextError', native.countMatches(/a/), 'a', Buffer.from([0xff])],
    ['OutputTooLargeError', native.gunzip({ maxOutputBytes: 2 }), zipped, native.gzip().runSync('aaaa')],
  ]
  for (const [name, operation, right, wrong] of cases) {
    const at = (index, attempt) => (error) => {
      assert.equal(error.name, name)
      assert.deepEqual([error.index, error.attempt, error.worker], [index, attempt, failureOf(error).worker])
      assert.ok(Number.isInteger(error.worker))
      return true
    }
    await assert.rejects(parallelMap([right, wrong], operation).toArray(), at(1, 1))
    const again = { retries: 2, backoff: { initial: 0 } }
    await assert.rejects(parallelMap([right, right, wrong], operation, again).toArray(), at(2, 3))
    await assert.rejects(operation.run(wrong), at(undefined, 1))
    await assert.rejects(operation.run(wrong, again), at(0, 3))
    assert.throws(
      () => operation.runSync(wrong),
      (error) => error.name === name && !('index' in error),
    )
  }
})

test('a view whose memory has gone is an error of its item', async () => {
  const shrunken = (make) => {
    const buffer = new ArrayBuffer(4096, { maxByteLength: 8192 })
    const view = make(buffer)
    buffer.resize(16)
    return view
  }
  const detached = (make) => {
    const buffer = new ArrayBuffer(4096)
    const view = make(buffer)
    structuredClone(buffer, { transfer: [buffer] })
    return view
  }
  const gone = [
    shrunken((buffer) => new Uint8Array(buffer, 32)),
    shrunken((buffer) => new Float64Array(buffer, 0, 512)),
    shrunken((buffer) => new Uint8Array(buffer, 4096)),
    shrunken((buffer) => new Uint8Array(buffer, 32, 0)),
    shrunken((buffer) => Buffer.from(buffer, 32, 8)),
    shrunken((buffer) => new DataView(buffer, 32, 8)),
    shrunken((buffer) => new DataView(buffer, 32)),
    detached((buffer) => new DataView(buffer)),
    detached((buffer) => new DataView(buffer, 8, 8)),
    detached((buffer) => new Uint8Array(buffer, 8, 0)),
    detached((buffer) => buffer),
  ]
  const expected = {
    name: 'TypeError',
    code: 'ERR_INVALID_ARG_TYPE',
    message: /^Invalid "item": expected .* (not detached|not shrunk), got an instance of /,
  }
  const operation = sha256()
  for (const view of gone) {
    assert.throws(() => operation.runSync(view), expected)
    await assert.rejects(operation.run(view), expected)
    await assert.rejects(operation.run(view, { transfer: true }), expected)
    const outcomes = await parallelMap(['a', view, 'b'], operation, { settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ reason }) => reason?.code),
      [undefined, 'ERR_INVALID_ARG_TYPE', undefined],
    )
    assert.equal(failureOf(outcomes[1].reason).index, 1)
  }
  const bytes = gone.filter((view) => view instanceof Uint8Array)
  for (const view of bytes) {
    assert.throws(() => native.array.sort().runSync(view), expected)
    const message = /^Invalid "item\[1\]": expected /
    assert.throws(() => native.array.dot().runSync([new Uint8Array(0), view]), { ...expected, message })
  }
})

test('views that are still there have what is there now', async () => {
  const operation = sha256()
  const buffer = new ArrayBuffer(100, { maxByteLength: 200 })
  const all = [new Uint8Array(buffer), new DataView(buffer), buffer]
  for (const bytes of [100, 200, 20, 0]) {
    buffer.resize(bytes)
    for (const view of all) {
      assert.equal(operation.runSync(view), digest('sha256', Buffer.alloc(bytes)))
      assert.equal(await operation.run(view), digest('sha256', Buffer.alloc(bytes)))
    }
  }
  const atItsEnd = new Uint8Array(buffer, 0)
  assert.equal(await operation.run(atItsEnd), digest('sha256', ''))
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
  assert.equal('stderr' in first.reason, false, 'no process has run it')

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
