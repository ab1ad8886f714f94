// Any program as a worker: Python scores rows, a shell counts characters, one process per item.

import { commandPool, parallelMap } from 'millrace'

const program = `
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"name": row["name"], "score": sum(map(ord, row["name"]))}))
`
const scores = commandPool('python3', ['-c', program], { size: 2 })
const shout = commandPool('sed', ['-u', 'y/abcdefg/ABCDEFG/'], { format: 'lines' })
const count = commandPool('printf %s "$1" | wc -c', ['{}'], { shell: true, perItem: true })

const names = ['ada', 'grace', 'barbara']
for await (const { name, score } of parallelMap(names, (name) => ({ name })).map(scores))
  console.log(name, score)
console.log(await parallelMap(names, shout).toArray())
console.log(await parallelMap([...names, '; exit 1'], count).toArray())
await Promise.all([scores.close(), shout.close(), count.close()])
