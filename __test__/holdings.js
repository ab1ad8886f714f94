// What the process of a test holds, before and after something: descriptors, shared memory, processes.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { children, quietly } from './processes.js'

/** What this process holds open, by kind, and how many shared segments it maps. */
export function holdings() {
  const descriptors = readdirSync('/proc/self/fd')
    .map((fd) => (quietly(() => readlinkSync(`/proc/self/fd/${fd}`)) ?? '').replace(/\d+/g, 'N'))
    .filter(Boolean)
    .sort()
  const maps = readFileSync('/proc/self/maps', 'latin1').split('\n')
  return {
    descriptors,
    segments: maps.filter((line) => line.includes('/memfd:')).length,
    children: children(),
  }
}

/**
 * The same when nothing changes any more and no process is left: what was used before takes a moment to be given back,
 * also after `close()` has settled, and what it still holds must not count as what was there from the beginning.
 * @template {{ children: number[] }} Held
 * @param {() => Held} look
 */
export async function settled(look = holdings) {
  for (let now = look(), same = 0; ; ) {
    await sleep(100)
    const next = look()
    same = isDeepStrictEqual(now, next) && next.children.length === 0 ? same + 1 : 0
    if (same === 5) return next
    now = next
  }
}

/** What is held once it is as it was before, or after 10 seconds: what is just ending has time to end. */
export async function heldAfter(before, look = holdings) {
  let now = look()
  for (let attempt = 0; attempt < 100 && !isDeepStrictEqual(now, before); attempt++) {
    await sleep(100)
    now = look()
  }
  return now
}
