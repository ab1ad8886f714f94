// Names of files as items, from the records that `src/source/walk.rs` writes.

import { InvalidTextError } from './errors.js'
import { RecordSource } from './record-source.js'
import { systemError } from './rust-feed.js'

export class FileNames extends RecordSource {
  /** @param {import('./rust-feed.js').Feed} feed */
  constructor(feed) {
    super(feed, 0, Infinity)
  }

  /**
   * @override
   * @param {Buffer} bytes
   * @param {number} start
   * @param {number} end
   */
  read(bytes, start, end) {
    const kind = bytes[start]
    if (kind === FILE) {
      return this.isAscii ? latin1Slice.call(bytes, start + 1, end) : utf8Slice.call(bytes, start + 1, end)
    }
    const text = bytes.toString('utf8', start + 1, end)
    const error = kind === FAILED ? unreadable(text) : unnameable(text)
    const promise = Promise.reject(error)
    // It may be dropped unseen.
    promise.catch(() => {})
    return promise
  }
}

/** @param {string} text an error number, a space, and a name */
function unreadable(text) {
  const space = text.indexOf(' ')
  return systemError(Number(text.slice(0, space)), 'scandir', text.slice(space + 1))
}

/** @param {string} path what can be said of it */
function unnameable(path) {
  return Object.assign(new InvalidTextError(`The name of the file '${path}' is not valid UTF-8`), { path })
}

const { latin1Slice, utf8Slice } = /** @type {any} */ (Buffer.prototype)
const FILE = 'f'.charCodeAt(0)
const FAILED = 'e'.charCodeAt(0)
