// What a task file may be, and what it finds around itself: module kinds, stdio, arguments.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { parallelMap } from '../index.js'
import { ACTS, folderWith, LIMIT, linesOf, openPool, program, rejection } from './processes.js'

/** Files that export the doubling mapper one way or another. */
const KINDS = {
  'ESM, default export': { 'task.mjs': 'export default (item) => item * 2' },
  'ESM, async': { 'task.mjs': 'export default async function (item) { return item * 2 }' },
  'ESM with top-level await': {
    'task.mjs': `import { setTimeout as sleep } from 'node:timers/promises'
      const two = await sleep(20, 2)
      export default (item) => item * two`,
  },
  'a .js file of a module package': {
    'task.js': 'export default (item) => item * 2',
    'package.json': '{"type":"module"}',
  },
  'a .js file of a CommonJS package': {
    'task.js': 'module.exports = (item) => item * 2',
    'package.json': '{"type":"commonjs"}',
  },
  'CommonJS, module.exports = fn': { 'task.cjs': 'module.exports = (item) => item * 2' },
  'CommonJS, exports.default': { 'task.cjs': 'exports.default = (item) => item * 2' },
  'CommonJS compiled from ESM': {
    'task.cjs': `Object.defineProperty(exports, '__esModule', { value: true })
      exports.default = (item) => item * 2`,
  },
  'an arrow that gives back a thenable': {
    'task.mjs': 'export default (item) => ({ then: (resolve) => resolve(item * 2) })',
  },
  'a class that is a function by name only': {
    'task.mjs': 'export default Object.assign((item) => item * 2, { setup: 1 })',
  },
}

describe('kinds of files', () => {
  for (const [name, files] of Object.entries(KINDS)) {
    test(name, LIMIT, async (t) => {
      const folder = folderWith(t, files)
      const pool = openPool(t, join(folder, Object.keys(files)[0]), { size: 1 })
      assert.equal(await pool.run(21), 42)
      assert.deepEqual(await parallelMap([1, 2, 3], pool).toArray(), [2, 4, 6])
    })
  }

  const BOTH = `const data = []
    const setup = async (given) => { data.push(given) }
    const teardown = () => { require('node:fs').appendFileSync(process.env.NOTE, 'torn\\n') }
    const named = (item) => [item, ...data]`
  const COMMON = {
    'module.exports = fn with setup and teardown': `${BOTH}; module.exports = Object.assign(named, { setup, teardown, named })`,
    'exports of an object': `${BOTH}; module.exports = { default: named, setup, teardown, named }`,
    'compiled from ESM': `${BOTH}
      Object.defineProperty(exports, '__esModule', { value: true })
      exports.setup = setup; exports.teardown = teardown; exports.named = named; exports.default = named`,
    'exports that no analysis can find': `${BOTH}
      for (const [name, fn] of Object.entries({ default: named, setup, teardown, named })) exports[name] = fn`,
  }
  for (const [name, text] of Object.entries(COMMON)) {
    test(`setup, teardown and exportName of CommonJS: ${name}`, LIMIT, async (t) => {
      const folder = folderWith(t, { 'task.cjs': text })
      const env = { ...process.env, NOTE: join(folder, 'note') }
      for (const exportName of ['default', 'named']) {
        const pool = openPool(t, join(folder, 'task.cjs'), { size: 1, env, exportName, setupData: 'given' })
        assert.deepEqual(await pool.run(1), [1, 'given'])
        await pool.close()
      }
      assert.deepEqual(linesOf(env.NOTE), ['torn', 'torn'])
    })
  }

  test('a task that imports this package', LIMIT, async (t) => {
    const index = JSON.stringify(new URL('../index.js', import.meta.url).href)
    const folder = folderWith(t, {
      'task.mjs': `import { native, parallelMap, skip } from ${index}
        export default async (item) => item === 0 ? skip : (await parallelMap([item], native.sha256()).toArray())[0].length`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
    assert.deepEqual(await parallelMap(['a', 0, 'b'], pool).toArray(), [64, 64])
  })

  test('timers and I/O of a task have their turn between small items', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `let ticks = 0
        setInterval(() => ticks++, 1)
        export default () => { for (const end = performance.now() + 1; performance.now() < end;); return ticks }`,
    })
    const pool = openPool(t, join(folder, 'task.mjs'), { size: 1 })
    const ticks = await parallelMap(Array(500).fill(0), pool, { chunkSize: 10 }).toArray()
    assert.ok(ticks.at(-1) > 2, `${ticks.at(-1)} ticks`)
  })
})

