// How a worker is to treat the items of a chunk. They travel in the second byte of the word of the chunk's cell.

/** Every item has index 0: it is one of a pool's `run()` calls. */
export const FIXED_INDEX = 1
/** Of a result only its truth is wanted: `true`, or skipped. */
export const TRUTH_ONLY = 2
/** A result is an array, or iterated into one. */
export const COLLECTED = 4
