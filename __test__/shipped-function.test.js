// Functions that travel to the workers by their source: which can, what they find there, and what is said where they
// miss something.

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { runInThisContext } from 'node:vm'
import { parallelMap, WorkerCrashError, workerPool } from '../index.js'
import { ACTS, folderWith, LIMIT, linesOf, openPool, program, rejection } from './processes.js'

/** A function as a tool, or a file of another kind, has made it: by its text. */
const written = (text) => runInThisContext(`(${text}\n)`)

const named = (item) => item * 2
function declared(item) {
  return item * 2
}
async function asynchronous(item) {
  await null
  return item * 2
}
const withProperties = Object.assign((item) => item * 2, { setup: () => {}, toString: () => 'nonsense' })

/** Each doubles its item. */
const KINDS = {
  'an arrow function': (item) => item * 2,
  'an arrow function with a body': (item) => {
    return item * 2
  },
  'an arrow function that returns an object': (item) => ({ then: (resolve) => resolve(item * 2) }),
  'an async arrow function': async (item) => item * 2,
  'a named arrow function': named,
  // biome-ignore lint/complexity/useArrowFunction: that it is none is the point
  'a function expression': function (item) {
    return item * 2
  },
  'a function declaration': declared,
  'an async function': asynchronous,
  'a recursive function': function twice(item, _context, left = item) {
    return left === 0 ? 0 : 2 + twice(item, undefined, left - 1)
  },
  'default parameters': (item, { index } = {}, factor = 2) => item * factor + index * 0,
  'rest and destructured parameters': (...[item, { signal }]) => (signal.aborted ? 0 : [item * 2][0]),
  comments: /* before */ async /* between */ (/* in */ item /* after */) =>
    // of its own line
    item * 2 /* behind */,
  'a comment at its end': written('(item) => item * 2 // the end'),
  'own properties, also a toString': withProperties,
  'the text of a template': (item) => `${'}'.length + 1}`.length * item * 2,
  'a function that new Function made': new Function('item', 'return item * 2'),
  'a property that is a function': { run: (item) => item * 2 }.run,
  'a method by the name of function': {
    function(item) {
      return item * 2
    },
  }.function,
  'a static property of a class': class Doubler {
    static run = (item) => item * 2
    own = 1
  }.run,
  'words of coverage tools, but no counters': (item) => {
    const cov_matrix = { s: [item] }
    const text = 'cov_1a2b3c().s is what istanbul counts with'
    return text.length > 0 ? cov_matrix.s.length * item * 2 : 0
  },
  'sloppy code in an arrow function': written('(item) => { with ({ factor: 2 }) return item * factor }'),
  'a name that is no identifier': { 'a "name"\n(*/ `': (item) => item * 2 }['a "name"\n(*/ `'],
}

