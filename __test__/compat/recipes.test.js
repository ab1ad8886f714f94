// Recipes as people have them in their code: each runs over the original and over the face, with nothing changed but where
// it is imported from.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const RECIPES = {
  'async.map in a promise': {
    from: { original: 'async', ours: 'millrace/async' },
    async run({ default: async }) {
      const process = (item, callback) => {
        setTimeout(() => callback(null, { id: item.id, done: true }), 3 - item.id)
      }
      const processAll = (items) =>
        new Promise((resolve, reject) => {
          async.map(items, process, (error, results) => {
            if (error) return reject(error)
            resolve(results)
          })
        })
      return processAll([{ id: 1 }, { id: 2 }, { id: 3 }])
    },
    expected: [
      { id: 1, done: true },
      { id: 2, done: true },
      { id: 3, done: true },
    ],
  },
  'async.map in a promise, that fails': {
    from: { original: 'async', ours: 'millrace/async' },
    async run({ default: async }) {
      const half = (number, callback) =>
        setImmediate(() =>
          number % 2 ? callback(new Error(`${number} is odd`)) : callback(null, number / 2),
        )
      const all = (numbers) =>
        new Promise((resolve, reject) => {
          async.mapLimit(numbers, 2, half, (error, results) => (error ? reject(error) : resolve(results)))
        })
      return [await all([2, 4]), await all([2, 3, 4]).catch((error) => error.message)]
    },
    expected: [[1, 2], '3 is odd'],
  },
  'async.queue with a drain': {
    from: { original: 'async', ours: 'millrace/async' },
    async run({ queue }) {
      const done = []
      const q = queue(async ({ name }) => {
        await sleep(1)
        return name.toUpperCase()
      }, 2)
      q.push([{ name: 'a' }, { name: 'b' }, { name: 'c' }], (error, name) => done.push(error ?? name))
      await q.drain()
      return done
    },
    expected: ['A', 'B', 'C'],
  },
  'pMap over pages of an async generator': {
    from: { original: 'p-map', ours: 'millrace/p-map' },
    async run({ default: pMap }) {
      async function* pages() {
        for (let page = 0; page < 3; page++) {
          await sleep(1)
          for (let row = 0; row < 4; row++) yield page * 4 + row
        }
      }
      return pMap(pages(), async (row) => row * 2, { concurrency: 3 })
    },
    expected: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22],
  },
  'pMap that collects its errors': {
    from: { original: 'p-map', ours: 'millrace/p-map' },
    async run({ default: pMap }) {
      try {
        return await pMap(
          ['1', '{', '3', '['],
          async (text) => {
            await sleep(1)
            return JSON.parse(text)
          },
          { concurrency: 2, stopOnError: false },
        )
      } catch (error) {
        return error.errors.map(({ name }) => name)
      }
    },
    expected: ['SyntaxError', 'SyntaxError'],
  },
}

for (const [what, { from, run, expected }] of Object.entries(RECIPES)) {
  describe(what, () => {
    for (const [name, specifier] of Object.entries(from)) {
      test(name, async () => assert.deepEqual(await run(await import(specifier)), expected))
    }
  })
}
