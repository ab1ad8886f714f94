// Pools of programs for tests, which end with them. The programs are those that every machine has.

import { commandPool } from '../index.js'
import { isInstalled } from '../scripts/tools.js'
import { endWith } from './processes.js'

/** A pool of a program that is gone after the test. */
export function openCommand(t, command, args = [], options = {}) {
  return endWith(t, commandPool(command, args, options))
}

/** A pool of a Python program, given as text; it sees `line` in `stdin`, and nothing is set for its buffers. */
export function openPython(t, source, options = {}) {
  return openCommand(t, 'python3', ['-c', source], { ...options, env: { ...UNSET, ...options.env } })
}

/** The environment without what this machine may say about Python's buffers. */
export const UNSET = { ...process.env, PYTHONUNBUFFERED: undefined }

/** Why tests of jq are left out, where they are: `npm test` installs it where it can. */
export const NO_JQ = !isInstalled('jq') && 'jq is not installed'
