// Numbers that look like chance and follow from a seed: of a place in the plan, whoever asks for it and when.

/** A number that depends on both, from 0 to 2³² − 1. */
export function mixed(a, b) {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** Throws of dice, one after the other. */
export class Dice {
  #seed
  #thrown = 0

  constructor(seed, place) {
    this.#seed = mixed(seed, place)
  }

  /** From 0 to `sides` − 1. */
  below(sides) {
    return mixed(this.#seed, this.#thrown++) % sides
  }

  between(least, most) {
    return least + this.below(most - least + 1)
  }

  /** True once in `sides` times. */
  once(sides) {
    return this.below(sides) === 0
  }

  pick(list) {
    return list[this.below(list.length)]
  }
}
