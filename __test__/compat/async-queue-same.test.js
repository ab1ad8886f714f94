// Random lives of the queues of `millrace/async` beside the original: the same calls, events and answers in the same order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import original from 'async'
import ours from 'millrace/async'
import { LIMIT } from '../processes.js'

const LIVES = 300
const SEED = Number(process.env.MILLRACE_COMPAT_SEED ?? 1)

const QUEUES = {
  queue: (library, worker, { most }) => library.queue(worker, most),
  priorityQueue: (library, worker, { most }) => library.priorityQueue(worker, most),
  cargo: (library, worker, { payload }) => library.cargo(worker, payload),
  cargoQueue: (library, worker, { most, payload }) => library.cargoQueue(worker, most, payload),
}

/** What is done to a queue; `tasks` makes one, or several, and `number` is by chance. */
const STEPS = {
  push: ({ queue, tasks, priority, note }, number) => {
    const callback = number % 2 === 0 ? undefined : (error, result) => note('called', error?.message, result)
    for (const pushed of [queue.push(tasks(number), ...priority(number), callback)].flat()) {
      note('push', pushed instanceof Promise)
      pushed?.then(
        (result) => note('pushed', result),
        (error) => note('push failed', error.message),
      )
    }
  },
  unshift: ({ queue, tasks, note }, number) => {
    if (queue.unshift === undefined) note('no unshift')
    else queue.unshift(tasks(1), number % 2 === 0 ? () => {} : (error) => note('called', error?.message))
  },
  pushAsync: ({ queue, tasks, priority, note }, number) => {
    for (const pushed of [queue.pushAsync(tasks(number), ...priority(number))].flat()) {
      Promise.resolve(pushed).then(
        (result) => note('pushed', result),
        (error) => note('push failed', error.message),
      )
    }
  },
  'push nothing': ({ queue }) => queue.push([]),
  pause: ({ queue }) => queue.pause(),
  resume: ({ queue }) => queue.resume(),
  remove: ({ queue, note }, number) =>
    queue.remove(({ data, priority }) => {
      note('asked', data, priority)
      return data % 3 === number % 3
    }),
  'other concurrency': ({ queue }, number) => {
    queue.concurrency = 1 + (number % 3)
  },
  look: ({ look }) => look(),
  kill: ({ queue }, number) => number % 5 === 0 && queue.kill(),
  'await drain': ({ queue, note }) => queue.drain().then(() => note('drained')) && undefined,
  'await error': ({ queue, note }) =>
    queue.error().catch((error) => note('failed', error.message)) && undefined,
  'some microtasks': async (_, number) => {
    for (let left = number; left > 0; left--) await undefined
  },
  'a turn': () => turn(),
}

/** What a queue is, and what happens to it, by chance. */
function planned(seed) {
  let state = seed * 7919
  /** From 0 to below `count`. */
  const chance = (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >> 8) % count
  }
  for (let burnt = 0; burnt < 3; burnt++) chance(2)
  const oneOf = (values) => values[chance(values.length)]
  return {
    kind: oneOf(Object.keys(QUEUES)),
    most: oneOf([1, 2, 3, undefined]),
    payload: oneOf([1, 2, undefined]),
    isAsync: chance(3) === 0,
    answers: [chance(3), chance(3), chance(3)],
    fails: [chance(4) === 0, chance(4) === 0, false],
    buffer: chance(3),
    steps: Array.from({ length: 3 + chance(10) }, () => [oneOf(Object.keys(STEPS)), chance(12)]),
  }
}

/** Everything that can be seen of a queue. */
async function seen(library, plan) {
  const trace = []
  const note = (...what) => trace.push(what.map((part) => JSON.stringify(part)).join(' '))
  let calls = 0
  const begin = (task) => {
    const call = calls++
    note('worker', task)
    return { call, error: plan.fails[call % 3] ? new Error(`no ${call}`) : null, how: plan.answers[call % 3] }
  }
  const withCallback = (task, callback) => {
    const { call, error, how } = begin(task)
    const answer = () => {
      note('answers', call)
      callback(error, call)
    }
    if (how === 0) answer()
    else if (how === 1) queueMicrotask(answer)
    else setImmediate(answer)
  }
  const withPromise = async (task) => {
    const { call, error, how } = begin(task)
    for (let left = how; left > 0; left--) await undefined
    if (error) throw error
    return call
  }
  const queue = QUEUES[plan.kind](library, plan.isAsync ? withPromise : withCallback, plan)
  for (const event of ['saturated', 'unsaturated', 'empty', 'drain'])
    queue[event](() => note(event, queue.length(), queue.running(), queue.idle()))
  queue.error((error, task) => note('error', error.message, task))
  queue.buffer = plan.buffer

  let next = 0
  const look = () => {
    const { paused, started, concurrency, payload, buffer } = queue
    note(
      'looks',
      queue.length(),
      queue.running(),
      queue.idle(),
      paused,
      started,
      concurrency,
      payload,
      buffer,
    )
    note(
      queue.workersList().map(({ data }) => data),
      [...queue],
    )
  }
  const tasks = (number) => (number % 3 === 0 ? [next++, next++] : next++)
  const priority = (number) => (plan.kind === 'priorityQueue' ? [number % 4] : [])
  for (const [step, number] of plan.steps) {
    try {
      await STEPS[step]({ queue, tasks, priority, note, look }, number)
    } catch (error) {
      note('threw', step, error.message)
    }
  }
  await sleep(2)
  for (let turns = 0; turns < 20; turns++) await turn()
  look()
  return trace
}

test('random lives are the same', LIMIT, async () => {
  for (let seed = SEED; seed < SEED + LIVES; seed++) {
    const plan = planned(seed)
    const expected = await seen(original, plan)
    const got = await seen(ours, plan)
    assert.deepEqual(got, expected, `MILLRACE_COMPAT_SEED=${seed}: ${JSON.stringify(plan)}`)
  }
})
