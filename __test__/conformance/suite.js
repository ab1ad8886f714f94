// What `parallelMap` promises wherever the work runs, as one suite with the place as its parameter.
//
// A place is { name, capacity, mapper(name), mappers?, item?, result?, bad?, … }:
// - `mapper(name)` gives what parallelMap() takes for the mapper of that name in mappers.js. The place closes what it
//   has opened for it.
// - `mappers` is the set of names it has; all of them if it is left out. Tests that need another are skipped.
// - `item(i)` and `result(i)`, for a place whose 'double' is something else (a hash): the i-th item, and what comes out.
// - `without` says, by their names, why it has none of some mappers.
// - `badItem` is an item that fails with a TypeError, or with a `badError`; `badRuns: false` says that it fails before any
//   try. `bad(i)` is the i-th of them, and `badMessage(i)` what its error says.
// - `many` is how many items the longest test has: 5,000, or fewer for a place where each is slow.
// - `isFurther: true` for a second run of a place: what it has no mapper for is left to the first, and not listed.
// - `slowThenBad` is { items, results, error }: what comes before the error of the second one, which fails first.
// - `capacity` is how many items it runs at once, at most.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { failureOf } from '../../lib/failure.js'
import { parallelMap } from '../../lib/parallel-map.js'
import { countedAsyncSource, countedSource, settledNumber } from './sources.js'

