// `npm run setup`: brings a clone to the point where it runs. Installs the dependencies, builds the addon and
// makes the CommonJS typings, each only where what is there is older than what it is made from.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from './root.js'
import { cargoRuns, compilerRuns, npmRuns, SetupError } from './tools.js'

/** Set up what is missing. Throws a SetupError, whose message is one line (and a build's own output above it). */
export default function setup() {
  if (!dependenciesAreCurrent()) installDependencies()
  if (!addonIsCurrent()) buildAddon()
  writeCommonJsTypes()
}

function installDependencies() {
  const npm = npmRuns()
  // Not `npm ci`: it refuses a lock file that lacks other platforms' binaries, and an npm whose registry does not
  // carry them all writes such a lock file. The check below is as strict about what is meant for this machine.
  const quiet = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error']
  step('installing dependencies (npm install)', npm.command, [...npm.args, 'install', ...quiet])
  if (!dependenciesAreCurrent()) {
    throw new SetupError('node_modules does not match package-lock.json: is it older than package.json?')
  }
}

function buildAddon() {
  cargoRuns(oldestRust())
  compilerRuns()
  const began = new Date()
  const napi = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  const output = ['--esm', '--js', 'binding.js', '--dts', 'binding.d.ts', '--output-dir', 'lib']
  step('building the addon (cargo, release)', process.execPath, [
    napi,
    'build',
    '--platform',
    '--release',
    ...output,
  ])
  const addon = builtAddon()
  if (addon === undefined) throw new SetupError('the build ended well, but left no lib/*.node')
  // As old as the start of its build: a source saved meanwhile counts as newer.
  utimesSync(addon, began, began)
}

/** A step that says what it does, keeps its output to itself, and shows all of it when it fails. */
function step(title, command, args) {
  process.stderr.write(`${title} … `)
  const began = performance.now()
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status === 0) {
    process.stderr.write(`${((performance.now() - began) / 1000).toFixed(1)} s\n`)
    return
  }
  process.stderr.write(`failed\n${excerpt(`${stdout ?? ''}${stderr ?? ''}`)}`)
  throw new SetupError(
    `${title} failed: ${error?.message ?? (signal ? `killed by ${signal}` : `exit code ${status}`)}`,
  )
}

/** The first lines say what went wrong (npm), or the last (cargo). */
function excerpt(output) {
  const lines = output.split('\n')
  return lines.length <= 80 ? output : [...lines.slice(0, 30), '  …', ...lines.slice(-50)].join('\n')
}

/** What npm itself notes about node_modules, held against the lock file. */
function dependenciesAreCurrent() {
  const installed = lockedPackages('node_modules/.package-lock.json')
  const wanted = lockedPackages('package-lock.json')
  if (installed === undefined || wanted === undefined) return false
  // An optional package is another platform's, unless it is here; then it counts like the rest.
  const isThere = ([path, { version, optional }]) =>
    path === '' || (installed[path] === undefined ? optional : installed[path].version === version)
  const isWanted = ([path, { optional }]) => path in wanted || optional
  return Object.entries(wanted).every(isThere) && Object.entries(installed).every(isWanted)
}

function lockedPackages(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  } catch {
    return undefined
  }
}

function addonIsCurrent() {
  const addon = builtAddon()
  if (addon === undefined || !existsSync(join(root, 'lib/binding.js'))) return false
  const built = statSync(addon).mtimeMs
  return ADDON_SOURCES.every((path) => newestChange(join(root, path)) <= built)
}

/** The addon for this machine: one file, `lib/millrace.linux-x64-gnu.node` and the like. */
function builtAddon() {
  const name = `millrace.${process.platform}-${process.arch}`
  const file = readdirSync(join(root, 'lib')).find(
    (entry) => entry.startsWith(name) && entry.endsWith('.node'),
  )
  return file && join(root, 'lib', file)
}

/** When a file, or anything in a folder, last changed, in ms; a folder's own time tells of deleted files. */
function newestChange(path) {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return 0
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((entry) => newestChange(join(path, entry))))
}

function oldestRust() {
  return /^rust-version\s*=\s*"([\d.]+)"/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1] ?? '1.85'
}

/**
 * TypeScript that compiles to CommonJS reads typings from a .d.cts. Ours say the same: of the names, and of the default
 * export too, because Node's require() gives it as `default`. A relative import would have to end in .cjs there, so
 * typings import each other by the package's name.
 */
function writeCommonJsTypes() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const { import: esm, require: commonJs } of Object.values(exports)) {
    if (esm !== undefined) writeCommonJsType(esm.types, commonJs.types)
  }
}

/**
 * @param {string} from of package.json
 * @param {string} to
 */
function writeCommonJsType(from, to) {
  const types = readFileSync(join(root, from), 'utf8')
  if (/from '\.{1,2}\//.test(types)) {
    throw new SetupError(`${from}: a relative import does not carry over to ${to}`)
  }
  const made = `// Made from ${basename(from)} by scripts/setup.js.\n${types}`
  const path = join(root, to)
  if (!existsSync(path) || readFileSync(path, 'utf8') !== made) {
    // Never written in place: a reader finds the old text or the new.
    rmSync(path, { force: true })
    writeFileSync(path, made)
  }
}

const ADDON_SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'crates', '.cargo']
