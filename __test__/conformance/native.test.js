// The conformance suite for native operations: with items that fail in Rust, and once more with items that fail before
// they leave. No operation waits, skips, throws what it likes or looks at a context: those mappers are not among these.

import { createHash } from 'node:crypto'
import { InvalidTextError, native } from '../../index.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const { base64, countMatches, gunzip, gzip, hex, match, pipe, replace, sha256, split, unbase64 } = native
/** Of every seven items one is large: it goes beside its chunk, and takes longer. */
const textOf = (i) => `item ${i} `.repeat(i % 7 === 3 ? 2000 : 1)

const digests = {
  name: 'native, digests',
  capacity: 2,
  mappers: new Set(['double', 'doubleShuffled']),
  mapper: () => sha256(),
  item: textOf,
  result: (i) => createHash('sha256').update(textOf(i)).digest('hex'),
  badItem: 42,
  badRuns: false,
  isFurther: true,
}
conformance(digests)
stageConformance({ ...digests, mappers: new Set(['double']) })

/** What is no text, from this byte on. */
const bad = (i) => Buffer.concat([Buffer.alloc(i, 'x'), Buffer.from([0xff])])
const double = replace(/^.*$/s, '$&$&')
const operations = {
  double,
  doubleAtOnce: double,
  doubleShuffled: pipe(gzip(), gunzip(), double),
  failOdd: double,
  failBeforeSlowOne: double,
  identity: pipe(base64(), unbase64()),
  isEven: match(/^(?:xx)*$/),
  isEvenShuffled: pipe(gzip(), gunzip(), match(/^(?:xx)*$/)),
  keep: sha256(),
  skipEvenObject: match(/^x(?:xx)*$/),
  times: split(/(xx)x/),
  timesShuffled: pipe(gzip(), gunzip(), split(/(xx)x/)),
}
/** Operations whose results are nothing that `flatMap()` could iterate. */
const wrongShapes = {
  number: countMatches(/a/),
  null: match(/\d/),
  string: hex(),
  Buffer: gzip(),
}
const slow = 'slow '.repeat(1e6)
const text = {
  name: 'native',
  capacity: 2,
  mappers: new Set([
    ...Object.keys(operations),
    ...Object.keys(wrongShapes).map((shape) => `inWrongShape ${shape}`),
  ]),
  mapper: (name, shape) => (name === 'inWrongShape' ? wrongShapes[shape] : operations[name]),
  item: textOf,
  result: (i) => textOf(i).repeat(2),
  badItem: bad(0),
  badError: InvalidTextError,
  bad,
  badMessage: (i) => `invalid UTF-8 at byte ${i}`,
  slowThenBad: { items: [slow, bad(1), 'a', 'b'], results: [slow + slow], error: InvalidTextError },
  number: (i) => 'x'.repeat(i),
  read: (value) => value.length,
  timesOf: (i) =>
    'x'
      .repeat(i)
      .split(/(xx)x/)
      .map((part) => part.length),
  kept: [
    'text',
    '',
    Buffer.from('a'),
    Float64Array.of(1),
    new ArrayBuffer(3),
    new DataView(new ArrayBuffer(1)),
  ],
  refusal: 'ERR_INVALID_ARG_TYPE',
  object: (i) => Buffer.from('x'.repeat(i)),
  load: (i) => `${i}${'x'.repeat(1000)}`,
}
conformance(text)
stageConformance(text)
