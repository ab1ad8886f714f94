// What runs inside a worker process: it loads the task, then runs the items of its chunks, in as many lanes as it was
// told. Loaded by worker-boot.cjs, which has the addon. In each lane an item is claimed, run, and its outcome published
// before the next one is claimed, so that the parent always knows which items ran. A lane stays with its chunk until
// nothing of that is left to claim; then it goes on with the next one, while other items of the chunk may still run.

import { deserialize } from 'node:v8'
import { FILTER, FIXED_INDEX, FLATTEN, TIMED } from './chunk-flags.js'
import { Decoder } from './codec.js'
import { collected } from './collected.js'
import { CallSignal, Context } from './context.js'
import { TaskTimeoutError } from './errors.js'
import { skip } from './outcome.js'
import { chunkOf } from './worker-chunk.js'
import { FRAME, NO_ITEM, Port } from './worker-port.js'
import { dropAddons, reportFullHeap, written } from './worker-process.js'
import { Talk } from './worker-talk.js'
import { loadTask } from './worker-task.js'

/** @typedef {import('./worker-chunk.js').Chunk} Chunk */

/**
 * @param {new (descriptors: string, onWake: () => void) => import('./binding.js').WorkerPort} WorkerPort
 * @param {string} descriptors
 */
export function runWorker(WorkerPort, descriptors) {
  const native = new WorkerPort(descriptors, () => worker.wake())
  const worker = new Worker(native)
  worker.begin()
}

class Worker {
  #native
  #port
  #decoder = new Decoder()
  #talk
  /** Chunks of which something may be left to claim. @type {Chunk[]} */
  #chunks = []
  /** Whose texts the decoder has before it. @type {Chunk | undefined} */
  #opened
  /** It starts or ends: nothing else runs. */
  #occupied = false
  /** How many items run at the same time, at most; how many are awaited now, and how many of each call. */
  #mostLanes = 1
  #lanes = 0
  /** @type {Map<number, number>} */
  #lanesOf = new Map()
  /** @type {import('./worker-task.js').Task | undefined} */
  #task
  /** Calls whose mappers may look at their signal. @type {Map<number, CallSignal>} */
  #signals = new Map()
  /** Items of chunks with a time-out that are awaited, by cell and item: each has a signal of its own.
   * @type {Map<number, { call: number, signal: CallSignal, index: number, attempt: number }>} */
  #timed = new Map()
  #retired = false
  #announcing = false
  /** When the parent was woken for a message, and whether it will be. */
  #said = 0
  #saying = false
  /** The task takes no item now. */
  #waiting = false
  /** When the event loop last had its turn. */
  #turn = 0
  /** What nobody has caught since the last item began. @type {{ error: unknown } | undefined} */
  #uncaught

  /** @param {import('./binding.js').WorkerPort} native */
  constructor(native) {
    this.#native = native
    this.#port = new Port(native)
    this.#talk = new Talk(this.#port, this.#decoder)
    // Seen before the process ends of it, and only seen: what Node prints and does stays as it is. A task that has a
    // handler of its own may also go on, and then it was no cause of anything.
    process.on('uncaughtExceptionMonitor', (error) => {
      this.#uncaught = { error }
    })
    process.on('exit', () => {
      if (this.#publishAnswer()) return
      if (this.#uncaught !== undefined) this.#port.fatal(this.#explained(this.#uncaught.error))
    })
  }

  /** The first frame says what to load. */
  begin() {
    this.#listen()
  }

  /** @returns {import('./fork-script.js').ScriptLink} */
  #scriptLink() {
    return {
      say: (value) => this.#say(value),
      keepAlive: (alive) => this.#native.keepAlive(alive),
      resume: () => setImmediate(this.#wakeSoon),
    }
  }

  /**
   * Messages that follow each other closely wake the parent together; one that comes alone is seen at once.
   * @param {unknown} value
   */
  #say(value) {
    const now = performance.now()
    const soon = now - this.#said < SAY_MS
    this.#port.message(NO_ITEM, value, soon)
    if (!soon) this.#said = now
    else if (!this.#saying) {
      this.#saying = true
      process.nextTick(this.#saySoon)
    }
  }

  #saySoon = () => {
    this.#saying = false
    this.#port.announce()
  }

  /** The parent has rung. */
  wake() {
    this.#native.answer()
    this.#hear()
  }

  /** Hear what the parent has said, and begin what can be begun. */
  #hear() {
    if (this.#occupied || this.#lanes === this.#mostLanes) this.#listen()
    else this.#work()
  }

  /** Take all frames that are there; after that the parent rings: while a task awaits something, it may be aborted. */
  #listen() {
    for (let frame = this.#native.receive(false); frame !== null; frame = this.#native.receive(false))
      this.#handle(frame)
  }

  /**
   * The next chunk of which an item may begin. Frames are taken up to it; those behind it wait: as long as there is work,
   * nobody has to ring.
   * @returns {Chunk | undefined} undefined: there is none, and the parent rings
   */
  #nextChunk() {
    for (;;) {
      const chunk =
        this.#lanes === 0
          ? this.#chunks[0]
          : this.#chunks.find(({ call, most }) => (this.#lanesOf.get(call) ?? 0) < most)
      if (chunk !== undefined) return chunk
      const frame = this.#native.receive(this.#lanes === 0)
      if (frame === null) return undefined
      this.#handle(frame)
    }
  }

