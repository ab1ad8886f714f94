// A program written for p-map: only the import is another. Where the work computes instead of waiting, the mapper may be
// a pool.

import { setTimeout as sleep } from 'node:timers/promises'
import { workerPool } from 'millrace'
import pMap, { pMapIterable, pMapSkip } from 'millrace/p-map'

const ids = Array.from({ length: 50 }, (_, index) => index)

const users = await pMap(
  ids,
  async (id) => {
    await sleep(5) // a request
    return id % 10 === 3 ? pMapSkip : { id, name: `user ${id}` }
  },
  { concurrency: 16 },
)
console.log(`${users.length} users, the last is ${users.at(-1).name}`)

const pool = workerPool((user) => ({ ...user, name: user.name.toUpperCase() }))
for await (const { name } of pMapIterable(users.slice(0, 3), pool, { concurrency: 2 })) console.log(name)
await pool.close()
