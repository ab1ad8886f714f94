// Text operations, against the methods of JavaScript's own strings.

import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { failureOf, native, parallelMap } from '../index.js'

const TEXTS = [
  '',
  'a',
  'one two  three',
  'one@example.com, two@example.org; THREE@EXAMPLE.COM',
  'a-b_c.d 12 345 6,789.00',
  'line one\nline two\r\nline three',
  'äöü ÄÖÜ ß é 💡 𝒳 日本語',
  '\u2028\u00a0\ufeff\t',
  'aaa bbb aaa',
  '2024-01-31T12:00:00Z',
  '[a&&b] {1,2} (x) ^$ \\ / |',
]
const PATTERNS = [
  /a/, /a/g, /[A-Za-z]+@[a-z]+\.com/g, /\d+/g, /\D+/g, /\w+/g, /\W+/g, /\s+/g, /\S+/g, /\bone\b/, /\Bn/g,
  /^line/gm, /^line/g, /e$/gm, /e$/, /./g, /./gs, /(\d{4})-(\d\d)-(\d\d)/, /(?<year>\d{4})-(?<month>\d\d)/,
  /(a)|(b)/, /x*/g, /(?:)/g, /[^a-z]+/gi, /one|THREE/gi, /a{2,3}/g, /a{2,3}?/g, /a+?/g, /[\d,.-]+/g, /[\][&{}]/g,
  /\u00e9/g, /\u{1f4a1}/gu, /\p{L}+/gu, /\P{L}+/gu, /\p{Script=Han}/gu, /[\p{Lu}\d]/gu, /\x41|\t/g, /\//g, /[\w-]+/g,
  ...['[^]', '[]'].map((source) => new RegExp(source, 'g')), /\$|\^/g, /(a)(x)?/, /(?:ab|a)b?/g, /[\b]/, /\cI/g, /\0/, /é/i, /[ä-ü]/gi, /a|/g,
] // biome-ignore format: one pattern per idea

const plain = (result) => result && [...result]

test('match() gives what JavaScript gives', async () => {
  for (const pattern of PATTERNS) {
    const results = await parallelMap(TEXTS, native.match(pattern)).toArray()
    // Code points, as with the flag u: without it JavaScript cuts characters in halves.
    const reference = new RegExp(pattern.source, unicode(pattern))
    for (const [at, text] of TEXTS.entries())
      assert.deepEqual(results[at], plain(text.match(reference)), `${pattern} in ${JSON.stringify(text)}`)
  }
})

test('countMatches() counts what matchAll() finds', async () => {
  for (const pattern of PATTERNS) {
    const counts = await parallelMap(TEXTS, native.countMatches(pattern)).toArray()
    const flags = unicode(pattern)
    const reference = new RegExp(pattern.source, flags.includes('g') ? flags : `${flags}g`)
    for (const [at, text] of TEXTS.entries())
      assert.equal(counts[at], [...text.matchAll(reference)].length, `${pattern} in ${JSON.stringify(text)}`)
  }
})

test('split() gives what JavaScript gives', () => {
  for (const pattern of PATTERNS) {
    const operation = native.split(pattern)
    const reference = new RegExp(pattern.source, unicode(pattern))
    for (const text of TEXTS)
      assert.deepEqual(
        operation.runSync(text),
        text.split(reference),
        `${pattern} in ${JSON.stringify(text)}`,
      )
  }
  for (const separator of [',', '.', ' ', 'one', '$', '\\', '(x)', '💡'])
    for (const text of TEXTS) assert.deepEqual(native.split(separator).runSync(text), text.split(separator))
})

test('replace() gives what JavaScript gives', () => {
  const replacements = [
    '',
    'x',
    '<$&>',
    '$1-$2',
    '$$',
    '$',
    '$0',
    '$10',
    '$01',
    "[$`|$']",
    '$<year>',
    '$<none>',
    '$<',
    '💡$3',
  ]
  for (const pattern of PATTERNS) {
    const reference = new RegExp(pattern.source, unicode(pattern))
    for (const replacement of replacements) {
      const operation = native.replace(pattern, replacement)
      for (const text of TEXTS)
        assert.equal(
          operation.runSync(text),
          text.replace(reference, replacement),
          `${pattern} by ${replacement} in ${JSON.stringify(text)}`,
        )
    }
  }
  for (const literal of ['a', '.', 'one', '$', '\\', '(x)', ''])
    for (const text of TEXTS)
      assert.equal(native.replace(literal, '<$&>').runSync(text), text.replace(literal, '<$&>'))
})

