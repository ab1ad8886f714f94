// `npm start`: sets up what is missing, then runs the main job of examples/parse-node-modules.js.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './root.js'
import setup from './setup.js'

export default function start(args) {
  setup()
  // A process of its own: the addon may be newer than anything that this one has looked at.
  const job = join(root, 'examples/parse-node-modules.js')
  const { status } = spawnSync(process.execPath, [job, ...args], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
