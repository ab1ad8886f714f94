// What goes between a worker's task and whoever holds its pool, beside items and results: `context.emit()` and
// `context.progress()` one way, the pool's `postMessage()` the other. Progress is written straight into shared memory, with
// no crossing: the parent looks at it when somebody wants to know. `crates/channel` (talk.rs) says how a cell is read.

export class Talk {
  #port
  #decoder
  #words
  #numbers
  /** The task's; undefined: not loaded yet; null: it has none. @type {((value: unknown) => unknown) | null | undefined} */
  #onMessage
  /** What came before the task was loaded. @type {unknown[]} */
  #early = []

  /**
   * @param {import('./worker-port.js').Port} port
   * @param {import('./codec.js').Decoder} decoder
   */
  constructor(port, decoder) {
    this.#port = port
    this.#decoder = decoder
    this.#words = new Uint32Array(port.memory, 0, HEADER_BYTES / 4)
    this.#numbers = new Float64Array(port.memory, 0, HEADER_BYTES / 8)
  }

  /**
   * @param {number} index
   * @param {unknown} value
   */
  emit(index, value) {
    this.#port.message(index, value)
  }

  /**
   * @param {number} index
   * @param {number} done
   * @param {number} total
   */
  progress(index, done, total) {
    const words = this.#words
    if ((Atomics.load(words, LISTENING) & PROGRESS) === 0) return
    const at = PROGRESS_CELLS_AT + (index & (PROGRESS_CELLS - 1)) * PROGRESS_STRIDE
    // Odd: it is being written. Read and written at once, so that nothing of what follows can come before it.
    const version = Atomics.add(words, at, 1)
    words[at + 1] = index
    words[at + 2] = index / 2 ** 32
    this.#numbers[at / 2 + 2] = done
    this.#numbers[at / 2 + 3] = total
    Atomics.store(words, at, version + 2)
  }

  /**
   * The task is loaded: what has come for it is handed over.
   * @param {((value: any) => unknown) | undefined} onMessage
   */
  begin(onMessage) {
    this.#onMessage = onMessage ?? null
    for (const value of this.#early.splice(0)) this.#tell(value)
  }

  /**
   * A message of the pool: words (kind, bytes of row, bytes of text), then these.
   * @param {Uint8Array} frame
   */
  hear(frame) {
    if (this.#onMessage === null) return
    const view = new DataView(frame.buffer, frame.byteOffset)
    const textAt = FRAME_BYTES + view.getUint32(8, true)
    this.#decoder.open(frame, textAt, textAt + view.getUint32(12, true))
    const value = this.#decoder.decode(FRAME_BYTES, textAt, 0)
    if (this.#onMessage === undefined) this.#early.push(value)
    else this.#tell(value)
  }

  /** @param {unknown} value */
  #tell(value) {
    try {
      this.#onMessage?.(value)
    } catch (error) {
      // Nobody catches it, as with any listener of Node. (What a promise of it is rejected with, Node sees itself.)
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

const HEADER_BYTES = 16384
/** Word offsets, as in `layout.rs`. */
const LISTENING = 576 / 4
const PROGRESS_CELLS_AT = 13312 / 4
const PROGRESS_STRIDE = 32 / 4
const PROGRESS_CELLS = 64
/** A bit of what somebody listens to. */
const PROGRESS = 2
/** Length of the frame, then three words. */
const FRAME_BYTES = 16
