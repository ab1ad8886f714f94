// Stopping: a signal ends a call at once, wherever its work runs. What ran hears of it through `context.signal`.

import { setTimeout as sleep } from 'node:timers/promises'
import { parallelMap } from 'millrace'

function* forever() {
  for (let number = 0; ; number++) yield number
}

const poll = async (number, { signal }) => {
  await sleep(10, undefined, { signal })
  return number
}

const controller = new AbortController()
const results = parallelMap(forever(), poll, { concurrency: 4, signal: controller.signal })
let seen = 0
try {
  for await (const _ of results) {
    if (++seen === 20) controller.abort(new Error('that is enough'))
  }
} catch (error) {
  console.log(`${seen} results, then: ${error.message}`)
}
await results.finished
console.log('nothing of it runs any more')
