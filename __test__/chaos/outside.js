// What comes from outside: signals to the workers of a pool, whatever they do at the moment, and another size of the pool.

import { setTimeout as sleep } from 'node:timers/promises'
import { children } from '../processes.js'
import { Dice } from './dice.js'

export class Outside {
  /** How often each signal was sent. */
  sent = { SIGKILL: 0, SIGSTOP: 0 }
  resized = 0
  #pools
  /** Processes that are ready, of each pool. */
  #pids
  #dice
  #every
  #over = new AbortController()
  #running

  /**
   * @param {readonly import('../../index.js').WorkerPool[]} pools
   * @param {number} seed
   * @param {number} every milliseconds, about
   */
  constructor(pools, seed, every) {
    this.#pools = pools
    this.#dice = new Dice(seed, 77)
    this.#every = every
    this.#pids = pools.map((pool) => {
      const pids = new Set()
      pool.on('workerStart', ({ pid }) => pids.add(pid))
      pool.on('workerExit', ({ pid }) => pids.delete(pid))
      return pids
    })
    this.#running = this.#run()
  }

  async end() {
    this.#over.abort()
    await this.#running
  }

  async #run() {
    const { signal } = this.#over
    while (!signal.aborted) {
      await sleep(this.#every / 2 + this.#dice.below(this.#every), undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const at = this.#dice.below(this.#pools.length)
      const what = this.#dice.below(10)
      if (what < 4) this.#send('SIGKILL', at)
      else if (what < 7) await this.#stop(at)
      else this.#resize(at)
    }
  }

  /** Stop a process for a while: what runs in it is over its time, and an idle one is found asleep. */
  async #stop(at) {
    const pid = this.#send('SIGSTOP', at)
    if (pid === undefined) return
    await sleep(1500)
    this.#kill(pid, 'SIGCONT', at)
  }

  #send(name, at) {
    const pids = [...this.#pids[at]]
    if (pids.length === 0) return undefined
    const pid = this.#dice.pick(pids)
    if (!this.#kill(pid, name, at)) return undefined
    this.sent[name]++
    return pid
  }

  #kill(pid, name, at) {
    if (!this.#isOurs(pid, at)) return false
    try {
      return process.kill(pid, name)
    } catch (error) {
      // It has ended in this moment.
      if (error.code === 'ESRCH') return false
      throw error
    }
  }

  /** Its number may be somebody else's by now. */
  #isOurs(pid, at) {
    return this.#pids[at].has(pid) && children().includes(pid)
  }

  #resize(at) {
    const pool = this.#pools[at]
    if (!isSettable(pool)) return
    pool.size = this.#dice.between(1, 4)
    this.resized++
  }
}

function isSettable(pool) {
  return Object.getOwnPropertyDescriptor(Object.getPrototypeOf(pool), 'size')?.set !== undefined
}
