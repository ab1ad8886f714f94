// The loops written by hand around the peers: a window of calls, each started as the oldest one ends.

/** Calls `run(item)` for each item with at most `window` calls at a time; returns how many results came. */
export async function slideOver(items, window, run) {
  const running = []
  let at = 0
  let results = 0
  for (const item of items) {
    if (running.length < window) {
      running.push(run(item))
      continue
    }
    await running[at]
    results++
    running[at] = run(item)
    at = (at + 1) % window
  }
  await Promise.all(running)
  return results + running.length
}
