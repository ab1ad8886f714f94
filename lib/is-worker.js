// Whether this program is a worker process of a pool. The mark is set by worker-boot.cjs, and is global because the
// task may load its own copy of this package.

/** @type {boolean} */
export const isWorker = Reflect.get(globalThis, Symbol.for('millrace.worker')) !== undefined
