// What a suite leaves behind. Everything that runs under `env` carries a mark and makes its temporary files in a
// folder of its own, so whatever still bears the mark, or lies in that folder, at the end is a leftover.

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export class Leftovers {
  #mark = `${process.pid}.${Date.now()}`
  #folder
  #before = sharedMemory()

  /** @param parent the folder in which the suite's temporary folder is made */
  constructor(parent) {
    this.#folder = mkdtempSync(join(parent, 'tmp-'))
  }

  /** The variables that everything in the suite must run with. */
  get env() {
    return { MILLRACE_SUITE: this.#mark, TMPDIR: this.#folder }
  }

  /** One line per leftover; what is just ending has some seconds to end. */
  async find() {
    for (let attempt = 0; ; attempt++) {
      const found = [...this.#processes(), ...this.#segments(), ...this.#files()]
      if (found.length === 0 || attempt === 30) return found
      await sleep(100)
    }
  }

  /** Removes the temporary folder. */
  end() {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #processes() {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => this.#isMarked(pid))
      .map((pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`)
  }

  // A child that was given an environment of its own lacks the mark. It stands in the temporary folder, names it,
  // or is a worker whose parent is gone.
  #isMarked(pid) {
    if (read(`/proc/${pid}/environ`).includes(`MILLRACE_SUITE=${this.#mark}`)) return true
    if (link(`/proc/${pid}/cwd`).startsWith(this.#folder)) return true
    const command = read(`/proc/${pid}/cmdline`)
    return command.includes(this.#folder) || (command.includes(LIBRARY) && parentOf(pid) === 1)
  }

  #segments() {
    return [...sharedMemory()]
      .filter((name) => !this.#before.has(name))
      .map((name) => `shared memory: ${name}`)
  }

  #files() {
    return readdirSync(this.#folder).map((name) => `temporary file: ${name}`)
  }
}

function parentOf(pid) {
  // The name, in brackets, may hold anything; what follows it is numbers.
  return Number(read(`/proc/${pid}/stat`).split(') ').at(-1).split(' ')[1])
}

/** The shared memory of the machine that has a name; a memfd has none and ends with its last process. */
function sharedMemory() {
  const posix = list('/dev/shm').map((name) => `/dev/shm/${name}`)
  const systemV = read('/proc/sysvipc/shm').split('\n').slice(1).filter(Boolean)
  return new Set([...posix, ...systemV.map((line) => `System V segment ${line.trim().split(/\s+/)[1]}`)])
}

// Processes come and go while we look, and some are not ours to read: what cannot be read says nothing.
function read(path) {
  return quietly(() => readFileSync(path, 'latin1')) ?? ''
}

function link(path) {
  return quietly(() => readlinkSync(path)) ?? ''
}

function list(path) {
  return quietly(() => readdirSync(path)) ?? []
}

function quietly(look) {
  try {
    return look()
  } catch {
    return undefined
  }
}

const LIBRARY = fileURLToPath(new URL('../lib/', import.meta.url))
