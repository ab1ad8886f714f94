// What lines(), blocks() and files() give, and what they take.

import { Readable } from 'node:stream'
import {
  blocks,
  files,
  type LineOptions,
  type LineTooLongError,
  lines,
  native,
  type ParallelMap,
  parallelMap,
} from 'millrace'
import { type Equal, expect } from './expect.js'

{
  const text = lines('file.txt')
  expect<Equal<typeof text, ParallelMap<string>>>()
  const latin1 = lines(new URL('file:///file.txt'), {
    encoding: 'latin1',
    keepEnding: true,
    maxLineBytes: 100,
  })
  expect<Equal<typeof latin1, ParallelMap<string>>>()
  const bytes = lines(Readable.from(['a']), { encoding: 'buffer', fatal: true })
  expect<Equal<typeof bytes, ParallelMap<Buffer>>>()
  const either = lines('file.txt', { encoding: process.argv.length > 2 ? 'utf8' : 'buffer', fatal: true })
  expect<Equal<typeof either, ParallelMap<string | Buffer>>>()
  const options: LineOptions = { maxLineBytes: 100 }
  lines('file.txt', options).map((line) => expect<Equal<typeof line, string | Buffer>>())
  const own = lines([new Uint8Array(1), 'text'])
  expect<Equal<typeof own, ParallelMap<string>>>()
  // @ts-expect-error there is no such encoding
  lines('file.txt', { encoding: 'utf16' })
  // @ts-expect-error there is no such option
  lines('file.txt', { endings: true })
  // @ts-expect-error lines are not made of numbers
  lines([1, 2])
  // @ts-expect-error a limit is a number
  lines('file.txt', { maxLineBytes: '1' })
}

{
  const parts = blocks('file.bin', { bytes: 100 })
  expect<Equal<typeof parts, ParallelMap<Buffer>>>()
  blocks(Readable.from([Buffer.alloc(1)]))
  // @ts-expect-error a size is a number
  blocks('file.bin', { bytes: '100' })
  // @ts-expect-error the size is an option
  blocks('file.bin', 100)
}

{
  const names = files('**/*.js', {
    cwd: new URL('file:///tmp/'),
    exclude: ['a', 'b'],
    hidden: true,
    followSymlinks: true,
  })
  expect<Equal<typeof names, ParallelMap<string>>>()
  files(['a', 'b'] as const, { exclude: 'c' })
  // @ts-expect-error a pattern is a string
  files(/a/)
  // @ts-expect-error there is no such option
  files('*', { dot: true })
}

// They are sources, and the beginning of stages.
parallelMap(blocks('file.bin'), native.sha256())
lines('file.txt').map(Number).batch(10)
files('*').map((path) => expect<Equal<typeof path, string>>())

export const limit = (error: LineTooLongError): number | undefined => error.limit
