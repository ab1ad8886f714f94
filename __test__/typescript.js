// How the Node that runs the tests runs TypeScript.

const strips = Boolean(process.features.typescript)

/** What it has to be started with for a file: a loader, where it does not strip types itself. */
export function flagsFor(name) {
  if (!name.endsWith('.ts')) return []
  return strips ? ['--disable-warning=ExperimentalWarning'] : ['--import', LOADER]
}

const LOADER = new URL('./fixtures/typescript-loader.js', import.meta.url).href
