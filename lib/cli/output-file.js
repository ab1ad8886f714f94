// `-o`: the file gets its name when it is whole. Until then, and after an interrupt, the results are in a file beside it,
// so whoever reads it finds the old one or the new one, and an input may be the output.

import { closeSync, lstatSync, openSync, realpathSync, renameSync, statSync, unlinkSync } from 'node:fs'

export class OutputFile {
  /** @type {number} */
  fd
  /** Where the results are until the file is whole; undefined: they go there directly. @type {string | undefined} */
  partial

  #path

  /**
   * @param {string} path devices and pipes are written directly
   * @throws {NodeJS.ErrnoException} it cannot be written
   */
  constructor(path) {
    const existing = statSync(path, { throwIfNoEntry: false })
    // Behind a link, the file is replaced, not the link.
    this.#path = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? realpathSync(path) : path
    // What cannot be written is not replaced either.
    const direct = existing === undefined ? undefined : openSync(path, existing.isFile() ? 'r+' : 'w')
    if (direct !== undefined && existing?.isFile() === false) {
      this.fd = direct
      return
    }
    if (direct !== undefined) closeSync(direct)
    this.partial = `${this.#path}.${Math.random().toString(36).slice(2, 8)}.partial`
    this.fd = openSync(this.partial, 'wx', existing === undefined ? 0o666 : existing.mode & 0o777)
  }

  /**
   * All results are written.
   * @throws {NodeJS.ErrnoException}
   */
  complete() {
    closeSync(this.fd)
    if (this.partial !== undefined) renameSync(this.partial, this.#path)
  }

  /**
   * There will be no more.
   * @returns {string | undefined} where those are that there were
   */
  leave() {
    if (this.partial === undefined) return undefined
    closeSync(this.fd)
    if (statSync(this.partial).size > 0) return this.partial
    unlinkSync(this.partial)
    return undefined
  }
}
