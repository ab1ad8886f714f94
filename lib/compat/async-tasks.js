// What holds the tasks of a queue that wait: in their order, or the most urgent first.

/**
 * @typedef {object} Task
 * @property {any} data
 * @property {any} priority the lower, the sooner
 * @property {(error: any, ...results: any[]) => void} callback
 * @property {number} at when it came, among those of the same priority
 */

/** In their order: a ring, so that both ends cost the same. */
export class TaskList {
  length = 0
  /** @type {(Task | undefined)[]} its length is a power of two */
  #ring = new Array(16)
  #start = 0

  /** @param {Task} task */
  push(task) {
    if (this.length === this.#ring.length) this.#grow()
    this.#ring[(this.#start + this.length++) & (this.#ring.length - 1)] = task
  }

  /** @param {Task} task */
  unshift(task) {
    if (this.length === this.#ring.length) this.#grow()
    this.#start = (this.#start - 1) & (this.#ring.length - 1)
    this.#ring[this.#start] = task
    this.length++
  }

  /** @returns {Task | undefined} */
  shift() {
    if (this.length === 0) return undefined
    const task = this.#ring[this.#start]
    this.#ring[this.#start] = undefined
    this.#start = (this.#start + 1) & (this.#ring.length - 1)
    this.length--
    return task
  }

  /** @param {(task: Task) => boolean} test */
  remove(test) {
    const kept = this.#list().filter((task) => !test(task))
    this.empty()
    for (const task of kept) this.push(task)
    return this
  }

  empty() {
    this.#ring = new Array(16)
    this.#start = 0
    this.length = 0
    return this
  }

  /** The data of the tasks. */
  toArray() {
    return [...this]
  }

  *[Symbol.iterator]() {
    for (const { data } of this.#list()) yield data
  }

  #list() {
    const ring = this.#ring
    return Array.from(
      { length: this.length },
      (_, index) => /** @type {Task} */ (ring[(this.#start + index) & (ring.length - 1)]),
    )
  }

  #grow() {
    const ring = this.#ring
    const { length } = ring
    this.#ring = new Array(length * 2)
    for (let index = 0; index < length; index++)
      this.#ring[index] = ring[(this.#start + index) & (length - 1)]
    this.#start = 0
  }
}

/** The lowest priority first, those of the same one in their order: a binary heap. */
export class TaskHeap {
  /** @type {Task[]} */
  #heap = []
  #count = 0

  get length() {
    return this.#heap.length
  }

  /** @param {Task} task */
  push(task) {
    task.at = this.#count++
    this.#heap.push(task)
    this.#rise(this.#heap.length - 1)
  }

  /** There is no front to put it at. */
  unshift(/** @type {Task} */ task) {
    this.push(task)
  }

  /** @returns {Task | undefined} */
  shift() {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last !== undefined && heap.length > 0) {
      heap[0] = last
      this.#sink(0)
    }
    return top
  }

  /** @param {(task: Task) => boolean} test */
  remove(test) {
    this.#heap = this.#heap.filter((task) => !test(task))
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#sink(index)
    return this
  }

  empty() {
    this.#heap = []
    return this
  }

  /** The data of the tasks, in no particular order. */
  toArray() {
    return [...this]
  }

  *[Symbol.iterator]() {
    for (const { data } of this.#heap) yield data
  }

  /** @param {number} index */
  #rise(index) {
    const heap = this.#heap
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(heap[index], heap[parent])) return
      ;[heap[index], heap[parent]] = [heap[parent], heap[index]]
      index = parent
    }
  }

  /** @param {number} index */
  #sink(index) {
    const heap = this.#heap
    for (;;) {
      let child = index * 2 + 1
      if (child >= heap.length) return
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
      if (before(heap[index], heap[child])) return
      ;[heap[index], heap[child]] = [heap[child], heap[index]]
      index = child
    }
  }
}

/**
 * @param {Task} one
 * @param {Task} other
 */
function before(one, other) {
  return one.priority === other.priority ? one.at < other.at : one.priority < other.priority
}
