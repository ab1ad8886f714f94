// Everything that `import 'millrace'` gives. The contract is index.d.ts.

export { commandPool } from './lib/command-pool.js'
export { divide } from './lib/divide.js'
export {
  CommandExitError,
  CommandProtocolError,
  ConsumedError,
  CorruptDataError,
  FalsyValueError,
  InvalidTextError,
  LineTooLongError,
  MillraceError,
  OutputTooLargeError,
  PoolClosedError,
  SerializationError,
  StalledError,
  TaskTimeoutError,
  WorkerCrashError,
  WorkerOutOfMemoryError,
  WorkerStartError,
} from './lib/errors.js'
export { failureOf } from './lib/failure.js'
export { native } from './lib/native.js'
export { skip } from './lib/outcome.js'
export { batch, parallelMap } from './lib/parallel-map.js'
export { blocks, files, lines } from './lib/sources.js'
export { throughWorkers } from './lib/through-workers.js'
export { isWorker, workerPool } from './lib/worker-pool.js'
