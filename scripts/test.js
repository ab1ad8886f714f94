// `npm test`: sets up what is missing, then runs every check there is, one after the other, and closes with a line
// that counts. `npm test -- clippy node` runs only the steps so named. What a step prints goes to
// target/test-logs/<step>.log; here it is shown when the step fails.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Leftovers } from '../__test__/leftovers.js'
import { root } from './root.js'
import setup from './setup.js'
import { cargoHas, isInstalled, SetupError } from './tools.js'

/** Run the steps named, or all; sets the exit code. */
export default async function test(names) {
  const began = performance.now()
  const steps = chosenSteps(names)
  setup()
  cargoHas('rustfmt')
  cargoHas('clippy')
  mkdirSync(join(root, 'target/test-logs'), { recursive: true })

  const leftovers = new Leftovers(join(root, 'target'))
  const totals = { passed: 0, failed: 0, skipped: 0 }
  for (const step of steps) {
    const result = await runStep(step, leftovers.env)
    for (const key of Object.keys(totals)) totals[key] += result[key] ?? 0
  }
  reportLeftovers(await leftovers.find(), totals)
  leftovers.end()

  console.log(`\n${seconds(performance.now() - began)} in all; logs in target/test-logs`)
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

const STEPS = {
  rustfmt: () => cargo('fmt', '--all', '--check'),
  clippy: () => cargo('clippy', '--workspace', '--all-targets', '--', '-D', 'warnings'),
  rust: () => ({ ...cargo('test', '--workspace'), env: { MILLRACE_SIM_SEEDS: '2000' }, count: cargoCount }),
  simulation: () => ({
    ...cargo('test', '-p', 'millrace', '--release', '--lib', 'engine::sim'),
    env: { MILLRACE_SIM_SEEDS: '100000' },
    count: cargoCount,
  }),
  loom: () => ({
    // Its own target folder: another RUSTFLAGS would throw away every build of the steps above.
    ...cargo('test', '-p', 'millrace-channel', '--release', '--lib', '--target-dir', 'target/loom'),
    env: { RUSTFLAGS: '--cfg loom' },
    count: cargoCount,
  }),
  deny: () => ({
    ...cargo('deny', '--all-features', 'check', 'licenses', 'bans', 'sources'),
    prepare: cargoDeny,
  }),
  biome: () => tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings'),
  types: () => tool('typescript/bin/tsc', '-p', 'tsconfig.json'),
  'type-tests': () => tool('typescript/bin/tsc', '-p', '__test__/types/tsconfig.json'),
  node: () => ({
    command: process.execPath,
    args: [
      '--test',
      '--test-concurrency=2',
      '--test-reporter=spec',
      '--test-timeout=300000',
      ...testFiles('__test__'),
    ],
    prepare: providePrograms,
    count: nodeCount,
  }),
}

function chosenSteps(names) {
  const unknown = names.filter((name) => !(name in STEPS))
  if (unknown.length > 0) {
    throw new SetupError(`no step named ${unknown.join(', ')}: there are ${Object.keys(STEPS).join(', ')}`)
  }
  return names.length > 0 ? names : Object.keys(STEPS)
}

async function runStep(name, suiteEnv) {
  const step = STEPS[name]()
  const log = join(root, `target/test-logs/${name}.log`)
  const began = performance.now()
  if (process.stdout.isTTY) process.stdout.write(`  … ${name}\r`)
  const skipped = await step.prepare?.(log)
  if (skipped !== undefined) {
    console.log(`  - ${name.padEnd(12)} skipped: ${skipped}`)
    return { skipped: 1 }
  }
  const failure = await spawnLogged(step, { ...process.env, ...CALM, ...suiteEnv, ...step.env }, log)
  const output = readFileSync(log, 'utf8')
  const counted = step.count?.(output) ?? { passed: failure ? 0 : 1, failed: failure ? 1 : 0 }
  // A step that failed counts as a failure even if no single test did, and so does a runner that ran nothing.
  const nothing = failure === undefined && counted.passed + counted.failed === 0 ? 'no test ran' : undefined
  const why = failure ?? nothing
  if (why && counted.failed === 0) counted.failed = 1
  const tests = step.count
    ? `  ${counted.passed} passed${counted.failed > 0 ? `, ${counted.failed} failed` : ''}`
    : ''
  const took = seconds(performance.now() - began).padStart(8)
  console.log(`  ${why ? '✖' : '✔'} ${name.padEnd(12)} ${took}${tests}${why ? `  ${why}` : ''}`)
  if (why) console.log(`${excerpt(output)}\n`)
  return counted
}

/** Run a command with its output in a file (a pipe would wait for grandchildren); undefined, or why it failed. */
function spawnLogged({ command, args }, env, log) {
  const file = openSync(log, 'w')
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', file, file], timeout: STEP_LIMIT })
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => {
      resolve(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`)
    })
  }).finally(() => closeSync(file))
}

function reportLeftovers(found, totals) {
  if (found.length === 0) {
    totals.passed++
    console.log(`  ✔ leftovers    none: no process, shared memory or temporary file`)
  } else {
    totals.failed++
    console.log(`  ✖ leftovers\n${found.map((line) => `      ${line}`).join('\n')}`)
  }
}

/** Builds cargo-deny once, under target/. CI insists on it; elsewhere a compiler too old for it is no failure. */
async function cargoDeny(log) {
  const bin = join(root, 'target/tools/bin')
  process.env.PATH = `${process.env.PATH}:${bin}`
  if (isInstalled('cargo-deny')) return undefined
  const install = cargo('install', 'cargo-deny', '--locked', '--root', 'target/tools')
  const failure = await spawnLogged(install, process.env, log)
  if (failure === undefined || process.env.CI) return undefined
  return `cargo-deny could not be installed (target/test-logs/deny.log)`
}

/**
 * jq and Python, which some tests have as workers, from the system's packages. Where that cannot be, tests of jq are skipped
 * and counted; Python has to be there.
 */
async function providePrograms(log) {
  const missing = ['jq', 'python3'].filter((name) => !isInstalled(name))
  if (missing.length > 0 && isInstalled('apt-get') && process.getuid?.() === 0)
    await installPackages(missing, log)
  if (!isInstalled('python3'))
    throw new SetupError('python3 is missing: tests have it as a worker; install it')
  return undefined
}

async function installPackages(names, log) {
  const apt = (...args) => ({ command: 'apt-get', args: ['-qq', ...args] })
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = apt('install', '--yes', '--no-install-recommends', ...names)
  // A fresh image has no lists of packages.
  if (await spawnLogged(install, env, log)) {
    await spawnLogged(apt('update'), env, log)
    await spawnLogged(install, env, log)
  }
}

function cargo(...args) {
  return { command: 'cargo', args }
}

function tool(path, ...args) {
  return { command: process.execPath, args: [join(root, 'node_modules', path), ...args] }
}

/** Every *.test.js under a folder, by name: Node 20 has no globs of its own. */
function testFiles(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((path) => path.endsWith('.test.js') && !path.includes('fixtures/'))
    .map((path) => join(folder, path))
    .sort()
}

function cargoCount(output) {
  const results = [...output.matchAll(/^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored/gm)]
  const sum = (group) => results.reduce((total, match) => total + Number(match[group]), 0)
  return { passed: sum(1), failed: sum(2), skipped: sum(3) }
}

function nodeCount(output) {
  const number = (name) => Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  return {
    passed: number('pass'),
    failed: number('fail') + number('cancelled'),
    skipped: number('skipped') + number('todo'),
  }
}

/** What a person wants to see first of a failed step: node's own list of failures, or the end. */
function excerpt(output) {
  const failures = output.indexOf('✖ failing tests:')
  const lines = (failures >= 0 ? output.slice(failures) : output).trimEnd().split('\n')
  return (failures >= 0 ? lines.slice(0, 150) : lines.slice(-80)).join('\n')
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`
}

/** No colours in the logs; and no caches that tools keep among the temporary files. */
const CALM = { NO_COLOR: '1', FORCE_COLOR: '0', CARGO_TERM_COLOR: 'never', NODE_DISABLE_COMPILE_CACHE: '1' }
/** Longer than any step takes on a busy machine. */
const STEP_LIMIT = 40 * 60 * 1000