describe('functions that can be sent', () => {
  for (const [name, fn] of Object.entries(KINDS)) {
    test(name, LIMIT, async (t) => {
      const pool = openPool(t, fn, { size: 1 })
      assert.deepEqual(await parallelMap([1, 2, 3], pool).toArray(), [2, 4, 6])
    })
  }

  test('generators and async generators, for flatMap', LIMIT, async (t) => {
    const sync = function* (item) {
      for (let i = 0; i < item; i++) yield item
    }
    const later = async function* (item) {
      yield* [item, await item]
    }
    const source = () => parallelMap([1, 2], (item) => item)
    assert.deepEqual(
      await source()
        .flatMap(openPool(t, sync, { size: 1 }))
        .toArray(),
      [1, 2, 2],
    )
    assert.deepEqual(
      await source()
        .flatMap(openPool(t, later, { size: 1 }))
        .toArray(),
      [1, 1, 2, 2],
    )
  })

  test('skip, the index and the signal come with the context', LIMIT, async (t) => {
    const pool = openPool(t, (item, { index, skip }) => (item % 2 ? index : skip), { size: 1 })
    assert.deepEqual(await parallelMap([1, 2, 3], pool).toArray(), [0, 2])
  })

  test('its name is the label, and the name in the worker', LIMIT, async (t) => {
    assert.equal(workerPool(declared).label, 'declared')
    assert.equal(workerPool(named).label, 'named')
    assert.equal(workerPool((item) => item).label, 'function')
    assert.equal(workerPool(named, { label: 'doubler' }).label, 'doubler')
    const odd = Object.defineProperty(() => {}, 'name', { value: 1 })
    assert.equal(workerPool(odd).label, 'function')
    const hidden = Object.defineProperty(() => {}, 'name', { get: () => assert.fail('runs no code') })
    assert.equal(workerPool(hidden).label, 'function')
    const pool = openPool(
      t,
      {
        thrower: () => {
          throw new Error('no')
        },
      }.thrower,
      { size: 1 },
    )
    assert.match((await rejection(pool.run(0))).stack, /at thrower \(.*millrace:shipped function thrower:/)
  })

  test('strict code stays strict, sloppy code sloppy', LIMIT, async (t) => {
    const body = '{ item = [item, typeof this]; return [arguments[0], this === undefined] }'
    const sloppy = openPool(t, written(`function (item) ${body}`), { size: 1 })
    assert.deepEqual(await sloppy.run(1), [[1, 'object'], false])
    const strict = openPool(t, written(`(() => { 'use strict'; return function (item) ${body} })()`), {
      size: 1,
    })
    assert.deepEqual(await strict.run(1), [1, true])
    const arrow = openPool(t, () => typeof this, { size: 1 })
    assert.equal(await arrow.run(0), 'undefined')
  })

  test('a worker that dies is replaced by one with the same function', LIMIT, async (t) => {
    const pool = openPool(t, (item) => (item === 1 ? process.exit(3) : item), { size: 1 })
    assert.ok((await rejection(pool.run(1))) instanceof WorkerCrashError)
    assert.equal(await pool.run(2), 2)
  })

  test('a function of a megabyte', LIMIT, async (t) => {
    const pool = openPool(t, written(`() => '${'x'.repeat(1 << 20)}'.length`), { size: 2 })
    assert.equal(await pool.run(0), 1 << 20)
  })
})

class Methods extends Object {
  #secret = 1
  run() {}
  static async *many() {}
  static [Symbol.iterator]() {}
  get got() {
    return this.#secret
  }
  static reads = (object) => object.#secret
  superior() {
    return () => super.toString()
  }
}
const accessor = (name, kind) => Object.getOwnPropertyDescriptor(Methods.prototype, name)[kind]

/** What is refused, and the reason that is given. */
const REFUSED = {
  'a native function': [parseInt, /"parseInt", a native function/],
  'a native method': [Array.prototype.map, /a native function/],
  'a native constructor': [Map, /a native function/],
  'a bound function': [named.bind(null), /"bound named", a bound function/],
  'a bound function without a name': [((item) => item).bind(null), /a bound function/],
  'a Proxy': [new Proxy((item) => item, {}), /got a Proxy/],
  'a class': [class {}, /a class/],
  'a class with a name': [Methods, /"Methods", a class/],
  'a method of an object': [
    {
      run(item) {
        return item
      },
    }.run,
    /"run", a method/,
  ],
  'an async method': [{ async run() {} }.run, /a method/],
  'a generator method': [{ *run() {} }.run, /a method/],
  'a method by the name of get': [{ get() {} }.get, /a method/],
  'a method by the name of async': [
    {
      async(item) {
        return item
      },
    }.async,
    /a method/,
  ],
  'a method with a computed name': [{ [`${'run'}`]() {} }.run, /a method/],
  'a method of a class': [Methods.prototype.run, /a method/],
  'a static method': [Methods.many, /a method/],
  'a method named by a symbol': [Methods[Symbol.iterator], /a method/],
  'a getter': [accessor('got', 'get'), /a method, getter or setter/],
  'a use of super': [new Methods().superior(), /does not compile outside its place \(.*super/],
  'a use of a private name': [Methods.reads, /does not compile outside its place \(.*#secret/],
  'a use of import.meta': [() => import.meta.url, /does not compile outside its place \(.*import\.meta/],
  'a use of arguments': [
    written('function () { return () => arguments[0] }')(),
    /got a function that uses the `arguments` of the function around it/,
  ],
  'a use of new.target': [
    written('function () { return () => new.target }')(),
    /does not compile outside its place \(.*new\.target/,
  ],
}

/** What tools make of `(item) => item`, or of a function with more in it. */
const INSTRUMENTED = {
  'istanbul, nyc, vitest, jest':
    '(item) => { cov_2k9x1hz4mf().f[0]++; cov_2k9x1hz4mf().s[1]++; return item }',
  'istanbul, an expression': '(item) => (cov_2k9x1hz4mf().s[1]++, item)',
  'istanbul, a branch': '(item) => item ? (cov_1().b[0][0]++, 1) : (cov_1().b[0][1]++, 2)',
  'istanbul, before version 4': '(item) => { cov_1oomibe77f.f[0]++; cov_1oomibe77f.s[0]++; return item }',
  'istanbul, before version 1': "(item) => { __cov_wd8fYQ0_DRsaAufZbmXyDQ.f['7']++; return item }",
  'istanbul, a name that ends in $': "(item) => { __cov_wd8fYQ0$_$.s['7']++; return item }",
  'the global of istanbul': "(item) => { __coverage__['task.js'].s[0]++; return item }",
  jscoverage: "(item) => { _$jscoverage['task.js'][1]++; return item }",
  JSCover: "(item) => { _$jscoverage['/task.js'].lineData[1]++; return item }",
  blanket: "(item) => { _$blanket['task.js'][1]++; return item }",
  CoverJS: '(item) => { __$coverObject["task.js"][1]++; return item }',
  Stryker: '(item) => stryMutAct_9fa48("0") ? "" : (stryCov_9fa48("0"), item)',
  Wallaby: '(item) => { $_$wf(1); return $_$w(1, 2), item }',
}

describe('functions that cannot be sent are refused when the pool is made', () => {
  const refusal = (fn, reason) => {
    assert.throws(
      () => workerPool(fn),
      (error) => {
        assert.ok(error instanceof TypeError)
        assert.equal(error.code, 'ERR_INVALID_ARG_TYPE')
        assert.match(error.message, /^Invalid "task": expected a function that .*, got .+/)
        assert.match(error.message, reason)
        const wayOut = "use a task file: workerPool(new URL('./task.js', import.meta.url))"
        assert.ok(error.message.endsWith(wayOut), error.message)
        return true
      },
    )
  }
  for (const [name, [fn, reason]] of Object.entries(REFUSED)) test(name, () => refusal(fn, reason))
  for (const [name, text] of Object.entries(INSTRUMENTED)) {
    test(`instrumented by ${name}`, () => refusal(written(text), /a function that a tool for coverage/))
  }

  test('options that are for task files alone', () => {
    const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
    assert.throws(() => workerPool(named, { exportName: 'run' }), {
      ...wrong,
      message: /"exportName": expected no exportName: the task is a function.*, got "run"/,
    })
    for (const setupData of [{}, 0, null]) {
      assert.throws(() => workerPool(named, { setupData }), {
        ...wrong,
        message: /"setupData": expected no setupData: the task is a function, which has no setup\(\)/,
      })
    }
    workerPool(named, { exportName: undefined, setupData: undefined })
  })

  test('nothing of it runs in the parent', () => {
    workerPool(written(`(item = globalThis.ranInParent = true) => { globalThis.ranInParent = true }`))
    assert.equal('ranInParent' in globalThis, false)
  })

  test('V8 coverage changes nothing', LIMIT, async (t) => {
    const folder = folderWith(t)
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       const pool = workerPool((item) => item * 2, { size: 1 })
       console.log(await pool.run(21))
       await pool.close()`,
      { env: { NODE_V8_COVERAGE: folder } },
    )
    const { code, stdout, stderr } = await run.ended
    assert.equal(stdout, '42\n', stderr)
    assert.equal(code, 0)
  })
})

// Bundlers and test runners rename imports, and wrap functions in helpers of the file.
/* global factor, missing, __name, __vi_import_0__, __vite_ssr_import_0__, tslib_1, $$ */

const HINT =
  /^(\S+) is not defined: a function given to workerPool\(\) is sent as its source, so it sees nothing from outside itself\. .*workerPool\(new URL\('\.\/task\.js', import\.meta\.url\)\)/

/** Each misses something, and what that is. */
const MISSING = {
  'an arrow function': [(item) => item * factor, 'factor'],
  'an async function': [async (item) => item * factor, 'factor'],
  'an async function, later': [
    async (item) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return item * factor
    },
    'factor',
  ],
  'a callback': [(item) => [item].map((each) => each * factor), 'factor'],
  'a function in it': [
    (item) => {
      const inner = (value) => value * factor
      return inner(item)
    },
    'factor',
  ],
  'an assignment': [
    (item) => {
      missing = item
    },
    'missing',
  ],
  'a default parameter': [(item, _context, by = factor) => item * by, 'factor'],
  'a function of its file': [(item) => named(item), 'named'],
  'an import of its file': [(item) => pathToFileURL(item), 'pathToFileURL'],
  'a thenable': [
    (item) => ({
      then: (_, reject) => {
        try {
          factor(item)
        } catch (error) {
          reject(error)
        }
      },
    }),
    'factor',
  ],
  'what CommonJS files have': [() => module.exports, 'module'],
  'a helper of esbuild': [() => __name(() => 1, 'one'), '__name', /__name often comes from a build tool/],
  'an import in vitest': [() => __vi_import_0__.readFileSync, '__vi_import_0__', /from a build tool/],
  'an import in vite': [() => __vite_ssr_import_0__.default(1), '__vite_ssr_import_0__', /build tool/],
  'an import of TypeScript': [() => tslib_1.__rest({}, []), 'tslib_1'],
  'a name with a $': [() => $$, '$$'],
}

describe('a variable from outside', () => {
  for (const [name, [fn, missed, further]] of Object.entries(MISSING)) {
    test(name, LIMIT, async (t) => {
      const error = await rejection(openPool(t, fn, { size: 1 }).run(1))
      assert.ok(error instanceof ReferenceError)
      assert.equal(HINT.exec(error.message)?.[1], missed, error.message)
      if (further !== undefined) assert.match(error.message, further)
      else assert.doesNotMatch(error.message, /build tool/)
      assert.ok(error.stack.startsWith(`ReferenceError: ${error.message}\n`), error.stack)
      assert.match(error.stack, /millrace:shipped function /)
    })
  }

  test('in generators of a flatMap', LIMIT, async (t) => {
    for (const fn of [
      function* () {
        yield factor
      },
      async function* () {
        yield 1
        yield factor
      },
    ]) {
      const results = parallelMap([1], (item) => item).flatMap(openPool(t, fn, { size: 1 }))
      assert.match((await rejection(results.toArray())).message, HINT)
    }
  })

  test(
    'in one item of many: only that one fails, and the same error object twice says it once',
    LIMIT,
    async (t) => {
      const fn = (item) => {
        if (item === 0) return 'fine'
        try {
          return factor
        } catch (error) {
          globalThis.kept ??= error
          throw globalThis.kept
        }
      }
      const pool = openPool(t, fn, { size: 1 })
      const outcomes = await parallelMap([0, 1, 2, 0], pool, { settled: true }).toArray()
      assert.deepEqual(
        outcomes.map(({ status }) => status[0]),
        ['f', 'r', 'r', 'f'],
      )
      assert.equal(outcomes[2].reason.message, outcomes[1].reason.message)
      assert.equal(outcomes[2].reason.message.split('factor').length, 2)
    },
  )

  test('when nobody waits for it: the cause of the crash', LIMIT, async (t) => {
    const fn = () => {
      setTimeout(() => factor, 1)
      return new Promise(() => {})
    }
    const error = await rejection(openPool(t, fn, { size: 1 }).run(0))
    assert.ok(error instanceof WorkerCrashError)
    assert.match(error.cause.message, HINT)
  })

  test('typeof is a guard', LIMIT, async (t) => {
    const fn = () => [typeof factor, typeof require, typeof module, typeof __filename]
    assert.deepEqual(await openPool(t, fn, { size: 1 }).run(0), [
      'undefined',
      'function',
      'undefined',
      'undefined',
    ])
  })

  const OTHERS = {
    'one that a module misses': [
      async () => (await import('./misses.mjs')).default(),
      'elsewhere is not defined',
    ],
    'one that a module misses while it loads': [
      () => import('./misses-at-load.mjs'),
      'elsewhere is not defined',
    ],
    'one that a required file misses': [() => require('./misses.cjs')(), 'elsewhere is not defined'],
    'a variable before its declaration': [
      () => {
        const read = () => later
        const value = read()
        const later = 1
        return value + later
      },
      "Cannot access 'later' before initialization",
    ],
    'one that the function makes': [
      () => {
        throw new ReferenceError('row 7 is unknown')
      },
      'row 7 is unknown',
    ],
    'another error with such a message': [
      () => {
        throw new Error('factor is not defined')
      },
      'factor is not defined',
    ],
    'one that is frozen': [
      () => {
        try {
          return factor
        } catch (error) {
          throw Object.freeze(error)
        }
      },
      'factor is not defined',
    ],
    'one without a stack': [
      () => {
        Error.stackTraceLimit = 0
        return factor
      },
      'factor is not defined',
    ],
  }
  for (const [name, [fn, message]] of Object.entries(OTHERS)) {
    test(`nothing is added to ${name}`, LIMIT, async (t) => {
      const cwd = folderWith(t, {
        'misses.mjs': 'export default () => elsewhere',
        'misses-at-load.mjs': 'export default elsewhere',
        'misses.cjs': 'module.exports = () => elsewhere',
      })
      assert.equal((await rejection(openPool(t, fn, { size: 1, cwd }).run(0))).message, message)
    })
  }
})

describe('what a function finds', () => {
  /** A folder with a package and files in it. */
  const place = (t) => {
    const cwd = folderWith(t, {
      'rel.mjs': `export default 'relative'`,
      'rel.cjs': `module.exports = 'required'`,
    })
    mkdirSync(join(cwd, 'node_modules/dep'), { recursive: true })
    writeFileSync(join(cwd, 'node_modules/dep/index.js'), `module.exports = 'package'`)
    return cwd
  }

  test(
    'import(): builtin modules, packages and files, from cwd, wherever the process moves',
    LIMIT,
    async (t) => {
      const fn = async () => {
        process.chdir('/')
        const { EOL } = await import('node:os')
        const inner = (name) => import(name)
        return [EOL, (await import('dep')).default, (await inner('./rel.mjs')).default]
      }
      for (const cwd of [place(t), pathToFileURL(`${place(t)}/`)]) {
        assert.deepEqual(await openPool(t, fn, { size: 1, cwd }).run(0), ['\n', 'package', 'relative'])
      }
    },
  )

  test('require: the same, also where a preloaded file moves', LIMIT, async (t) => {
    const fn = () => {
      process.chdir('/')
      return [require('node:os').EOL, require('dep'), require('./rel.cjs'), require.resolve('dep')]
    }
    const cwd = place(t)
    const found = createRequire(join(cwd, 'x.js')).resolve('dep')
    const moves = join(folderWith(t, { 'moves.cjs': `process.chdir('/')` }), 'moves.cjs')
    for (const execArgv of [[], ['--require', moves]]) {
      const pool = openPool(t, fn, { size: 1, cwd, execArgv })
      assert.deepEqual(await pool.run(0), ['\n', 'package', 'required', found])
    }
  })

  test('a folder with odd characters', LIMIT, async (t) => {
    const cwd = join(place(t), 'odd é#?%20 "(x)')
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'rel.mjs'), 'export default import.meta.url')
    const fn = async () => [(await import('./rel.mjs')).default, require('dep')]
    const url = pathToFileURL(join(cwd, 'rel.mjs')).href
    assert.deepEqual(await openPool(t, fn, { size: 1, cwd }).run(0), [url, 'package'])
  })

  test('an import() that fails is the error of the item', LIMIT, async (t) => {
    const pool = openPool(t, (name) => import(name).then(() => 'loaded'), { size: 1, cwd: place(t) })
    const error = await rejection(pool.run('./nowhere.mjs'))
    assert.equal(error.code, 'ERR_MODULE_NOT_FOUND')
    assert.equal(await pool.run('node:fs'), 'loaded')
  })

  test('no warning of ours, every warning of its own', LIMIT, async (t) => {
    const run = program(
      t,
      `import { workerPool } from 'millrace'
       const pool = workerPool(async () => {
         await import('node:os')
         process.emitWarning('of its own')
         await new Promise(setImmediate)
       }, { size: 1 })
       await pool.run(0)
       await pool.close()`,
    )
    const { code, stderr } = await run.ended
    assert.equal(code, 0)
    assert.match(stderr, /^\(node:\d+\) Warning: of its own\n.*\n$/)
  })

  test('stack traces say where in the source', LIMIT, async (t) => {
    const text = `async function lines(item) {
  await null
     if (item === 1) throw new Error('third line')
}`
    const pool = openPool(t, written(text), { size: 1, label: 'a "label" (1)' })
    assert.match(
      (await rejection(pool.run(1))).stack,
      /^ +at lines \(\S*\/millrace:shipped function a label 1:3:28\)$/m,
    )
    const first = openPool(t, written('() => { throw new Error("first line") }'), { size: 1 })
    assert.match((await rejection(first.run(0))).stack, /millrace:shipped function function:1:15\b/)
  })

  test('process.argv: node alone', LIMIT, async (t) => {
    assert.deepEqual(await openPool(t, () => process.argv, { size: 1 }).run(0), [process.execPath])
  })
})

describe('a function that was made at the top of a program', () => {
  test('the program is not loaded in its workers', LIMIT, async (t) => {
    const index = JSON.stringify(new URL('../index.js', import.meta.url).href)
    const folder = folderWith(t, {
      'main.mjs': `import { appendFileSync } from 'node:fs'
        import { isWorker, parallelMap, workerPool } from ${index}
        appendFileSync(process.env.NOTE, isWorker + '\\n')
        const pool = workerPool((item) => item * 2, { size: 2 })
        console.log(JSON.stringify(await parallelMap([1, 2, 3], pool).toArray()))
        await pool.close()`,
    })
    const note = join(folder, 'note')
    const source = `await import(${JSON.stringify(pathToFileURL(join(folder, 'main.mjs')).href)})`
    const { stdout, stderr } = await program(t, source, { env: { NOTE: note } }).ended
    assert.equal(stdout, '[2,4,6]\n', stderr)
    assert.deepEqual(linesOf(note), ['false'])
  })

  test('pools within pools: of functions and of files', LIMIT, async (t) => {
    const outer = async (item) => {
      const { isWorker, workerPool } = await import(item.index)
      const square = workerPool((number) => number ** 2, { size: 1 })
      const acts = workerPool(item.acts, { size: 1 })
      try {
        return [isWorker, await square.run(item.number), await acts.run({ act: 'value', value: 'file' })]
      } finally {
        await square.close()
        await acts.close()
      }
    }
    const pool = openPool(t, outer, { size: 1 })
    const item = { index: new URL('../index.js', import.meta.url).href, acts: ACTS.href, number: 3 }
    assert.deepEqual(await pool.run(item), [true, 9, 'file'])
  })

  test('a worker of a file may make pools of functions', LIMIT, async (t) => {
    const index = JSON.stringify(new URL('../index.js', import.meta.url).href)
    const folder = folderWith(t, {
      'task.mjs': `import { workerPool } from ${index}
        const inner = workerPool((number) => number + 1, { size: 1 })
        export default (number) => inner.run(number)
        export const teardown = () => inner.close()`,
    })
    assert.equal(await openPool(t, join(folder, 'task.mjs'), { size: 1 }).run(1), 2)
  })
})
