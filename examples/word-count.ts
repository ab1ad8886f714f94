// The task file of typescript.ts.

export type Counts = { words: number; longest: string }

export default function countWords(text: string): Counts {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const longest = words.reduce((best, word) => (word.length > best.length ? word : best), '')
  return { words: words.length, longest }
}
