// What a worker asks of its own process: reports, permissions, and that nothing it has written is lost.

/**
 * Tell the parent, by a report of Node's, when the heap is full: it is the only witness. Where flags say when reports are
 * written, or where, they go there. Not under a permission: a path that Node may write to is one that the task may, and
 * what is behind this one is the task's to choose.
 * @param {number} descriptor
 */
export function reportFullHeap(descriptor) {
  const report = /** @type {NodeJS.ProcessReport & Record<string, unknown>} */ (process.report)
  const { directory, filename, reportOnFatalError, reportOnSignal, reportOnUncaughtException } = report
  if (directory || filename || reportOnFatalError || reportOnSignal || reportOnUncaughtException) return
  // No directory: the task's own reports, which have names, still go to its working directory.
  report.filename = `/proc/self/fd/${descriptor}`
  report.compact = true
  // Looking up the names of all peers takes seconds.
  report.excludeNetwork = true
  if ('excludeEnv' in report) report.excludeEnv = true
  report.reportOnFatalError = true
}

/** Ours was loaded, which Node has no narrower permission for; where it can be taken back (24 and newer), no other is. */
export function dropAddons() {
  const { permission } = /** @type {{ permission?: { drop?: (scope: string) => void } }} */ (process)
  permission?.drop?.('addon')
}

/** What was written to a pipe may still be on its way, and `process.exit()` would drop it. */
export async function written() {
  // A stream that nobody has used is not touched: opening it changes a pipe that is shared with the parent.
  if (!process.getActiveResourcesInfo().some((resource) => resource.includes('Write'))) return
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) await new Promise((resolve) => stream.write('', resolve))
  }
}
