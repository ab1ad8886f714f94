// Node's permission model for worker processes: what the option `permission` says, as flags of the Node that runs.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Files are absolute paths.
 * @typedef {object} Permission
 * @property {readonly string[]} fsRead
 * @property {readonly string[]} fsWrite
 * @property {boolean} childProcess
 * @property {boolean} worker
 */

/**
 * What a worker needs by itself is added: this package, the addon, the task file, and what says whether that is ESM.
 * @param {Readonly<Permission>} permission
 * @param {string} addon
 * @param {string | undefined} task path of the task file; undefined: it is a function
 * @returns {string[]}
 */
export function permissionFlags(permission, addon, task) {
  const read = [...OWN_FILES, addon, ...permission.fsRead]
  if (task !== undefined) read.push(task, ...[task, real(task)].flatMap(packageFiles))
  return [
    STABLE ? '--permission' : '--experimental-permission',
    '--allow-addons',
    // That is about --allow-addons: there is no other way to load ours.
    '--disable-warning=SecurityWarning',
    // That these flags are so is said here and in the documentation, not by every worker.
    ...(EXPERIMENTAL ? ['--disable-warning=ExperimentalWarning'] : []),
    // Only the newest can forbid it, and there it would be forbidden by default: the option means the same everywhere.
    ...(NETWORK ? ['--allow-net'] : []),
    ...(permission.childProcess ? ['--allow-child-process'] : []),
    ...(permission.worker ? ['--allow-worker'] : []),
    ...both(read).map((path) => `--allow-fs-read=${path}`),
    ...both(permission.fsWrite).map((path) => `--allow-fs-write=${path}`),
  ]
}

/**
 * The files that say what kind of module a file is.
 * @param {string} file
 * @returns {string[]}
 */
function packageFiles(file) {
  const files = []
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    files.push(join(folder, 'package.json'))
    if (folder === dirname(folder)) return files
  }
}

/**
 * Paths as they were given, and where they lead: modules are loaded from there. Each is there once, because Node 20 dies
 * of one that it is told twice.
 * @param {readonly string[]} paths
 */
function both(paths) {
  const plain = paths.map((path) => {
    const folder = path.endsWith('/*') ? path.slice(0, -2) : path
    if (folder === '' || folder === '/') return '*'
    // Of a directory that exists, Node takes all that is in it, and so the pattern for the same thing.
    return existsSync(folder) ? folder : path
  })
  return [...new Set(plain.flatMap((path) => [path, real(path)]))]
}

/** @param {string} path */
function real(path) {
  try {
    return realpathSync(path)
  } catch {
    // It does not exist yet, or is a pattern.
    return path
  }
}

const STABLE = process.allowedNodeEnvironmentFlags.has('--permission')
const NETWORK = process.allowedNodeEnvironmentFlags.has('--allow-net')
const EXPERIMENTAL = !STABLE || NETWORK
const OWN_FILES = ['../lib/', '../index.js', '../package.json'].map((file) =>
  resolve(fileURLToPath(new URL(file, import.meta.url))),
)
