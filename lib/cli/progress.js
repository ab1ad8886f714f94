// What a person sees while it works, on stderr: a bar, and messages that do not run into it.

import { createRequire } from 'node:module'

/**
 * @typedef {object} Counts
 * @property {number} lines that are done
 * @property {number} bad
 * @property {number} bytes that are done
 * @property {number | undefined} totalBytes if they are known
 */

export class Progress {
  #counts
  /** @type {any} */
  #bar
  /** @type {NodeJS.Timeout | undefined} */
  #timer
  #began = performance.now()

  /** @param {() => Counts} counts */
  constructor(counts) {
    this.#counts = counts
    // Who reads our messages may be gone: that is no reason to stop.
    process.stderr.on('error', () => {})
  }

  /** Show the bar from now on. */
  start() {
    // Loaded here alone: most runs show none.
    const { SingleBar } = createRequire(import.meta.url)('cli-progress')
    const known = this.#counts().totalBytes !== undefined
    this.#bar = new SingleBar({
      format: `${known ? '{bar} {percentage}% | ' : ''}{lines} lines | {rate}/s | {bad} bad${known ? ' | {left} left' : ''}`,
      barsize: 24,
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      gracefulExit: false,
      // Where it goes to a file or a pipe, one line every few seconds.
      noTTYOutput: true,
      notTTYSchedule: 2000,
    })
    this.#draw()
    this.#timer = setInterval(() => this.#bar?.update(this.#counts().bytes, this.#shown()), UPDATE_MS)
    this.#timer.unref()
  }

  /** @param {string} text */
  say(text) {
    this.#bar?.stop()
    process.stderr.write(`${text}\n`)
    if (this.#bar !== undefined) this.#draw()
  }

  /** Remove the bar, and leave one line in its place. */
  stop() {
    if (this.#bar === undefined) return
    clearInterval(this.#timer)
    this.#bar.stop()
    this.#bar = undefined
    const { lines, rate, bad } = this.#shown()
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1)
    this.say(`millrace: ${lines} lines in ${seconds} s (${rate}/s), ${bad} bad`)
  }

  /** What was said has been written, as far as somebody reads it. */
  async end() {
    const { stderr } = process
    if (stderr.writableLength > 0 && stderr.writable)
      await new Promise((resolve) => stderr.write('', resolve))
  }

  #draw() {
    const { bytes, totalBytes } = this.#counts()
    this.#bar.start(totalBytes ?? 1, bytes, this.#shown())
  }

  #shown() {
    const { lines, bad, bytes, totalBytes } = this.#counts()
    const seconds = Math.max(performance.now() - this.#began, 1) / 1000
    const left =
      totalBytes === undefined || bytes === 0 ? undefined : (seconds * (totalBytes - bytes)) / bytes
    return {
      lines: lines.toLocaleString('en'),
      rate: Math.round(lines / seconds).toLocaleString('en'),
      bad: bad.toLocaleString('en'),
      left: left === undefined ? '?' : duration(Math.max(left, 0)),
    }
  }
}

/** @param {number} seconds */
function duration(seconds) {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

const UPDATE_MS = 100
