// lines(): what is a line, where it comes from, and what can go wrong.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { batch, blocks, LineTooLongError, lines, native, parallelMap } from '../index.js'
import { linesModel, openBelow, partsOf } from './file-sources.js'
import { folderWith, LIMIT, openPool, until } from './processes.js'

const MIB = 1 << 20
const wrongType = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const wrongRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

/** A file with this in it. */
function fileWith(t, content) {
  const file = join(folderWith(t), 'file.txt')
  writeFileSync(file, content)
  return file
}

describe('what is a line', LIMIT, () => {
  const cases = {
    'an empty file has none': ['', []],
    'one without an ending': ['a', ['a']],
    'the last ending begins no line': ['a\nb\n', ['a', 'b']],
    'empty lines': ['\n\na\n\n', ['', '', 'a', '']],
    'both endings': ['a\r\nb\nc\r\n', ['a', 'b', 'c']],
    'a carriage return alone is none, and stays at an end that is none': ['a\rb\r\nc\r', ['a\rb', 'c\r']],
    'two carriage returns: one is of the line': ['a\r\r\n', ['a\r']],
    'text of more than one byte': ['ä\n€😀\r\n', ['ä', '€😀']],
    'a byte order mark at the beginning only': ['\ufeffa\n\ufeffb\n', ['a', '\ufeffb']],
    'a byte order mark alone': ['\ufeff', ['']],
    'zero bytes': ['a\0b\n\0', ['a\0b', '\0']],
  }
  for (const [name, [text, expected]] of Object.entries(cases)) {
    test(name, async (t) => {
      assert.deepEqual(await lines(fileWith(t, text)).toArray(), expected)
      for (const size of [1, 2, 3, 100])
        assert.deepEqual(
          await lines(partsOf(Buffer.from(text), size)).toArray(),
          expected,
          `parts of ${size}`,
        )
    })
  }

  test('random text, in random parts, is as JavaScript cuts it', async (t) => {
    const file = join(folderWith(t), 'file.txt')
    const text = fc.array(fc.constantFrom('a', 'ä', '😀', '\r', '\n', '\r\n', 'line'), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.integer({ min: 1, max: 40 }),
        fc.boolean(),
        async (parts, size, keepEnding) => {
          const whole = parts.join('')
          writeFileSync(file, whole)
          const expected = linesModel(whole, keepEnding)
          assert.deepEqual(await lines(file, { keepEnding }).toArray(), expected)
          assert.deepEqual(await lines(partsOf(Buffer.from(whole), size), { keepEnding }).toArray(), expected)
          const buffers = await lines(file, { keepEnding, encoding: 'buffer' }).toArray()
          assert.deepEqual(buffers.map(String), expected)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('a file of many blocks, with long lines between short ones', async (t) => {
    let text = ''
    for (let line = 0; text.length < 3 * MIB; line++)
      text += `${line} ${'x'.repeat((line * 7919) % 3000)}ü\r\n`
    text += `${'y'.repeat(MIB)}\nend`
    const file = fileWith(t, text)
    assert.deepEqual(await lines(file).toArray(), linesModel(text))
    assert.deepEqual(await lines(createReadStream(file)).toArray(), linesModel(text))
  })

  test('a line of 100 MB', async (t) => {
    const file = join(folderWith(t), 'long.txt')
    const fd = openSync(file, 'w')
    const part = Buffer.alloc(MIB, 'z')
    for (let written = 0; written < 100; written++) writeSync(fd, part)
    writeSync(fd, '\nshort\n')
    closeSync(fd)
    const lengths = await lines(file)
      .map((line) => line.length)
      .toArray()
    assert.deepEqual(lengths, [100 * MIB, 5])
  })
})

describe('encodings', LIMIT, () => {
  test('latin1: a character for each byte', async (t) => {
    const file = fileWith(t, Buffer.from([0xef, 0xbb, 0xbf, 0xe4, 10, 0xff]))
    assert.deepEqual(await lines(file, { encoding: 'latin1' }).toArray(), ['ï»¿ä', 'ÿ'])
  })

  test('buffer: the bytes, each Buffer for itself', async (t) => {
    const found = await lines(fileWith(t, 'one\r\ntwo'), { encoding: 'buffer' }).toArray()
    assert.ok(found.every((line) => Buffer.isBuffer(line)))
    found[0].fill('x')
    assert.deepEqual(found.map(String), ['xxx', 'two'])
  })

  const broken = Buffer.concat([Buffer.from('good\n'), Buffer.from([0x61, 0xc3, 10]), Buffer.from('ä\n')])

  test('what is not UTF-8 is replaced', async (t) => {
    assert.deepEqual(await lines(fileWith(t, broken)).toArray(), ['good', 'a\ufffd', 'ä'])
  })

  test('with fatal it is an error of its line, and the others come', async (t) => {
    const file = fileWith(t, broken)
    const error = { name: 'InvalidTextError', code: 'ERR_INVALID_TEXT', index: 1, message: /^Line 2 / }
    await assert.rejects(lines(file, { fatal: true }).toArray(), error)
    const outcomes = await parallelMap(lines(file, { fatal: true }), (line) => line, {
      settled: true,
    }).toArray()
    assert.deepEqual(
      outcomes.map(({ value }) => value),
      ['good', undefined, 'ä'],
    )
  })

  test('a line does not keep the text around it in memory', async (t) => {
    const file = fileWith(t, `${'k'.repeat(40)}\n${`${'x'.repeat(1000)}\n`.repeat(1000)}`.repeat(30))
    const program = `
      import { lines } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      const kept = []
      gc()
      const before = process.memoryUsage().heapUsed
      await lines(${JSON.stringify(file)}).forEach((line) => void (line[0] === 'k' && kept.push(line)))
      gc()
      console.log(process.memoryUsage().heapUsed - before, kept.length)
    `
    const flags = ['--expose-gc', '--input-type=module', '-e', program]
    const [more, kept] = execFileSync(process.execPath, flags, { encoding: 'utf8' }).split(' ').map(Number)
    assert.equal(kept, 30)
    assert.ok(more < 3e6, `${more} bytes more`)
  })
})

describe('a line that is too long', LIMIT, () => {
  const longest = 10
  for (const [name, text] of Object.entries({
    'in the middle': 'short\n0123456789\n0123456789+\nnext\n',
    'with the other ending': 'short\r\n0123456789\r\n0123456789+\r\nnext\r\n',
    'much longer': `short\n0123456789\n${'x'.repeat(2 * MIB)}\nnext\n`,
    'and the last': 'short\n0123456789\nnext\n0123456789+',
  })) {
    test(`${name} is an error of itself`, async (t) => {
      const file = fileWith(t, text)
      for (const source of [
        file,
        partsOf(Buffer.from(text), 64 << 10),
        partsOf(Buffer.from(text.slice(0, 50)), 1),
      ]) {
        const outcomes = await parallelMap(lines(source, { maxLineBytes: longest }), (line) => line, {
          settled: true,
        }).toArray()
        const wrong = outcomes.find(({ status }) => status === 'rejected')
        assert.ok(wrong.reason instanceof LineTooLongError)
        assert.equal(wrong.reason.code, 'ERR_LINE_TOO_LONG')
        assert.equal(wrong.reason.limit, longest)
        assert.equal(wrong.reason.index, wrong.index)
        if (Array.isArray(source) || source === file)
          assert.deepEqual(
            outcomes.flatMap(({ value }) => (value === undefined ? [] : [value])),
            ['short', '0123456789', 'next'],
          )
      }
    })
  }

  test('the byte order mark is no part of it', async (t) => {
    const settled = (source, encoding) =>
      parallelMap(lines(source, { maxLineBytes: longest, encoding }), String, { settled: true }).toArray()
    for (const ending of ['\n', '\r\n', '']) {
      for (const [text, fits] of [
        ['0123456789', true],
        ['0123456789+', false],
        ['0123456789+++', false],
        ['0123456789+++++++', false],
      ]) {
        const bytes = Buffer.from(`\ufeff${text}${ending}`)
        for (const source of [fileWith(t, bytes), [bytes], [...partsOf(bytes, 1)]]) {
          const [first, ...others] = await settled(source)
          assert.deepEqual(others, [])
          assert.deepEqual(
            [first.value, first.reason?.code],
            fits ? [text, undefined] : [undefined, 'ERR_LINE_TOO_LONG'],
          )
        }
        const [kept] = await settled([bytes], 'latin1')
        assert.equal(kept.status, 'rejected') // there it is three characters
      }
      const second = await settled([`\ufeff1${ending || '\n'}0123456789+++`])
      assert.deepEqual(
        second.map(({ status }) => status),
        ['fulfilled', 'rejected'],
      )
    }
  })

  test('it ends a loop, and the file is closed', async (t) => {
    const file = fileWith(t, `a\n${'x'.repeat(100)}\nb\n`)
    const seen = []
    const loop = async () => {
      for await (const line of lines(file, { maxLineBytes: 50 })) seen.push(line)
    }
    await assert.rejects(loop(), { code: 'ERR_LINE_TOO_LONG', index: 1, limit: 50, message: /^Line 2 / })
    assert.deepEqual(seen, ['a'])
    // By its own thread, which hears of it.
    await until(() => openBelow(file).length === 0, 'the file is closed')
  })
})

describe('files that are not as they should be', LIMIT, () => {
  test('errors are those of node:fs', async (t) => {
    const folder = folderWith(t)
    for (const [path, code, errno, syscall] of [
      [join(folder, 'none'), 'ENOENT', -2, 'open'],
      [folder, 'EISDIR', -21, 'read'],
      [join(folder, 'x'.repeat(300)), 'ENAMETOOLONG', -36, 'open'],
    ]) {
      await assert.rejects(lines(path).toArray(), { name: 'Error', code, errno, syscall, path })
      assert.deepEqual(openBelow(folder), [])
    }
    const loop = join(folder, 'loop')
    symlinkSync(loop, loop)
    await assert.rejects(lines(pathToFileURL(loop)).toArray(), { code: 'ELOOP', path: loop })
  })

  test('nothing is opened before a line is asked for', async (t) => {
    const file = join(folderWith(t), 'later.txt')
    const call = lines(file)
    writeFileSync(file, 'a\n')
    assert.deepEqual(openBelow(file), [])
    assert.deepEqual(await call.toArray(), ['a'])
  })

  test('one that must not be read', async (t) => {
    const file = fileWith(t, 'secret\n')
    chmodSync(file, 0)
    const code = `
      import { lines } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      if (process.getuid() === 0) process.seteuid(65534)
      await lines(${JSON.stringify(file)}).toArray().catch(({ code, syscall }) => console.log(code, syscall))
    `
    chmodSync(join(file, '..'), 0o755)
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
    assert.equal(output, 'EACCES open\n')
  })

  test('one that is deleted while it is read is read to its end', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(MIB))
    let count = 0
    for await (const _ of lines(file)) if (count++ === 0) rmSync(file)
    assert.equal(count, MIB)
  })

  test('one that grows is read to where it ends then', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(MIB))
    let count = 0
    for await (const _ of lines(file)) if (count++ === 0) appendFileSync(file, 'more\n'.repeat(10))
    assert.equal(count, MIB + 10)
  })

  test('one that shrinks ends where it ends', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(4 * MIB))
    let count = 0
    let last = 'line'
    for await (const line of lines(file)) {
      // Only where it was cut off there may be less.
      assert.equal(last, 'line')
      last = line
      if (count++ === 0) truncateSync(file, 0)
    }
    assert.ok('line'.startsWith(last))
    assert.ok(count > 0 && count < 4 * MIB, `${count} lines: what was read ahead`)
  })

  test('those without a size have what they have', async () => {
    const [status] = await lines('/proc/self/status').toArray()
    assert.match(status, /^Name:/)
    assert.deepEqual(await lines('/dev/null').toArray(), [])
  })

  test('an endless one is read only as far as it is wanted', async () => {
    const source = lines('/dev/zero', { maxLineBytes: MIB })
    await assert.rejects(source.toArray(), { code: 'ERR_LINE_TOO_LONG' })
    assert.deepEqual(openBelow('/dev/zero'), [])
  })
})

