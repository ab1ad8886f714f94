// The code in our Markdown, as files that run. Every ```js block (```cjs for CommonJS, ```ts for TypeScript) is a file of
// its own.
// - A block whose first line is `// name.js` (more may follow: `// name.js: the mapper`) gets that name, so that
//   other blocks of the page can load it.
// - An HTML comment <!-- js … --> right before a block is code that readers do not need to see: it is put in front
//   of the block, or, with a name in its first line, is a file too.

/** @returns {{ name: string, code: string, line: number }[]} */
export function codeBlocks(markdown) {
  const blocks = []
  let prelude = ''
  for (const match of markdown.matchAll(BLOCK)) {
    const { hidden, language, shown } = match.groups
    const code = hidden ?? shown
    if (hidden !== undefined && nameOf(code) === undefined) {
      prelude = code
      continue
    }
    if (hidden === undefined && !EXTENSIONS.has(language)) continue
    const line = markdown.slice(0, match.index).split('\n').length
    const name = nameOf(code) ?? `line-${line}.${EXTENSIONS.get(language)}`
    blocks.push({ name, code: prelude + code, line })
    prelude = ''
  }
  return blocks
}

function nameOf(code) {
  return /^\/\/ ([\w-]+\.[cm]?[jt]s)\b/.exec(code)?.[1]
}

const BLOCK = /^(?:<!-- js\n(?<hidden>[\s\S]*?)-->|```(?<language>\w*)\n(?<shown>[\s\S]*?)```)$/gm
const EXTENSIONS = new Map([
  ['js', 'js'],
  ['cjs', 'cjs'],
  ['ts', 'ts'],
])
