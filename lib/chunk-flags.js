// How the items of a chunk are treated; of a call, what becomes of the mapper's results (its `form`: 0, FILTER or
// FLATTEN). They travel to workers in the second byte of the word of the chunk's cell.

/** Every item has index 0: it is one of a pool's `run()` calls. */
export const FIXED_INDEX = 1
/** Of a result only its truth is wanted, for the item itself: a worker says `true`, or skips it. */
export const FILTER = 2
/** A result is an array of results; a worker iterates what is none into one. */
export const FLATTEN = 4
/** Items have a time-out, so each has a signal of its own. */
export const TIMED = 8
