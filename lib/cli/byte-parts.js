// Bytes that arrive in parts and are needed in one piece: they are put together once, not for every part.

export class ByteParts {
  length = 0
  /** @type {Buffer[]} */
  #parts = []

  /** @param {Buffer} bytes */
  add(bytes) {
    if (bytes.length === 0) return
    this.#parts.push(bytes)
    this.length += bytes.length
  }

  /**
   * All of them; then there are none.
   * @param {number} [most] the first of them, if there are more
   */
  take(most = this.length) {
    const parts = this.#parts
    const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts, Math.min(this.length, most))
    this.#parts = []
    this.length = 0
    return bytes
  }
}
