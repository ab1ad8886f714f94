// files(): which files are found, in which order, and what happens to what cannot be read.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { files, parallelMap } from '../index.js'
import { openBelow } from './file-sources.js'
import { folderWith, LIMIT } from './processes.js'

const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const wrongRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

/** A folder with these files, empty, and the folders above them. */
function treeOf(t, ...names) {
  return grown(folderWith(t), names)
}

/** The same below another folder than that of the suite. */
function treeIn(t, parent, ...names) {
  const folder = mkdtempSync(join(parent, 'millrace-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return grown(folder, names)
}

function grown(folder, names) {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), '')
  }
  return folder
}

/** What is found, relative to the folder. */
async function found(folder, pattern, options) {
  const paths = await files(pattern, { cwd: folder, ...options }).toArray()
  return paths.map((path) => {
    assert.ok(path.startsWith(`${folder}/`), path)
    return path.slice(folder.length + 1)
  })
}

describe('patterns', LIMIT, () => {
  const TREE = [
    'a.js',
    'a.ts',
    'B.js',
    'lib/b.js',
    'lib/c.css',
    'lib/deep/d.js',
    'lib/deep/er/e.js',
    'lib.js',
    'z/y.js',
    '[x].js',
  ]
  const cases = {
    '*.js': ['B.js', '[x].js', 'a.js', 'lib.js'],
    '*': ['B.js', '[x].js', 'a.js', 'a.ts', 'lib.js'],
    '**/*.js': [
      'B.js',
      '[x].js',
      'a.js',
      'lib/b.js',
      'lib/deep/d.js',
      'lib/deep/er/e.js',
      'lib.js',
      'z/y.js',
    ],
    'lib/**': ['lib/b.js', 'lib/c.css', 'lib/deep/d.js', 'lib/deep/er/e.js'],
    'lib/*/*.js': ['lib/deep/d.js'],
    './lib//deep/*': ['lib/deep/d.js'],
    'lib/**/e.js': ['lib/deep/er/e.js'],
    '**/deep/**': ['lib/deep/d.js', 'lib/deep/er/e.js'],
    '{lib,z}/*.js': ['lib/b.js', 'z/y.js'],
    '*.{js,ts}': ['B.js', '[x].js', 'a.js', 'a.ts', 'lib.js'],
    '?.js': ['B.js', 'a.js'],
    '[a-c].js': ['a.js'],
    '[!a-c].js': ['B.js'],
    '\\[x\\].js': ['[x].js'],
    'lib/b.js': ['lib/b.js'],
    lib: [],
    'none.js': [],
  }
  for (const [pattern, expected] of Object.entries(cases)) {
    test(pattern, async (t) => {
      assert.deepEqual(await found(treeOf(t, ...TREE), pattern), expected)
    })
  }

  test('several: no file comes twice, all in one order', async (t) => {
    const folder = treeOf(t, ...TREE)
    assert.deepEqual(await found(folder, ['**/*.css', 'lib/deep/**', 'lib/*.js']), [
      'lib/b.js',
      'lib/c.css',
      'lib/deep/d.js',
      'lib/deep/er/e.js',
    ])
    assert.deepEqual(await found(folder, ['z/*', 'lib/deep/*']), ['lib/deep/d.js', 'z/y.js'])
  })

  test('exclude: files, and folders with all that is in them', async (t) => {
    const folder = treeOf(t, ...TREE, 'node_modules/m/m.js', 'lib/node_modules/n.js')
    const exclude = ['**/node_modules', 'lib/deep/**', 'a.*']
    const expected = ['B.js', '[x].js', 'lib/b.js', 'lib.js', 'z/y.js']
    assert.deepEqual(await found(folder, '**/*.js', { exclude }), expected)
    assert.deepEqual(await found(folder, 'lib/**', { exclude: '**/node_modules/**' }), [
      'lib/b.js',
      'lib/c.css',
      'lib/deep/d.js',
      'lib/deep/er/e.js',
    ])
  })

  test('exclude is read as patterns are: dots, slashes, folders, absolute', async (t) => {
    const folder = treeOf(t, 'a.js', 'b.js', 'dir/a.js', 'dir/c/d.js', 'other/dir')
    for (const [exclude, expected] of [
      ['./a.js', ['b.js', 'dir/a.js', 'dir/c/d.js', 'other/dir']],
      ['dir//./a.js', ['a.js', 'b.js', 'dir/c/d.js', 'other/dir']],
      ['dir/', ['a.js', 'b.js', 'other/dir']],
      ['**/dir/', ['a.js', 'b.js', 'other/dir']],
      ['**/dir', ['a.js', 'b.js']],
      [`${folder}/dir`, ['a.js', 'b.js', 'other/dir']],
      [`${folder}/*.js`, ['dir/a.js', 'dir/c/d.js', 'other/dir']],
      ['{a,dir/c/d}.js', ['b.js', 'dir/a.js', 'other/dir']],
    ]) {
      assert.deepEqual(await found(folder, '**', { exclude }), expected, exclude)
      assert.deepEqual(await found(folder, `${folder}/**`, { exclude }), expected, exclude)
    }
    for (const exclude of ['', '/', './', 'a\0b'])
      assert.throws(() => files('*', { exclude }), { ...wrongRange, message: /names nothing/ }, exclude)
  })

  test('braces with slashes and hidden names in them', async (t) => {
    const folder = treeOf(t, '.x1/b/c', '.x2/c', '.gh/w.yml', 'dir/f', '.env', 'lib/.env', 'a,b/c', '{x/y')
    for (const [pattern, expected] of [
      ['.x{1/b,2}/c', ['.x1/b/c', '.x2/c']],
      ['{.gh,dir}/*', ['.gh/w.yml', 'dir/f']],
      ['{dir/{f,g},.x{1/{b,c},2}/c}', ['.x1/b/c', '.x2/c', 'dir/f']],
      ['lib/{.env,none}', ['lib/.env']],
      ['{*,lib/*}', []],
      ['[{]x/*', ['{x/y']],
      ['\\{x/{y,z}', ['{x/y']],
    ])
      assert.deepEqual(await found(folder, pattern), expected, pattern)
    assert.throws(() => files('{a,b}'.repeat(30)), { ...wrongRange, message: /more than 1000 patterns/ })
    assert.throws(() => files(`${'{a,b}'.repeat(30)}{`), wrongRange)
  })

  test('a folder that is excluded is not read', async (t) => {
    const folder = treeOf(t, 'a/b.js', 'shut/c.js')
    symlinkSync(join(folder, 'shut'), join(folder, 'shut/again'))
    const paths = await found(folder, '**/*.js', { exclude: 'shut', followSymlinks: true })
    assert.deepEqual(paths, ['a/b.js'])
  })

  test('names with a dot at the beginning', async (t) => {
    const folder = treeOf(t, '.env', '.git/config', '.github/ci.yml', 'a/.env', 'a/b', '.x/.y/z')
    assert.deepEqual(await found(folder, '**'), ['a/b'])
    assert.deepEqual(await found(folder, '**/.env'), ['.env', 'a/.env'])
    assert.deepEqual(await found(folder, '.github/*'), ['.github/ci.yml'])
    assert.deepEqual(await found(folder, '.*/*.yml'), ['.github/ci.yml'])
    assert.deepEqual(await found(folder, '.x/**'), [])
    assert.deepEqual(await found(folder, '**', { hidden: true }), [
      '.env',
      '.git/config',
      '.github/ci.yml',
      '.x/.y/z',
      'a/.env',
      'a/b',
    ])
  })

  test('those that make no sense throw at once', () => {
    for (const [pattern, message] of [
      ['', /names no file.*got ""$/],
      ['a/', /names no file.*got "a\/"$/],
      ['/', /names no file/],
      ['.', /names no file/],
      ['a\0b', /zero byte/],
      ['*/../a', /".." can only stand at its beginning/],
      ['a{', /got "a\{"$/],
      ['[z-a]', /got "\[z-a\]"$/],
      [['fine', 'a['], /got "a\["$/],
    ]) {
      assert.throws(() => files(pattern), { ...wrongRange, message }, String(pattern))
    }
    for (const exclude of ['b{', ['fine', 'b{'], 'b{/**']) {
      const message = /^Invalid "exclude": expected a glob pattern of files .*, got "b\{(\/\*\*)?"$/
      assert.throws(() => files('a', { exclude }), { ...wrongRange, message })
    }
    const message = /^Invalid "pattern": .*, got "b\{"$/
    assert.throws(() => files('b{', { exclude: 'b{' }), { ...wrongRange, message })
  })
})