describe('pipes', LIMIT, () => {
  const pipeIn = (folder) => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    return pipe
  }

  test('lines come as they are written, and the end with the last writer', async (t) => {
    const pipe = pipeIn(folderWith(t))
    const iterator = lines(pipe)[Symbol.asyncIterator]()
    const first = iterator.next()
    const writer = spawn('sh', ['-c', `exec > '${pipe}'; echo one; read -r _; printf 'two\\nthree'`], {
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    assert.deepEqual(await first, { done: false, value: 'one' })
    const second = iterator.next()
    writer.stdin.write('go\n')
    assert.deepEqual(await second, { done: false, value: 'two' })
    assert.deepEqual(await iterator.next(), { done: false, value: 'three' })
    assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    if (writer.exitCode === null) await once(writer, 'exit')
    assert.deepEqual(openBelow(pipe), [])
  })

  test('one that nobody writes to is left at once', async (t) => {
    const pipe = pipeIn(folderWith(t))
    const iterator = lines(pipe)[Symbol.asyncIterator]()
    const next = iterator.next()
    // One thread opens it, and waits.
    while (openBelow(pipe).length === 0) await new Promise(setImmediate)
    await iterator.return()
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.deepEqual(openBelow(pipe), [])
  })

  test('a program that waits for one lives, and ends with it', async (t) => {
    const pipe = pipeIn(folderWith(t))
    const code = `
      import { lines } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      for await (const line of lines(${JSON.stringify(pipe)})) console.log(line)
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => child.kill('SIGKILL'))
    // Opening it to write waits for the reader.
    const writer = spawn('sh', ['-c', `echo hello > '${pipe}'`], { stdio: 'inherit' })
    t.after(() => writer.kill('SIGKILL'))
    const output = child.stdout.setEncoding('utf8').toArray()
    const [status] = await once(child, 'exit')
    assert.equal(status, 0)
    assert.equal((await output).join(''), 'hello\n')
  })
})

describe('streams', LIMIT, () => {
  test('Node streams, web streams, and whatever yields bytes or text', async () => {
    const expected = ['one', 'two', 'thrée']
    const bytes = Buffer.from('one\ntwo\nthrée')
    async function* later() {
      for (const part of partsOf(bytes, 4)) yield part
    }
    for (const source of [
      Readable.from([bytes.subarray(0, 2), bytes.subarray(2)]),
      Readable.from(['one\ntw', 'o\nthrée']),
      new Blob([bytes]).stream(),
      [new Uint8Array(bytes), new DataView(new ArrayBuffer(0))],
      [Promise.resolve('one\n'), 'two\n', Promise.resolve(Buffer.from('thrée'))],
      later(),
    ]) {
      assert.deepEqual(await lines(source).toArray(), expected)
    }
  })

  test('text that is cut inside of a character is whole again', async () => {
    const [high, low] = '💡'.split('')
    const cases = [
      [[`a${high}`, `${low}b\n`], ['a💡b']],
      [['a', high, '', low, high, `${low}\n`], ['a💡💡']],
      [[`a${high}`, Buffer.alloc(0), low], ['a💡']],
      [[Promise.resolve(high), Promise.resolve(low)], ['💡']],
      // Half of one becomes what it does everywhere.
      [[`a${high}`], ['a\ufffd']],
      [[high, ''], ['\ufffd']],
      [[high, high, low], ['\ufffd💡']],
      [[low, high], ['\ufffd\ufffd']],
      [[`a${high}`, Buffer.from('b\n')], ['a\ufffdb']],
      [
        [`a${high}`, '\nb'],
        ['a\ufffd', 'b'],
      ],
    ]
    for (const [chunks, expected] of cases) {
      assert.deepEqual(await lines(chunks).toArray(), expected)
      assert.deepEqual(await lines(Readable.from(chunks.filter((chunk) => chunk !== ''))).toArray(), expected)
      assert.equal(
        String(Buffer.concat(await blocks(chunks, { bytes: 3 }).toArray())).trimEnd(),
        expected.join('\n'),
      )
    }
    const text = 'a💡é\n💡💡x\r\n\n'.repeat(50)
    for (const size of [1, 2, 3, 7]) {
      const parts = text.match(new RegExp(`[^]{1,${size}}`, 'g'))
      assert.deepEqual(await lines(parts).toArray(), linesModel(text))
    }
  })

  test('its error comes after the lines before it', async () => {
    const failing = async function* () {
      yield 'one\ntwo\nthr'
      throw new RangeError('no more')
    }
    const seen = []
    const loop = async () => {
      for await (const line of lines(failing())) seen.push(line)
    }
    await assert.rejects(loop(), new RangeError('no more'))
    assert.deepEqual(seen, ['one', 'two'])
    await assert.rejects(lines([Promise.reject(new RangeError('chunk'))]).toArray(), new RangeError('chunk'))
  })

  test('chunks that are neither bytes nor text are a TypeError', async () => {
    await assert.rejects(lines([1]).toArray(), { ...wrongType, message: /expected chunks .*, got 1$/ })
    await assert.rejects(lines([Promise.resolve({})]).toArray(), { ...wrongType, message: /got an object$/ })
  })

  test('break closes it', async () => {
    const stream = new PassThrough()
    stream.write('one\ntwo\n')
    for await (const line of lines(stream)) {
      assert.equal(line, 'one')
      break
    }
    assert.ok(stream.destroyed)
  })
})

describe('as a source', LIMIT, () => {
  test('parallelMap, batch, and stages of its own', async (t) => {
    const file = fileWith(t, '1\n2\n3\n4\n5\n')
    const pool = openPool(t, (line) => Number(line) * 2, { size: 1 })
    assert.deepEqual(await parallelMap(lines(file), async (line) => Number(line)).toArray(), [1, 2, 3, 4, 5])
    assert.deepEqual(await parallelMap(lines(file), pool).toArray(), [2, 4, 6, 8, 10])
    assert.deepEqual(await batch(lines(file), 2).toArray(), [['1', '2'], ['3', '4'], ['5']])
    assert.deepEqual(await lines(file).drop(1).take(2).map(Number).toArray(), [2, 3])
    const digests = await lines(file, { encoding: 'buffer' }).map(native.sha256()).toArray()
    assert.equal(digests[0], '6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b')
  })

  test('it is consumed once', async (t) => {
    for (const source of [fileWith(t, 'a\n'), Readable.from(['a\n'])]) {
      const call = lines(source)
      assert.deepEqual(await call.toArray(), ['a'])
      await assert.rejects(call.toArray(), { code: 'ERR_CONSUMED' })
      assert.throws(() => parallelMap(call, (line) => line), { code: 'ERR_CONSUMED' })
    }
  })

  test('two at once do not know of each other', async (t) => {
    const text = Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join('')
    const file = fileWith(t, text)
    const [one, two] = [lines(file), lines(file)].map((call) => call[Symbol.asyncIterator]())
    for (let line = 0; line < 100_000; line++) {
      assert.equal((await one.next()).value, String(line))
      assert.equal((await two.next()).value, String(line))
    }
    assert.ok((await one.next()).done && (await two.next()).done)
  })

  test('break in the middle leaves no descriptor, and so does an end', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(MIB))
    for (const leave of [1, 5000, Infinity]) {
      let count = 0
      for await (const _ of lines(file)) {
        if (count === 0) assert.deepEqual(openBelow(file), [file])
        if (++count === leave) break
      }
      assert.deepEqual(openBelow(file), [])
    }
    await assert.rejects(
      parallelMap(lines(file), () => {
        throw new Error('stop')
      }).toArray(),
      /stop/,
    )
    await lines(file).take(3).toArray()
    // After an error by its own thread, which hears of it.
    await until(() => openBelow(file).length === 0, 'the file is closed')
  })

  test('one that is forgotten in the middle is closed with the garbage', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(MIB))
    const code = `
      import { lines } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      import { openBelow } from ${JSON.stringify(new URL('./file-sources.js', import.meta.url).href)}
      const begin = async () => void (await lines(${JSON.stringify(file)})[Symbol.asyncIterator]().next())
      await begin()
      console.log(openBelow(${JSON.stringify(file)}).length)
      while (openBelow(${JSON.stringify(file)}).length > 0) {
        gc()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      console.log('closed')
    `
    const flags = ['--expose-gc', '--input-type=module', '-e', code]
    assert.equal(execFileSync(process.execPath, flags, { encoding: 'utf8' }), '1\nclosed\n')
  })

  test('reading ahead is bounded', async (t) => {
    const file = join(folderWith(t), 'sparse.txt')
    writeFileSync(file, 'first\n')
    truncateSync(file, 64 * MIB)
    const iterator = lines(file)[Symbol.asyncIterator]()
    await iterator.next()
    const fd = Number(readFdOf(file))
    for (let last = -1, same = 0; same < 20; ) {
      await new Promise(setImmediate)
      const position = positionOf(fd)
      same = position === last ? same + 1 : 0
      last = position
    }
    assert.ok(positionOf(fd) <= 2 * MIB, `${positionOf(fd)} bytes were read`)
    await iterator.return()
  })

  test('other work of the event loop gets its turn', async (t) => {
    const file = fileWith(t, 'line\n'.repeat(MIB))
    let turns = 0
    let over = false
    const turn = () => {
      turns++
      if (!over) setImmediate(turn)
    }
    turn()
    await lines(file).forEach(() => {})
    over = true
    assert.ok(turns >= 10, `${turns} turns`)
  })
})

describe('options', LIMIT, () => {
  test('wrong ones', () => {
    for (const [options, error] of [
      [5, wrongType],
      [[], wrongType],
      [{ endings: true }, { ...wrongType, message: /^Unknown option "endings": expected one of encoding, / }],
      [{ encoding: 5 }, { ...wrongType, message: /expected 'utf8', 'latin1' or 'buffer', got 5$/ }],
      [{ encoding: 'utf16' }, { ...wrongRange, message: /expected 'utf8', .*, got "utf16"$/ }],
      [{ fatal: 1 }, { ...wrongType, message: /"fatal": expected a boolean, got 1$/ }],
      [{ keepEnding: 'yes' }, { ...wrongType, message: /"keepEnding": expected a boolean, got "yes"$/ }],
      [
        { maxLineBytes: '1' },
        { ...wrongType, message: /"maxLineBytes": expected a positive integer, got "1"$/ },
      ],
      [{ maxLineBytes: 0 }, { ...wrongRange, message: /got 0$/ }],
      [{ maxLineBytes: 2 ** 30 }, { ...wrongRange, message: /from 1 to 503316480, got 1073741824$/ }],
    ]) {
      assert.throws(() => lines('file', options), error)
    }
  })

  test('wrong sources', () => {
    for (const source of [
      undefined,
      null,
      5,
      '',
      'a\0b',
      Buffer.from('path'),
      new URL('https://example.com'),
      {},
    ])
      assert.throws(() => lines(source), wrongType, String(source))
  })
})

test('the folder of a file may be anything', LIMIT, async (t) => {
  const folder = join(folderWith(t), "it's\nodd ü")
  mkdirSync(folder)
  const file = join(folder, 'file.txt')
  writeFileSync(file, 'a')
  assert.deepEqual(await lines(file).toArray(), ['a'])
  assert.deepEqual(await lines(pathToFileURL(file)).toArray(), ['a'])
})

/** The number of this process's descriptor that is open on a file. */
function readFdOf(file) {
  const listed = execFileSync('sh', ['-c', `ls -l /proc/${process.pid}/fd`], { encoding: 'utf8' })
  return listed.match(new RegExp(`(\\d+) -> ${file}$`, 'm'))[1]
}

function positionOf(fd) {
  return Number(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').match(/pos:\t(\d+)/)[1])
}
