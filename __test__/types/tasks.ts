// The task file of the type tests: its exports are mappers, or not.

import { type Context, skip } from 'millrace'

export default async function count(text: string, _context: Context) {
  return { words: text.split(' ').length }
}

export const resize = async (image: { width: number }): Promise<Uint8Array> => new Uint8Array(image.width)
export const odd = (n: number) => (n % 2 ? n : skip)
export const indexed = (text: string, { index }: { index: number }): [string, number] => [text, index]
export function overloaded(item: string): string
export function overloaded(item: number): boolean
export function overloaded(item: string | number) {
  return typeof item === 'string' ? item : item > 0
}
export const none = () => {}
export const optional = (text?: string) => text ?? ''
export function* lines(text: string) {
  yield* text.split('\n')
}
export const two = (a: number, b: number) => a + b
export const VERSION = '1.0.0'
