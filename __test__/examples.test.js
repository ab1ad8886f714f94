// Every file in examples/ runs as it stands there, and says what it should.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { root } from '../scripts/root.js'
import { NO_JQ } from './commands.js'
import { folderWith } from './processes.js'
import { flagsFor } from './typescript.js'

const folder = join(root, 'examples')

/** What each prints, from the first line to the last. */
const EXAMPLES = {
  'abort.js': /^20 results, then: that is enough\nnothing of it runs any more\n$/,
  'async.js':
    /^(12 in all\napple 3, pear 4, plum 5|apple 3, pear 4, plum 5\n12 in all)\n\[ 1000003, 1000033 \]\n(true|false)\n(true|false)\n(true|false)\n$/,
  'commands.js':
    /^ada 294\ngrace 514\nbarbara 715\n\[ 'ADA', 'GrACE', 'BArBArA' \]\n\[ '3', '5', '7', '8' \]\n$/,
  'cpu-map.js':
    /^1229 primes below 10000\n9592 primes below 100000\n17984 primes below 200000\n5133 primes below 50000\n2262 primes below 20000\n$/,
  'fetch-many.js': /^45 of 50 users, from user 1 to user 49\n$/,
  'hash-folder.js': /^\d{2,} files, \d{2,} of them different: [1-9]\d % of \d{6,} bytes\n$/,
  'jq.js': /^ada 15\ngrace 0\nCannot .*\n$/,
  'p-map.js': /^45 users, the last is user 49\nUSER 0\nUSER 1\nUSER 2\n$/,
  'fork.js': /^exits 0,0, sum 63\n3 6 9 12 15 18\n$/,
  'pages-in-batches.js': /^(wrote 50 records\n){4}wrote 30 records\n230 records in all\n$/,
  'settled.js':
    /^line 1: 1\nline 2: 2\nline 3: SyntaxError\nline 4: 4\nline 5: WorkerCrashError\nline 6: 6\n$/,
  'stream-pipeline.js':
    /^[0-9a-f]{16} {2}\/\/ A stage of a Node pipeline[\s\S]*\n[0-9a-f]{16} {2}await pool\.close\(\)\n$/,
  'sum-of-squares.js': /^1² \+ … \+ 1000000² = 333333833333500000, as the formula says\n$/,
  'typescript.ts': /^4 words, the longest is STITCH\n2 words, the longest is SAVES\nrejected\n$/,
}
/** Task files of others, and those with a test of their own. */
const NOT_HERE = ['fork-script.cjs', 'parse-file.js', 'parse-node-modules.js', 'word-count.ts']

test('every example is run', () => {
  assert.deepEqual(readdirSync(folder).sort(), [...Object.keys(EXAMPLES), ...NOT_HERE].sort())
})

describe('examples', () => {
  for (const [name, expected] of Object.entries(EXAMPLES)) {
    test(name, { skip: name === 'jq.js' && NO_JQ }, () => {
      assert.match(run(name), expected)
    })
  }

  test('hash-folder.js of empty files, and of nothing', (t) => {
    const hashed = folderWith(t)
    assert.equal(run('hash-folder.js', hashed), '0 files, 0 of them different: 0 bytes\n')
    for (const name of ['a', 'b']) writeFileSync(join(hashed, name), '')
    assert.equal(run('hash-folder.js', hashed), '2 files, 1 of them different: 0 bytes\n')
  })
})

/** What an example prints. */
function run(name, ...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...flagsFor(name), join(folder, name), ...args],
    { encoding: 'utf8', timeout: 60_000 },
  )
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout
}
