// Pools of programs of any kind: items go to their stdin and results come from their stdout, or one is started for each
// item. All that a pool promises is `worker-pool.js`; here is what differs: how the native pool is made, how items become
// bytes and bytes results, and what errors say.

import { NativePool } from './binding.js'
import { CommandDecoder, CommandEncoder } from './command-codec.js'
import { commandPoolSettings } from './command-options.js'
import {
  CommandExitError,
  CommandProtocolError,
  MILLRACE_BUFFERED_COMMAND,
  MILLRACE_SURPLUS_OUTPUT,
  StalledError,
  WorkerStartError,
} from './errors.js'
import { PoolCore } from './pool-core.js'
import { nativeLives } from './pool-lives.js'
import { systemCause } from './worker-failure.js'
import { WorkerPool } from './worker-pool.js'

/** @typedef {Readonly<import('./command-options.js').CommandSettings>} CommandSettings */

/**
 * What Rust says of an item that has failed (`src/place/command/talk.rs`, Fault).
 * @typedef {object} Fault
 * @property {'protocol' | 'stalled' | 'exit' | 'start'} kind
 * @property {string} reason
 * @property {string | null} line
 * @property {number | null} exitCode
 * @property {string | null} signal
 * @property {string | null} stderr
 * @property {number | null} errno
 */

/**
 * @param {string | URL} command
 * @param {readonly string[]} [args]
 * @param {unknown} [options]
 * @returns {WorkerPool<CommandSettings>}
 */
export function commandPool(command, args, options) {
  return new WorkerPool(commandPoolSettings(command, args, options), coreOf)
}

/** @type {import('./worker-pool.js').CoreOf<CommandSettings>} */
function coreOf(settings, size, listener) {
  const { label } = settings
  return new CommandCore(
    label,
    size,
    (onWake) =>
      NativePool.commands(
        size,
        settings.gracePeriod,
        nativeLives(settings),
        processOptions(settings),
        speechOf(settings),
        onWake,
      ),
    () => new CommandEncoder(settings.format, settings.perItem),
    { ...listener, notice: (_worker, kind, text) => warn(label, kind, text) },
    () => new CommandDecoder(settings.format),
  )
}

class CommandCore extends PoolCore {
  /**
   * @override
   * @param {Fault | Error} fault or what could not be decoded
   * @param {{ index?: number, attempt: number, worker: number }} where
   */
  toError(fault, where) {
    return fault instanceof Error ? fault : faultError(fault, this.label, where)
  }
}

/**
 * @param {Fault} fault
 * @param {string} label of the pool
 * @param {{ index?: number, attempt: number, worker: number }} where
 */
function faultError({ kind, reason, line, exitCode, signal, stderr, errno }, label, where) {
  const item = where.index === undefined ? 'an item' : `item ${where.index}`
  const details = {
    ...where,
    ...(line === null ? {} : { line }),
    ...(exitCode === null ? {} : { exitCode }),
    ...(signal === null ? {} : { signal }),
    ...(stderr === null ? {} : { stderr }),
  }
  const wrote = stderr?.trim().split('\n').at(-1)
  const because = wrote ? `; it wrote: ${wrote}` : ''
  if (kind === 'start')
    return new WorkerStartError(`${label} could not be started for ${item}: ${reason}`, {
      ...details,
      ...systemCause(label, reason, errno),
    })
  if (kind === 'exit')
    return new CommandExitError(`${label} exited with code ${exitCode} for ${item}${because}`, details)
  const shown = line === null ? '' : `: ${JSON.stringify(line)}`
  if (kind === 'stalled')
    return new StalledError(`Worker ${where.worker} of ${label} stalled at ${item}: ${reason}`, details)
  return new CommandProtocolError(
    `Worker ${where.worker} of ${label} broke the protocol at ${item}: ${reason}${shown}${because}`,
    details,
  )
}

/**
 * @param {string} label
 * @param {number} kind
 * @param {string} text
 */
function warn(label, kind, text) {
  if (kind === BUFFERS) {
    process.emitWarning(
      `${label} holds its answers back when it does not write to a terminal, so its stdin is closed after all that is there and it is started again. Let it write each line at once: jq --unbuffered, sed -u, grep --line-buffered, stdbuf -oL for many others, or flush in the program`,
      { type: 'MillraceWarning', code: MILLRACE_BUFFERED_COMMAND },
    )
  } else {
    process.emitWarning(
      `${label} wrote a line that no item waited for, so results before it may belong to other items: ${JSON.stringify(text)}`,
      { type: 'MillraceWarning', code: MILLRACE_SURPLUS_OUTPUT },
    )
  }
}

/** @param {CommandSettings} settings */
function processOptions({ program, args, env, cwd, stderr, niceIncrement, rlimits, maxMemory }) {
  const init = new Uint8Array(0)
  return {
    program,
    args: [...args],
    env: Object.entries(env).flat(),
    cwd,
    stdout: 'ignore',
    stderr,
    niceIncrement,
    ...rlimits,
    maxMemory,
    init,
  }
}

/** @param {CommandSettings} settings */
function speechOf({ format, perItem, shellArgs, readAhead, maxLineBytes, stallTimeout }) {
  const perItemFrom = perItem ? shellArgs : undefined
  return { format, perItemFrom, readAhead, maxAnswer: maxLineBytes, stall: stallTimeout }
}

/** As `Notice` in `src/place/mod.rs`; the other one is a surplus line. */
const BUFFERS = 1