export function conformance(place) {
  const { item = (i) => i, result = (i) => i * 2, mappers, many = 5000 } = place
  const { badItem = 'no number', badError = TypeError } = place
  const items = (length) => Array.from({ length }, (_, i) => item(i))
  const resultsOf = (length) => Array.from({ length }, (_, i) => result(i))
  const wait = { timeout: 60_000 }
  /** A test of the mapper 'double', or of those that it names. */
  const promise = (name, fn, needs = ['double']) => {
    const missing = mappers === undefined ? undefined : needs.find((mapper) => !mappers.has(mapper))
    if (missing !== undefined && place.isFurther) return
    test(name, { ...wait, skip: missing !== undefined && reasonToSkip(place, missing) }, fn)
  }
  const map = (source, name = 'double', options = undefined) =>
    parallelMap(source, place.mapper(name), options)
  const concurrency = Math.min(4, place.capacity)

  describe(`conformance: ${place.name}`, () => {
    describe('sources', () => {
      const sources = {
        array: () => items(50),
        Set: () => new Set(items(50)),
        'values of a Map': () => new Map(items(50).map((value, i) => [i, value])).values(),
        generator: () => items(50).values(),
        'async generator': async function* () {
          for (const value of items(50)) {
            if (Math.random() < 0.1) await sleep(1)
            yield value
          }
        },
        'Node Readable': () => Readable.from(items(50)),
        'web ReadableStream': () =>
          new ReadableStream({
            start(controller) {
              for (const value of items(50)) controller.enqueue(value)
              controller.close()
            },
          }),
        'array of promises': () => items(50).map((value, i) => sleep(i % 7, value)),
        'array of values and promises': () =>
          items(50).map((value, i) => (i % 2 ? value : Promise.resolve(value))),
        'iterable of thenables': () => items(50).map((value) => ({ then: (resolve) => resolve(value) })),
      }
      for (const [name, open] of Object.entries(sources)) {
        promise(name, async () => {
          // Results may be Buffers, of which no two are the same.
          const placeOf = (value) => resultsOf(50).findIndex((one) => isDeepStrictEqual(one, value))
          for (const preserveOrder of [true, false]) {
            const results = await map(open(), 'double', { preserveOrder }).toArray()
            if (!preserveOrder) results.sort((a, b) => placeOf(a) - placeOf(b))
            assert.deepEqual(results, resultsOf(50))
          }
        })
      }

      promise('empty', async () => {
        for (const empty of [[], new Set(), (async function* () {})(), Readable.from([])]) {
          assert.deepEqual(await map(empty).toArray(), [])
        }
        for await (const _ of map([])) assert.fail('a result of nothing')
      })

      promise('infinite', async () => {
        const source = countedSource({ make: item })
        let taken = 0
        const results = map(source)
        for await (const value of results) {
          assert.deepEqual(value, result(taken))
          if (++taken === 100) break
        }
        await results.finished
        assert.equal(source.returns, 1)
      })

      promise('never more than one next() at a time', async () => {
        const source = countedAsyncSource({ make: item, length: 100 })
        assert.deepEqual(await map(source).toArray(), resultsOf(100))
        assert.equal(source.overlaps, 0)
        assert.equal(source.returns, 0, 'a source that has ended is not closed')
      })

      promise('a rejected item is the error of that item', async () => {
        const gone = new Error('gone')
        const source = () => [item(0), Promise.reject(gone), item(2)]
        const outcomes = await map(source(), 'double', { settled: true }).toArray()
        assert.deepEqual(outcomes, [
          { status: 'fulfilled', value: result(0), index: 0 },
          { status: 'rejected', reason: gone, index: 1 },
          { status: 'fulfilled', value: result(2), index: 2 },
        ])
        assert.equal(outcomes[1].reason, gone)
        await assert.rejects(map(source()).toArray(), (error) => error === gone)
      })

      promise('each item has exactly one outcome', async () => {
        for (const preserveOrder of [true, false]) {
          const results = await map(items(many), 'double', { preserveOrder }).toArray()
          assert.equal(results.length, many)
          assert.deepEqual(new Set(results.map(String)), new Set(resultsOf(many).map(String)))
        }
      })
    })

    describe('order', () => {
      promise('preserveOrder holds the order of the source', async () => {
        assert.deepEqual(await map(items(60), 'doubleShuffled', { concurrency }).toArray(), resultsOf(60))
      }, ['doubleShuffled'])

      promise('without it, no result is lost', async () => {
        const results = await map(items(60), 'doubleShuffled', {
          concurrency,
          preserveOrder: false,
        }).toArray()
        assert.equal(results.length, 60)
        assert.deepEqual(new Set(results), new Set(resultsOf(60)))
      }, ['doubleShuffled'])

      promise('an error stands at its place: earlier results are delivered, then it is thrown', async () => {
        const seen = []
        const given = place.slowThenBad ?? { items: [0, 1, 2, 3], results: [0], error: /^Error: item 1$/ }
        const together = { concurrency: Math.min(2, place.capacity) }
        await assert.rejects(async () => {
          for await (const value of map(given.items, 'failBeforeSlowOne', together)) seen.push(value)
        }, given.error)
        assert.deepEqual(seen, given.results)
      }, ['failBeforeSlowOne'])

      promise('an error in the first, a middle and the last item', async () => {
        for (const at of [0, 9, 19]) {
          const source = items(20).with(at, badItem)
          const seen = []
          await assert.rejects(async () => {
            for await (const value of map(source)) seen.push(value)
          }, badError)
          // Nothing starts once the error is known, so where several run at once earlier items may not have begun.
          assert.deepEqual(seen, resultsOf(place.capacity === Infinity ? at : seen.length))
          assert.ok(seen.length <= at)
          await assert.rejects(map(source).toArray(), badError)
          await assert.rejects(map(source, 'double', { preserveOrder: false }).toArray(), badError)
        }
      })
    })

    describe('concurrency and window', () => {
      promise('no more items run at once than concurrency allows', async () => {
        for (const allowed of [1, 2, 5]) {
          const spans = await map(items(30), 'span', { concurrency: allowed }).toArray()
          const edges = spans.flatMap(({ start, end }) => [
            [start, 1],
            [end, -1],
          ])
          edges.sort((a, b) => a[0] - b[0] || a[1] - b[1])
          let running = 0
          let most = 0
          for (const [, change] of edges) {
            running += change
            most = Math.max(most, running)
          }
          // Processes agree about the time to some tens of microseconds; an item sleeps for milliseconds.
          assert.ok(most <= allowed, `${most} ran at once, ${allowed} were allowed`)
        }
      }, ['span'])

      for (const [kind, open] of [
        ['synchronous', countedSource],
        ['asynchronous', countedAsyncSource],
      ]) {
        for (const preserveOrder of [true, false]) {
          promise(`a ${kind} source is pulled only on credit, preserveOrder ${preserveOrder}`, async () => {
            const source = open({ make: item })
            const iterator = map(source, 'double', { concurrency: 2, backpressure: 8, preserveOrder })[
              Symbol.asyncIterator
            ]()
            assert.equal(source.pulls, 0, 'lazy until the first next()')
            for (let taken = 1; taken <= 40; taken++) {
              await iterator.next()
              assert.ok(source.pulls <= taken + 8, `${source.pulls} pulls for ${taken} results`)
            }
            const pulls = await settledNumber(() => source.pulls)
            assert.ok(pulls > 40 && pulls <= 48, `${pulls} pulls for 40 results`)
            await iterator.return()
            assert.equal(source.returns, 1)
          })
        }
      }

      promise('the automatic window is bounded, too', async () => {
        const source = countedSource({ make: item })
        const iterator = map(source)[Symbol.asyncIterator]()
        for (let taken = 0; taken < 10; taken++) await iterator.next()
        const pulls = await settledNumber(() => source.pulls)
        assert.ok(pulls <= 10 + 16_384, `${pulls} pulls for 10 results`)
        await iterator.return()
      })

      promise('a window of one', async () => {
        const results = map(countedSource({ make: item, length: 30 }), 'double', {
          concurrency: 1,
          backpressure: 1,
        })
        assert.deepEqual(await results.toArray(), resultsOf(30))
      })

      promise('a window that is larger than the source, and more concurrency than there is', async () => {
        const options = { concurrency: 5000, backpressure: 10_000 }
        assert.deepEqual(
          await map(items(Math.min(300, many)), 'double', options).toArray(),
          resultsOf(Math.min(300, many)),
        )
      })

      promise('a slow consumer gets everything, in order', async () => {
        const seen = []
        for await (const value of map(items(40), 'double', { concurrency: 2, backpressure: 4 })) {
          if (seen.length % 10 === 0) await sleep(5)
          seen.push(value)
        }
        assert.deepEqual(seen, resultsOf(40))
      })

      promise('the same results for every chunkSize', async () => {
        for (const chunkSize of [1, 2, 7, 64, 16_384, 'auto']) {
          assert.deepEqual(
            await map(items(Math.min(200, many)), 'double', { chunkSize }).toArray(),
            resultsOf(Math.min(200, many)),
          )
          const source = items(100).with(57, badItem)
          const outcomes = await map(source, 'double', { chunkSize, settled: true }).toArray()
          assert.deepEqual(
            outcomes.map(({ status }) => status),
            resultsOf(100).map((_, i) => (i === 57 ? 'rejected' : 'fulfilled')),
          )
        }
      })

      promise('the same results for every maxBytes', async () => {
        for (const maxBytes of [1, 100, 10_000]) {
          assert.deepEqual(
            await map(items(Math.min(200, many)), 'double', { maxBytes }).toArray(),
            resultsOf(Math.min(200, many)),
          )
        }
      })
    })

    describe('errors', () => {
      promise(
        'stopOnError: false runs every other item, and throws an AggregateError in input order',
        async () => {
          for (const preserveOrder of [true, false]) {
            const source = items(20).with(3, badItem).with(11, badItem)
            const seen = []
            await assert.rejects(
              async () => {
                for await (const value of map(source, 'double', { stopOnError: false, preserveOrder }))
                  seen.push(value)
              },
              (error) => {
                assert.ok(error instanceof AggregateError)
                assert.equal(error.errors.length, 2)
                for (const one of error.errors) assert.ok(one instanceof badError)
                return true
              },
            )
            assert.deepEqual(new Set(seen), new Set(resultsOf(20).filter((_, i) => i !== 3 && i !== 11)))
          }
        },
      )

      promise('the errors of an AggregateError are in input order, however the items finish', async () => {
        const { bad = (i) => i, badMessage = (i) => `item ${i}` } = place
        const source = [0, 1, 2, 3, 4, 5, 7, 9].map((i) => (i % 2 ? bad(i) : item(i)))
        const results = map(source, 'failOdd', {
          stopOnError: false,
          preserveOrder: false,
          concurrency,
        })
        await assert.rejects(results.toArray(), (error) => {
          assert.equal(error.errors.length, 5)
          for (const [at, { message }] of error.errors.entries())
            assert.ok(message.endsWith(badMessage(at * 2 + 1)), message)
          return true
        })
      }, ['failOdd'])

      promise('settled yields an outcome for each item, with its index', async () => {
        for (const preserveOrder of [true, false]) {
          const source = items(20).with(0, badItem).with(19, badItem)
          const outcomes = await map(source, 'double', { settled: true, preserveOrder }).toArray()
          outcomes.sort((a, b) => a.index - b.index)
          for (const [i, outcome] of outcomes.entries()) {
            assert.equal(outcome.index, i)
            if (i === 0 || i === 19) {
              assert.equal(outcome.status, 'rejected')
              assert.ok(outcome.reason instanceof badError)
            } else {
              assert.deepEqual(outcome, { status: 'fulfilled', value: result(i), index: i })
            }
          }
          assert.equal(outcomes.length, 20)
        }
      })

      for (const mapper of ['throwFalsy', 'throwFalsyAtOnce']) {
        promise(`what is thrown arrives as it was, falsy values too: ${mapper}`, async () => {
          for (const [i, value] of FALSY.entries()) {
            const caught = await caughtFrom(map([i], mapper).toArray())
            assert.ok(Object.is(caught, value), `${String(caught)} instead of ${String(value)}`)
            const outcomes = await map([i], mapper, { settled: true }).toArray()
            assert.deepEqual(outcomes, [{ status: 'rejected', reason: value, index: 0 }])
          }
          const aggregate = await caughtFrom(
            map([0, 1, 2, 3, 4, 5], mapper, { stopOnError: false }).toArray(),
          )
          assert.deepEqual(aggregate.errors, FALSY)
        }, [mapper])
      }

      promise('falsy results are results', async () => {
        assert.deepEqual(await map([0, 1, 2, 3, 4, 5], 'returnFalsy').toArray(), FALSY)
        const seen = []
        for await (const value of map([0, 1, 2, 3, 4, 5], 'returnFalsy')) seen.push(value)
        assert.deepEqual(seen, FALSY)
      }, ['returnFalsy'])

      promise('an error of the source comes after the results of its items', async () => {
        for (const open of [countedSource, countedAsyncSource]) {
          for (const throwAt of [0, 1, 10]) {
            for (const error of [new Error('source'), undefined]) {
              for (const options of [
                {},
                { preserveOrder: false },
                { stopOnError: false },
                { settled: true },
              ]) {
                const source = open({ make: item, throwAt, error })
                const seen = []
                const caught = await caughtFrom(
                  (async () => {
                    for await (const value of map(source, 'double', options))
                      seen.push(options.settled ? value.value : value)
                  })(),
                )
                assert.equal(caught, error)
                assert.deepEqual(new Set(seen), new Set(resultsOf(throwAt)))
                assert.equal(source.returns, 0, 'a source that threw is not closed')
              }
            }
          }
        }
      })

      promise('errors of items and of the source end up together with stopOnError: false', async () => {
        const broken = new Error('source')
        const source = countedSource({
          make: (i) => (i === 2 ? badItem : item(i)),
          throwAt: 5,
          error: broken,
        })
        const aggregate = await caughtFrom(map(source, 'double', { stopOnError: false }).toArray())
        assert.ok(aggregate instanceof AggregateError)
        assert.equal(aggregate.errors.length, 2)
        assert.ok(aggregate.errors[0] instanceof badError)
        assert.equal(aggregate.errors[1], broken)
      })

      promise('toArray() rejects at once, while earlier items still run', async () => {
        const results = map([1, 2, 0, 'bad'], 'untilAbortedOrBad', { concurrency })
        await assert.rejects(results.toArray(), /bad/)
        await results.finished
      }, ['untilAbortedOrBad'])

      promise('what a raised signal makes of earlier items does not hide the error that raised it', async () => {
        const both = { concurrency: 2, chunkSize: 1 }
        await assert.rejects(map([0, 1], 'failBecauseOfItemOne', both).toArray(), /item 1 failed first/)
        await assert.rejects(async () => {
          for await (const _ of map([0, 1], 'failBecauseOfItemOne', both)) assert.fail('a result')
        }, /item 1 failed first/)
      }, ['failBecauseOfItemOne'])
    })

    describe('skip', () => {
      promise('a skipped item yields nothing', async () => {
        for (const preserveOrder of [true, false]) {
          const results = await map(items(40), 'skipOdd', { preserveOrder }).toArray()
          assert.deepEqual(
            results.sort((a, b) => a - b),
            items(40).filter((i) => i % 2 === 0),
          )
        }
        const outcomes = await map(items(4), 'skipOdd', { settled: true }).toArray()
        assert.deepEqual(outcomes, [
          { status: 'fulfilled', value: 0, index: 0 },
          { status: 'fulfilled', value: 2, index: 2 },
        ])
      }, ['skipOdd'])

      promise('skipping everything gives the credit back', async () => {
        for (const preserveOrder of [true, false]) {
          const options = { preserveOrder, concurrency: 2, backpressure: 2 }
          assert.deepEqual(await map(items(500), 'skipAll', options).toArray(), [])
          for await (const _ of map(items(500), 'skipAll', options)) assert.fail('a result')
        }
      }, ['skipAll'])
    })

    describe('the context', () => {
      promise('index, attempt, signal and skip', async () => {
        const contexts = await map(items(20), 'contextOf').toArray()
        assert.deepEqual(
          contexts,
          items(20).map((_, index) => ({ index, attempt: 1, aborted: false, skips: true })),
        )
      }, ['contextOf'])
    })

    waysOut({ place, promise, map, item, items, result, badItem, badError, many, concurrency })
    tries({ promise, map, item, items, result, resultsOf, badItem, badError, many, concurrency, place })
    consumption({ promise, map, items, resultsOf, result, item, badItem, place })
  })
}

