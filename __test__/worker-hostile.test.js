// Whatever a worker writes into the memory that it shares with its parent: the parent lives, loses that worker's items
// at most, and leaks nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ATTACKS } from './fixtures/hostile.js'
import { LIMIT, program, until } from './processes.js'

const TASK = new URL('./fixtures/hostile.js', import.meta.url).href

/** In a program of its own, because what it tries is to bring that down. */
const PROGRAM = (attack) => `
  import { setTimeout as sleep } from 'node:timers/promises'
  import { parallelMap, workerPool } from 'millrace'
  import { holdings } from ${JSON.stringify(new URL('./processes.js', import.meta.url).href)}

  const round = async (attack, seed) => {
    const attacked = workerPool(${JSON.stringify(TASK)}, { size: 1 })
    const other = workerPool(${JSON.stringify(TASK)}, { size: 1 })
    const items = Array.from({ length: 40 }, (_, i) => i)
    if (attack !== undefined) items[20] = { attack, seed }
    const [outcomes, untouched] = await Promise.all([
      parallelMap(items, attacked, { settled: true, chunkSize: 10 }).toArray(),
      parallelMap(items.map((_, i) => i), other).toArray(),
    ])
    const after = await attacked.run('after').catch((error) => error.code)
    const again = await attacked.run('again').catch((error) => error.code)
    await Promise.all([attacked.close({ force: true }), other.close()])
    return { outcomes: outcomes.map(({ status, index, value, reason }) => [status, index, reason?.code ?? reason?.name ?? typeof value]), untouched, after, again }
  }
  await round()
  const settled = async (before) => {
    let now = holdings()
    for (let i = 0; i < 50 && JSON.stringify(now) !== JSON.stringify(before); i++) {
      await sleep(100)
      now = holdings()
    }
    return now
  }
  const before = await settled()
  const rounds = []
  for (let seed = 1; seed <= 3; seed++) rounds.push(await round(${JSON.stringify(attack)}, seed))
  console.log(JSON.stringify({ rounds, before, now: await settled(before) }))
`

for (const attack of Object.keys(ATTACKS)) {
  test(attack, LIMIT, async (t) => {
    const run = program(t, PROGRAM(attack))
    const end = await Promise.race([run.ended, until(() => false).catch(() => 'hung')])
    assert.notEqual(end, 'hung', 'the parent hangs')
    assert.equal(end.signal, null, end.stderr)
    assert.equal(end.code, 0, end.stderr)
    const { rounds, before, now } = JSON.parse(end.stdout)
    for (const { outcomes, untouched, again } of rounds) {
      assert.deepEqual(
        outcomes.map(([, index]) => index),
        Array.from({ length: 40 }, (_, i) => i),
        'each item has one outcome',
      )
      assert.deepEqual(
        outcomes.slice(0, 10).map(([status]) => status),
        Array(10).fill('fulfilled'),
        'what was over before stays',
      )
      assert.deepEqual(
        untouched,
        Array.from({ length: 40 }, (_, i) => i),
      )
      assert.equal(again, 'again', 'the pool goes on')
    }
    assert.deepEqual(now, before, 'nothing is left')
  })
}
