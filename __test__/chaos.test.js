// A short run of `npm run chaos`, always the same one; and that its judge can tell right from wrong.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TaskTimeoutError, WorkerCrashError } from '../index.js'
import { answerOf, FAULTS, thrownBy } from './chaos/faults.js'
import { Judge, Tally } from './chaos/judge.js'
import { Plan } from './chaos/plan.js'
import { LIMIT } from './processes.js'

test('every item has its one right outcome, and nothing is left', LIMIT, async (t) => {
  const { code, output } = await chaos(t, '--seed', '20', '--seconds', '8', '--items', '3000')
  assert.equal(code, 0, output)
  assert.match(output, /^seed 20\n/)
  assert.match(output, /each with its one right outcome/)
  assert.match(output, /left behind: no process, descriptor, shared memory or listener/)
})

test('a wrong argument is a line that says so', LIMIT, async (t) => {
  const { code, output } = await chaos(t, '--seed', 'x')
  assert.deepEqual([code, output], [1, '--seed: expected a number, got x\n'])
})

async function chaos(t, ...args) {
  const program = fileURLToPath(new URL('./chaos/main.js', import.meta.url))
  const child = spawn(process.execPath, ['--expose-gc', program, ...args])
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  return { code, output }
}

describe('the plan', () => {
  test('is the same for the same seed, and another for another', () => {
    const planned = (seed) => {
      const plan = new Plan(seed, 10_000, 500)
      return Array.from({ length: 200 }, (_, place) => {
        const call = plan.call(place, place * 100)
        return [call, Array.from({ length: 100 }, (_, index) => plan.item(call, index))]
      })
    }
    assert.deepEqual(planned(3), planned(3))
    assert.notDeepEqual(planned(3), planned(4))
    const faults = planned(3).flatMap(([, items]) => items.map(({ fault }) => fault))
    assert.deepEqual(new Set(faults.filter(Boolean)), new Set(Object.keys(FAULTS)))
  })
})

describe('the judge', () => {
  const call = {
    place: 1,
    first: 0,
    count: 3,
    errors: 'settled',
    consumer: 'toArray',
    options: { preserveOrder: true, retries: 2, crashRetries: 1, timeout: 100 },
  }
  const expects = {
    value: { fault: undefined, expect: 'value' },
    thrown: { fault: 'thrown error', expect: 'thrown' },
    crash: { fault: 'SIGSEGV', expect: 'WorkerCrashError' },
    skipped: { fault: 'skipped', expect: 'nothing' },
  }
  const judgeOf = (kinds, more = {}) => {
    const plan = { item: (_, index) => ({ number: index, ...expects[kinds[index]] }) }
    return new Judge(plan, { ...call, ...more, count: kinds.length }, new Tally())
  }
  const fulfilled = (index, value = answerOf(index)) => ({ status: 'fulfilled', value, index })
  const rejected = (index, reason) => ({ status: 'rejected', reason, index })
  const segv = () => new WorkerCrashError('', { signal: 'SIGSEGV' })

  test('accepts what is right', () => {
    const judge = judgeOf(['value', 'thrown', 'skipped', 'crash'])
    judge.outcome(fulfilled(0))
    judge.outcome(rejected(1, thrownBy('thrown error', 1)))
    judge.outcome(rejected(3, segv()))
    judge.complete()
  })

  const WRONG = {
    'a lost item': [['value', 'value'], (judge) => judge.outcome(fulfilled(0)) ?? judge.complete()],
    'one twice': [['value'], (judge) => judge.outcome(fulfilled(0)) ?? judge.outcome(fulfilled(0))],
    'one that is none': [['value'], (judge) => judge.outcome(fulfilled(7))],
    'a wrong value': [['value'], (judge) => judge.outcome(fulfilled(0, 'wrong'))],
    'an error for a value': [['value'], (judge) => judge.outcome(rejected(0, new Error('no')))],
    'a value for an error': [['thrown'], (judge) => judge.outcome(fulfilled(0))],
    'another error': [['thrown'], (judge) => judge.outcome(rejected(0, new RangeError('item 5')))],
    'another end of the process': [
      ['crash'],
      (judge) => judge.outcome(rejected(0, new WorkerCrashError('', { exitCode: 1 }))),
    ],
    'a wrong order': [
      ['value', 'value'],
      (judge) => judge.outcome(fulfilled(1)) ?? judge.outcome(fulfilled(0)),
    ],
    'a time-out that has tries left': [
      ['value'],
      (judge) => judge.outcome(rejected(0, new TaskTimeoutError('', { attempt: 1 }))),
    ],
    'an error less than failed': [
      ['thrown', 'thrown'],
      (judge) => judge.collected(new AggregateError([thrownBy('thrown error', 0)])),
    ],
    'an error more': [
      ['thrown'],
      (judge) => judge.collected(new AggregateError([thrownBy('thrown error', 0), new Error('more')])),
    ],
    'an end by no error of an item': [['value', 'thrown'], (judge) => judge.stopped(new Error('whose?'))],
  }
  for (const [name, [kinds, act]] of Object.entries(WRONG)) {
    test(`finds ${name}`, () => assert.throws(() => act(judgeOf(kinds)), { name: 'Discrepancy' }))
  }
})
