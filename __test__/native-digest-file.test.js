// digestFile: files by their paths, of any length and name, and errors like Node's own.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, constants, tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { native, parallelMap } from '../index.js'
import { LIMIT } from './processes.js'

const folder = mkdtempSync(path.join(tmpdir(), 'millrace-digest-'))
after(() => rmSync(folder, { recursive: true }))

function file(name, bytes) {
  const whole = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)])
  writeFileSync(whole, bytes)
  return whole
}

test('a file has the digest of its bytes, however its path is given', async () => {
  for (const size of [0, 1, 256 << 10, (256 << 10) + 1, 1_000_000]) {
    const bytes = randomBytes(size)
    const buffer = file(`${size} bytes, ä %20`, bytes)
    const paths = [buffer, buffer.toString(), pathToFileURL(buffer.toString())]
    for (const algorithm of ['sha256', 'sha512', 'sha1', 'md5']) {
      const digest = createHash(algorithm).update(bytes).digest('hex')
      assert.deepEqual(
        await parallelMap(paths, native.digestFile(algorithm)).toArray(),
        paths.map(() => digest),
      )
    }
    for (const algorithm of ['blake3', 'xxh3', 'crc32'])
      assert.deepEqual(
        native.digestFile(algorithm, { encoding: 'buffer' }).runSync(buffer),
        native[algorithm]({ encoding: 'buffer' }).runSync(bytes),
      )
  }
})

test('a name that is not UTF-8', () => {
  const name = file(Buffer.from([0xff, 0x61]), 'content')
  assert.equal(native.digestFile('md5').runSync(name), createHash('md5').update('content').digest('hex'))
})

test('errors are those of Node', async () => {
  const there = file('there', 'a').toString()
  for (const missing of [path.join(folder, 'missing'), `${there}/below`, folder]) {
    const expected = caught(() => readFileSync(missing))
    const { code, errno, syscall } = expected
    await assert.rejects(native.digestFile('sha256').run(missing), (error) => {
      assert.deepEqual(
        { code: error.code, errno: error.errno, syscall: error.syscall, path: error.path },
        { code, errno, syscall, path: missing },
      )
      assert.ok(error.message.startsWith(`${code}: `), error.message)
      if (expected.path !== undefined) assert.equal(error.message, expected.message)
      return true
    })
  }
})

test('what is no regular file is refused at once, and keeps no thread', LIMIT, async () => {
  const pipe = path.join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const expected = (of) => ({
    name: 'Error',
    code: 'EINVAL',
    errno: -constants.errno.EINVAL,
    syscall: 'open',
    path: of,
    message: `EINVAL: not a regular file, open '${of}'`,
  })
  for (const other of [pipe, '/dev/zero', '/dev/null']) {
    assert.throws(() => native.digestFile('md5').runSync(other), expected(other))
    await assert.rejects(native.digestFile('md5').run(other), expected(other))
  }
  // More than there are threads.
  const pipes = new Array(availableParallelism() + 1).fill(pipe)
  const outcomes = await parallelMap([...pipes, file('last', 'a')], native.digestFile('md5'), {
    settled: true,
  }).toArray()
  assert.deepEqual(
    outcomes.map(({ value, reason }) => value ?? reason.code),
    [...pipes.map(() => 'EINVAL'), createHash('md5').update('a').digest('hex')],
  )
  // Links are followed, as everywhere.
  const link = path.join(folder, 'link')
  symlinkSync('last', link)
  assert.equal(native.digestFile('md5').runSync(link), createHash('md5').update('a').digest('hex'))
})

test('a path with a null byte that comes out of a pipe is refused, too', async () => {
  const digest = native.pipe(native.replace('x', '\0'), native.digestFile('md5'))
  const expected = {
    name: 'TypeError',
    code: 'ERR_INVALID_ARG_TYPE',
    message: /expected a path without null bytes, got "a\\0b"/,
  }
  assert.throws(() => digest.runSync('axb'), expected)
  await assert.rejects(digest.run('axb'), expected)
})

test('what is no path is refused', async () => {
  for (const item of [1, null, {}, new Float64Array(1), ['a']])
    await assert.rejects(native.digestFile('md5').run(item), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /expected a path: a string, a Buffer or a file URL/,
    })
  for (const item of ['a\0b', Buffer.from('a\0b')])
    assert.throws(() => native.digestFile('md5').runSync(item), { code: 'ERR_INVALID_ARG_TYPE' })
  assert.throws(() => native.digestFile('md5').runSync(new URL('https://example.com/a')), {
    code: 'ERR_INVALID_URL_SCHEME',
  })
})

test('wrong arguments are refused when the operation is made', () => {
  assert.throws(() => native.digestFile(), { name: 'TypeError', message: /"algorithm"/ })
  assert.throws(() => native.digestFile('sha3'), { name: 'RangeError', message: /"algorithm".*got "sha3"/ })
  assert.throws(() => native.digestFile('md5', { encoding: 'utf8' }), { name: 'RangeError' })
  assert.throws(() => native.digestFile('md5', { encodings: 'hex' }), { name: 'TypeError' })
})

function caught(fn) {
  try {
    fn()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
