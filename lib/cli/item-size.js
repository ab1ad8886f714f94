// How many lines travel together. What a line costs is known only when some have run, so it begins with one.

export class ItemSize {
  /** So many calls of the function an item is for: lines or, with `--batch`, batches. */
  calls = 1

  #workers
  #totalBytes

  /**
   * @param {number} workers
   * @param {number | undefined} totalBytes of all inputs, if they are known
   */
  constructor(workers, totalBytes) {
    this.#workers = workers
    this.#totalBytes = totalBytes
  }

  /**
   * An item is full when it has so many bytes. Towards the end items become smaller, so that all workers end together.
   * @param {number} bytesCut bytes of the inputs before it
   */
  bytesAfter(bytesCut) {
    const left = (this.#totalBytes ?? 0) - bytesCut
    // Less than nothing: a file that grows.
    return left > 0 ? Math.min(MOST_BYTES, left / (2 * this.#workers)) : MOST_BYTES
  }

  /**
   * So many calls took a worker so long.
   * @param {number} calls
   * @param {number} micros
   */
  learn(calls, micros) {
    const fitting = Math.max(1, Math.floor((calls * TARGET_MICROS) / Math.max(micros, 1)))
    // A few calls say little about many.
    this.calls = fitting < this.calls ? fitting : Math.max(this.calls, Math.min(fitting, calls * GROWTH))
  }
}

const TARGET_MICROS = 2000
const GROWTH = 4
const MOST_BYTES = 64 << 10
