// How results are shown: a line on the terminal as each row ends, and docs/benchmarks.md.

export function asLine(row) {
  if (row.error) return `${row.number}  ${row.name}: could not be measured\n${row.error}`
  return [
    row.number,
    row.name.padEnd(13),
    ours(row),
    peer(row),
    outcome(row),
    `(goal ${goal(row)})`,
    verdict(row),
  ].join('  ')
}

export function asMarkdown({ date, machine, versions, rounds, rows, costs }) {
  const head = ['', 'work, 2 workers', 'against', 'Millrace', 'peer', 'result', 'goal', '']
  const lines = rows.map((row) =>
    row.error
      ? [row.number, row.work, row.against, '', '', 'could not be measured', goal(row), '']
      : [row.number, row.work, row.against, ours(row), peer(row), outcome(row), goal(row), verdict(row)],
  )
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.memory}, ${machine.system}`
  const what = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `# Benchmarks

Written by \`npm run bench\` on ${date.slice(0, 10)}: ${where}; ${what.join(', ')}.
Medians of ${rounds} rounds, the sides taking turns, each measurement in a process of its own (in brackets the lowest
and the highest). Where a p99 is given, it is the delay of a timer on the event loop meanwhile, and the longest one; a limit is
what one thread does that does nothing else (of SHA-256: one that takes two items at once), times the processors. Pools are warm, except in the row
of the cold pool. The code is in [bench/cases](../bench/cases).

${table([head, ...lines])}
${rows
  .filter((row) => row.profile)
  .map(profile)
  .join('')}${costs ? breakdown(rows, costs) : ''}`
}

/** Why a goal was missed. */
function profile({ number, work, profile }) {
  return `
## Row ${number} misses its goal

Where the parent's time goes in "${work}", by a sampling profiler, functions by their own time:

${table([['share', 'function'], ...profile.map(({ name, share }) => [`${round(share * 100)} %`, `\`${name}\``])])}`
}

/** What the parts cost by themselves, per item, and how much of the whole they leave. */
function breakdown(rows, costs) {
  const parts = Object.keys(costs.numbers)
  const lines = Object.entries(costs).map(([items, cost]) => {
    const { ours: rate } = rows.find(({ name, ours }) => ours && name.startsWith(items)) ?? {}
    const left = rate ? 1e9 / rate - parts.reduce((sum, part) => sum + cost[part], 0) : undefined
    return [
      items,
      rate ? round(1e9 / rate) : '',
      ...parts.map((part) => round(cost[part])),
      left ? round(left) : '',
    ]
  })
  return `
## Where the time goes

Nanoseconds per item in the parent: the whole is what the rows above say. Encode and decode are measured alone, in chunks
of 512; channel (reading outcomes out of shared memory, and noting each in the engine) and engine (scheduling, sending,
order, filling batches) in a warm pool, by the clock, so whatever interrupts the parent there is in them. The workers
decode and encode as much, beside it, on the same cores. What is left is iteration and waiting for the workers.

${table([['', 'whole', ...parts, 'left'], ...lines])}`
}

function ours(row) {
  return `${round(row.ours)} ${row.measures}${spread(row.samples.ours)}`
}

function peer(row) {
  return `${round(row.peer)} ${row.measures}${spread(row.samples.peer)}`
}

function spread(samples) {
  const values = samples.map(({ value }) => value)
  return values.length > 1 ? ` (${round(Math.min(...values))}–${round(Math.max(...values))})` : ''
}

function outcome({ ratio, more, measures, delay, longest, most }) {
  if (more !== undefined) return `${more < 0 ? '−' : '+ '}${round(Math.abs(more))} ${measures}`
  const limit = most === undefined ? '' : `, limit ${round(most)} ${measures}`
  const waits = delay === undefined ? '' : `, p99 ${round(delay)} ms, longest ${round(longest)} ms`
  return `${ratio.toFixed(2)}×${waits}${limit}`
}

function goal({ atLeast, atMost, atMostMore, delayAtMost, measures }) {
  if (atMostMore !== undefined) return `≤ + ${atMostMore} ${measures}`
  const delay = delayAtMost === undefined ? '' : `, p99 ≤ ${delayAtMost} ms`
  return `${atLeast !== undefined ? `≥ ${atLeast}×` : `≤ ${atMost}×`}${delay}`
}

function verdict(row) {
  return row.ok ? 'ok' : 'MISSED'
}

function round(number) {
  return number.toLocaleString('en', { maximumFractionDigits: Math.abs(number) < 100 ? 1 : 0 })
}

function table([head, ...lines]) {
  const row = (cells) => `| ${cells.join(' | ')} |\n`
  return row(head) + row(head.map(() => '---')) + lines.map(row).join('')
}
