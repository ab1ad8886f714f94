// Ctrl-C, SIGTERM, readers that leave and readers that stall: nothing hangs, nothing is left, lines are whole.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { LIMIT, marked, ndjson, residentBytes, start, TASK, valuesOf } from './cli-program.js'
import { folderWith, until } from './processes.js'

const slow = ndjson(Array.from({ length: 500 }, () => ({ sleep: 40 })))
let marks = 0

/** A run whose processes can be found. */
function begin(t, args, options) {
  const mark = `${process.pid}.${marks++}`
  const running = start(t, ['map', TASK, '-j', '2', ...args], { ...options, env: { CLI_MARK: mark } })
  const gone = () => until(() => marked(mark).length === 0, 'no process is left')
  return { ...running, running, mark, gone }
}

describe('signals', LIMIT, () => {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    test(`${signal} once: what was read is finished, nothing more is read`, async (t) => {
      const { running, child, gone } = begin(t, [], { input: slow })
      await until(() => running.stdout.includes('\n'))
      child.kill(signal)
      const { code, stdout, stderr } = await running.ended
      assert.equal(code, exitCode)
      assert.match(stderr, /^millrace: interrupted: .*once more stops at once\n$/)
      const count = valuesOf(stdout).length
      assert.ok(count >= 1 && count < 500, `${count} lines`)
      await gone()
    })
  }

  test('SIGINT while stdin is silent', async (t) => {
    const { running, child, gone } = begin(t, [], { input: null })
    child.stdin.write('1\n')
    await until(() => running.stdout === '1\n')
    child.kill('SIGINT')
    assert.equal((await running.ended).code, 130)
    await gone()
  })

  test('SIGINT while a named pipe waits for its writer', async (t) => {
    const folder = folderWith(t)
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const { running, child, gone } = begin(t, ['-', 'pipe'], { input: '1\n', cwd: folder })
    await until(() => running.stdout === '1\n')
    child.kill('SIGINT')
    assert.equal((await running.ended).code, 130)
    await gone()
  })

  test('SIGINT twice: what runs is cut off', async (t) => {
    const { running, child, mark, gone } = begin(t, [], {
      input: `1\n${ndjson([{ hang: 1 }, { hang: 1 }])}2\n`,
    })
    await until(() => running.stdout === '1\n')
    child.kill('SIGINT')
    await until(() => running.stderr.includes('interrupted'))
    assert.ok(marked(mark).length >= 2, 'the workers run on')
    child.kill('SIGINT')
    const { code, stdout } = await running.ended
    assert.equal(code, 130)
    assert.equal(stdout, '1\n')
    await gone()
  })

  test('with -o, the old file stays, and the results are beside it', async (t) => {
    const folder = folderWith(t, { out: 'old' })
    const { running, child } = begin(t, ['-o', 'out'], { input: slow, cwd: folder })
    const partial = () => readdirSync(folder).find((name) => name.endsWith('.partial'))
    await until(() => partial() !== undefined && readFileSync(join(folder, partial())).length > 0)
    child.kill('SIGINT')
    const { code, stderr } = await running.ended
    assert.equal(code, 130)
    assert.equal(readFileSync(join(folder, 'out'), 'utf8'), 'old')
    assert.ok(stderr.endsWith(`millrace: the results so far are in ${partial()}\n`))
    assert.ok(valuesOf(readFileSync(join(folder, partial()), 'utf8')).length >= 1)
  })

  test('SIGINT twice while the reader stalls', async (t) => {
    const { running, child, gone } = begin(t, [], { input: ndjson(Array(2000).fill({ big: 1000 })) })
    child.stdout.pause()
    // The pipe is full, and so is what stands behind it.
    await until(() => child.stdout.readableLength >= child.stdout.readableHighWaterMark)
    child.kill('SIGINT')
    await until(() => running.stderr.includes('interrupted'))
    child.kill('SIGINT')
    await gone()
    child.stdout.resume()
    assert.equal((await running.ended).code, 130)
  })
})

describe('readers and disks', LIMIT, () => {
  test('a reader that leaves ends it quietly', async (t) => {
    const input = '{"a":1}\n'.repeat(200_000)
    const { running, child, gone } = begin(t, [], { input })
    child.stdout.once('data', () => child.stdout.destroy())
    const { code, stderr } = await running.ended
    assert.equal(stderr, '')
    assert.equal(code, 0)
    await gone()
  })

  test('in a shell: endless input, head', () => {
    const command = `yes '{"a":1}' | "$0" "$@" | head -n 1; echo "\${PIPESTATUS[1]}"`
    const bin = new URL('../bin/millrace.js', import.meta.url).pathname
    const shell = ['-c', command, process.execPath, bin, 'map', TASK, '-j', '1']
    assert.equal(execFileSync('bash', shell, { encoding: 'utf8', timeout: 120_000 }), '{"a":1}\n0\n')
  })

  test('a reader that is slow slows down the reading, and memory stays', async (t) => {
    const { running, child, gone } = begin(t, [], { input: null })
    child.stdout.pause()
    const block = ndjson(Array(1000).fill({ text: 'x'.repeat(1000) }))
    let written = 0
    let stopped = false
    const feed = () => {
      while (!stopped && written < 400 << 20) {
        written += block.length
        if (!child.stdin.write(block)) return child.stdin.once('drain', feed)
      }
    }
    feed()
    let before = -1
    // Until it takes no more.
    await until(async () => {
      if (written === before) return true
      before = written
      await new Promise((resolve) => setTimeout(resolve, 700))
      return false
    })
    stopped = true
    assert.ok(written < 200 << 20, `took ${written} bytes`)
    assert.ok(residentBytes(child.pid) < 400 << 20)
    child.stdin.end()
    child.stdout.resume()
    const { code, stdout } = await running.ended
    assert.equal(code, 0)
    assert.equal(stdout.length, written)
    await gone()
  })

  test('a full disk is a message', async (t) => {
    const full = openSync('/dev/full', 'w')
    const input = '{"a":1}\n'.repeat(100_000)
    const { running, gone } = begin(t, [], { input, stdio: ['pipe', full, 'pipe'] })
    const { code, stderr } = await running.ended
    assert.equal(code, 1)
    assert.match(stderr, /^millrace: cannot write stdout: ENOSPC: [^\n]*\n$/)
    await gone()
    const errors = begin(t, ['-e', '/dev/full'], { input: 'x\n'.repeat(1000) })
    const kept = await errors.running.ended
    assert.equal(kept.code, 1)
    assert.match(kept.stderr, /cannot write \/dev\/full: ENOSPC/)
    await errors.gone()
  })
})