/** Every early way out closes the source once and raises the signal. */
/** Why a test is skipped that needs a mapper which a place has not. */
export function reasonToSkip({ name, without }, mapper) {
  return `${name} has no mapper ${mapper}${without?.[mapper] === undefined ? '' : `: ${without[mapper]}`}`
}

function waysOut({ promise, map, item, items, result, badItem, badError, many, concurrency }) {
  describe('early ways out', () => {
    const reason = new Error('enough')
    const ways = {
      break: async (results) => {
        for await (const _ of results) break
      },
      'a throw in the loop': async (results) => {
        await assert.rejects(async () => {
          for await (const _ of results) throw reason
        }, reason)
      },
      'a throw in forEach()': async (results) => {
        await assert.rejects(
          results.forEach(() => {
            throw reason
          }),
          reason,
        )
      },
      'a rejection in reduce()': async (results) => {
        await assert.rejects(
          results.reduce(async () => {
            throw reason
          }, 0),
          reason,
        )
      },
      'return() before next()': async (results) => {
        const iterator = results[Symbol.asyncIterator]()
        assert.deepEqual(await iterator.return(), { done: true, value: undefined })
        assert.deepEqual(await iterator.next(), { done: true, value: undefined })
      },
      'return() twice': async (results) => {
        const iterator = results[Symbol.asyncIterator]()
        await iterator.next()
        await Promise.all([iterator.return(), iterator.return()])
        assert.deepEqual(await iterator.next(), { done: true, value: undefined })
      },
      'asyncDispose before the start': async (results) => {
        await results[Symbol.asyncDispose]()
        assert.throws(() => results[Symbol.asyncIterator](), { code: 'ERR_CONSUMED' })
      },
      'asyncDispose in the middle': async (results) => {
        const iterator = results[Symbol.asyncIterator]()
        await iterator.next()
        await results[Symbol.asyncDispose]()
        assert.deepEqual(await iterator.next(), { done: true, value: undefined })
      },
      'an abort before the start': async (results, controller) => {
        controller.abort(reason)
        await assert.rejects(results.toArray(), reason)
      },
      'an abort in the middle': async (results, controller) => {
        const iterator = results[Symbol.asyncIterator]()
        await iterator.next()
        const next = [iterator.next(), iterator.next()]
        controller.abort(reason)
        const ends = await Promise.allSettled([...next, iterator.next(), iterator.next()])
        const rejected = ends.filter(({ status }) => status === 'rejected')
        assert.equal(rejected.length, 1, 'the reason is thrown once')
        assert.equal(rejected[0].reason, reason)
        assert.deepEqual(ends.at(-1), { status: 'fulfilled', value: { done: true, value: undefined } })
      },
      'an abort by the source, during toArray()': async (results, controller, hooks) => {
        hooks.pull = (index) => index === Math.min(1000, many) && controller.abort(reason)
        await assert.rejects(results.toArray(), reason)
      },
    }
    for (const [name, leave] of Object.entries(ways)) {
      for (const open of [countedSource, countedAsyncSource]) {
        promise(`${name} (${open.name})`, async () => {
          const hooks = { pull: (_index) => {} }
          const make = (index) => {
            hooks.pull(index)
            return item(index)
          }
          const source = open({ make })
          const controller = new AbortController()
          const results = map(source, 'double', { signal: controller.signal, concurrency, backpressure: 8 })
          await leave(results, controller, hooks)
          await results.finished
          assert.equal(source.returns, 1)
          const { pulls } = source
          await sleep(5)
          assert.equal(source.pulls, pulls, 'nothing is pulled after the end')
        })
      }
    }

    promise('an error of an item closes the source', async () => {
      for (const open of [countedSource, countedAsyncSource]) {
        const source = open({ make: (i) => (i === 5 ? badItem : item(i)) })
        const results = map(source, 'double', { backpressure: 64 })
        await assert.rejects(results.toArray(), badError)
        await results.finished
        assert.equal(source.returns, 1)
      }
    })

    promise('a signal that is aborted already starts nothing', async () => {
      const source = countedSource({ make: item })
      const results = map(source, 'double', { signal: AbortSignal.abort() })
      await assert.rejects(results.toArray(), { name: 'AbortError' })
      await results.finished
      assert.equal(source.pulls, 0)
    })

    promise('falsy abort reasons arrive as they are', async () => {
      const controller = new AbortController()
      const results = map(countedSource({ make: item }), 'double', { signal: controller.signal })
      const iterator = results[Symbol.asyncIterator]()
      await iterator.next()
      controller.abort(null)
      assert.equal(await caughtFrom(iterator.next()), null)
    })

    promise('break does not wait for a pull that is pending; finished does', async () => {
      let answer
      const source = {
        pulls: 0,
        returns: 0,
        [Symbol.asyncIterator]: () => source,
        next() {
          if (source.pulls++ < 1) return Promise.resolve({ done: false, value: item(0) })
          return new Promise((resolve) => {
            answer = resolve
          })
        },
        async return() {
          source.returns++
          return { done: true, value: undefined }
        },
      }
      const results = map(source)
      for await (const value of results) {
        assert.deepEqual(value, result(0))
        break
      }
      assert.equal(source.returns, 1)
      let finished = false
      const end = results.finished.then(() => {
        finished = true
      })
      await sleep(10)
      assert.equal(finished, false)
      answer({ done: false, value: Promise.reject(new Error('nobody looks at this item')) })
      await end
    })

    promise('what return() of the source throws is thrown by break, and finished stays quiet', async () => {
      const broken = new Error('return')
      const source = countedSource({ make: item })
      source.return = () => {
        throw broken
      }
      const results = map(source)
      await assert.rejects(async () => {
        for await (const _ of results) break
      }, broken)
      await results.finished
    })

    promise('a Node stream is destroyed, a web stream is cancelled', async () => {
      const readable = Readable.from(items(1000))
      for await (const _ of map(readable, 'double', { backpressure: 64 })) break
      assert.equal(readable.destroyed, true)
      let cancelled = 0
      const stream = new ReadableStream({
        pull: (controller) => controller.enqueue(item(0)),
        cancel: () => void cancelled++,
      })
      for await (const _ of map(stream, 'double', { backpressure: 64 })) break
      assert.equal(cancelled, 1)
      assert.equal(stream.locked, false)
    })

    promise('break raises the signal of what runs, and finished waits for it', async () => {
      const results = map([0, 1, 2, 3], 'untilAborted', { concurrency })
      for await (const value of results) {
        assert.equal(value, 0)
        break
      }
      await results.finished
    }, ['untilAborted'])

    promise('an abort raises the signal of what runs, and rejects at once', async () => {
      const controller = new AbortController()
      const results = map([1, 2, 3], 'untilAborted', { signal: controller.signal, concurrency })
      const reason = new Error('enough')
      setTimeout(() => controller.abort(reason), 20)
      await assert.rejects(results.toArray(), reason)
      await results.finished
    }, ['untilAborted'])
  })
}

