// Whatever a worker writes into the memory that it shares with its parent: the parent lives, loses that worker's items
// at most, and leaks nothing.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ATTACKS } from './fixtures/hostile.js'
import { LIMIT, program } from './processes.js'

const TASK = new URL('./fixtures/hostile.js', import.meta.url).href

/** In a program of its own, because what it tries is to bring that down. */
const PROGRAM = (attack) => `
  import { setTimeout as sleep } from 'node:timers/promises'
  import { parallelMap, workerPool } from 'millrace'
  import { heldAfter, settled } from ${JSON.stringify(new URL('./holdings.js', import.meta.url).href)}

  const indexes = Array.from({ length: 40 }, (_, i) => i)
  // A worker may always say nothing more at all: then an abort ends it, as it does any endless item.
  const inTime = async (start, late) => {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(late), 1000)
    const result = await start(controller.signal).catch((error) => error)
    clearTimeout(timer)
    return result
  }
  const wrong = []
  const round = async (attack) => {
    const attacked = workerPool(${JSON.stringify(TASK)}, { size: 1 })
    // What it says has to be something that can be said, true or not.
    attacked.on('message', (value, { worker, index }) => {
      const isRight = index === undefined || (Number.isSafeInteger(index) && index >= 0)
      if (!Number.isSafeInteger(worker) || !isRight) wrong.push(['message', worker, index])
    })
    attacked.on('progress', ({ worker, index, done, total }) => {
      const isRight = Number.isSafeInteger(worker) && Number.isSafeInteger(index) && index >= 0
      if (!isRight || !(done >= 0 && done < Infinity && total > 0 && total < Infinity)) wrong.push(['progress', index, done, total])
    })
    const other = workerPool(${JSON.stringify(TASK)}, { size: 1 })
    const items = indexes.with(20, attack ?? 20)
    const [outcomes, untouched] = await Promise.all([
      inTime((signal) => parallelMap(items, attacked, { settled: true, chunkSize: 10, signal }).toArray(), 'late'),
      parallelMap(indexes, other).toArray(),
    ])
    const after = await inTime((signal) => attacked.run('after', { signal }), 'late')
    await Promise.all([attacked.close({ force: true }), other.close()])
    const again = await inTime(async () => {
      const pool = workerPool(${JSON.stringify(TASK)}, { size: 1 })
      const result = await pool.run('again')
      await pool.close()
      return result
    })
    // One that hides which item it runs dies of the same again and again: then the call fails of that.
    const told = outcomes === 'late' || outcomes?.code === 'ERR_WORKER_START' ? 'late' : outcomes.map(({ status, index }) => [index, status])
    return { outcomes: told, untouched, after: after?.code ?? after, again, wrong }
  }
  await round()
  const before = await settled()
  const rounds = []
  for (const then of ['go on', 'hang']) rounds.push(await round({ attack: ${JSON.stringify(attack)}, then }))
  console.log(JSON.stringify({ rounds, before, now: await heldAfter(before) }))
`

// Each program mostly waits: for an abort, and for what it holds to settle.
describe('a hostile worker', { concurrency: 4 }, () => {
  for (const attack of Object.keys(ATTACKS)) {
    test(attack, LIMIT, async (t) => {
      const run = program(t, PROGRAM(attack))
      const end = await run.ended
      assert.equal(end.signal, null, end.stderr)
      assert.equal(end.code, 0, end.stderr)
      const { rounds, before, now } = JSON.parse(end.stdout)
      const indexes = Array.from({ length: 40 }, (_, i) => i)
      for (const { outcomes, untouched, after, again, wrong } of rounds) {
        assert.deepEqual(untouched, indexes, 'another pool is not disturbed')
        assert.ok(['after', 'late', 'ERR_WORKER_CRASHED', 'ERR_SERIALIZATION'].includes(after), after)
        assert.equal(again, 'again', 'new pools work')
        assert.deepEqual(wrong, [])
        if (outcomes === 'late') continue
        assert.deepEqual(
          outcomes.map(([index]) => index),
          indexes,
          'each item has one outcome',
        )
        const first = outcomes.slice(0, 10).map(([, status]) => status)
        assert.deepEqual(first, Array(10).fill('fulfilled'), 'what was over before stays')
      }
      assert.deepEqual(now, before, 'nothing is left')
    })
  }
})

test(
  'a worker that sends more messages than it may is killed, and the parent does not grow',
  LIMIT,
  async (t) => {
    const run = program(
      t,
      `
    import { workerPool } from 'millrace'
    const pool = workerPool(${JSON.stringify(TASK)}, { size: 1 })
    let bytes = 0
    pool.on('message', () => bytes++)
    await pool.ready()
    const before = process.memoryUsage().rss
    const failed = pool.run({ attack: 'messages without end' }).catch((error) => error)
    // Nobody takes them: what the parent reads meanwhile is all that there can be.
    for (const end = Date.now() + 1000; Date.now() < end; );
    const { code, message } = await failed
    await pool.close()
    console.log(JSON.stringify({ code, message, grown: process.memoryUsage().rss - before }))`,
    )
    const end = await run.ended
    assert.equal(end.code, 0, end.stderr)
    const { code, message, grown } = JSON.parse(end.stdout)
    assert.equal(code, 'ERR_WORKER_CRASHED')
    assert.match(message, /it sent more messages than it may/)
    assert.ok(grown < 64 << 20, `${grown} bytes`)
  },
)
