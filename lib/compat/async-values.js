// The values of a collection that answers at once, one after the other: of an array or the like, an iterable, or an
// object. `pull` says whether `value` and `key` are the next ones.

/**
 * @param {any} value
 * @returns {boolean} arrays, strings, `arguments` and the like
 */
export function isArrayLike(value) {
  return value && typeof value.length === 'number' && value.length >= 0 && value.length % 1 === 0
}

/**
 * @param {any} collection
 * @returns {ArrayValues | IteratorValues | ObjectValues}
 */
export function valuesOf(collection) {
  if (isArrayLike(collection)) return new ArrayValues(collection)
  const iterator = collection[Symbol.iterator]?.()
  return iterator ? new IteratorValues(iterator) : new ObjectValues(collection)
}

/** Of the length that it had at first. */
class ArrayValues {
  /** @type {any} */
  value
  key = -1
  #array
  #length

  /** @param {ArrayLike<any>} array */
  constructor(array) {
    this.#array = array
    this.#length = array.length
  }

  pull() {
    if (++this.key >= this.#length) return false
    this.value = this.#array[this.key]
    return true
  }
}

class IteratorValues {
  /** @type {any} */
  value
  key = -1
  #iterator

  /** @param {Iterator<any>} iterator */
  constructor(iterator) {
    this.#iterator = iterator
  }

  pull() {
    const { done, value } = this.#iterator.next()
    this.value = value
    this.key++
    return !done
  }
}

/** The own enumerable properties, as they are when their turn comes. */
class ObjectValues {
  /** @type {any} */
  value
  key = ''
  #object
  #keys
  #next = 0

  /** @param {any} object */
  constructor(object) {
    this.#object = object
    this.#keys = Object.keys(object)
  }

  pull() {
    // As JSON.parse makes it, it is no key to build a result with.
    if (this.#keys[this.#next] === '__proto__') this.#next++
    if (this.#next >= this.#keys.length) return false
    this.key = this.#keys[this.#next++]
    this.value = this.#object[this.key]
    return true
  }
}
