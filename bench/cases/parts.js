// What the parts of a crossing cost, in ns per item in the parent. Each key of the objects returned is a column of "Where
// the time goes". Encode and decode are measured alone; what Rust does is measured where it happens, in a warm pool.

import { parallelMap } from 'millrace'
import { Decoder, Encoder } from '../../lib/codec.js'
import { spent } from '../../lib/worker-pool.js'
import { numbers, records } from '../items.js'
import { consume, warmMillrace } from '../pools.js'

export const costs = {
  numbers: () => allCosts([...numbers(ITEMS)]),
  records: () => allCosts(records(ITEMS)),
}

async function allCosts(items) {
  const { encode, decode } = codecCosts(items.slice(0, CHUNK))
  const { channel, engine } = await rustCosts(items)
  return { encode, channel, engine, decode }
}

/** Channel: copying outcomes out of shared memory and noting them. Engine: scheduling, sending, order, batches. */
async function rustCosts(items) {
  const pool = await warmMillrace('no-op.js', items)
  const before = spent(pool)
  await consume(parallelMap(items, pool))
  const [channel, engine] = spent(pool).map((ms, part) => ((ms - before[part]) * 1e6) / items.length)
  await pool.close()
  return { channel, engine }
}

function codecCosts(items) {
  const decoder = new Decoder()
  const encoder = new Encoder((id, definition) => decoder.define(id, definition))
  const rows = new Uint8Array(ROOM)
  const text = new Uint8Array(ROOM)
  const rowStarts = new Uint32Array(items.length + 1)
  const textStarts = new Uint32Array(items.length + 1)

  const encode = () => {
    Object.assign(encoder, { rows, rowPos: 0, rowEnd: ROOM, text, textPos: 0, textEnd: ROOM })
    for (let at = 0; at < items.length; at++) {
      if (!encoder.encode(items[at])) throw new Error('a chunk does not fit')
      rowStarts[at + 1] = encoder.rowPos
      textStarts[at + 1] = encoder.textPos
    }
  }
  const decode = () => {
    decoder.open(rows, 0, encoder.textPos, text)
    for (let at = 0; at < items.length; at++) decoder.decode(rowStarts[at], rowStarts[at + 1], textStarts[at])
  }
  return { encode: perItem(encode), decode: perItem(decode) }
}

/** The median of many chunks, the first ones left out. */
function perItem(work) {
  const times = new Float64Array(CHUNKS)
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const began = performance.now()
    work()
    times[chunk] = performance.now() - began
  }
  return (times.slice(CHUNKS / 4).sort()[CHUNKS * 0.375] * 1e6) / CHUNK
}

const CHUNK = 512
const ITEMS = 300_000
const CHUNKS = 2_000
const ROOM = 1 << 20
