// The command line as its users run it: a program of its own, with pipes, files and signals.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const BIN = fileURLToPath(new URL('../bin/millrace.js', import.meta.url))

/** The same, but `CLI_ITEM` in its environment says for how many calls of the function an item is. */
export const SIZED = fileURLToPath(new URL('./fixtures/cli-sized.js', import.meta.url))

/** The task of most tests: a line says what is to happen. */
export const TASK = fileURLToPath(new URL('./fixtures/cli-acts.js', import.meta.url))

export { LIMIT } from './processes.js'

/**
 * Start the command line. `ended` is how it ended, with all that it wrote; it is killed with the test.
 * @param input text or bytes for stdin; null: stdin stays open
 */
export function start(
  t,
  args,
  { input = '', stdio = ['pipe', 'pipe', 'pipe'], cwd, env = {}, flags = [], program = BIN } = {},
) {
  const child = spawn(process.execPath, [...flags, program, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio,
  })
  const running = { child, stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name]?.setEncoding('utf8').on('data', (text) => (running[name] += text))
  }
  child.stdin?.on('error', () => {})
  if (input !== null) child.stdin?.end(input)
  t.after(() => child.kill('SIGKILL'))
  running.ended = once(child, 'close').then(([code, signal]) => {
    return { code, signal, stdout: running.stdout, stderr: running.stderr }
  })
  return running
}

/** Run `millrace map` with the usual task to its end. */
export function map(t, args, options) {
  return start(t, ['map', TASK, '-j', '2', ...args], options).ended
}

/** Lines of NDJSON. */
export function ndjson(values) {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}

/** The values in lines of NDJSON; every line is whole. */
export function valuesOf(text) {
  if (text !== '' && !text.endsWith('\n')) throw new Error(`The last line is cut: ${text.slice(-100)}`)
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

/** Processes with this variable in their environment: the program, its workers, and whatever they started. */
export function marked(mark) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => read(`/proc/${pid}/environ`).includes(`CLI_MARK=${mark}`))
    .filter((pid) => !/^\d+ \(.*\) [ZX]/s.test(read(`/proc/${pid}/stat`)))
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid) {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

function read(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
