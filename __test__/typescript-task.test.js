// Task files in TypeScript: where Node strips the types itself, with the loader that the program was started with, and
// what is said where there is neither.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parallelMap, WorkerStartError } from '../index.js'
import { folderWith, LIMIT, openPool, program, rejection } from './processes.js'

const fixture = (name) => new URL(`./fixtures/${name}`, import.meta.url)

/** Types that can be stripped. */
const ESM = `type Item = { n: number }
  let factor: number
  export const setup = (data: number): void => { factor = data }
  export default async ({ n }: Item): Promise<number> => n * factor
  export const named = <T>(item: T): T[] => [item]`
const COMMONJS = `let factor: number
  const run = ({ n }: { n: number }): number => n * factor
  module.exports = Object.assign(run, {
    setup: (data: number): void => { factor = data },
    named: <T>(item: T): T[] => [item],
  })`
/** What has to be compiled, and is ESM only in name. */
const COMPILED = `import { EOL } from 'node:os'
  enum Factor { Two = EOL.length + 1 }
  let factor: number = Factor.Two
  export const setup = (data: number) => { factor *= data / 2 }
  export default ({ n }: { n: number }): number => n * factor
  export const named = <T>(item: T): T[] => [item]`

const PACKAGES = {
  module: '{"type":"module"}',
  commonjs: '{"type":"commonjs"}',
}
const FILES = {
  'a .ts file of a module package': { name: 'task.ts', text: ESM, type: 'module' },
  'a .ts file of a CommonJS package': { name: 'task.ts', text: COMMONJS, type: 'commonjs' },
  'a .mts file': { name: 'task.mts', text: ESM, type: 'commonjs' },
  'a .cts file': { name: 'task.cts', text: COMMONJS, type: 'module' },
}
const TO_COMPILE = {
  'what only a compiler can do': { name: 'task.ts', text: COMPILED, type: 'module' },
  'what only a compiler can do, to CommonJS': { name: 'task.cts', text: COMPILED, type: 'module' },
}

const strips = typeof process.features.typescript === 'string' && process.features.typescript

const folderOf = (t, { name, text, type }) => folderWith(t, { [name]: text, 'package.json': PACKAGES[type] })

