// CPU work of a fixed length: so many turns of a loop, so that a slower core takes longer instead of doing less.

export default function spin(turns) {
  let state = 1
  for (let turn = 0; turn < turns; turn++) state = (Math.imul(state, 1664525) + 1013904223) | 0
  return state
}
