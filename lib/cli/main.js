// The command line's way in and out: arguments, run, exit code.

import { parseArguments, UsageError } from './arguments.js'
import { MapRun } from './map-run.js'

/**
 * Run the command line, and end the process with its exit code.
 * @param {readonly string[]} args without `node` and the program
 */
export async function main(args) {
  process.exit(await exitCodeOf(args))
}

/** @param {readonly string[]} args */
async function exitCodeOf(args) {
  try {
    const run = new MapRun(parseArguments(args))
    return await run.run()
  } catch (error) {
    if (error instanceof UsageError) {
      if (error.message !== '') process.stderr.write(`millrace: ${error.message}\n`)
      return error.exitCode
    }
    // A file that could not be opened after all.
    const { message, syscall } = /** @type {NodeJS.ErrnoException} */ (error)
    if (syscall === undefined) throw error
    process.stderr.write(`millrace: ${message}\n`)
    return 2
  }
}