/** Retries and time-outs. */
function tries({
  promise,
  map,
  item,
  items,
  result,
  resultsOf,
  badItem,
  badError,
  many,
  concurrency,
  place,
}) {
  describe('tries', () => {
    const soon = { initial: 2, jitter: 0.5 }

    promise('what needs no other try has one', async () => {
      const options = { retries: 3, crashRetries: 3, timeout: 60_000, retryIf: () => assert.fail('asked') }
      assert.deepEqual(
        await map(items(Math.min(300, many)), 'double', options).toArray(),
        resultsOf(Math.min(300, many)),
      )
    })

    promise('an item that never began is not tried again', async () => {
      const gone = new Error('gone')
      const source = [Promise.reject(gone), item(1)]
      const retryIf = () => assert.fail('asked')
      const outcomes = await map(source, 'double', { retries: 3, retryIf, settled: true }).toArray()
      assert.deepEqual(outcomes, [
        { status: 'rejected', reason: gone, index: 0 },
        { status: 'fulfilled', value: result(1), index: 1 },
      ])
      const { index, attempt, errors } = failureOf(outcomes[0])
      assert.deepEqual({ index, attempt, errors }, { index: 0, attempt: 1, errors: [] })
    })

    if (place.badRuns !== false) {
      promise('an item that fails every time is tried as often as asked', async () => {
        const asked = []
        const retryIf = (error, { index, attempt }) => asked.push([error.constructor, index, attempt])
        const options = { retries: 2, backoff: soon, retryIf, settled: true }
        const outcomes = await map([item(0), badItem, item(2)], 'double', options).toArray()
        assert.deepEqual(
          outcomes.map(({ value }) => value),
          [result(0), undefined, result(2)],
        )
        const { index, attempt, errors } = failureOf(outcomes[1])
        assert.deepEqual([index, attempt, errors.length], [1, 3, 2])
        for (const error of [outcomes[1].reason, ...errors]) assert.ok(error instanceof badError)
        assert.deepEqual(asked, [
          [badError, 1, 1],
          [badError, 1, 2],
        ])
      })
    }

    promise('failed items are tried again, in order or not, without the others', async () => {
      for (const preserveOrder of [true, false]) {
        const options = { retries: 2, backoff: soon, preserveOrder, backpressure: 16, concurrency }
        const results = await map(items(40), 'failTwice', options).toArray()
        if (!preserveOrder) results.sort((a, b) => a - b)
        assert.deepEqual(results, items(40))
      }
    }, ['failTwice'])

    promise('the last error arrives, and failureOf() knows the rest', async () => {
      const error = await caughtFrom(map([item(0)], 'failTwice', { retries: 1, backoff: soon }).toArray())
      assert.equal(error.message, 'try 2 of 0')
      const { index, attempt, errors } = failureOf(error)
      assert.deepEqual([index, attempt, errors.map(({ message }) => message)], [0, 2, ['try 1 of 0']])
      assert.equal(failureOf(errors[0]).attempt, 1)
      const [outcome] = await map([0], 'throwFalsy', { retries: 1, backoff: soon, settled: true }).toArray()
      assert.deepEqual(outcome, { status: 'rejected', reason: undefined, index: 0 })
      assert.deepEqual([failureOf(outcome).attempt, failureOf(outcome).errors], [2, [undefined]])
    }, ['failTwice', 'throwFalsy'])

    promise('retryIf decides, with the error and its context', async () => {
      const asked = []
      const retryIf = async (error, { index, attempt }) => {
        await sleep(1)
        asked.push(`${error.message} ${index} ${attempt}`)
        return index === 0 || attempt < 2
      }
      const outcomes = await map([0, 1], 'failTwice', {
        retries: 9,
        backoff: soon,
        retryIf,
        settled: true,
      }).toArray()
      assert.equal(outcomes[0].value, 0)
      assert.equal(outcomes[1].reason.message, 'try 2 of 1')
      assert.deepEqual(asked.sort(), ['try 1 of 0 0 1', 'try 1 of 1 1 1', 'try 2 of 0 0 2', 'try 2 of 1 1 2'])
      for (const refuses of [() => false, async () => undefined]) {
        const error = await caughtFrom(map([0], 'failTwice', { retries: 9, retryIf: refuses }).toArray())
        assert.deepEqual([error.message, failureOf(error).errors], ['try 1 of 0', []])
      }
      const broken = new Error('broken')
      const throws = () => {
        throw broken
      }
      const error = await caughtFrom(map([0], 'failTwice', { retries: 9, retryIf: throws }).toArray())
      assert.equal(error, broken)
      assert.deepEqual(
        failureOf(error).errors.map(({ message }) => message),
        ['try 1 of 0'],
      )
    }, ['failTwice'])

    promise('flatMap: a try yields all of its results, or none', async () => {
      const results = parallelMap([1, 2], place.mapper('identity')).flatMap(place.mapper('failTwiceAtOnce'), {
        retries: 2,
        backoff: soon,
      })
      assert.deepEqual(await results.toArray(), [1, 1, 2, 2])
    }, ['identity', 'failTwiceAtOnce'])

    promise('the end of a call drops what waits for another try', async () => {
      const options = {
        retries: 9,
        backoff: { initial: 1e9 },
        concurrency,
        backpressure: 8,
        preserveOrder: false,
      }
      const controller = new AbortController()
      const results = map(items(8), 'failTwice', { ...options, signal: controller.signal })
      const ended = caughtFrom(results.toArray())
      await sleep(50)
      controller.abort(new Error('enough'))
      assert.equal((await ended).message, 'enough')
      await results.finished
      const left = map([0, 'no number'], 'double', options)
      const iterator = left[Symbol.asyncIterator]()
      assert.deepEqual(await iterator.next(), { done: false, value: 0 })
      await iterator.return()
      await left.finished
      const retryIf = ({ message }) => message !== 'item 1'
      const stopped = map([3, 1], 'failOdd', { retries: 9, backoff: { initial: 1e9 }, retryIf })
      assert.equal((await caughtFrom(stopped.toArray())).message, 'item 1')
      await stopped.finished
    }, ['failTwice', 'double', 'failOdd'])

    promise('an item that takes too long fails, with its signal raised, and others do not', async () => {
      const options = { timeout: 150, settled: true, concurrency }
      const outcomes = await map(items(6), 'oddTakesLong', options).toArray()
      for (const { index, status, value, reason } of outcomes) {
        if (index % 2 === 0) assert.deepEqual([status, value], ['fulfilled', index])
        else {
          assert.equal(reason.code, 'ERR_TASK_TIMEOUT')
          assert.deepEqual([reason.name, reason.index, reason.attempt], ['TaskTimeoutError', index, 1])
          assert.equal(failureOf(reason).index, index)
        }
      }
    }, ['oddTakesLong'])

    promise('a time-out is tried again, and retryIf is asked', async () => {
      const asked = []
      const retryIf = (error) => asked.push(error.code)
      const options = { timeout: 150, retries: 1, backoff: soon, retryIf }
      assert.deepEqual(await map([0, 1], 'slowAtFirst', options).toArray(), [0, 1])
      assert.deepEqual(asked, ['ERR_TASK_TIMEOUT', 'ERR_TASK_TIMEOUT'])
    }, ['slowAtFirst'])
  })
}

