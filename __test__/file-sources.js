// What tests of lines(), blocks() and files() share.

import { readdirSync, readlinkSync } from 'node:fs'

/** The descriptors of this process that are open on something below a folder. */
export function openBelow(folder) {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target.startsWith(folder) ? [target] : []
    } catch {
      return [] // the one that read the list
    }
  })
}

/** Bytes in parts of a size. */
export function* partsOf(bytes, size) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** What reads text as lines(), but in a simple way. */
export function linesModel(text, keepEnding = false) {
  const found = text.match(/[^\n]*\n|[^\n]+$/g) ?? []
  return keepEnding ? found : found.map((line) => line.replace(/\r?\n$/, ''))
}