describe('where Node strips types', { skip: !strips && 'this Node does not' }, () => {
  for (const [name, file] of Object.entries(FILES)) {
    test(name, LIMIT, async (t) => {
      const task = join(folderOf(t, file), file.name)
      const pool = openPool(t, task, { size: 1, setupData: 2 })
      assert.deepEqual(await parallelMap([{ n: 1 }, { n: 2 }], pool).toArray(), [2, 4])
      assert.deepEqual(await openPool(t, task, { size: 1, exportName: 'named' }).run(1), [1])
    })
  }

  const TRANSFORM = '--experimental-transform-types'
  const skip = !process.allowedNodeEnvironmentFlags.has(TRANSFORM) && 'this Node only strips'
  test("a flag of the parent's: Node transforms", { ...LIMIT, skip }, async (t) => {
    const file = TO_COMPILE['what only a compiler can do']
    const source = `import { workerPool } from 'millrace'
      const pool = workerPool(${JSON.stringify(join(folderOf(t, file), file.name))}, { size: 1, setupData: 2 })
      console.log(await pool.run({ n: 1 }))
      await pool.close()`
    const { stdout, stderr } = await program(t, source, { flags: ['--no-warnings', TRANSFORM] }).ended
    assert.equal(stdout, '2\n', stderr)
  })

  test('what cannot be stripped says what to do', LIMIT, async (t) => {
    if (strips === 'transform') return t.skip('this Node does all of it')
    const file = TO_COMPILE['what only a compiler can do']
    const error = await rejection(openPool(t, join(folderOf(t, file), file.name), { size: 1 }).run({ n: 1 }))
    assert.ok(error instanceof WorkerStartError)
    assert.equal(error.cause.code, 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX')
    assert.match(
      error.message,
      /enum.* \(Node only strips types: start the program with a loader \(node --import tsx/s,
    )
  })
})

/** Flags of the program; its workers take them over. */
const LOADERS = {
  '--import': {
    flags: ['--import', fixture('typescript-loader.js').href],
    files: { ...FILES, ...TO_COMPILE },
  },
  '--loader': {
    flags: ['--no-warnings', '--loader', fixture('typescript-hooks.js').href],
    files: { ...FILES, ...TO_COMPILE },
  },
  // As such loaders do, it takes what is compiled to CommonJS.
  '--require': {
    flags: ['--require', fixture('typescript-require.cjs').pathname],
    files: {
      'a .ts file of a CommonJS package': FILES['a .ts file of a CommonJS package'],
      'a .ts file that is compiled to CommonJS': { name: 'task.ts', text: COMPILED, type: 'commonjs' },
      'a .cts file': FILES['a .cts file'],
    },
  },
}

for (const [flag, { flags, files }] of Object.entries(LOADERS)) {
  describe(`with the parent's ${flag}`, () => {
    for (const [name, file] of Object.entries(files)) {
      test(name, LIMIT, async (t) => {
        const task = JSON.stringify(join(folderOf(t, file), file.name))
        const run = program(
          t,
          `import { parallelMap, workerPool } from 'millrace'
           const pool = workerPool(${task}, { size: 1, setupData: 2 })
           const named = workerPool(${task}, { size: 1, exportName: 'named' })
           console.log(JSON.stringify([
             await parallelMap([{ n: 1 }, { n: 2 }], pool).toArray(),
             await named.run(1),
           ]))
           await pool.close()
           await named.close()`,
          { flags },
        )
        const { stdout, stderr } = await run.ended
        assert.equal(stdout, '[[2,4],[1]]\n', stderr)
      })
    }
  })
}

describe('where Node cannot run it', () => {
  const off = ['--no-strip-types', '--no-experimental-strip-types'].find((flag) =>
    process.allowedNodeEnvironmentFlags.has(flag),
  )
  const flags = strips ? [off] : []
  const skip = strips && off === undefined && 'this Node always can'

  for (const [name, file] of Object.entries(FILES)) {
    test(name, { ...LIMIT, skip }, async (t) => {
      const task = join(folderOf(t, file), file.name)
      const error = await rejection(openPool(t, task, { size: 1, execArgv: flags }).run({ n: 1 }))
      assert.ok(error instanceof WorkerStartError)
      assert.equal(error.code, 'ERR_WORKER_START')
      assert.equal(error.cause.code, 'ERR_UNKNOWN_FILE_EXTENSION')
      assert.ok(error.message.includes(`Node ${process.version} cannot run it`), error.message)
      for (const way of ['node --import tsx', 'use a Node that strips types', 'build the file to JavaScript'])
        assert.ok(error.message.includes(way), error.message)
    })
  }

  test('a file that the task imports', { ...LIMIT, skip }, async (t) => {
    const folder = folderWith(t, { 'task.mjs': `import './part.mts'`, 'part.mts': ESM })
    const error = await rejection(openPool(t, join(folder, 'task.mjs'), { size: 1, execArgv: flags }).run(1))
    assert.equal(error.cause.code, 'ERR_UNKNOWN_FILE_EXTENSION')
    assert.match(error.message, /part\.mts.*cannot run it/)
  })

  test('.tsx: no Node strips that', LIMIT, async (t) => {
    const folder = folderWith(t, { 'task.tsx': 'export default () => <b/>' })
    const { message } = await rejection(openPool(t, join(folder, 'task.tsx'), { size: 1 }).run(1))
    assert.match(message, /cannot run it: start the program with a loader/)
    assert.doesNotMatch(message, /strips/)
  })

  test('an error of the task itself: nothing about TypeScript', LIMIT, async (t) => {
    const text = `throw Object.assign(new Error('no ".ts" here'), { code: 'MINE' })`
    const folder = folderWith(t, { 'task.mjs': text })
    const { message } = await rejection(openPool(t, join(folder, 'task.mjs'), { size: 1 }).run(1))
    assert.match(message, /no "\.ts" here$/)
  })

  test('another unknown kind of file: nothing about TypeScript', LIMIT, async (t) => {
    const folder = folderWith(t, { 'task.vue': '' })
    const { message, cause } = await rejection(openPool(t, join(folder, 'task.vue'), { size: 1 }).run(1))
    assert.equal(cause.code, 'ERR_UNKNOWN_FILE_EXTENSION')
    assert.doesNotMatch(message, /tsx|strips/)
  })
})
