// The queues of `millrace/async`: `queue`, `cargo`, `cargoQueue` and `priorityQueue` are one queue; they differ in how many
// tasks its worker gets at once, and in what holds those that wait.
//
// Its members are closures, not methods: people hand `q.push` around.

import { asWorker, CALLED_TWICE } from './async-iteratee.js'
import { TaskHeap, TaskList } from './async-tasks.js'

/**
 * @param {any} worker
 * @param {any} [concurrency]
 */
export function queue(worker, concurrency) {
  return makeQueue(worker, concurrency, 1, new TaskList(), true)
}

/**
 * @param {any} worker
 * @param {any} [payload]
 */
export function cargo(worker, payload) {
  return makeQueue(worker, 1, payload, new TaskList(), false)
}

/**
 * @param {any} worker
 * @param {any} [concurrency]
 * @param {any} [payload]
 */
export function cargoQueue(worker, concurrency, payload) {
  return makeQueue(worker, concurrency, payload, new TaskList(), false)
}

/**
 * @param {any} worker
 * @param {any} [concurrency]
 */
export function priorityQueue(worker, concurrency) {
  const q = makeQueue(worker, concurrency, 1, new TaskHeap(), true)
  const { push, pushAsync } = q
  // A task without a priority is as urgent as can be by default: 0.
  q.push = (/** @type {any} */ data, priority = 0, /** @type {any} */ callback) =>
    push(data, callback, priority)
  q.pushAsync = (/** @type {any} */ data, priority = 0, /** @type {any} */ callback) =>
    pushAsync(data, callback, priority)
  delete q.unshift
  delete q.unshiftAsync
  return q
}

/**
 * @param {any} worker
 * @param {any} concurrency
 * @param {any} payload tasks that the worker gets at once; undefined: all that wait
 * @param {TaskList | TaskHeap} tasks
 * @param {boolean} alone the worker gets one task, not an array
 * @returns {any}
 */
