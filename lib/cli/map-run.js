// One run of `millrace map`: lines in, a pool in the middle, records out.

import { openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { WorkerStartError } from '../errors.js'
import { parallelMap } from '../parallel-map.js'
import { workerPool } from '../worker-pool.js'
import { BadLines, errorRecord, ownStack } from './bad-lines.js'
import { InputError, Inputs } from './inputs.js'
import { Interrupt } from './interrupt.js'
import { LineSource } from './line-source.js'
import { OutputFile } from './output-file.js'
import { Progress } from './progress.js'
import { RecordWriter } from './record-writer.js'

/** @typedef {import('./line-task.js').LineReport} LineReport */
/** @typedef {{ status: 'fulfilled', value: import('./line-task.js').LineResult, index: number } | { status: 'rejected', reason: unknown, index: number }} Outcome */

export class MapRun {
  #order
  #inputs
  #source
  #pool
  #output
  #writer
  /** @type {RecordWriter | undefined} */
  #errorWriter
  #bad
  #progress
  #interrupt
  #lines = 0
  /** Why it ends before the inputs do. */
  #end = RUNNING
  /** Settles when nothing is waited for any more. @type {Promise<void>} */
  #cutOff
  #onCutOff = () => {}

  /**
   * @param {Readonly<import('./arguments.js').MapOrder>} order
   * @throws {NodeJS.ErrnoException} a file cannot be written
   */
  constructor(order) {
    this.#order = order
    const { task, files, jobs, batch, output, errors } = order
    this.#inputs = new Inputs(files)
    this.#source = new LineSource(this.#inputs, batch)
    this.#pool = workerPool(LINE_TASK, {
      label: task.name,
      setupData: { url: task.url, path: task.path, batch },
      ...(jobs === undefined ? {} : { size: jobs }),
    })
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
    const { unordered } = this.#order
    const results = parallelMap(this.#source, this.#pool, { settled: true, preserveOrder: !unordered })
    await results.forEach(this.#take)
    if (this.#source.failure !== undefined) throw this.#source.failure.error
    // Without a line, nobody has looked at the task file.
    if (this.#source.index < 0 && this.#end === RUNNING) await this.#pool.ready()
  }

  /** @param {Outcome} outcome */
  #take = (outcome) => {
    const { index } = outcome
    if (outcome.status === 'fulfilled') {
      const { value } = outcome
      if (typeof value === 'string') {
        this.#lines++
        this.#source.settle(index)
        return this.#writer.write(value)
      }
      this.#lines += value.lines
      if (value.bad.length === 0) {
        this.#source.settle(index)
        return this.#writer.write(value.text)
      }
      return this.#takeBad(index, value)
    }
    return this.#takeFailed(index, outcome.reason)
  }

  /**
   * @param {number} index
   * @param {LineReport} report
   */
  async #takeBad(index, { text, bad, thrown }) {
    const place = this.#source.place(index)
    /** @type {number[]} */
    const except = []
    for (const { line, ...error } of bad) {
      if (line < 0) await this.#bad.add(place, error, except)
      else await this.#bad.add(place, error, except, line)
      except.push(line)
    }
    if (thrown !== undefined) await this.#bad.add(place, errorRecord(thrown[0]), except)
    this.#source.settle(index)
    await this.#writer.write(text)
    this.#stopOnError()
  }

  /**
   * @param {number} index
   * @param {unknown} reason
   */
  async #takeFailed(index, reason) {
    const before = this.#bad.count
    await this.#bad.add(this.#source.place(index), errorRecord(reason), [])
    this.#lines += this.#bad.count - before
    this.#source.settle(index)
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

const LINE_TASK = fileURLToPath(new URL('./line-task.js', import.meta.url))
/** How long a reader that is slow may take for the last block after everything was cut short. */
const ABANDON_MS = 1000
