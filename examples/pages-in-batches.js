// Records page by page, written in batches of fifty: the reader is an async generator over a paged API, the writer takes
// fifty at a time, two batches at once. The next page is asked for only when its records have somewhere to go.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { batch } from 'millrace'

// A paged API with 230 records, 40 to a page.
const server = createServer((request, response) => {
  const page = Number(new URL(request.url, 'http://127.0.0.1').searchParams.get('page'))
  const ids = Array.from({ length: 230 }, (_, id) => id).slice(page * 40, page * 40 + 40)
  response.end(JSON.stringify(ids.map((id) => ({ id, price: id * 2 }))))
}).listen(0, '127.0.0.1')
await once(server, 'listening')

async function* records() {
  for (let page = 0; ; page++) {
    const response = await fetch(`http://127.0.0.1:${server.address().port}/?page=${page}`)
    const rows = await response.json()
    if (rows.length === 0) return
    yield* rows
  }
}

const table = new Map()
async function insert(rows) {
  for (const row of rows) table.set(row.id, row)
  return rows.length
}

for await (const count of batch(records(), 50).map(insert, { concurrency: 2 })) {
  console.log(`wrote ${count} records`)
}
console.log(`${table.size} records in all`)
server.close()
server.closeAllConnections()
