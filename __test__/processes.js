// What a test of worker processes starts, and that it ends with the test: pools, programs, temporary folders. And what
// can be seen of processes from outside.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { workerPool } from '../index.js'

/** The task of most tests: an item says what is to happen. */
export const ACTS = new URL('./fixtures/acts.js', import.meta.url)

/** For every test here: only against a hang, so generous. */
export const LIMIT = { timeout: 240_000 }

/** A pool that is gone after the test, whatever becomes of it. */
export function openPool(t, task = ACTS, options = {}) {
  return endWith(t, workerPool(task, options))
}

/** The pool, which is gone after the test. As long as that runs it may wait for events, which keep no program alive. */
export function endWith(t, pool) {
  const awake = setInterval(() => {}, 60_000)
  t.after(async () => {
    clearInterval(awake)
    const before = new Set(children())
    // A pool that cannot be closed is the failure of the test that says so, not of the one after it.
    await Promise.race([pool.close({ force: true }), sleep(5000).then(() => killAll(before))])
  })
  return pool
}

/** A temporary folder, with these files in it. */
export function folderWith(t, files = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

/** The lines of a file that tasks have appended to; none if there is no such file. */
export function linesOf(file) {
  const text = quietly(() => readFileSync(file, 'utf8')) ?? ''
  return text.split('\n').filter(Boolean)
}

/**
 * Run a program of its own, an ES module given as text, in the folder of this package. `ended` is how it ended; it is
 * killed with the test.
 */
export function program(t, source, { flags = [], env = {}, detached = false } = {}) {
  const args = [...flags, '--input-type=module', '--eval', source]
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ACTS: ACTS.href, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached,
  })
  const running = { child, pid: child.pid, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (running.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (running.stderr += text))
  t.after(() => child.kill('SIGKILL'))
  running.ended = once(child, 'close').then(([code, signal]) => {
    return { code, signal, stdout: running.stdout, stderr: running.stderr }
  })
  /** The next JSON line that it prints. */
  let read = 0
  running.line = async () => {
    await until(() => running.stdout.indexOf('\n', read) >= 0 || child.exitCode !== null, 'a line of output')
    const end = running.stdout.indexOf('\n', read)
    if (end < 0) throw new Error(`The program ended without a line: ${running.stderr}`)
    const text = running.stdout.slice(read, end)
    read = end + 1
    return JSON.parse(text)
  }
  return running
}

/** Whether a process runs: a zombie does not. */
export function isAlive(pid) {
  const stat = quietly(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  return stat !== undefined && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
}

/** The state of a process, as in `ps`: R, S, T, … */
export function stateOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2)[0]
}

/** Children of this process, zombies too: each is listed under the thread that started it. */
export function children() {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    const list = quietly(() => readFileSync(`/proc/self/task/${thread}/children`, 'latin1')) ?? ''
    return list.split(' ').filter(Boolean).map(Number)
  })
}

/** Wait until something is so, for a minute: a machine may have other things to do. */
export async function until(condition, what = String(condition)) {
  for (const end = Date.now() + 60_000; ; ) {
    const result = await condition()
    if (result) return result
    if (Date.now() > end) throw new Error(`Waited in vain for: ${what}`)
    await sleep(10)
  }
}

/** Whether a promise has settled, after the event loop has had some turns. */
export async function isSettled(promise) {
  let settled = false
  const note = () => (settled = true)
  promise.then(note, note)
  await sleep(50)
  return settled
}

/** What a promise is rejected with. */
export async function rejection(promise) {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error(`Expected a rejection, got ${inspect(outcome.value)}`)
  return outcome.reason
}

function killAll(pids) {
  for (const pid of pids) quietly(() => process.kill(pid, 'SIGKILL'))
}

/** What it gives, or nothing where it throws: processes and files come and go while we look. */
export function quietly(look) {
  try {
    return look()
  } catch {
    return undefined
  }
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))
