// Text that looks like text: words of a small language, and an address now and then. The same every time.

/** @param {number} length in characters, all of them ASCII */
export function text(length) {
  let state = 1
  const below = (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  const word = () => Array.from({ length: 2 + below(9) }, () => LETTERS[below(LETTERS.length)]).join('')
  const words = Array.from({ length: 5000 }, word)
  const parts = []
  for (let characters = 0; characters < length; ) {
    const line = Array.from({ length: 70 }, () => words[below(words.length)])
    line.push(`${words[below(words.length)]}@example.com\n`)
    parts.push(line.join(' '))
    characters += parts.at(-1).length
  }
  // Through a Buffer: one flat string, rather than a tree of its parts.
  return Buffer.from(parts.join('')).toString('latin1', 0, length)
}

const LETTERS = 'etaoinshrdluETAcmfwyp'
