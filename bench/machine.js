// Where the numbers come from: without it they say nothing.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { root } from '../scripts/root.js'

export function machine() {
  const cores = cpus()
  return {
    cpu: cores[0].model.trim(),
    cores: cores.length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release().split('-')[0]}, ${process.arch}`,
  }
}

export function versions() {
  const installed = (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).version
  return {
    millrace: installed('.'),
    node: process.versions.node,
    rustc: execFileSync('rustc', ['--version'], { encoding: 'utf8' }).split(' ')[1],
    piscina: installed('node_modules/piscina'),
    'p-map': installed('node_modules/p-map'),
    'streaming-iterables': installed('node_modules/streaming-iterables'),
    'GNU parallel': parallelVersion(),
  }
}

function parallelVersion() {
  try {
    return execFileSync('parallel', ['--version'], { encoding: 'utf8' }).split('\n')[0].split(' ').at(-1)
  } catch {
    return 'not installed'
  }
}
