// Sources that count what is done to them.

/**
 * An iterator that yields `make(0)`, `make(1)`, … and knows how it was treated.
 * @param {{ make?: (index: number) => unknown, length?: number, throwAt?: number, error?: unknown }} [shape]
 */
export function countedSource({ make = (index) => index, length = Infinity, throwAt = -1, error } = {}) {
  const source = {
    pulls: 0,
    returns: 0,
    ended: false,
    [Symbol.iterator]() {
      return source
    },
    next() {
      if (source.pulls === throwAt) {
        source.ended = true
        throw error
      }
      if (source.pulls === length) {
        source.ended = true
        return { done: true, value: undefined }
      }
      return { done: false, value: make(source.pulls++) }
    },
    return() {
      source.returns++
      return { done: true, value: undefined }
    },
  }
  return source
}

/** The same, asynchronous. `overlaps` counts calls of `next()` while one was pending. */
export function countedAsyncSource(shape) {
  const inner = countedSource(shape)
  let pending = 0
  const source = {
    overlaps: 0,
    get pulls() {
      return inner.pulls
    },
    get returns() {
      return inner.returns
    },
    [Symbol.asyncIterator]() {
      return source
    },
    async next() {
      if (pending++ > 0) source.overlaps++
      await undefined
      try {
        return inner.next()
      } finally {
        pending--
      }
    },
    async return() {
      await undefined
      return inner.return()
    },
  }
  return source
}

/** Wait until a number stops changing. */
export async function settledNumber(read) {
  for (let last = -1, same = 0; same < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    const now = read()
    same = now === last ? same + 1 : 0
    last = now
  }
  return read()
}
