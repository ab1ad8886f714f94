// The files that are read, one after the other, in blocks. `-` is stdin.

import { closeSync, constants, createReadStream, fstatSync, open, openSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { isatty, ReadStream } from 'node:tty'
import { promisify } from 'node:util'

/** @typedef {import('./line-source.js').Block} Block */

/** An input could not be read to its end. */
export class InputError extends Error {
  /**
   * @param {string} file
   * @param {unknown} cause
   */
  constructor(file, cause) {
    super(`${file}: ${/** @type {Error} */ (cause).message}`, { cause })
  }
}

export class Inputs {
  /** Bytes that were read. */
  bytesRead = 0
  /** Bytes of all of them, if every one is a regular file. @type {number | undefined} */
  totalBytes

  #files
  #blocks
  /** @type {import('node:stream').Readable | undefined} */
  #stream
  #left = false
  /** The file that is being opened. @type {string | undefined} */
  #opening

  /** @param {readonly string[]} files */
  constructor(files) {
    this.#files = files
    this.#blocks = this.#read()
    this.totalBytes = totalSize(files)
  }

  /**
   * @returns {Promise<IteratorResult<Block, undefined>>} rejects with an InputError
   */
  next() {
    return this.#blocks.next()
  }

  /**
   * Read no more, also where the next block may never come.
   * @returns {Promise<IteratorResult<Block, undefined>>}
   */
  return() {
    this.#left = true
    this.#stream?.destroy()
    if (this.#opening !== undefined) release(this.#opening)
    return this.#blocks.return(undefined)
  }

  /** @returns {AsyncGenerator<Block, undefined>} */
  async *#read() {
    for (const file of this.#files) {
      const name = displayName(file)
      try {
        this.#opening = file
        const stream = await openInput(file)
        this.#opening = undefined
        this.#stream = stream
        if (this.#left) stream.destroy()
        for await (const bytes of stream) {
          this.bytesRead += bytes.length
          yield { file: name, bytes }
        }
      } catch (error) {
        if (this.#left) return undefined
        throw new InputError(name, error)
      }
      yield { file: name, bytes: undefined }
    }
    return undefined
  }
}

/** @param {string} file */
export function displayName(file) {
  return file === STDIO ? 'stdin' : file
}

/**
 * The state of an input, without opening it.
 * @param {string} file
 */
export function inputStat(file) {
  return file === STDIO ? fstatSync(0) : statSync(file)
}

/**
 * Regular files are read by threads. Those must not wait for anything else: a thread that waits for a pipe would keep
 * this program from ending.
 * @param {string} file
 * @returns {Promise<import('node:stream').Readable>}
 */
async function openInput(file) {
  if (file === STDIO) {
    if (!fstatSync(0).isFile()) return process.stdin
    return createReadStream('', { fd: 0, autoClose: false, highWaterMark: BLOCK_BYTES })
  }
  const fd = await openFile(file, 'r')
  const stat = fstatSync(fd)
  if (stat.isFIFO() || stat.isSocket()) return new Socket({ fd, readable: true, writable: false })
  if (isatty(fd)) return new ReadStream(fd)
  return createReadStream('', { fd, highWaterMark: BLOCK_BYTES })
}

/**
 * A thread that opens a named pipe waits for somebody who writes to it: be that, for a moment.
 * @param {string} file
 */
function release(file) {
  try {
    if (inputStat(file).isFIFO()) closeSync(openSync(file, constants.O_WRONLY | constants.O_NONBLOCK))
  } catch {
    // Nobody waits any more.
  }
}

/** @param {readonly string[]} files */
function totalSize(files) {
  let total = 0
  for (const file of files) {
    const stat = inputStat(file)
    if (!stat.isFile()) return undefined
    total += stat.size
  }
  return total
}

const openFile = promisify(open)

/** As a name of a file: stdin, or stdout where something is written. */
export const STDIO = '-'
/** Measured from 64 KiB to 4 MiB: from 256 KiB on it makes no difference. */
const BLOCK_BYTES = 256 << 10
