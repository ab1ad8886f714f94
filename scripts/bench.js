// `npm run bench`: sets up what is missing, then measures; bench/bench.js says how.

import setup from './setup.js'

export default async function bench(args) {
  setup()
  const { default: measure } = await import('../bench/bench.js')
  measure(args)
}
