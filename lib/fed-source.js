// A source of what is cut from bytes: lines, blocks, records. It has a buffer, and fills it when it is pulled and there
// is nothing whole in it. That costs a crossing for a quarter of a mebibyte, and a promise only where it has to wait.

import { ENDED, WAIT } from './rust-feed.js'
import { DONE, FAILED, ITEM, PENDING, Source } from './source.js'

export class FedSource extends Source {
  #feed
  /** DONE or FAILED once nothing more comes. */
  #end = ITEM
  /** No more bytes come. */
  #isFed = false
  /** @type {(() => void) | undefined} */
  #wake
  /** Settles `ready`. @type {(() => void) | undefined} */
  #resolve
  /** @type {Promise<void> | undefined} */
  #closing

  /** @param {import('./rust-feed.js').Feed} feed */
  constructor(feed) {
    super()
    this.#feed = feed
  }

  /**
   * Cut the next item: it goes into `value`.
   * @param {boolean} _isFed no more bytes come
   * @returns {boolean} there was one
   */
  cut(_isFed) {
    return false
  }

  /**
   * Where more bytes are to be written. Asked when `cut()` has found nothing.
   * @returns {Uint8Array} not empty
   */
  room() {
    return NOTHING
  }

  /**
   * So many bytes were written there.
   * @param {number} _count
   */
  fed(_count) {}

  /** Nothing more is cut. */
  clear() {}

  /** @override */
  pull() {
    if (this.#end !== ITEM) return this.#end
    for (;;) {
      if (this.cut(this.#isFed)) {
        this.index++
        return ITEM
      }
      if (this.#isFed) return this.#finish(this.error === undefined ? DONE : FAILED)
      const taken = this.#feed.take(this.room())
      if (taken > 0) this.fed(taken)
      else if (taken === WAIT) return this.#wait()
      else if (taken === ENDED) this.#isFed = true
      else return this.#fail()
    }
  }

  /** @override */
  whenReady(/** @type {() => void} */ fn) {
    this.#wake = fn
  }

  /** @override */
  close() {
    if (this.#closing === undefined) {
      this.#finish(DONE)
      this.#closing = this.#feed.close()
      // Nothing will come of it any more.
      this.#closing.then(this.#tell, this.#tell)
    }
    return this.#closing
  }

  #fail() {
    this.error = this.#feed.error
    return this.#finish(FAILED)
  }

  /** @param {number} end */
  #finish(end) {
    if (this.#end === ITEM) {
      this.#end = end
      this.value = undefined
      this.clear()
    }
    return this.#end
  }

  #wait() {
    if (this.#resolve === undefined) {
      this.pending = this.#feed.mayHang
      this.ready = new Promise((/** @type {(value: void) => void} */ resolve) => {
        this.#resolve = resolve
      })
    }
    // Each time: since it was asked last, it may have had bytes after all, and waits for something else now.
    this.#feed.whenReady(this.#tell)
    return PENDING
  }

  #tell = () => {
    this.pending = false
    this.#resolve?.()
    this.#resolve = undefined
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

const NOTHING = new Uint8Array(0)
