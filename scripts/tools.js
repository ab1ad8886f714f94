// The tools that the project needs beside Node, each looked for right before it is used. What is missing or too
// old becomes one line that says what to do.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './root.js'

/** A failure that a person can mend; its message is shown without a stack. */
export class SetupError extends Error {
  name = 'SetupError'
}

/** How npm is called: through the npm that runs this script, or the one on the PATH. */
export function npmRuns() {
  const path = process.env.npm_execpath
  if (path?.endsWith('.js')) return { command: process.execPath, args: [path] }
  if (versionOf('npm', ['--version']) === undefined)
    throw new SetupError('npm is missing: it comes with Node.js')
  return { command: 'npm', args: [] }
}

export function cargoRuns(oldest) {
  if (versionOf('cargo', ['--version']) === undefined) {
    throw new SetupError(`cargo is missing: install Rust ${oldest} or newer (https://rustup.rs)`)
  }
  const found = versionOf('rustc', ['--version'])
  if (found === undefined)
    throw new SetupError(`rustc is missing: install Rust ${oldest} or newer (https://rustup.rs)`)
  if (isOlder(found, oldest)) {
    throw new SetupError(`rustc ${found} is too old: millrace needs ${oldest} or newer (rustup update)`)
  }
}

export function cargoHas(component) {
  const subcommand = component === 'rustfmt' ? 'fmt' : component
  if (versionOf('cargo', [subcommand, '--version']) === undefined) {
    throw new SetupError(`cargo ${subcommand} is missing: rustup component add ${component}`)
  }
}

export function compilerRuns() {
  // rustc links with cc; nothing else of it is used.
  if (versionOf('cc', ['--version']) === undefined) {
    throw new SetupError(
      'cc is missing: install a C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev)',
    )
  }
}

/** Whether there is a program of this name on the PATH. */
export function isInstalled(name) {
  return (process.env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, name)))
}

/** The first version number that a tool prints, or undefined where it does not run. */
function versionOf(command, args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  return status === 0 ? (/\d+(\.\d+)+/.exec(stdout)?.[0] ?? '0.0') : undefined
}

function isOlder(version, oldest) {
  const [a, b] = [version, oldest].map((text) => text.split('.').map(Number))
  const at = b.findIndex((part, index) => part !== (a[index] ?? 0))
  return at >= 0 && (a[at] ?? 0) < b[at]
}
