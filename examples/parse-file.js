// The mapper of parse-node-modules.js: parses one JavaScript file. Runs in worker processes, and as a plain function.

import { readFile } from 'node:fs/promises'
import { parse } from 'acorn'
import { simple } from 'acorn-walk'

/** @returns bytes, the number of functions, and the milliseconds that parsing took; throws acorn's SyntaxError. */
export default async function parseFile(path) {
  const code = await readFile(path, 'utf8')
  const began = performance.now()
  const tree = parseAs(path, code)
  let functions = 0
  simple(tree, { Function: () => functions++ })
  return { bytes: Buffer.byteLength(code), functions, ms: performance.now() - began }
}

// As Node does where nothing says what a .js file is: CommonJS, and if that does not parse, a module.
function parseAs(path, code) {
  if (path.endsWith('.mjs')) return parse(code, { ecmaVersion: 'latest', sourceType: 'module' })
  try {
    return parse(code, { ecmaVersion: 'latest', sourceType: 'commonjs' })
  } catch (error) {
    if (path.endsWith('.cjs')) throw error
    return parse(code, { ecmaVersion: 'latest', sourceType: 'module' })
  }
}
