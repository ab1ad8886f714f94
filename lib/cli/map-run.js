// One run of `millrace map`: lines in, a pool in the middle, records out.

import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { WorkerStartError } from '../errors.js'
import { parallelMap } from '../parallel-map.js'
import { workerPool } from '../worker-pool.js'
import { BadLines, errorRecord, ownStack } from './bad-lines.js'
import { InputError, Inputs } from './inputs.js'
import { Interrupt } from './interrupt.js'
import { ItemSize } from './item-size.js'
import { cutAnew, linesAt } from './line-piece.js'
import { LineSource } from './line-source.js'
import { OutputFile } from './output-file.js'
import { Progress } from './progress.js'
import { RecordWriter } from './record-writer.js'

/** @typedef {import('./item-run.js').ItemReport} ItemReport */
/** @typedef {import('./line-piece.js').Place} Place */
/** @typedef {{ status: 'fulfilled', value: ItemReport, index: number } | { status: 'rejected', reason: unknown, index: number }} Outcome */

export class MapRun {
  #order
  #inputs
  #pool
  #size
  #source
  #output
  #writer
  /** @type {RecordWriter | undefined} */
  #errorWriter
  #bad
  #progress
  #interrupt
  #lines = 0
  /** Calls that run beside the one for all lines, and that it does not wait for. @type {Set<Promise<void>>} */
  #aside = new Set()
  /** Why it ends before the inputs do. */
  #end = RUNNING
  /** Settles when nothing is waited for any more. @type {Promise<void>} */
  #cutOff
  #onCutOff = () => {}

