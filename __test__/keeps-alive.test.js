// A program that waits for results stays alive until it has them, with nothing else to keep it: a result that is drained
// from a worker on the side (while something is submitted) must still be announced.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LIMIT } from './processes.js'

test('no call is left waiting for results that have come', LIMIT, () => {
  const program = fileURLToPath(new URL('./fixtures/many-calls.js', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' })
  // Node ends with 13 where the only thing left is a promise that nothing will settle.
  assert.equal(status, 0, stderr)
  assert.equal(stdout, '1500000\n')
})
