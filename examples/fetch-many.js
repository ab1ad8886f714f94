// I/O on the event loop: a function as the mapper, eight requests at a time. An answer that is no 200 is an error of its
// item; here it yields nothing instead.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { parallelMap, skip } from 'millrace'

// Something to fetch from: every tenth user does not exist.
const server = createServer((request, response) => {
  const id = Number(request.url.slice('/users/'.length))
  setTimeout(() => {
    response.statusCode = id % 10 === 0 ? 404 : 200
    response.end(JSON.stringify({ id, name: `user ${id}` }))
  }, 20)
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const base = `http://127.0.0.1:${server.address().port}/users/`

const ids = Array.from({ length: 50 }, (_, i) => i + 1)
const fetchUser = async (id, { signal }) => {
  const response = await fetch(base + id, { signal })
  if (response.status === 404) return skip
  if (!response.ok) throw new Error(`user ${id}: ${response.status}`)
  return response.json()
}

const users = await parallelMap(ids, fetchUser, { concurrency: 8 }).toArray()
console.log(`${users.length} of ${ids.length} users, from ${users[0].name} to ${users.at(-1).name}`)
server.close()
server.closeAllConnections()