  /**
   * @param {Readonly<import('./arguments.js').MapOrder>} order
   * @param {ItemSize} [size] of the items; default: what the lines turn out to cost
   * @throws {NodeJS.ErrnoException} a file cannot be written
   */
  constructor(order, size) {
    this.#order = order
    const { task, files, jobs, batch, stopOnError, output, errors } = order
    this.#inputs = new Inputs(files)
    this.#pool = workerPool(LINE_TASK, {
      label: task.name,
      setupData: { url: task.url, path: task.path, batch, stopOnError },
      ...(jobs === undefined ? {} : { size: jobs }),
    })
    this.#size = size ?? new ItemSize(this.#pool.size, this.#inputs.totalBytes)
    this.#source = new LineSource(this.#inputs, batch, this.#size)
    this.#progress = new Progress(() => ({
      lines: this.#lines,
      bad: this.#bad.count,
      bytes: this.#source.bytesDone,
      totalBytes: this.#inputs.totalBytes,
    }))
    this.#output = output === undefined ? undefined : new OutputFile(output)
    this.#writer = new RecordWriter(this.#output?.fd ?? 1, () => this.#stopHard(UNWRITABLE))
    if (errors !== undefined) {
      this.#errorWriter = new RecordWriter(openSync(errors, 'w'), () => this.#stopHard(UNWRITABLE))
    }
    const keep = this.#errorWriter
    this.#bad = new BadLines(
      (text) => this.#progress.say(text),
      keep === undefined ? undefined : (lines) => keep.write(lines),
    )
    this.#cutOff = new Promise((resolve) => (this.#onCutOff = resolve))
    this.#interrupt = new Interrupt(
      () => this.#stopSoft(),
      () => {
        this.#stopHard(CUT_OFF)
        this.#writer.abandon(ABANDON_MS).then(this.#onCutOff)
      },
    )
  }

  /** @returns {Promise<number>} the exit code */
  async run() {
    if (this.#order.progress) this.#progress.start()
    const failure = await this.#map().then(
      () => undefined,
      (error) => ({ error }),
    )
    await this.#pool.close({ force: this.#end >= UNWRITABLE })
    await Promise.race([Promise.all([this.#writer.end(), this.#errorWriter?.end()]), this.#cutOff])
    // Only now, because the last block may have failed.
    const exitCode = this.#conclude(this.#end === RUNNING ? failure : undefined)
    this.#progress.stop()
    await Promise.race([this.#progress.end(), this.#cutOff])
    return exitCode
  }

  async #map() {
    await this.#callWith(this.#source, (outcome) => this.#take(outcome))
    while (this.#aside.size > 0) await Promise.race(this.#aside)
    if (this.#source.failure !== undefined) throw this.#source.failure.error
    // Without a line, nobody has looked at the task file.
    if (this.#source.index < 0 && this.#end === RUNNING) await this.#pool.ready()
  }

  /**
   * @param {LineSource | import('./line-piece.js').Item[]} items
   * @param {(outcome: Outcome) => Promise<void> | undefined} take
   */
  async #callWith(items, take) {
    const { unordered } = this.#order
    // An item takes a worker as long as a whole chunk should: it is one.
    const results = parallelMap(items, this.#pool, {
      settled: true,
      preserveOrder: !unordered,
      chunkSize: 1,
      backpressure: ITEMS_PER_WORKER * this.#pool.size,
    })
    await results.forEach(take)
  }

  /** @param {Outcome} outcome */
  #take(outcome) {
    const { index } = outcome
    if (outcome.status === 'fulfilled') {
      const report = outcome.value
      this.#learn(report)
      if (report.isWhole && report.bad.length === 0) {
        this.#source.settle(index)
        return this.#writer.write(report.output)
      }
    }
    return this.#takeSlowly(outcome, index)
  }

  /**
   * @param {Outcome} outcome
   * @param {number} index
   */
  async #takeSlowly(outcome, index) {
    const place = this.#source.place(index)
    this.#source.settle(index)
    if (outcome.status === 'fulfilled') await this.#takeReport(outcome.value, place)
    else await this.#takeFailed(outcome.reason, place)
  }

  /** @param {ItemReport} report */
  #learn({ calls, lines, micros }) {
    this.#size.learn(calls, micros)
    this.#lines += lines
  }

  /**
   * @param {ItemReport} report
   * @param {Place} place
   */
  async #takeReport({ output, calls, isWhole, bad }, place) {
    await this.#writer.write(output)
    if (bad.length > 0) await this.#addBad(place, bad)
    // Lines that are so slow do not wait for each other.
    if (!isWhole) await this.#mapAnew(place, calls, this.#size.calls)
  }

  /**
   * The item was lost with its worker.
   * @param {unknown} reason
   * @param {Place} place
   * @returns {Promise<void>}
   */
  async #takeFailed(reason, place) {
    // Which line it was shows when each is an item of its own.
    if (place.calls > 1) return this.#mapAnew(place, 0, 1)
    const filled = linesAt(place).flatMap((line, at) => (line.trim() === '' ? [] : [at]))
    this.#lines += filled.length
    const to = place.lastLine - place.firstLine
    return this.#addBad(place, [{ from: 0, to, lines: filled, error: errorRecord(reason) }])
  }

  /**
   * Map the lines of an item that did not end, as smaller items.
   * @param {Place} place
   * @param {number} from so many of its calls have ended
   * @param {number} calls of an item
   * @returns {Promise<void>}
   */
  #mapAnew(place, from, calls) {
    const places = cutAnew(place, from, this.#order.batch, calls)
    const items = places.map(({ bytes, start, end, firstCall }) => ({
      bytes: bytes.subarray(start, end),
      firstCall,
    }))
    const mapped = this.#callWith(items, async (outcome) => {
      const at = places[outcome.index]
      if (outcome.status === 'rejected') return this.#takeFailed(outcome.reason, at)
      this.#learn(outcome.value)
      return this.#takeReport(outcome.value, at)
    })
    const { unordered, stopOnError } = this.#order
    return unordered && !stopOnError ? this.#goOnBeside(mapped) : mapped
  }

  /**
   * @param {Promise<void>} mapped
   * @returns {Promise<void>} settles when it may go on
   */
  async #goOnBeside(mapped) {
    const aside = this.#aside
    aside.add(mapped)
    mapped.then(
      () => aside.delete(mapped),
      // It stays there, to be told to who waits in the end.
      () => {},
    )
    if (aside.size > this.#pool.size) await Promise.race(aside)
  }

  /**
   * @param {Place} place of their item
   * @param {import('./item-run.js').BadLines[]} all
   */
  async #addBad(place, all) {
    const { file, firstLine } = place
    /** @type {string[] | undefined} */
    let lines
    const inputs = () => (lines ??= linesAt(place))
    for (const bad of all) await this.#bad.add(file, firstLine, bad, inputs)
    this.#stopOnError()
  }

  /** @throws {Stopped} */
  #stopOnError() {
    if (!this.#order.stopOnError) return
    this.#end = Math.max(this.#end, AT_ERROR)
    throw new Stopped()
  }

  /** Read no more; what was read is finished. */
  #stopSoft() {
    this.#end = Math.max(this.#end, INTERRUPTED)
    this.#progress.say('millrace: interrupted: lines that were read are finished; once more stops at once')
    this.#source.stop()
  }

  /** @param {number} end */
  #stopHard(end) {
    this.#end = Math.max(this.#end, end)
    this.#source.stop()
    // Its calls end with an error that says no more than we know.
    this.#pool.close({ force: true })
  }

  /**
   * @param {{ error: any } | undefined} failure of the run as a whole
   * @returns {number} the exit code
   */
  #conclude(failure) {
    const unwritable = [
      this.#writer.error && writeError(this.#order.output ?? 'stdout', this.#writer.error),
      this.#errorWriter?.error && writeError(String(this.#order.errors), this.#errorWriter.error),
      this.#keepOutput(failure === undefined && this.#end === RUNNING),
    ].filter((message) => message !== undefined)
    for (const message of unwritable) if (message !== '') this.#progress.say(`millrace: ${message}`)
    this.#bad.summarize()
    if (failure !== undefined) this.#progress.say(`millrace: ${this.#describe(failure.error)}`)
    if (this.#interrupt.exitCode !== undefined) return this.#interrupt.exitCode
    if (failure?.error instanceof WorkerStartError) return USAGE
    const failed =
      failure !== undefined || this.#bad.count > 0 || unwritable.some((message) => message !== '')
    return failed ? FAILED : FINE
  }

  /**
   * @param {boolean} isWhole
   * @returns {string | undefined} what went wrong
   */
  #keepOutput(isWhole) {
    const output = this.#output
    if (output === undefined) return undefined
    try {
      if (isWhole && this.#writer.error === undefined) output.complete()
      else {
        const partial = output.leave()
        if (partial !== undefined) this.#progress.say(`millrace: the results so far are in ${partial}`)
      }
    } catch (error) {
      return writeError(String(this.#order.output), /** @type {NodeJS.ErrnoException} */ (error))
    }
    return undefined
  }

  /** @param {any} error */
  #describe(error) {
    if (error instanceof InputError) return `cannot read ${error.message}`
    const task = this.#order.task.name
    if (error instanceof WorkerStartError) return `cannot load ${task}: ${loadFailure(error)}`
    return `internal error: ${error?.stack ?? error}`
  }
}

/** The call is left at its first bad line. */
class Stopped extends Error {}

/**
 * What a user needs to find what is wrong with a task file: the place in it, if there is one.
 * @param {WorkerStartError} error
 */
function loadFailure(error) {
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  return ownStack(cause) ?? `${cause.name}: ${cause.message}`
}

/**
 * @param {string} where
 * @param {NodeJS.ErrnoException} error
 * @returns {string} nothing where the reader has left, as `head` does: that is no failure
 */
function writeError(where, error) {
  return error.code === 'EPIPE' ? '' : `cannot write ${where}: ${error.message}`
}

// Why a run ends, the stronger reason is the larger.
const RUNNING = 0
const AT_ERROR = 1
const INTERRUPTED = 2
const UNWRITABLE = 3
const CUT_OFF = 4

const FINE = 0
const FAILED = 1
const USAGE = 2

/** With fewer, workers wait for the parent now and then; more make nothing faster. */
const ITEMS_PER_WORKER = 4

const LINE_TASK = fileURLToPath(new URL('./line-task.js', import.meta.url))
/** How long a reader that is slow may take for the last block after everything was cut short. */
const ABANDON_MS = 1000