describe('what a task finds', () => {
  test('process.argv: node and the task file', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const argv = await pool.run({ act: 'eval', code: 'return process.argv' })
    assert.deepEqual(argv, [process.execPath, ACTS.pathname])
  })

  test('nothing of its pool in the environment or the descriptors of what it starts', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { execFileSync } from 'node:child_process'
        export default () => execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' })`,
    })
    const listing = await openPool(t, join(folder, 'task.mjs'), { size: 1 }).run(0)
    const own = listing.split('\n').filter((line) => / [012] -> /.test(line) || !line.includes(' -> '))
    assert.equal(own.length, 5, 'a first line, stdio, and the end')
    assert.doesNotMatch(listing, /memfd|eventfd/)
    assert.equal(listing.match(/socket:/g).length, 3, 'stdio alone')
  })

  test('stdin is /dev/null', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `import { readFileSync, readlinkSync } from 'node:fs'
        export default () => [readlinkSync('/proc/self/fd/0'), readFileSync(0, 'utf8')]`,
    })
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       const pool = workerPool(${JSON.stringify(join(folder, 'task.mjs'))}, { size: 1 })
       console.log(JSON.stringify(await pool.run(0)))
       await pool.close()`,
    )
    run.child.stdin.write('for the parent alone')
    const { stdout, stderr } = await run.ended
    assert.deepEqual(JSON.parse(stdout || stderr), ['/dev/null', ''])
  })

  test('console.log goes to stdout untouched, console.error to stderr', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `export default (i) => {
          console.log('line %d é€🙂', i)
          console.error('to stderr', i)
          process.stdout.write('no line end')
          process.stdout.write('\\n')
        }`,
    })
    const run = program(
      t,
      `import { parallelMap, workerPool } from 'millrace'
       const pool = workerPool(${JSON.stringify(pathToFileURL(join(folder, 'task.mjs')).href)}, { size: 1 })
       await parallelMap([1, 2, 3], pool).toArray()
       await pool.close()`,
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0)
    assert.equal(stdout, [1, 2, 3].map((i) => `line ${i} é€🙂\nno line end\n`).join(''))
    assert.equal(stderr, [1, 2, 3].map((i) => `to stderr ${i}\n`).join(''))
  })

  test('much output of a worker is not lost when it is closed', LIMIT, async (t) => {
    const folder = folderWith(t, {
      'task.mjs': `export default () => {
          process.stdout.write('o'.repeat(1 << 20))
          process.stderr.write('e'.repeat(1 << 20))
        }`,
    })
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       const pool = workerPool(${JSON.stringify(join(folder, 'task.mjs'))}, { size: 1 })
       await pool.run(0)
       await pool.close()`,
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(code, 0)
    assert.equal(stdout.length, 1 << 20)
    assert.equal(stderr.length, 1 << 20)
  })

  test('a closed stdout of the parent does not end its workers', LIMIT, async (t) => {
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       const pool = workerPool(new URL(process.env.ACTS), { size: 1 })
       const pid = await pool.run({ act: 'pid' })
       console.error(JSON.stringify([await pool.run({ act: 'pid' }) === pid]))
       await pool.close()`,
    )
    run.child.stdout.destroy()
    const { code, stderr } = await run.ended
    assert.equal(code, 0, stderr)
    assert.equal(stderr, '[true]\n')
  })

  test('an unclonable result names the path, and the error tells its index', LIMIT, async (t) => {
    const pool = openPool(t, undefined, { size: 1 })
    const items = [
      { act: 'value', value: 1 },
      { act: 'eval', code: 'return [{ deep: new WeakMap() }]' },
    ]
    const error = await rejection(parallelMap(items, pool).toArray())
    assert.equal(error.code, 'ERR_SERIALIZATION')
    assert.match(error.message, /\[0\]\.deep/)
  })
})
