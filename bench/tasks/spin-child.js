// One of two independent processes: told { turns, items }, it does all of them and answers once.

import spin from './spin.js'

process.on('message', ({ turns, items }) => {
  let last = 0
  for (let item = 0; item < items; item++) last = spin(turns)
  process.send(last)
})