  /** @param {Uint8Array} frame */
  #handle(frame) {
    const word = (/** @type {number} */ at) =>
      new DataView(frame.buffer, frame.byteOffset).getUint32(at * 4, true)
    switch (word(1)) {
      case FRAME.INIT:
        this.#start(deserialize(frame.subarray(8)))
        break
      case FRAME.DEFINE:
        this.#decoder.define(
          word(2),
          Buffer.from(frame.buffer, frame.byteOffset + 12, frame.length - 12).toString(),
        )
        break
      case FRAME.CHUNK:
        this.#chunks.push(chunkOf(frame))
        break
      case FRAME.ABORT:
        this.#signal(word(2)).raise(undefined)
        for (const { call, signal } of this.#timed.values()) if (call === word(2)) signal.raise(undefined)
        break
      case FRAME.ABORT_ITEM:
        this.#abortItem(word(2), word(3))
        break
      case FRAME.MESSAGE:
        // Its text takes the place of a chunk's.
        this.#opened = undefined
        this.#talk.hear(frame)
        break
      case FRAME.FORGET:
        this.#signals.delete(word(2))
        break
      case FRAME.RETIRE:
        this.#retired = true
        break
    }
  }

  /** @param {import('./worker-task.js').WorkerOrder} order */
  async #start(order) {
    this.#occupied = true
    this.#mostLanes = order.concurrency
    if (order.confined) dropAddons()
    else reportFullHeap(this.#native.report())
    try {
      this.#task = await loadTask(order, this.#scriptLink(), (error) => this.#port.startError(error))
    } catch (error) {
      this.#port.startError(error)
      process.exit(1)
    }
    this.#occupied = false
    this.#port.ready()
    this.#talk.begin(this.#task.onMessage)
    this.#work()
  }

  /** Run chunks until there is none, or all lanes await something. */
  #work() {
    this.#turn = performance.now()
    while (this.#lanes < this.#mostLanes) {
      const chunk = this.#nextChunk()
      if (chunk === undefined) {
        if (this.#retired && this.#lanes === 0) this.#retire()
        return
      }
      this.#run(chunk)
      if (this.#waiting) {
        this.#waiting = false
        this.#listen()
        return
      }
      if (performance.now() - this.#turn > MAX_TURN_MS) {
        if (this.#lanes < this.#mostLanes) setImmediate(this.#wakeSoon)
        return
      }
    }
  }

  /** A lane is free. */
  #resume() {
    // Promises alone would never let timers and I/O of the task have their turn.
    if (performance.now() - this.#turn > MAX_TURN_MS) setImmediate(this.#wakeSoon)
    else this.#work()
  }

  #wakeSoon = () => {
    if (!this.#occupied) this.#work()
  }

  /**
   * Run the items of a chunk; each promise that is awaited takes a lane, until the chunk's call has no more.
   * @param {Chunk} chunk
   */
  #run(chunk) {
    const { cell } = chunk
    const port = this.#port
    const started = performance.now()
    if (chunk.started === 0) chunk.started = started
    const signal = this.#signal(chunk.call)
    this.#uncaught = undefined
    let announced = started
    let done = 0
    for (let item = this.#claim(cell); item !== -1; item = this.#claim(cell)) {
      if (item === WAITING) return
      const pending = this.#runItem(chunk, item, signal)
      if (pending !== undefined) {
        this.#runLane(chunk, item, pending, signal)
        if (this.#lanes === this.#mostLanes || this.#lanesOf.get(chunk.call) === chunk.most) return
        continue
      }
      // A clock reading per item is too much for small ones, and a result must not wait for slow neighbours.
      if ((done++ & 15) === 0 || started !== announced) {
        const now = performance.now()
        if (now - announced > ANNOUNCE_MS) {
          announced = now
          port.announce()
        }
      }
    }
    this.#leave(chunk)
  }

  /**
   * Await an item, and run the items of its chunk after it, until none is left.
   * @param {Chunk} chunk
   * @param {number} item
   * @param {PromiseLike<unknown>} pending its result
   * @param {CallSignal} signal
   */
  async #runLane(chunk, item, pending, signal) {
    const { call, cell } = chunk
    const port = this.#port
    chunk.lanes++
    this.#lanes++
    if (this.#mostLanes > 1) this.#lanesOf.set(call, (this.#lanesOf.get(call) ?? 0) + 1)
    /** @type {PromiseLike<unknown> | undefined} */
    let promise = pending
    for (;;) {
      if (promise !== undefined) {
        this.#announceSoon()
        try {
          this.#publish(chunk, item, await promise)
        } catch (error) {
          port.error(cell, item, this.#explained(error))
        }
        if (chunk.flags & TIMED) this.#timed.delete(timedKey(cell, item))
      }
      item = this.#claim(cell)
      if (item < 0) break
      this.#uncaught = undefined
      promise = this.#runItem(chunk, item, signal)
    }
    chunk.lanes--
    this.#lanes--
    const left = (this.#lanesOf.get(call) ?? 1) - 1
    if (left > 0) this.#lanesOf.set(call, left)
    else if (this.#mostLanes > 1) this.#lanesOf.delete(call)
    if (item !== WAITING) this.#leave(chunk)
    this.#resume()
  }

  /**
   * Claim the next item of a chunk, unless its task has to wait.
   * @param {number} cell
   * @returns {number} its position; -1: the chunk is over; WAITING
   */
  #claim(cell) {
    const waits = this.#task?.waits
    if (waits === undefined || !this.#port.hasMore(cell) || !waits()) return this.#port.claim(cell)
    this.#waiting = true
    return WAITING
  }

  /**
   * Nothing of the chunk is left to claim; the last one to see that says that it is over.
   * @param {Chunk} chunk
   */
  #leave(chunk) {
    const at = this.#chunks.indexOf(chunk)
    if (at === 0) this.#chunks.shift()
    else if (at > 0) this.#chunks.splice(at, 1)
    if (chunk.lanes === 0) this.#port.chunkDone(chunk.cell, micros(chunk.started))
  }

  /**
   * Run one item; publish its outcome unless that is a promise.
   * @param {Chunk} chunk
   * @param {number} item
   * @param {CallSignal} signal
   * @returns {PromiseLike<unknown> | undefined}
   */
  #runItem(chunk, item, signal) {
    const { cell, flags, sizes, bytes } = chunk
    // Items are claimed in order, so positions only move forward.
    while (chunk.item < item) {
      chunk.row += sizes[2 * chunk.item]
      chunk.text += sizes[2 * chunk.item + 1]
      chunk.item++
    }
    const { row, text } = chunk
    if (bytes[row] === REJECTED_BEFORE) {
      this.#port.rejectedBefore(cell, item)
      return undefined
    }
    const { run, runMany = run } = /** @type {import('./worker-task.js').Task} */ (this.#task)
    try {
      if (this.#opened !== chunk) {
        this.#opened = chunk
        this.#decoder.open(bytes, chunk.textAt, chunk.textEnd)
      }
      const value = this.#decoder.decode(row, row + sizes[2 * item], text)
      const index = flags & FIXED_INDEX ? 0 : chunk.firstIndex + item
      const own = flags & TIMED ? signalAfter(signal) : signal
      const context = new Context(index, own, chunk.attempt)
      const result = flags & FLATTEN ? collected(runMany(value, context), own) : run(value, context)
      if (
        typeof result === 'object' &&
        result !== null &&
        typeof (/** @type {any} */ (result).then) === 'function'
      ) {
        if (flags & TIMED) {
          const { call, attempt } = chunk
          this.#timed.set(timedKey(cell, item), { call, signal: own, index, attempt })
        }
        return /** @type {PromiseLike<unknown>} */ (result)
      }
      this.#publish(chunk, item, result)
    } catch (error) {
      this.#port.error(cell, item, this.#explained(error))
    }
    return undefined
  }

  /**
   * @param {Chunk} chunk
   * @param {number} item
   * @param {unknown} result
   */
  #publish({ cell, flags }, item, result) {
    if (result === skip || (flags & FILTER && !result)) this.#port.skipped(cell, item)
    else this.#port.value(cell, item, flags & FILTER ? true : result)
  }

  /**
   * The process exits by itself: publish the outcome of the item that runs, if its task has it already.
   * @returns {boolean} whether there was one
   */
  #publishAnswer() {
    const chunk = this.#chunks[0]
    if (chunk === undefined || (this.#uncaught !== undefined && !isCaught())) return false
    const answer = this.#task?.answer?.()
    if (answer === undefined) return false
    this.#publish(chunk, chunk.item, answer.value)
    this.#port.announce()
    return true
  }

  /** @param {unknown} error of the task */
  #explained(error) {
    return this.#task === undefined ? error : this.#task.explain(error)
  }

  /** While a promise is awaited, what was published before it should be seen, and an abort be heard. */
  #announceSoon() {
    if (this.#announcing) return
    this.#announcing = true
    setImmediate(this.#announceNow)
  }

  #announceNow = () => {
    this.#announcing = false
    this.#port.announce()
    this.#hear()
  }

  /**
   * The time of an item is over: the parent has given it up, and waits a little before it ends this process.
   * @param {number} cell
   * @param {number} item
   */
  #abortItem(cell, item) {
    const timed = this.#timed.get(timedKey(cell, item))
    if (timed === undefined) return
    this.#port.abortHeard(cell, item)
    const { index, attempt } = timed
    timed.signal.raise(new TaskTimeoutError(`Item ${index} took longer than its timeout`, { index, attempt }))
  }

  /** @param {number} call */
  #signal(call) {
    let signal = this.#signals.get(call)
    if (signal === undefined) {
      signal = new CallSignal(this.#talk)
      this.#signals.set(call, signal)
    }
    return signal
  }

  async #retire() {
    this.#occupied = true
    try {
      await this.#task?.teardown?.()
      await written()
    } finally {
      process.exit()
    }
  }
}