/** What the returned object promises. */
function consumption({ promise, map, item, items, result, resultsOf, badItem }) {
  describe('consumption', () => {
    promise('forEach() and reduce() see results in order, one after the other', async () => {
      const seen = []
      let inside = 0
      const nothing = await map(items(20)).forEach(async (value, index) => {
        assert.equal(++inside, 1)
        await undefined
        seen.push([value, index])
        inside--
      })
      assert.equal(nothing, undefined)
      assert.deepEqual(
        seen,
        resultsOf(20).map((value, i) => [value, i]),
      )
      const folded = await map(items(20)).reduce(async (all, value, index) => {
        all.push([value, index])
        return all
      }, [])
      assert.deepEqual(folded, seen)
      assert.equal(await map([]).reduce(() => 1, 'initial'), 'initial')
    })

    promise('lazy: nothing happens before it is consumed, and finished is settled', async () => {
      const source = countedSource({ make: item })
      const results = map(source)
      await results.finished
      await sleep(5)
      assert.equal(source.pulls, 0)
      await results[Symbol.asyncDispose]()
    })

    promise('consumed once', async () => {
      const ways = {
        iterate: (results) => results[Symbol.asyncIterator](),
        toArray: (results) => results.toArray(),
        forEach: (results) => results.forEach(() => {}),
        reduce: (results) => results.reduce(() => 0, 0),
      }
      for (const first of Object.values(ways)) {
        for (const second of Object.values(ways)) {
          const results = map([])
          await first(results)
          await assert.rejects(async () => second(results), { code: 'ERR_CONSUMED', name: 'ConsumedError' })
        }
      }
    })

    promise('it is no promise', async () => {
      const results = map(items(2))
      assert.equal('then' in results, false)
      assert.equal(await results, results)
      await results.toArray()
    })

    promise('calls of next() that overlap are answered in order', async () => {
      const results = map(items(30))
      const iterator = results[Symbol.asyncIterator]()
      const answers = await Promise.all(Array.from({ length: 33 }, () => iterator.next()))
      assert.deepEqual(
        answers.map(({ value }) => value),
        [...resultsOf(30), undefined, undefined, undefined],
      )
      assert.deepEqual(
        answers.map(({ done }) => done),
        [...resultsOf(30).map(() => false), true, true, true],
      )
    })

    promise('after the end, after an error and after return() it stays ended', async () => {
      const ended = { done: true, value: undefined }
      const iterator = map([item(0)])[Symbol.asyncIterator]()
      assert.deepEqual(await iterator.next(), { done: false, value: result(0) })
      for (let i = 0; i < 3; i++) assert.deepEqual(await iterator.next(), ended)
      const failing = map([badItem])[Symbol.asyncIterator]()
      await assert.rejects(failing.next())
      for (let i = 0; i < 3; i++) assert.deepEqual(await failing.next(), ended)
      assert.deepEqual(await failing.return(), ended)
    })

    promise('one mapper serves call after call, and several at once', async () => {
      const long = map(items(500)).toArray()
      for (let i = 0; i < 3; i++) assert.deepEqual(await map(items(20)).toArray(), resultsOf(20))
      const both = await Promise.all([map(items(100)).toArray(), map(items(50).reverse()).toArray()])
      assert.deepEqual(both, [resultsOf(100), resultsOf(50).reverse()])
      assert.deepEqual(await long, resultsOf(500))
    })

    promise('a call that fails leaves others alone', async () => {
      const good = map(items(200)).toArray()
      await assert.rejects(map([item(0), badItem, item(2)]).toArray())
      for await (const _ of map(items(100))) break
      assert.deepEqual(await good, resultsOf(200))
      assert.deepEqual(await map(items(20)).toArray(), resultsOf(20))
    })

    promise('finished settles at the natural end', async () => {
      const results = map(items(20))
      await results.toArray()
      await results.finished
    })
  })
}

async function caughtFrom(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  return assert.fail('it did not reject')
}

const FALSY = [undefined, null, 0, '', false, NaN]
