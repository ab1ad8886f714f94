// A string that is kept does not keep the text of its batch.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

for (const flags of [[], ['--disallow-code-generation-from-strings']]) {
  test(`kept strings do not keep the batch's text ${flags.join(' ')}`, () => {
    const program = `
      import { Channel } from ${JSON.stringify(new URL('./codec-graph.js', import.meta.url).href)}
      const channel = new Channel(1 << 20)
      const kept = []
      const heap = () => { gc(); gc(); return process.memoryUsage().heapUsed }
      const round = (i) => {
        // 64 KiB of text, of which a short, a middling and a longer string stay.
        const values = Array.from({ length: 1000 }, (_, j) => ({ n: j, s: String(i * 1000 + j).padStart(10, 'a'), m: String(i * 1000 + j).padStart(20, 'b'), l: String(i * 1000 + j).padStart(34, 'c') }))
        const { s, m, l } = channel.batch(values)[500]
        kept.push(s, m, l, channel.trip('short'), channel.trip('d'.repeat(20) + i), channel.trip('e'.repeat(90) + i))
      }
      for (let i = 0; i < 5; i++) round(i)
      const before = heap()
      for (let i = 0; i < 200; i++) round(i)
      console.log(heap() - before)
    `
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--expose-gc', ...flags, '--input-type=module', '-e', program],
      { encoding: 'utf8' },
    )
    assert.equal(status, 0, stderr)
    // 200 texts of 64 KiB would be 12.8 MB; the strings themselves are 0.1 MB.
    assert.ok(Number(stdout) < 2e6, `${stdout} bytes more`)
  })
}