function makeQueue(worker, concurrency, payload, tasks, alone) {
  // As async has it: null is the default, too.
  const most = concurrency ?? 1
  if (most === 0) throw new RangeError('Concurrency must not be zero')
  const { work, rest } = asWorker(worker)
  /** @type {Task[]} */
  const started = []
  let running = 0
  let scheduled = false
  let processing = false
  /** Replaced, never changed: a handler may add and remove others. @type {Record<string, Handler[]>} */
  const events = { error: [], drain: [], saturated: [], unsaturated: [], empty: [] }

  const trigger = (
    /** @type {string} */ event,
    /** @type {any} */ error = undefined,
    /** @type {any} */ data = undefined,
  ) => {
    for (const handler of events[event]) {
      if (error === undefined) handler()
      else handler(error, data)
    }
  }
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      q.process()
    })
  }

  /**
   * @param {any} data
   * @param {any} callback
   * @param {any} priority
   * @param {boolean} atFront
   * @param {boolean} rejects whether the promise of a failed task does
   */
  const insert = (data, callback, priority, atFront, rejects) => {
    if (callback !== undefined && callback !== null && typeof callback !== 'function') {
      throw new Error('task callback must be a function')
    }
    q.started = true
    /** @type {Task} */
    const task = { data, priority, callback, at: 0 }
    const promise = rejects || !callback ? promiseOf(task, rejects) : undefined
    if (atFront) tasks.unshift(task)
    else tasks.push(task)
    schedule()
    return promise
  }

  /**
   * @param {boolean} atFront
   * @param {boolean} rejects
   */
  const adder =
    (atFront, rejects) =>
    (/** @type {any} */ data, /** @type {any} */ callback, /** @type {any} */ priority) => {
      if (!Array.isArray(data)) return insert(data, callback, priority, atFront, rejects)
      if (data.length > 0 || !q.idle()) {
        return data.map((each) => insert(each, callback, priority, atFront, rejects))
      }
      queueMicrotask(() => trigger('drain'))
      return undefined
    }

  const leave = (/** @type {Task} */ task) => {
    const index = started.indexOf(task)
    if (index === 0) started.shift()
    else started.splice(index, 1)
  }
  const goOn = () => {
    if (running <= q.concurrency - q.buffer) trigger('unsaturated')
    if (q.idle()) {
      rest()
      trigger('drain')
    }
    q.process()
  }

  const startOne = () => {
    const task = /** @type {Task} */ (tasks.shift())
    started.push(task)
    let open = true
    // No array for what every task calls back with.
    startWork(task.data, function answer(error, result) {
      if (!open) throw new Error(CALLED_TWICE)
      open = false
      running--
      leave(task)
      // biome-ignore lint/complexity/noArguments: as many as there were
      const { length } = arguments
      if (length < 2) task.callback(error)
      else if (length === 2) task.callback(error, result)
      // biome-ignore lint/complexity/noArguments: the rest of them
      else task.callback.apply(undefined, /** @type {any} */ (arguments))
      if (error !== undefined && error !== null) trigger('error', error, task.data)
      goOn()
    })
  }
  const startMany = () => {
    const count = q.payload ? Math.min(tasks.length, q.payload) : tasks.length
    /** @type {Task[]} */
    const taken = []
    while (taken.length < count) taken.push(/** @type {Task} */ (tasks.shift()))
    for (const task of taken) started.push(task)
    let open = true
    startWork(
      taken.map(({ data }) => data),
      (error, ...results) => {
        if (!open) throw new Error(CALLED_TWICE)
        open = false
        running--
        for (const task of taken) {
          leave(task)
          task.callback(error, ...results)
          if (error !== undefined && error !== null) trigger('error', error, task.data)
        }
        goOn()
      },
    )
  }
  const startWork = (
    /** @type {any} */ data,
    /** @type {(error: any, ...results: any[]) => void} */ answer,
  ) => {
    running++
    if (tasks.length === 0) trigger('empty')
    if (running === q.concurrency) trigger('saturated')
    work(data, answer)
  }

  /** @type {any} */
  const q = {
    _tasks: tasks,
    *[Symbol.iterator]() {
      yield* tasks
    },
    concurrency: most,
    payload,
    buffer: most / 4,
    started: false,
    paused: false,
    push: adder(false, false),
    pushAsync: adder(false, true),
    unshift: adder(true, false),
    unshiftAsync: adder(true, true),
    kill() {
      for (const event of EVENTS) events[event] = []
      tasks.empty()
    },
    remove(/** @type {(task: Task) => boolean} */ test) {
      tasks.remove(test)
    },
    process() {
      // Workers that call back at once start the next ones in this loop, not deeper in the stack.
      if (processing) return
      processing = true
      while (!q.paused && running < q.concurrency && tasks.length > 0) {
        if (alone) startOne()
        else startMany()
      }
      processing = false
    },
    length: () => tasks.length,
    running: () => running,
    workersList: () => started,
    idle: () => tasks.length + running === 0,
    pause() {
      q.paused = true
    },
    resume() {
      if (!q.paused) return
      q.paused = false
      queueMicrotask(q.process)
    },
  }
  for (const event of EVENTS) {
    // Not to be assigned to, as in async 2: that gives an error.
    Object.defineProperty(q, event, {
      value: (/** @type {((...args: any[]) => void) | undefined} */ handler) => {
        if (handler) {
          events[event] = [handler]
          return undefined
        }
        return new Promise((resolve, reject) => {
          const once = (/** @type {any} */ error, /** @type {any} */ data) => {
            events[event] = events[event].filter((each) => each !== once)
            if (error) reject(error)
            else resolve(data)
          }
          events[event] = [...events[event], once]
        })
      },
    })
  }
  return q
}

/**
 * A task without a callback is a promise. One that fails is no rejection there, unless it was pushed by `pushAsync`:
 * `q.error` hears of it.
 * @param {Task} task
 * @param {boolean} rejects
 */
function promiseOf(task, rejects) {
  return new Promise((resolve, reject) => {
    task.callback = (error, ...results) => {
      if (error) {
        if (rejects) reject(error)
        else resolve(undefined)
      } else resolve(results.length > 1 ? results : results[0])
    }
  })
}

const EVENTS = ['error', 'drain', 'saturated', 'unsaturated', 'empty']

/** @typedef {import('./async-tasks.js').Task} Task */
/** @typedef {(error?: any, data?: any) => void} Handler */
