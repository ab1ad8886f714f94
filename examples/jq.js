// jq as a worker: it reshapes each record, on all processors. Without --unbuffered it would keep its answers back.

import { commandPool, parallelMap } from 'millrace'

const filter = '{name: .user.name, total: (.items | map(.price * .count) | add // 0)}'
// Each item has to have an answer, so what a filter refuses becomes one.
const totals = commandPool('jq', ['--unbuffered', '-c', `try (${filter}) catch {error: .}`])

const orders = [
  { user: { name: 'ada' }, items: [{ price: 5, count: 3 }] },
  { user: { name: 'grace' }, items: [] },
  { user: { name: 'barbara' }, items: 'none' },
]
for await (const { name, total, error } of parallelMap(orders, totals))
  console.log(error ?? `${name} ${total}`)
await totals.close()
