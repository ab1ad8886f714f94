// A call that is never consumed warns once per call site, and no other call does. In programs of their own: the
// warning comes with garbage collection or at exit.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const module = new URL('../lib/parallel-map.js', import.meta.url).href

function stderrOf(program, ...flags) {
  const code = `import { parallelMap } from ${JSON.stringify(module)}\nconst send = async (item) => item\n${program}`
  const url = `data:text/javascript,${encodeURIComponent(code)}`
  const { status, stderr } = spawnSync(process.execPath, [...flags, '--import', url, '-e', ''], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  return { status, stderr, warnings: stderr.match(/\[MILLRACE_UNCONSUMED\] MillraceWarning/g)?.length ?? 0 }
}

test('await alone warns, and names the line', () => {
  const { status, stderr, warnings } = stderrOf('await parallelMap([1], send)')
  assert.equal(status, 0)
  assert.equal(warnings, 1)
  assert.match(stderr, /use `for await`, `\.toArray\(\)` or `\.forEach\(\)`/)
  assert.match(stderr, /^\s+at .*:3:\d+\)?$/m)
  assert.doesNotMatch(stderr, /lib\/parallel-map\.js/)
})

test('once per call site', () => {
  const { warnings } = stderrOf(
    'for (let i = 0; i < 5; i++) await parallelMap([1], send)\nfor (let i = 0; i < 5; i++) await parallelMap([1], send)',
  )
  assert.equal(warnings, 2)
})

test('in a program that goes on, when the call is collected', () => {
  const { warnings, stderr } = stderrOf(
    `await parallelMap([1], send)
    process.on('warning', () => console.error('told'))
    for (let i = 0; i < 100 && !globalThis.told; i++) {
      process.once('warning', () => { globalThis.told = true })
      await new Promise((resolve) => setTimeout(resolve, 5))
      gc()
    }
    console.error(globalThis.told ? 'before the end' : 'never')`,
    '--expose-gc',
  )
  assert.equal(warnings, 1)
  assert.match(stderr, /before the end/)
})

test('at process.exit(), too', () => {
  assert.equal(stderrOf('await parallelMap([1], send); process.exit(0)').warnings, 1)
})

test('a call that a variable still holds warns at the end', () => {
  assert.equal(stderrOf('globalThis.kept = parallelMap([1], send); await 0').warnings, 1)
})

test('no call that is consumed, early or late, or disposed of', () => {
  const { stderr, status } = stderrOf(
    `for await (const _ of parallelMap([1], send));
    await parallelMap([1], send).toArray()
    await parallelMap([1], send).forEach(() => {})
    await parallelMap([1], send).reduce(() => {}, 0)
    for await (const _ of parallelMap([1, 2], send)) break
    const later = parallelMap([1], send)
    await new Promise((resolve) => setTimeout(resolve, 20))
    gc()
    await later.toArray()
    const much = Array.from({ length: 100 }, () => parallelMap([1], send))
    await 0
    await Promise.all(much.map((call) => call.toArray()))
    await parallelMap([1], send)[Symbol.asyncDispose]()
    for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)) }`,
    '--expose-gc',
  )
  assert.equal(stderr, '')
  assert.equal(status, 0)
})

test('it keeps neither the call nor its source', () => {
  const { stderr } = stderrOf(
    `let results
    let source = [new Array(1000)]
    const item = new WeakRef(source[0])
    results = parallelMap(source, send)
    await new Promise((resolve) => setTimeout(resolve, 5))
    results = source = undefined
    for (let i = 0; i < 20 && item.deref() !== undefined; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)) }
    console.error(item.deref() === undefined ? 'collected' : 'kept')`,
    '--expose-gc',
  )
  assert.match(stderr, /collected/)
})

test('--no-warnings and --disable-warning are heard', () => {
  assert.equal(stderrOf('await parallelMap([1], send)', '--no-warnings').stderr, '')
})

test('it works with a stack of no frames and with one of somebody else', () => {
  assert.equal(stderrOf('Error.stackTraceLimit = 0; await parallelMap([1], send)').warnings, 1)
  assert.equal(stderrOf('Error.prepareStackTrace = () => 5; await parallelMap([1], send)').warnings, 1)
  const { stderr } = stderrOf(
    'Error.stackTraceLimit = 7; await parallelMap([1], send).toArray(); console.error(Error.stackTraceLimit)',
  )
  assert.equal(stderr, '7\n')
})