test('random texts and patterns: the same as JavaScript, or refused', () => {
  const atom = fc.constantFrom(
    'a',
    'b',
    '.',
    '\\d',
    '\\w',
    '[ab]',
    '[^a]',
    '(a)',
    '(?:ab)',
    '\\b',
    '^',
    '$',
    'é',
    '\\s',
    '💡',
  )
  const part = fc
    .tuple(atom, fc.constantFrom('', '', '*', '+', '?', '{1,2}', '|'))
    .map((both) => both.join(''))
  const source = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''))
  const text = fc
    .array(fc.constantFrom('a', 'b', '1', ' ', 'é', '💡', '_'), { maxLength: 12 })
    .map((all) => all.join(''))
  fc.assert(
    fc.property(source, text, (pattern, subject) => {
      let regex
      try {
        regex = new RegExp(pattern, 'gu')
      } catch {
        return
      }
      assert.equal(native.replace(regex, '<$&>').runSync(subject), subject.replace(regex, '<$&>'))
      assert.equal(native.countMatches(regex).runSync(subject), [...subject.matchAll(regex)].length)
    }),
    { numRuns: 500 },
  )
})

test('a pattern that is not linear, or none, fails when the operation is made, with its position', () => {
  const refused = [
    [/a(?=b)/, 1],
    [/(?!b)a/, 0],
    [/💡(?<=b)/, 2],
    [/a(?<!b)/, 1],
    [/(a)\1/, 3],
    [/(?<n>a)\k<n>/, 7],
    [/\ud800/, 0],
    [/a/y, 0],
    ['(', 0],
    ['(?:[^a]{1000}){1000}', 0],
    [/a\ud800/, 1],
  ]
  for (const [pattern, position] of refused) {
    for (const make of [native.match, native.countMatches, (regex) => native.replace(regex, '')]) {
      // A text is no pattern to replace().
      if (typeof pattern === 'string' && make !== native.match && make !== native.countMatches) continue
      assert.throws(() => make(pattern), { name: 'SyntaxError', code: 'ERR_INVALID_PATTERN', position })
    }
  }
  for (const pattern of [undefined, null, 1, {}, () => /a/]) {
    for (const make of [
      native.match,
      native.countMatches,
      native.split,
      (regex) => native.replace(regex, ''),
    ])
      assert.throws(() => make(pattern), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
  }
  assert.throws(() => native.replace(/a/, () => 'b'), {
    code: 'ERR_INVALID_ARG_TYPE',
    message: /"replacement"/,
  })
})

test('wrong options are refused when the operation is made', () => {
  for (const make of [
    native.match,
    native.split,
    (pattern, options) => native.replace(pattern, 'b', options),
  ]) {
    for (const maxOutputBytes of [0, -1, 1.5, NaN, Infinity])
      assert.throws(() => make(/a/, { maxOutputBytes }), {
        name: 'RangeError',
        code: 'ERR_OUT_OF_RANGE',
        message: /"maxOutputBytes": expected an integer from 1 to \d+, got/,
      })
    for (const options of [{ maxOutputBytes: '1' }, { limit: 1 }, null, 5])
      assert.throws(() => make(/a/, options), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
  }
})

test('bytes are read as UTF-8, and what is none is an error of its item', async () => {
  assert.equal(await native.countMatches(/é/).run(Buffer.from('éé')), 2)
  for (const bad of [
    Buffer.from([0xff]),
    Buffer.from('é').subarray(0, 1),
    Buffer.concat([Buffer.alloc(9000, 'a'), Buffer.from([0xc0])]),
  ]) {
    const invalid = {
      name: 'InvalidTextError',
      code: 'ERR_INVALID_TEXT',
      message: /invalid UTF-8 at byte \d+/,
    }
    assert.throws(() => native.match(/a/).runSync(bad), invalid)
    await assert.rejects(native.split(',').run(bad), invalid)
  }
})

test('what takes JavaScript for ever takes no time', () => {
  // Without a match it would try 2^40 ways.
  assert.equal(native.countMatches(/^(a+)+$/).runSync(`${'a'.repeat(40)}b`), 0)
})

test('a result that would be too large is an error, not the end', () => {
  const replace = native.replace(/a/g, '$`$`', { maxOutputBytes: 1000 })
  assert.throws(() => replace.runSync('a'.repeat(1000)), { code: 'ERR_OUTPUT_TOO_LARGE', limit: 1000 })
  assert.equal(replace.runSync('b'), 'b')
})

test('replace() stops within a match, and counts what it leaves as it is', async () => {
  // All of it would be 40 GB, more than there is of anything.
  const replace = native.replace(/\$/, '$`'.repeat(2000), { maxOutputBytes: 1000 })
  const text = Buffer.alloc(20 << 20, 'a')
  text[text.length - 1] = 36
  const tooLarge = { name: 'OutputTooLargeError', code: 'ERR_OUTPUT_TOO_LARGE', limit: 1000 }
  assert.throws(() => replace.runSync(text), tooLarge)
  await assert.rejects(replace.run(text), tooLarge)
  const short = native.replace(/x/, 'y', { maxOutputBytes: 3 })
  assert.equal(short.runSync('abc'), 'abc')
  for (const text of ['abcde', 'abcx', 'xabc'])
    assert.throws(() => short.runSync(text), { code: 'ERR_OUTPUT_TOO_LARGE', limit: 3 })
})

test('match() and split(): each part counts for its bytes and 128 more', async () => {
  for (const [operation, text, parts, bytes] of [
    [(options) => native.split('', options), 'aé', 2, 3],
    [(options) => native.split(/(,)/, options), 'a,b', 3, 3],
    [(options) => native.match(/./g, options), 'abc', 3, 3],
    [(options) => native.match(/(a)(b)?/, options), 'a', 3, 2],
  ]) {
    const least = parts * 128 + bytes
    assert.equal(operation({ maxOutputBytes: least }).runSync(text).length, parts)
    const tooLarge = { name: 'OutputTooLargeError', code: 'ERR_OUTPUT_TOO_LARGE', limit: least - 1 }
    assert.throws(() => operation({ maxOutputBytes: least - 1 }).runSync(text), tooLarge)
    await assert.rejects(operation({ maxOutputBytes: least - 1 }).run(text), tooLarge)
  }
  assert.equal(native.match(/x/g, { maxOutputBytes: 1 }).runSync('abc'), null)
})

test('a bomb of parts is an error of its item', async () => {
  const { gunzip, gzip, match, pipe, split } = native
  const bomb = gzip().runSync(Buffer.alloc(64 << 20, 'a'))
  for (const operation of [split(''), match(/./g)]) {
    const outcomes = await parallelMap([bomb, gzip().runSync('ab')], pipe(gunzip(), operation), {
      settled: true,
    }).toArray()
    assert.deepEqual(
      outcomes.map(({ value, reason }) => value ?? [reason.code, reason.limit]),
      [
        ['ERR_OUTPUT_TOO_LARGE', 2 ** 30],
        ['a', 'b'],
      ],
    )
  }
})

test('a name that several groups have is the one that took part', (t) => {
  let pattern
  try {
    pattern = new RegExp(['(?<y>a)', '(?<y>b)'].join('|'), 'g')
  } catch {
    return t.diagnostic('this version of Node has no such patterns')
  }
  assert.equal(native.replace(pattern, '[$<y>]').runSync('abc'), 'abc'.replace(pattern, '[$<y>]'))
})

test('a string longer than there are is an error of its item, and of no other', async () => {
  const million = native.replace(/a/g, 'b'.repeat(1e6), { maxOutputBytes: 2 ** 31 })
  const tooLong = {
    name: 'OutputTooLargeError',
    code: 'ERR_OUTPUT_TOO_LARGE',
    limit: constants.MAX_STRING_LENGTH,
  }
  const long = 'a'.repeat(1 + constants.MAX_STRING_LENGTH / 1e6)
  assert.throws(() => million.runSync(long), tooLong)
  const [first, second, third] = await parallelMap(['a', long, 'a'], million, { settled: true }).toArray()
  assert.deepEqual([first.value.length, third.value.length], [1e6, 1e6])
  assert.throws(() => {
    throw second.reason
  }, tooLong)
  assert.equal(failureOf(second).index, 1)
})

test('many matches of a large text', async () => {
  const text = 'word '.repeat(100_000)
  assert.equal((await native.match(/\w+/g).run(text)).length, 100_000)
  assert.equal((await native.split(' ').run(text)).length, 100_001)
  assert.equal(await native.replace(/word/g, 'é').run(text), 'é '.repeat(100_000))
  assert.equal(await native.replace(/none/g, 'é').run(text), text)
})

test('a pipe: unpack, then search', async () => {
  const { countMatches, gunzip, gzip, pipe, replace, sha256, unhex } = native
  const packed = gzip().runSync('one two three')
  assert.equal(await pipe(gunzip(), countMatches(/[a-z]+/)).run(packed), 3)
  assert.equal(
    await pipe(gunzip(), replace('two', '2'), gzip(), gunzip(), sha256()).run(packed),
    sha256().runSync('one 2 three'),
  )
  const message =
    /expected an operation that takes what native\.countMatches\(\) gives .*, got "native\.gzip\(\)/
  assert.throws(() => pipe(countMatches(/a/), gzip()), { code: 'ERR_INVALID_ARG_TYPE', message })
  await assert.rejects(pipe(unhex(), countMatches(/a/)).run('ff'), {
    code: 'ERR_INVALID_TEXT',
    message: /native\.pipe\(unhex, countMatches\)/,
  })
})

/** The flags with u, for patterns that mean the same with it. */
function unicode({ source, flags }) {
  if (flags.includes('u')) return flags
  try {
    new RegExp(source, `${flags}u`)
    return `${flags}u`
  } catch {
    return flags
  }
}
