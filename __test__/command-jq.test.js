// jq, the filter that people have: it answers line by line only when it is told to.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parallelMap } from '../index.js'
import { NO_JQ, openCommand } from './commands.js'
import { LIMIT } from './processes.js'

const OPTIONS = { ...LIMIT, skip: NO_JQ }
const FILTER = '{id, sum: (.numbers | add), text: .text}'
const items = Array.from({ length: 2000 }, (_, id) => ({
  id,
  numbers: [id, id + 0.5],
  text: `line\n${id} "é😀"`,
}))
const sums = items.map(({ id, text }) => ({ id, sum: 2 * id + 0.5, text }))

/** Warnings about output that is held back, as they come. */
function warnings(t) {
  const seen = []
  const listen = (warning) => warning.code === 'MILLRACE_BUFFERED_COMMAND' && seen.push(warning)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return seen
}

const untilWarned = () => new Promise((resolve) => setImmediate(resolve))

test('jq --unbuffered answers line by line, and its processes stay', OPTIONS, async (t) => {
  const seen = warnings(t)
  const pool = openCommand(t, 'jq', ['--unbuffered', '-c', FILTER], { size: 2 })
  let starts = 0
  pool.on('workerStart', () => starts++)
  await pool.ready()
  assert.deepEqual(await parallelMap(items, pool).toArray(), sums)
  assert.deepEqual(await pool.run(items[7]), sums[7])
  await untilWarned()
  assert.deepEqual([starts, seen.length], [2, 0])
})

test('jq without it gives the same results, and a warning that names the remedy', OPTIONS, async (t) => {
  const seen = warnings(t)
  const pool = openCommand(t, 'jq', ['-c', FILTER], { size: 2, stallTimeout: 40 })
  assert.deepEqual(await parallelMap(items, pool).toArray(), sums)
  assert.deepEqual(await pool.run(items[7]), sums[7])
  await untilWarned()
  assert.equal(seen.length, 1)
  assert.match(seen[0].message, /^jq .*jq --unbuffered/)
})

test('a filter that answers nothing for an item has stalled', OPTIONS, async (t) => {
  const pool = openCommand(t, 'jq', ['--unbuffered', '-c', 'select(. > 1)'], { size: 1, stallTimeout: 40 })
  assert.deepEqual(await parallelMap([2, 3], pool).toArray(), [2, 3])
  await assert.rejects(parallelMap([1], pool).toArray(), { code: 'ERR_STALLED', index: 0 })
  assert.equal(await pool.run(4), 4)
})

test('a filter that cannot be understood, with what jq says of it', OPTIONS, async (t) => {
  const pool = openCommand(t, 'jq', ['-c', 'nonsense('], { size: 1, stderr: 'ignore' })
  await assert.rejects(parallelMap(items, pool).toArray(), (error) => {
    assert.match(error.stderr, /jq: .*error/)
    assert.equal(error.exitCode, 3)
    return true
  })
})
