// digestFile: files by their paths, of any length and name, and errors like Node's own.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { native, parallelMap } from '../index.js'

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
