// `npm run chaos`: sets up what is missing, then holds pools against a plan of faults; __test__/chaos/ says which.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './root.js'
import setup from './setup.js'

export default function chaos(args) {
  setup()
  // A process of its own: it looks at all that it holds before and after.
  const program = join(root, '__test__/chaos/main.js')
  const { status } = spawnSync(process.execPath, ['--expose-gc', program, ...args], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
