// The shapes that one encoder has given out.

import { formatDefinition, kindOf, MAX_SHAPES, MISS, recordWriter } from './shape.js'

/** @import { Shape } from './shape.js' */

/** Finds and makes the shapes of one encoder. Their number is bounded, whatever objects come. */
export class ShapeTable {
  /** @param {(id: number, definition: string) => void} define */
  constructor(define) {
    this.define = define
    this.count = 0
    /** @type {Map<string, Shape[]>} by the first key, the last one used in front */
    this.byFirstKey = new Map()
    /** @type {string[][]} the keys of objects that were seen once: only a second one makes a shape */
    this.once = []
    this.nextOnce = 0
  }

  /**
   * The shape for objects with these keys, or undefined: there is none (yet).
   * @param {string[]} keys
   */
  find(keys) {
    const shapes = this.byFirstKey.get(keys[0])
    if (shapes !== undefined) {
      for (let i = 0; i < shapes.length; i++) {
        const shape = shapes[i]
        if (!sameKeys(shape.keys, keys)) continue
        if (i > 0) {
          shapes[i] = shapes[0]
          shapes[0] = shape
        }
        return shape
      }
    }
    for (let i = 0; i < this.once.length; i++) {
      if (!sameKeys(this.once[i], keys)) continue
      if (this.count >= MAX_SHAPES) return undefined
      /** @type {Shape} */
      const shape = { id: -1, keys, kinds: '', variants: 0, write: () => MISS }
      if (shapes === undefined) this.byFirstKey.set(keys[0], [shape])
      else shapes.push(shape)
      this.once[i] = NO_KEYS
      return shape
    }
    this.once[this.nextOnce] = keys
    this.nextOnce = (this.nextOnce + 1) % MAX_ONCE
    return undefined
  }

  /**
   * Make `shape` fit `x` too: the fields that differ become tagged values, so that the same keys settle on one shape.
   * The old one stays known to the reader.
   * @param {Shape} shape
   * @param {any} x
   */
  widen(shape, x) {
    const { keys, variants } = shape
    const kinds = keys.map((key, i) => {
      const kind = kindOf(x[key])
      return variants === 0 || (variants < MAX_VARIANTS - 1 && kind === shape.kinds[i]) ? kind : 'v'
    })
    // Refused for something else than its kinds: no shape will do.
    if (kinds.join('') === shape.kinds || this.count >= MAX_SHAPES) return undefined
    shape.kinds = kinds.join('')
    shape.id = this.count++
    shape.variants++
    this.define(shape.id, formatDefinition(keys, shape.kinds))
    shape.write = recordWriter(shape.id, keys, shape.kinds)
    return shape
  }
}

/**
 * @param {string[]} a
 * @param {string[]} b
 */
function sameKeys(a, b) {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** @type {string[]} */
const NO_KEYS = []
/** After so many shapes for the same keys all fields are tagged values, which always fit. */
const MAX_VARIANTS = 8
const MAX_ONCE = 64
