// What throughWorkers() and toReadable() take and give.

import { type Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  batch,
  type FalsyValueError,
  type MillraceError,
  native,
  parallelMap,
  throughWorkers,
  workerPool,
} from 'millrace'
import { type Equal, expect } from './expect.js'

const pool = workerPool<string, number>('./task.js')
const sink = new Writable({ objectMode: true })

// Any mapper makes a Duplex, which goes wherever one does.
{
  const streams = [
    throughWorkers(async (item: string) => item.length),
    throughWorkers(pool),
    throughWorkers(pool, { settled: true, signal: AbortSignal.timeout(10) }),
    throughWorkers(native.sha256(), { preserveOrder: false }),
  ]
  expect<Equal<typeof streams, Duplex[]>>()
  await pipeline(Readable.from(['a']), throughWorkers(pool), throughWorkers(native.sha256()), sink)
  const composed = Readable.from(['a']).compose(throughWorkers(pool))
  for await (const result of composed) expect<Equal<typeof result, any>>()
}
// @ts-expect-error no mapper
throughWorkers()
// @ts-expect-error no mapper either
throughWorkers('./task.js')
// @ts-expect-error options of a stream are not its options
throughWorkers(pool, { highWaterMark: 5 })
// @ts-expect-error of another type
throughWorkers(pool, { concurrency: '5' })

// Results become a Readable, after any stage.
{
  const readable = parallelMap(['a'], pool).toReadable()
  expect<Equal<typeof readable, Readable>>()
  await pipeline(parallelMap(['a'], pool).map(String).toReadable(), sink)
  const batches = batch([1, 2], 2).toReadable()
  expect<Equal<typeof batches, Readable>>()
  // @ts-expect-error it has no options
  parallelMap(['a'], pool).toReadable({ highWaterMark: 5 })
}

// What stands for a falsy error.
{
  expect<Equal<FalsyValueError['code'], 'ERR_FALSY_VALUE'>>()
  const error: MillraceError = {} as FalsyValueError
  expect<Equal<typeof error.cause, unknown>>()
}