describe('paths', LIMIT, () => {
  test('relative to this process, unless a folder is given', async (t) => {
    const folder = treeOf(t, 'a/b.js')
    const code = `
      import { files } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      const all = [files('**'), files('./a/*'), files('../*/a/b.js'), files(process.cwd() + '/a/*')]
      process.chdir('/')
      console.log(JSON.stringify(await Promise.all(all.map((call) => call.toArray()))))
    `
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: folder,
      encoding: 'utf8',
    })
    const [, , up] = JSON.parse(output)
    assert.deepEqual(JSON.parse(output), [['a/b.js'], ['a/b.js'], up, [join(folder, 'a/b.js')]])
    assert.ok(up.includes(join('..', folder.split('/').at(-1), 'a/b.js')))
    assert.deepEqual(await files('*/b.js', { cwd: pathToFileURL(folder) }).toArray(), [
      join(folder, 'a/b.js'),
    ])
  })

  test('order is that of the bytes of names, folder by folder', async (t) => {
    const names = ['B', 'a', 'a-b', 'a/b', 'a.b', 'é', '10', '9', 'z/z', 'Z/z'].map((name) => `x/${name}.d/f`)
    const folder = treeOf(t, ...names)
    const byBytes = names.map((name) => name.split('/').map((part) => Buffer.from(part)))
    byBytes.sort((a, b) => {
      for (let i = 0; i < Math.min(a.length, b.length); i++) {
        const order = a[i].compare(b[i])
        if (order !== 0) return order
      }
      return a.length - b.length
    })
    assert.deepEqual(
      await found(folder, '**'),
      byBytes.map((parts) => parts.map(String).join('/')),
    )
  })

  test('odd names arrive as they are', async (t) => {
    const names = ['a\nb', 'ä€😀', ' ', 'e\u0301', "'", '\\']
    const folder = treeOf(t, ...names)
    assert.deepEqual((await found(folder, '*')).sort(), names.sort())
  })

  test('a name that is not UTF-8 is an error of its own', async (t) => {
    const folder = treeOf(t, 'a', 'z')
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/m`), Buffer.from([0xff])]), '')
    const outcomes = await parallelMap(files('*', { cwd: folder }), (path) => path, {
      settled: true,
    }).toArray()
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal(outcomes[1].reason.code, 'ERR_INVALID_TEXT')
    assert.equal(outcomes[1].reason.path, join(folder, 'm\ufffd'))
    rmSync(Buffer.concat([Buffer.from(`${folder}/m`), Buffer.from([0xff])]))
  })
})

describe('what is no file', LIMIT, () => {
  test('folders, pipes, and links that are not followed', async (t) => {
    const folder = treeOf(t, 'file', 'folder/file')
    execFileSync('mkfifo', [join(folder, 'pipe')])
    symlinkSync('file', join(folder, 'link'))
    symlinkSync('folder', join(folder, 'linked'))
    assert.deepEqual(await found(folder, '**'), ['file', 'folder/file'])
  })

  test('links that are followed, once around a loop', async (t) => {
    const folder = treeOf(t, 'a/file')
    symlinkSync('..', join(folder, 'a/up'))
    symlinkSync('nothing', join(folder, 'a/broken'))
    symlinkSync('self', join(folder, 'a/self'))
    symlinkSync('a/file', join(folder, 'link'))
    symlinkSync('a', join(folder, 'linked'))
    assert.deepEqual(await found(folder, '**', { followSymlinks: true }), ['a/file', 'link', 'linked/file'])
  })
})

describe('what cannot be read', LIMIT, () => {
  test('a folder that a pattern names has to exist', async (t) => {
    const folder = treeOf(t, 'file', 'a/b')
    const path = join(folder, 'none')
    const missing = { name: 'Error', code: 'ENOENT', errno: -2, syscall: 'scandir', path }
    await assert.rejects(files('none/*', { cwd: folder }).toArray(), missing)
    await assert.rejects(files('*', { cwd: path }).toArray(), missing)
    await assert.rejects(files('file/*', { cwd: folder }).toArray(), { code: 'ENOTDIR' })
    const both = files(['none/*', 'a/*'], { cwd: folder })
    const outcomes = await parallelMap(both, (found) => found, { settled: true }).toArray()
    assert.deepEqual(
      outcomes.map(({ value, reason }) => value ?? reason.code),
      ['ENOENT', join(folder, 'a/b')],
    )
  })

  test('a folder that must not be read is an error at its place', async (t) => {
    // Root may read everything, and nobody may pass through a folder of root's: the one of the suite is such a one.
    const folder = treeIn(t, process.getuid() === 0 ? '/tmp' : tmpdir(), 'a', 'm/x', 'z')
    chmodSync(join(folder, 'm'), 0)
    chmodSync(folder, 0o755)
    const code = `
      import { files, parallelMap } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      if (process.getuid() === 0) process.seteuid(65534)
      const call = files('**', { cwd: ${JSON.stringify(folder)} })
      const outcomes = await parallelMap(call, (path) => path, { settled: true }).toArray()
      console.log(JSON.stringify(outcomes.map(({ value, reason }) => value ?? { ...reason })))
    `
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
    chmodSync(join(folder, 'm'), 0o755)
    assert.deepEqual(JSON.parse(output), [
      join(folder, 'a'),
      { errno: -13, code: 'EACCES', syscall: 'scandir', path: join(folder, 'm') },
      join(folder, 'z'),
    ])
  })
})

describe('as a source', LIMIT, () => {
  test('many are found, few at a time, and break closes what is open', async (t) => {
    const folder = folderWith(t)
    for (let number = 0; number < 2000; number++) writeFileSync(join(folder, String(number)), '')
    mkdirSync(join(folder, 'zz'))
    writeFileSync(join(folder, 'zz/last'), '')
    assert.equal((await found(folder, '**')).length, 2001)
    for await (const path of files('**', { cwd: folder })) {
      assert.equal(path, join(folder, '0'))
      break
    }
    assert.deepEqual(openBelow(folder), [])
  })

  test('a tree in which nothing fits is left as well', async () => {
    const iterator = files('**/no such name', { cwd: '/proc' })[Symbol.asyncIterator]()
    const next = iterator.next()
    await iterator.return()
    const { done } = await next.catch(() => ({ done: true }))
    assert.equal(done, true)
    assert.deepEqual(openBelow('/proc/sys'), [])
  })

  test('it is consumed once', async (t) => {
    const call = files('*', { cwd: treeOf(t, 'a') })
    assert.equal((await call.toArray()).length, 1)
    await assert.rejects(call.toArray(), { code: 'ERR_CONSUMED' })
  })

  test('wrong arguments', () => {
    for (const [pattern, options, error] of [
      [
        undefined,
        undefined,
        { ...wrongType, message: /expected a glob pattern, or an array of them, got undefined$/ },
      ],
      [[], undefined, { ...wrongType, message: /got an array$/ }],
      [['a', 5], undefined, { ...wrongType, message: /"pattern\[1\]": expected a string, got 5$/ }],
      ['a', 5, wrongType],
      ['a', { dot: true }, { ...wrongType, message: /^Unknown option "dot": expected one of cwd, / }],
      [
        'a',
        { cwd: 5 },
        { ...wrongType, message: /"cwd": expected a file URL or the path of a directory, got 5$/ },
      ],
      ['a', { exclude: 5 }, { ...wrongType, message: /"exclude": expected a glob pattern/ }],
      ['a', { exclude: [/a/] }, { ...wrongType, message: /"exclude\[0\]": expected a string/ }],
      ['a', { hidden: 1 }, { ...wrongType, message: /"hidden": expected a boolean, got 1$/ }],
      [
        'a',
        { followSymlinks: 'no' },
        { ...wrongType, message: /"followSymlinks": expected a boolean, got "no"$/ },
      ],
    ]) {
      assert.throws(() => files(pattern, options), error)
    }
  })
})
