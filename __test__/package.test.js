// The package as its users get it: packed, installed without our tree, used from ESM, CommonJS and TypeScript.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'acorn'
import { ancestor } from 'acorn-walk'
import { publint } from 'publint'
import { root } from '../scripts/root.js'
import { npmRuns } from '../scripts/tools.js'
import { codeBlocks } from './code-blocks.js'

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'millrace-package-'))
const npm = npmRuns()
const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
const dependencies = Object.entries(locked)
  .filter(([path, { dev, optional }]) => path !== '' && !dev && !optional)
  .map(([path]) => join(root, path))
/** What is exported beside the package itself: `millrace/p-map` and the like. */
const subpaths = Object.entries(manifest.exports)
  .filter(([path, { import: esm }]) => path !== '.' && esm !== undefined)
  .map(([path, { import: esm }]) => ({ name: path.slice(2), types: esm.types.slice(2) }))
let tarball
let packed

before(() => {
  const listed = run(npm.command, [...npm.args, 'pack', '--json', '--pack-destination', folder], root)
  // npm 11 prints a list, npm 12 an object by name; prepack may have printed before it.
  const report = JSON.parse(listed.slice(listed.search(/^[[{]/m)))
  const [{ filename, files }] = Object.values(report)
  tarball = join(folder, filename)
  packed = files.map((file) => file.path)
})

after(() => rmSync(folder, { recursive: true, force: true }))

test('the package holds what it needs, and nothing of the workshop', () => {
  const needed = [
    'index.js',
    'index.d.ts',
    'index.d.cts',
    ...subpaths.flatMap(({ types }) => [types, types.replace(/ts$/, 'cts')]),
    'README.md',
    'LICENSE',
    'lib/binding.js',
    'bin/millrace.js',
  ]
  for (const path of needed) {
    assert.ok(packed.includes(path), `${path} is missing`)
  }
  assert.equal(packed.filter((path) => path.endsWith('.node')).length, 1, 'the built addon, once')
  const strange = packed.filter(
    (path) => !/^(index\.|bin\/|lib\/|docs\/|[A-Z]+(\.md)?$|package\.json$)/.test(path),
  )
  assert.deepEqual(strange, [])
  for (const script of ['preinstall', 'install', 'postinstall'])
    assert.equal(manifest.scripts[script], undefined)
})

test('publint has nothing to say', async () => {
  const { messages } = await publint({ pack: { tarball: readFileSync(tarball) }, strict: true })
  // It misses CommonJS code behind the CommonJS typings: there is none, require() loads the ESM files.
  assert.deepEqual(
    messages.filter(({ code }) => code !== 'EXPORTS_TYPES_INVALID_FORMAT'),
    [],
  )
})

test('no file awaits at its top level: require() would fail', () => {
  for (const path of packed.filter((path) => path.endsWith('.js'))) {
    assert.deepEqual(topLevelAwaits(readFileSync(join(root, path), 'utf8')), [], path)
  }
  assert.deepEqual(topLevelAwaits('async () => { await 1; for await (const a of b); }'), [])
  assert.deepEqual(topLevelAwaits('{ await 1 }\nfor await (const a of b);\nawait using c = d'), [1, 2, 3])
})

test('the oldest Node is the same in package.json and in the gate that looks at it', () => {
  const gate = /OLDEST = \[(\d+), (\d+)\]/.exec(readFileSync(join(root, 'scripts/run.js'), 'utf8'))
  assert.equal(manifest.engines.node, `>=${gate[1]}.${gate[2]}`)
})

describe('installed, the example of the README runs', () => {
  test('in an ESM project', () => {
    const place = project('esm', { type: 'module' })
    for (const { name, code } of example) writeFileSync(join(place, name), code)
    printsTheSame(place)
  })

  test('in a CommonJS project, through require()', () => {
    const place = project('commonjs', {})
    for (const { name, code } of example) writeFileSync(join(place, name), asCommonJs(code, 'require'))
    printsTheSame(place)
  })

  for (const module of ['node16', 'nodenext']) {
    test(`in a TypeScript project, module ${module}`, () => {
      const place = project(`typescript-${module}`, { type: 'module' })
      writeTypeScript(place, module, (code) => code)
      printsTheSame(join(place, 'out'))
    })

    test(`in a TypeScript project that compiles to CommonJS, module ${module}`, () => {
      const place = project(`typescript-commonjs-${module}`, {})
      writeTypeScript(place, module, (code) => asCommonJs(code, 'import'))
      printsTheSame(join(place, 'out'))
    })
  }
})

describe('installed, every subpath is found', () => {
  // Each says hello through what it exports, imported and required, by JavaScript and by TypeScript.
  const FACES = {
    'p-map': {
      names: 'pMap, { pMapSkip }',
      required: '{ default: pMap, pMapSkip }',
      code: `pMap(['hello', 'you'], async (word, index) => (index > 0 ? pMapSkip : word.toUpperCase())).then(([word]) => console.log(word))\n`,
    },
    async: {
      names: 'async, { map }',
      required: '{ default: async, map }',
      code: `if (async.map !== map) throw new Error('another map')\nmap(['hello'], async (word) => word.toUpperCase()).then(([word]) => console.log(word))\n`,
    },
    fork: {
      names: '{ fork }',
      required: '{ fork }',
      code: `if (process.send) process.on('message', (text) => {
  process.send?.(String(text).toUpperCase())
  process.disconnect?.()
})
else {
  const child = fork(process.argv[1] ?? '')
  child.on('message', (text) => console.log(text))
  child.send('hello')
}
`,
    },
  }

  test('there is one for each', () => {
    assert.deepEqual(
      subpaths.map(({ name }) => name),
      Object.keys(FACES),
    )
  })

  for (const [kind, fields] of [
    ['esm', { type: 'module' }],
    ['commonjs', {}],
  ]) {
    test(`in a project of kind ${kind}`, () => {
      const place = project(`subpaths-${kind}`, fields)
      for (const [name, { names, required, code }] of Object.entries(FACES)) {
        const imported = `import ${names} from 'millrace/${name}'\n`
        const loaded = kind === 'esm' ? imported : `const ${required} = require('millrace/${name}')\n`
        writeFileSync(join(place, `${name}.js`), loaded + code)
        writeFileSync(join(place, `${name}-typed.ts`), imported + code)
      }
      compile(place, 'nodenext')
      for (const name of Object.keys(FACES)) {
        assert.equal(run(process.execPath, [`${name}.js`], place), 'HELLO\n')
        assert.equal(run(process.execPath, [join('out', `${name}-typed.js`)], place), 'HELLO\n')
      }
    })
  }
})

test('installed, the command line runs: npx millrace', () => {
  for (const [name, fields, task] of [
    ['command-esm', { type: 'module' }, 'export default (number) => number * 2\n'],
    ['command-commonjs', {}, 'module.exports = (number) => number * 2\n'],
  ]) {
    const place = project(name, fields)
    writeFileSync(join(place, 'double.js'), task)
    writeFileSync(join(place, 'numbers.ndjson'), '1\n2\n')
    const npx = (...args) =>
      run(npm.command, [...npm.args, 'exec', '--offline', '--', 'millrace', ...args], place)
    assert.match(npx('--help'), /Usage: millrace/)
    assert.equal(npx('--version'), `${manifest.version}\n`)
    assert.equal(npx('map', './double.js', 'numbers.ndjson', '-j', '1'), '2\n4\n')
  }
})

const FUNCTION = /^(Function|ArrowFunction)/

// The README's first two blocks, the mapper's file and the program, and the text block that says what they print.
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const example = codeBlocks(readme).slice(0, 2)
const main = example.at(-1)
const printed = /^```text\n([\s\S]*?)^```$/m.exec(readme)[1]

/** The lines with an await outside of any function. */
function topLevelAwaits(code) {
  const lines = []
  const note = (node, _, ancestors) => {
    const awaits = node.type === 'AwaitExpression' || node.await === true || node.kind === 'await using'
    if (awaits && !ancestors.some(({ type }) => FUNCTION.test(type))) lines.push(node.loc.start.line)
  }
  const tree = parse(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true })
  ancestor(tree, { AwaitExpression: note, ForOfStatement: note, VariableDeclaration: note })
  return lines
}

/** An empty project with the tarball installed as a user would, but from this machine alone. */
function project(name, fields) {
  const place = join(folder, name)
  mkdirSync(place)
  writeFileSync(join(place, 'package.json'), JSON.stringify({ name, private: true, ...fields }))
  // What it depends on comes from our own node_modules: the tests ask no registry.
  const quiet = ['--install-links', '--offline', '--no-audit', '--no-fund']
  run(npm.command, [...npm.args, 'install', tarball, ...dependencies, ...quiet], place)
  return place
}

/** Held against what the README says that it prints. */
function printsTheSame(place) {
  assert.equal(run(process.execPath, [main.name], place), printed)
}

/** The same example for CommonJS: no top-level await, no import.meta. `style` is how it loads modules. */
function asCommonJs(code, style) {
  const imports = /^import (\{.*\}) from '(.*)'\n/gm
  const head = [...code.matchAll(imports)].map(([line, names, from]) =>
    style === 'require' ? `const ${names} = require('${from}')\n` : line,
  )
  const url = `new URL('file://' + __dirname + '/')`
  const body = code.replaceAll(imports, '').replaceAll('import.meta.url', url)
  if (style === 'require' && body.includes('export default ')) {
    return `${head.join('')}${body.replace('export default ', 'module.exports = ')}`
  }
  if (!body.includes('await ')) return head.join('') + body
  return `${head.join('')}main()\nasync function main() {\n${body}\n}\n`
}

function writeTypeScript(place, module, change) {
  for (const { name, code } of example) {
    // The mapper's parameter is the one thing that strict TypeScript wants to be told.
    const typed = change(code).replace(/(export default \(\w+)\)/, '$1: string)')
    writeFileSync(join(place, name.replace(/js$/, 'ts')), typed)
  }
  compile(place, module)
  assert.ok(readdirSync(join(place, 'out')).includes(main.name))
}

function compile(place, module) {
  mkdirSync(join(place, 'node_modules/@types'))
  symlinkSync(join(root, 'node_modules/@types/node'), join(place, 'node_modules/@types/node'))
  const compilerOptions = {
    module,
    target: 'es2022',
    strict: true,
    types: ['node'],
    outDir: 'out',
    rootDir: '.',
  }
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], place)
}

/** What a command that ends well prints; it must not warn either. */
function run(command, args, cwd) {
  const { NODE_TEST_CONTEXT, ...env } = process.env
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  })
  assert.equal(status, 0, `${args.join(' ')} ended with ${signal ?? status}\n${stdout}${stderr}`)
  if (command === process.execPath && cwd.startsWith(folder) && !args[0].includes('npm'))
    assert.equal(stderr, '')
  return stdout
}