/** Whether the task has a handler of its own for what nobody has caught: then that does not end the process. */
function isCaught() {
  return process.listenerCount('uncaughtException') > 0 || process.hasUncaughtExceptionCaptureCallback()
}

/**
 * The signal of one item: it is raised with that of its call.
 * @param {CallSignal} call
 */
function signalAfter(call) {
  const own = new CallSignal(call.talk)
  if (call.raised) own.raise(undefined)
  return own
}

/**
 * @param {number} cell
 * @param {number} item
 */
function timedKey(cell, item) {
  return cell * 0x10000 + item
}

/** @param {number} started */
function micros(started) {
  return Math.min(Math.round((performance.now() - started) * 1000), 0xffffffff)
}

/** How long messages wait for each other, at most, where something else follows them. */
const SAY_MS = 0.2
/** In the place of an item: its task waits for something. */
const WAITING = -2
/** The row of an item that has failed already, on the parent's side: it only keeps its place in the order. */
const REJECTED_BEFORE = 255
/** After this much work the event loop has its turn: the task may have timers and sockets of its own. */
const MAX_TURN_MS = 10
/**
 * A finished item is shown to a sleeping parent at the latest after this, even if its chunk is not over. Longer than
 * a chunk of automatic size takes: waking the parent for every item would cost the workers a tenth of their time.
 */
const ANNOUNCE_MS = 5
