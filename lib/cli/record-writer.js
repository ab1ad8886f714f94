// Writes lines to a file or a stream, joined to large blocks. One block is under way at a time: who writes faster than
// the other side reads is asked to wait, and what is written when everything is cut short are whole lines.

import { fstatSync, write as writeFile } from 'node:fs'
import { Socket } from 'node:net'
import { isatty, WriteStream } from 'node:tty'

export class RecordWriter {
  /** What ended the writing. @type {NodeJS.ErrnoException | undefined} */
  error

  #put
  #onError
  /** @type {Buffer[]} */
  #lines = []
  #bytes = 0
  #writing = false
  /** @type {NodeJS.Timeout | undefined} */
  #timer
  /** Those who wait until there is room, or until all is written. @type {(() => void)[]} */
  #waiting = []

  /**
   * @param {number} fd
   * @param {(error: NodeJS.ErrnoException) => void} onError called once, when nothing can be written any more
   */
  constructor(fd, onError) {
    this.#onError = onError
    this.#put = outlet(fd, (error) => this.#fail(error))
  }

  /**
   * @param {Buffer} lines whole ones
   * @returns {Promise<void> | undefined} if there is no room: settles when there is; never rejects
   */
  write(lines) {
    if (this.error !== undefined || lines.length === 0) return undefined
    this.#lines.push(lines)
    this.#bytes += lines.length
    if (!this.#writing) this.#proceed()
    if (this.#bytes < MOST_BYTES) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Write all that is there. Never rejects: look at `error`. */
  async end() {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.error === undefined && (this.#writing || this.#bytes > 0)) {
      if (!this.#writing) this.#next()
      else await new Promise((resolve) => this.#waiting.push(() => resolve(undefined)))
    }
  }

  /**
   * Drop what is not under way, and wait for what is: a block ends with a line.
   * @param {number} ms for at most so long
   */
  async abandon(ms) {
    this.#drop()
    clearTimeout(this.#timer)
    if (!this.#writing) return
    await new Promise((resolve) => {
      setTimeout(resolve, ms)
      this.#waiting.push(() => resolve(undefined))
    })
  }

  #flushNow = () => {
    this.#timer = undefined
    if (!this.#writing && this.#bytes > 0) this.#next()
  }

  /** Write a block; what is less waits for more, but not for long. */
  #proceed() {
    if (this.#bytes >= BLOCK_BYTES) this.#next()
    else if (this.#bytes > 0) this.#timer ??= setTimeout(this.#flushNow, FLUSH_MS)
  }

  #next() {
    this.#writing = true
    let count = 0
    let bytes = 0
    while (count < this.#lines.length && bytes < BLOCK_BYTES) bytes += this.#lines[count++].length
    this.#bytes -= bytes
    const lines = this.#lines.splice(0, count)
    this.#put(count === 1 ? lines[0] : Buffer.concat(lines, bytes), this.#written)
  }

  #written = () => {
    this.#writing = false
    this.#proceed()
    this.#release()
  }

  #drop() {
    this.#lines.length = 0
    this.#bytes = 0
  }

  /** @param {NodeJS.ErrnoException} error */
  #fail(error) {
    if (this.error !== undefined) return
    this.error = error
    this.#writing = false
    this.#drop()
    clearTimeout(this.#timer)
    this.#release()
    this.#onError(error)
  }

  #release() {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/**
 * A function that writes a block and calls back when it is written. Regular files are written by threads. Those must not
 * wait for anything else: a thread that waits for a reader would keep this program from ending.
 * @param {number} fd
 * @param {(error: NodeJS.ErrnoException) => void} fail
 * @returns {(bytes: Buffer, done: () => void) => void}
 */
function outlet(fd, fail) {
  const stream = streamOf(fd)
  if (stream !== undefined) {
    stream.on('error', fail)
    return (bytes, done) => {
      stream.write(bytes, (error) => {
        if (!error) done()
      })
    }
  }
  return function put(bytes, done) {
    writeFile(fd, bytes, 0, bytes.length, null, (error, written) => {
      if (error) fail(error)
      else if (written < bytes.length) put(bytes.subarray(written), done)
      else done()
    })
  }
}

/**
 * @param {number} fd
 * @returns {import('node:stream').Writable | undefined} undefined for a file, or a device that is none to wait for
 */
function streamOf(fd) {
  const stat = fstatSync(fd)
  const waits = stat.isFIFO() || stat.isSocket() || isatty(fd)
  if (!waits) return undefined
  if (fd === 1) return process.stdout
  return isatty(fd) ? new WriteStream(fd) : new Socket({ fd, readable: false, writable: true })
}

/** Measured from 64 KiB to 1 MiB: smaller ones take more time. */
const BLOCK_BYTES = 256 << 10
/** Whoever writes waits from here on. */
const MOST_BYTES = 4 << 20
/** Results that come slowly are shown after this. */
const FLUSH_MS = 5
