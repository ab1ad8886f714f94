// What async 3.2.6 promises in its code and documentation, one test each, over the original and over `millrace/async`.
// `[what, what is seen, what it must be]`; what differs on purpose stands in DIFFERENCES. async-same.test.js compares
// every function.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import original from 'async'
import { native, workerPool } from 'millrace'
import ours from 'millrace/async'

const LIBRARIES = { original, ours }
const messageOf = (fn) => {
  try {
    fn()
    return 'nothing'
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}
const rejection = (promise) =>
  promise.then(
    () => 'nothing',
    (error) => `${error.name}: ${error.message}`,
  )
/** The arguments of a callback. */
const called = (fn) => new Promise((resolve) => fn((...args) => resolve(args)))

const COLLECTIONS = [
  ['an async function is an iteratee', (a) => a.map([1, 2], async (x) => x * 2), [2, 4]],
  ['without a callback there is a promise', (a) => a.map([1, 2], (x, callback) => callback(null, x)), [1, 2]],
  [
    'with one there is none',
    (a) =>
      a.map(
        [1],
        (x, callback) => callback(null, x),
        () => {},
      ),
    undefined,
  ],
  ['a callback that is null is none', (a) => a.map([1], async (x) => x, null), [1]],
  [
    'a plain function that returns a promise is no async function',
    async (a) => {
      let answered = false
      a.map([1], () => Promise.resolve(1)).then(() => {
        answered = true
      })
      await turn()
      return answered
    },
    false,
  ],
  [
    'what an async function rejects with is an Error with a message',
    (a) => rejection(a.each([1], async () => Promise.reject('word'))),
    'Error: word',
  ],
  [
    'an error-like object stays what it is',
    (a) => a.each([1], async () => Promise.reject({ message: 'like' })).catch((error) => error),
    { message: 'like' },
  ],
  [
    'no iteratee: it throws',
    (a) => messageOf(() => a.map([1], undefined, () => {})),
    'Error: expected a function',
  ],
  ['no iteratee, no callback: it rejects', (a) => rejection(a.map([1])), 'Error: expected a function'],
  ['no iteratee for reduce', (a) => rejection(a.reduce([1], 0, {})), 'Error: expected a function'],
  [
    'a limit of zero throws',
    (a) =>
      messageOf(() =>
        a.mapLimit(
          [1],
          0,
          () => {},
          () => {},
        ),
      ),
    'RangeError: concurrency limit cannot be less than 1',
  ],
  [
    'or rejects',
    (a) => rejection(a.eachLimit([1], -1, async () => {})),
    'RangeError: concurrency limit cannot be less than 1',
  ],
  [
    'a callback that is called twice throws',
    (a) =>
      messageOf(() =>
        a.mapSeries(
          [1],
          (_, callback) => {
            callback()
            callback()
          },
          () => {},
        ),
      ),
    'Error: Callback was already called.',
  ],
  [
    'whatever is made of the answers',
    async (a) => {
      const seen = new Set()
      for (const [name, ...args] of [
        ['each', [1]],
        ['each', new Set([1])],
        ['eachOf', { a: 1 }],
        ['eachLimit', [1], 2],
        ['map', [1]],
        ['mapLimit', [1], 2],
        ['mapValues', { a: 1 }],
        ['filter', [1]],
        ['detectSeries', [1]],
        ['concat', [1]],
        ['sortBy', [1]],
        ['groupBy', [1]],
        ['reduce', [1], 0],
        ['transform', [1], []],
      ]) {
        let again
        await a[name](...args, (...given) => {
          again = given.at(-1)
          again(null, true)
        })
        seen.add(messageOf(again))
      }
      return [...seen]
    },
    ['Error: Callback was already called.'],
  ],
  [
    'the second answer of a value is not the first one of another',
    (a) => {
      const answers = []
      const seen = []
      const take = (_, callback) => answers.push(callback)
      a.each([1, 2, 3], take, () => seen.push('end'))
      answers[1]()
      seen.push(messageOf(answers[1]))
      answers[2]()
      seen.push('last')
      answers[0]()
      seen.push(messageOf(answers[0]))
      return seen
    },
    ['Error: Callback was already called.', 'last', 'end', 'Error: Callback was already called.'],
  ],
  [
    'what an iteratee throws, the caller gets',
    (a) =>
      messageOf(() =>
        a.each(
          [1],
          () => assert.fail('thrown'),
          () => {},
        ),
      ),
    'AssertionError: thrown',
  ],
  ['or the promise', (a) => rejection(a.each([1], () => assert.fail('thrown'))), 'AssertionError: thrown'],
  [
    'each has no result',
    (a) => called((callback) => a.each([1], (_, next) => next(null, 5), callback)),
    [null],
  ],
  [
    'map gives what there was at the error',
    (a) =>
      called((callback) => a.mapSeries([1, 2, 3], (x, next) => next(x === 2 ? 'no' : null, x * 2), callback)),
    ['no', [2, 4]],
  ],
  [
    'mapValues gives what there was, without what failed',
    (a) =>
      called((callback) =>
        a.mapValuesSeries({ a: 1, b: 2 }, (x, _, next) => next(x === 2 ? 'no' : null, x), callback),
      ),
    ['no', { a: 1 }],
  ],
  [
    'filter gives the error alone',
    (a) => called((callback) => a.filter([1], (_, next) => next('no', true), callback)),
    ['no'],
  ],
  [
    'false ends it without a word, and starts nothing more',
    async (a) => {
      const seen = []
      const step = (x, next) => {
        seen.push(x)
        queueMicrotask(() => next(x === 2 ? false : null))
      }
      a.eachSeries([1, 2, 3], step, () => seen.push('end'))
      await turn()
      return seen
    },
    [1, 2],
  ],
  [
    'callbacks at once do not grow the stack',
    async (a) => {
      const many = Array.from({ length: 100_000 }, (_, index) => index)
      const sums = await Promise.all([
        a.reduce(many, 0, (sum, x, next) => next(null, sum + x)),
        a.mapLimit(many, 2, (x, next) => next(null, x)).then((all) => all.length),
        a.eachSeries(new Set(many), (_, next) => next()),
      ])
      return sums
    },
    [4999950000, 100_000, undefined],
  ],
  [
    'no more than the limit at a time',
    async (a) => {
      let most = 0
      let running = 0
      await a.eachLimit([1, 2, 3, 4, 5], 2, async () => {
        most = Math.max(most, ++running)
        await turn()
        running--
      })
      return most
    },
    2,
  ],
  [
    'an async iterable is pulled one by one, within the limit',
    async (a) => {
      const trace = []
      async function* source() {
        for (let x = 0; x < 3; x++) {
          trace.push(`pull ${x}`)
          yield x
        }
      }
      await a.eachSeries(source(), async (x) => {
        trace.push(`run ${x}`)
        await turn()
      })
      return trace
    },
    ['pull 0', 'run 0', 'pull 1', 'run 1', 'pull 2', 'run 2'],
  ],
  [
    'an async iterable that throws ends the call',
    (a) =>
      rejection(
        a.map(
          (async function* () {
            yield 1
            throw new TypeError('source')
          })(),
          async (x) => x,
        ),
      ),
    'TypeError: source',
  ],
  ['a Map gives entries', (a) => a.map(new Map([['a', 1]]), async (entry) => entry), [['a', 1]]],
  ['an object gives values', (a) => a.map({ a: 1, b: 2 }, async (x) => x), [1, 2]],
  [
    'eachOf gives keys',
    async (a) => {
      const keys = []
      await a.eachOf({ a: 1 }, async (_, key) => keys.push(key))
      return keys
    },
    ['a'],
  ],
  [
    'detect takes the first to answer',
    (a) =>
      a.detect([3, 2, 1], async (x) => {
        for (let ticks = 0; ticks < x; ticks++) await turn()
        return true
      }),
    1,
  ],
  ['detect finds something falsy', (a) => a.detect([1, 0], async (x) => x === 0), 0],
  [
    'concat opens arrays and takes several results',
    (a) => a.concat([1], (_, next) => next(null, [1, [2]], 3)),
    [1, [2], 3],
  ],
  ['sortBy sorts by the criteria', (a) => a.sortBy([1, 3, 2], async (x) => -x), [3, 2, 1]],
  ['groupBy gathers', (a) => a.groupBy([1, 2, 3], async (x) => x % 2), { 0: [2], 1: [1, 3] }],
  [
    'transform has an accumulator like the collection',
    (a) =>
      a.transform({ a: 1 }, async (all, x, key) => {
        all[key] = x + 1
      }),
    { a: 2 },
  ],
  [
    'transform takes one',
    (a) => called((callback) => a.transform([1, 2], 'x', (_, __, ___, next) => next(), callback)),
    [null, 'x'],
  ],
  ['reduceRight goes backwards', (a) => a.reduceRight(['a', 'b'], '', async (text, x) => text + x), 'ba'],
]

const QUEUES = [
  [
    'a worker, one at a time',
    async (a) => {
      const q = a.queue(async (x) => x * 2)
      return [
        q.concurrency,
        q.payload,
        q.buffer,
        q.started,
        q.paused,
        await Promise.all(q.push([1, 2])),
        q.started,
      ]
    },
    [1, 1, 0.25, false, false, [2, 4], true],
  ],
  [
    'a concurrency of zero',
    (a) => messageOf(() => a.queue(() => {}, 0)),
    'RangeError: Concurrency must not be zero',
  ],
  ['no worker', (a) => messageOf(() => a.queue()), 'Error: expected a function'],
  [
    'a task callback that is none',
    (a) => messageOf(() => a.queue(() => {}).push(1, 5)),
    'Error: task callback must be a function',
  ],
  [
    'events are no properties to assign',
    (a) =>
      messageOf(() => {
        a.queue(() => {}).drain = () => {}
      }).split(':')[0],
    'TypeError',
  ],
  [
    'a callback per task',
    (a) => called((callback) => a.queue((x, next) => next(null, x, 'more')).push(1, callback)),
    [null, 1, 'more'],
  ],
  ['several results are an array', (a) => a.queue((x, next) => next(null, x, 'more')).push(1), [1, 'more']],
  [
    'push: a task that fails is undefined, and error hears of it',
    async (a) => {
      const q = a.queue(async (x) => {
        throw new Error(`no ${x}`)
      })
      const heard = []
      q.error((error, task) => heard.push(error.message, task))
      return [await q.push(1), heard]
    },
    [undefined, ['no 1', 1]],
  ],
  [
    'pushAsync: it rejects',
    (a) => rejection(a.queue(async () => assert.fail('no')).pushAsync(1)),
    'AssertionError: no',
  ],
  [
    'unshift and unshiftAsync go first',
    async (a) => {
      const seen = []
      const q = a.queue(async (x) => {
        seen.push(x)
      })
      q.push([1, 2])
      q.unshift(0)
      q.unshiftAsync([-1])
      await q.drain()
      return seen
    },
    [-1, 0, 1, 2],
  ],
  [
    'nothing runs before the next turn',
    async (a) => {
      const seen = []
      const q = a.queue((_, next) => {
        seen.push('runs')
        next()
      })
      const end = q.push(1)
      seen.push('pushed')
      await end
      return seen
    },
    ['pushed', 'runs'],
  ],
  [
    'events, in their order',
    async (a) => {
      const seen = []
      const q = a.queue((x, next) => {
        seen.push(x)
        queueMicrotask(next)
      }, 2)
      for (const event of ['saturated', 'unsaturated', 'empty', 'drain']) q[event](() => seen.push(event))
      q.push([1, 2, 3], () => seen.push('called'))
      await turn()
      return seen
    },
    [
      1,
      'saturated',
      2,
      'called',
      'unsaturated',
      'empty',
      'saturated',
      3,
      'called',
      'unsaturated',
      'called',
      'unsaturated',
      'drain',
    ],
  ],
  [
    'setting a handler replaces the one before',
    async (a) => {
      const seen = []
      const q = a.queue((_, next) => next())
      q.drain(() => seen.push('first'))
      q.drain(() => seen.push('second'))
      q.push(1)
      await turn()
      return seen
    },
    ['second'],
  ],
  [
    'events as promises',
    async (a) => {
      const q = a.queue((_, next) => next())
      q.push(1)
      const all = await Promise.all([q.drain(), q.empty(), q.saturated()])
      q.push(2)
      return [all, await rejection(Promise.race([q.error(), q.drain().then(() => assert.fail('drained'))]))]
    },
    [[undefined, undefined, undefined], 'AssertionError: drained'],
  ],
  [
    'error as a promise rejects',
    (a) => {
      const q = a.queue((_, next) => next(new Error('no')))
      q.push(1)
      return rejection(q.error())
    },
    'Error: no',
  ],
  [
    'an empty array drains an idle queue',
    async (a) => {
      const q = a.queue(() => {})
      const drained = q.drain()
      return [q.push([]), await drained]
    },
    [undefined, undefined],
  ],
  [
    'length, running, workersList, idle',
    async (a) => {
      const q = a.queue(() => {}, 1)
      const seen = [q.idle()]
      q.push(['a', 'b'])
      seen.push(q.length(), q.running())
      await turn()
      seen.push(
        q.length(),
        q.running(),
        q.workersList().map(({ data }) => data),
        q.idle(),
        [...q],
      )
      return seen
    },
    [true, 2, 0, 1, 1, ['a'], false, ['b']],
  ],
  [
    'pause and resume',
    async (a) => {
      const seen = []
      const q = a.queue(async (x) => {
        seen.push(x)
      })
      q.pause()
      q.push([1, 2])
      await turn()
      seen.push(q.paused)
      q.resume()
      await q.drain()
      return [...seen, q.paused]
    },
    [true, 1, 2, false],
  ],
  [
    'kill drops tasks and handlers',
    async (a) => {
      const seen = []
      const q = a.queue((x, next) => {
        seen.push(x)
        queueMicrotask(next)
      })
      q.drain(() => seen.push('drain'))
      q.push([1, 2])
      q.kill()
      await turn()
      return [seen, q.length(), q.idle()]
    },
    [[], 0, true],
  ],
  [
    'remove drops tasks by a test',
    async (a) => {
      const seen = []
      const q = a.queue(async (x) => {
        seen.push(x)
      })
      q.push([1, 2, 3, 4])
      q.remove(({ data }) => data % 2 === 0)
      await q.drain()
      return seen
    },
    [1, 3],
  ],
  [
    'the concurrency may change',
    async (a) => {
      const q = a.queue(() => {}, 1)
      q.push([1, 2, 3])
      await turn()
      const before = q.running()
      q.concurrency = 3
      q.process()
      return [before, q.running()]
    },
    [1, 3],
  ],
  [
    'a callback that is called twice throws',
    async (a) => {
      let again
      const q = a.queue((_, next) => {
        again = next
        next()
      })
      await q.push(1)
      return messageOf(again)
    },
    'Error: Callback was already called.',
  ],
  [
    'callbacks at once do not grow the stack',
    async (a) => {
      let count = 0
      const q = a.queue((_, next) => {
        count++
        next()
      })
      q.push(Array(50_000).fill(0), () => {})
      await q.drain()
      return count
    },
    50_000,
  ],
  [
    'members need no this',
    async (a) => {
      const { push, length, pause } = a.queue(() => {})
      pause()
      push(1)
      return length()
    },
    1,
  ],
  [
    'a cargo takes what is there',
    async (a) => {
      const seen = []
      const c = a.cargo(async (tasks) => {
        seen.push(tasks)
      })
      c.push(['a', 'b'])
      await turn()
      c.push('c')
      await c.drain()
      return [c.payload, seen]
    },
    [undefined, [['a', 'b'], ['c']]],
  ],
  [
    'or up to its payload',
    async (a) => {
      const seen = []
      const c = a.cargo((tasks, next) => {
        seen.push(tasks)
        next(null, tasks.length)
      }, 2)
      return [await Promise.all(c.push(['a', 'b', 'c'])), seen]
    },
    [
      [2, 2, 1],
      [['a', 'b'], ['c']],
    ],
  ],
  [
    'a cargoQueue has several workers',
    async (a) => {
      const c = a.cargoQueue(() => {}, 2, 2)
      c.push([1, 2, 3, 4, 5])
      await turn()
      return [c.running(), c.length(), c.workersList().length]
    },
    [2, 1, 4],
  ],
  [
    'priorities: the lowest first, then in their order',
    async (a) => {
      const seen = []
      const q = a.priorityQueue(async (x) => {
        seen.push(x)
      })
      q.push('c', 2)
      q.push(['a', 'b'], 1)
      q.push('d', 2)
      q.push('first')
      q.pushAsync('last', 9)
      await q.drain()
      return [seen, 'unshift' in q, 'unshiftAsync' in q]
    },
    [['first', 'a', 'b', 'c', 'd', 'last'], false, false],
  ],
  [
    'priorities: remove, and a callback',
    async (a) => {
      const seen = []
      const q = a.priorityQueue((x, next) => {
        seen.push(x)
        next()
      })
      for (const x of [5, 3, 8, 1, 4, 7]) q.push(x, x, () => seen.push('called'))
      q.remove(({ priority }) => priority > 4)
      await q.drain()
      return seen
    },
    [1, 'called', 3, 'called', 4, 'called'],
  ],
  [
    'what the callback of a task gets of an async worker',
    (a) => {
      const q = a.queue(async (task) => (task === 1 ? task : Promise.reject('word')))
      const arguments_ = (task) => new Promise((resolve) => q.push(task, (...given) => resolve(given.length)))
      return Promise.all([1, 2].map(arguments_))
    },
    [2, 2],
  ],
  [
    'an async worker that fails with a word',
    (a) => rejection(a.queue(async () => Promise.reject('word')).pushAsync(1)),
    'Error: word',
  ],
]

for (const [title, table] of [
  ['collections', COLLECTIONS],
  ['queues', QUEUES],
]) {
  describe(title, () => {
    for (const [what, seen, expected] of table) {
      for (const [name, library] of Object.entries(LIBRARIES)) {
        test(`${what} (${name})`, async () => assert.deepEqual(await seen(library), expected))
      }
    }
  })
}

/** `[what, what is seen, what it is with ours, what it is with the original]`; undefined: the original never answers. */
const DIFFERENCES = [
  [
    'a limit that is none',
    async (a) => Promise.race([rejection(a.mapLimit([1], Number.NaN, async (x) => x)), turn('silence')]),
    'RangeError: concurrency limit cannot be less than 1',
    'silence',
  ],
  [
    'transform without an iteratee or callback',
    (a) =>
      messageOf(() => {
        a.transform([1], [], 5)?.catch(() => {})
      }),
    'nothing',
    'Error: expected a function',
  ],
  [
    'an iteratee over an async iterable that calls back twice',
    async (a) => {
      let message
      await a.eachSeries(
        (async function* () {
          yield 1
        })(),
        (_, next) => {
          next()
          message = messageOf(next)
        },
      )
      return message
    },
    'Error: Callback was already called.',
    'nothing',
  ],
]

describe('what differs', () => {
  for (const [what, seen, expected, theirs] of DIFFERENCES) {
    test(what, async () => {
      assert.deepEqual(await seen(ours), expected)
      assert.deepEqual(await seen(original), theirs)
    })
  }
})

describe('a pool or a native operation is an iteratee', () => {
  test('of collections', async () => {
    const pool = workerPool((number) => number * 2, { size: 2 })
    try {
      assert.deepEqual(await ours.map([1, 2, 3], pool), [2, 4, 6])
      assert.deepEqual(await ours.mapLimit(new Set([1, 2]), 1, pool), [2, 4])
      assert.deepEqual(await ours.mapValues({ a: 1 }, pool), { a: 2 })
      assert.deepEqual(await ours.filter([0, 1], pool), [1])
      assert.deepEqual(await ours.detect([0, 1], pool), 1)
      assert.deepEqual(await ours.sortBy([3, 1, 2], pool), [1, 2, 3])
      assert.deepEqual(await ours.groupBy([1, 2], pool), { 2: [1], 4: [2] })
      assert.deepEqual(await called((callback) => ours.map([4], pool, callback)), [null, [8]])
      assert.equal((await ours.map(Array(3000).fill(1), pool)).length, 3000)
      const refusal = /^Error: expected a function, got a pool or a native operation: what is so far/
      assert.match(await rejection(ours.reduce([1], 0, pool)), refusal)
      assert.match(await rejection(ours.transform([1], [], pool)), refusal)
    } finally {
      await pool.close()
    }
    assert.match(await rejection(ours.map([1], pool)), /^PoolClosedError/)
    const [digest] = await ours.mapSeries(['a'], native.sha256())
    assert.equal(digest, 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb')
  })

  test('its errors end the call, and what has not begun is withdrawn', async () => {
    const pool = workerPool(
      (number) => {
        if (number === 0) throw new RangeError('zero')
        return number
      },
      { size: 1 },
    )
    try {
      assert.equal(await rejection(ours.map([0, ...Array(2000).keys()], pool)), 'RangeError: zero')
      // The pool is free again.
      assert.equal(await pool.run(5), 5)
    } finally {
      await pool.close()
    }
  })

  test('of a crashed worker, too', async () => {
    const pool = workerPool((code) => (code === 3 ? process.exit(code) : code), { size: 1 })
    try {
      assert.match(await rejection(ours.map([1, 3], pool)), /^WorkerCrashError/)
      assert.deepEqual(await ours.map([1, 2], pool), [1, 2])
    } finally {
      await pool.close()
    }
  })

  test('of queues', async () => {
    const pool = workerPool((task) => (Array.isArray(task) ? task.length : task * 2), { size: 2 })
    try {
      const q = ours.queue(pool, 2)
      assert.deepEqual(await Promise.all(q.push([1, 2, 3])), [2, 4, 6])
      await turn()
      assert.deepEqual(await q.pushAsync(5), 10)
      assert.deepEqual(await Promise.all(ours.cargo(pool, 2).push([1, 2, 3])), [2, 2, 1])
    } finally {
      // A queue that rests holds no call of the pool open.
      await pool.close()
    }
  })
})
