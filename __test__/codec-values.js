// The table of values that the codec is held against v8 and structuredClone with. Each entry makes its value anew.

const shared = () => ({ shared: true })
class Point {
  constructor(x, y) {
    this.x = x
    this.y = y
  }

  get length() {
    return Math.hypot(this.x, this.y)
  }
}
class Bytes extends Uint8Array {}
class Names extends Array {}

/** @type {Record<string, () => unknown>} */
export const cloneable = {
  // primitives
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  'minus zero': () => -0,
  one: () => 1,
  'minus one': () => -1,
  'largest int32': () => 2147483647,
  'beyond int32': () => 2147483648,
  'smallest int32': () => -2147483648,
  'largest safe integer': () => Number.MAX_SAFE_INTEGER,
  'beyond safe integers': () => 2 ** 60,
  fraction: () => 0.1,
  'largest number': () => Number.MAX_VALUE,
  'smallest number': () => Number.MIN_VALUE,
  NaN: () => NaN,
  Infinity: () => Infinity,
  'minus Infinity': () => -Infinity,
  'bigint zero': () => 0n,
  bigint: () => 12345678901234567890n,
  'negative bigint': () => -(2n ** 100n),
  // strings
  'empty string': () => '',
  'one character': () => 'a',
  '12 characters': () => 'abcdefghijkl',
  '13 characters': () => 'abcdefghijklm',
  '20 characters': () => 'abcdefghijklmnopqrst',
  '21 characters': () => 'abcdefghijklmnopqrstu',
  '30 characters': () => 'x'.repeat(30),
  '31 characters': () => 'y'.repeat(31),
  '64 characters': () => 'z'.repeat(64),
  '255 characters': () => 'z'.repeat(255),
  '256 characters': () => 'z'.repeat(256),
  'long string': () => 'lorem ipsum '.repeat(5000),
  'NUL character': () => 'a\0b',
  'latin1 string': () => 'Grüße aus Köln ÿ',
  'long latin1 string': () => 'é'.repeat(300),
  'string of three alphabets': () => 'Ω Ж 漢字',
  emoji: () => '👩‍👩‍👧',
  'long string beyond latin1': () => `${'a'.repeat(500)}→`,
  '21 characters beyond latin1': () => `${'a'.repeat(20)}€`,
  '255 characters beyond latin1': () => `${'a'.repeat(254)}€`,
  'lone high surrogate': () => '\ud800',
  'lone low surrogate': () => 'x\udc00y',
  'long string with a lone surrogate': () => `${'b'.repeat(200)}\udfff`,
  'surrogates in the wrong order': () => '\udc00\ud800',
  'rope string': () => ['left side of a rope ', 'and its right side'].reduce((a, b) => a + b),
  'sliced string': () => 'a string that is sliced somewhere'.slice(3, 25),
  'line separators': () => 'a\u2028b\u2029c',
  // plain objects
  'empty object': () => ({}),
  record: () => ({ id: 123, name: 'user 123', email: 'user123@example.com', active: true, score: 1.5 }),
  'nested record': () => ({
    id: 1,
    geo: { lat: 1.5, lng: -0 },
    tags: ['a', 'b'],
    none: null,
    unset: undefined,
  }),
  'object without prototype': () => Object.assign(Object.create(null), { a: 1, b: 'two' }),
  'empty object without prototype': () => Object.create(null),
  'object with a changed prototype': () => Object.setPrototypeOf({ own: 1 }, { inherited: 2 }),
  'object that inherits from a plain one': () => Object.assign(Object.create({ b: 2 }), { a: 1 }),
  '__proto__ as a key': () => JSON.parse('{"__proto__":1,"a":2}'),
  '__proto__ as a key of an object': () => JSON.parse('{"a":2,"__proto__":{"polluted":true}}'),
  '__proto__ that looks plain': () => Object.defineProperty({}, '__proto__', own({})),
  'constructor as a key': () => ({ constructor: 'x', a: 1 }),
  'constructor that is Object': () => ({ a: { constructor: { name: 'Object' } } }),
  'prototype as a key': () => ({ prototype: 1 }),
  'toJSON as a key': () => ({ toJSON: 'not a function', a: 1 }),
  'hasOwnProperty as a key': () => ({ hasOwnProperty: 1, toString: 2, valueOf: 3 }),
  'then as a key': () => ({ then: 'not a function' }),
  'empty key': () => ({ '': 1 }),
  'keys like integers': () => ({ b: 1, 10: 'x', 2: 'y', a: 2 }),
  'keys like negative integers': () => ({ '-1': 1, 1.5: 2, '01': 3 }),
  'keys with quotes': () => ({ '"': 1, "'": 2, '`${x}`': 3, '\\': 4, '\n': 5 }),
  'keys with line separators': () => ({ '\u2028': 1, '\u2029': 2 }),
  'keys beyond latin1': () => ({ ключ: 1, 漢: 2, '👍': 3 }),
  'keys with lone surrogates': () => ({ '\ud800': 1, '\udc00': 2 }),
  'long key': () => ({ ['k'.repeat(1000)]: 1 }),
  '300 keys': () => Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key${i}`, i])),
  '100 fields of all kinds': () =>
    Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`f${i}`, [i, `s${i}`, i % 2 === 0, null][i % 4]]),
    ),
  getter: () => ({
    get a() {
      return 1
    },
    b: 2,
  }),
  'property that is not enumerable': () => Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }),
  'symbol as a key': () => ({ a: 1, [Symbol('s')]: 2, [Symbol.toStringTag]: 'Tagged' }),
  'object without prototype, with a tag': () =>
    Object.assign(Object.create(null), { a: 1, [Symbol.toStringTag]: 'T' }),
  'frozen object': () => Object.freeze({ a: 1 }),
  'sealed object': () => Object.seal({ a: 1 }),
  'object after delete': () => {
    const object = { a: 1, b: 2, c: 3 }
    delete object.a
    object.a = 4
    return object
  },
  'object 60 deep': () => deep(60),
  'object 64 deep': () => deep(64),
  'object 70 deep': () => deep(70),
  'object 500 deep': () => deep(500),
  // arrays
  'empty array': () => [],
  'array of integers': () => [1, 2, 3],
  'array of fractions': () => [0.5, -0, NaN],
  'array of strings': () => ['a', 'bc', 'ü', 'Ω'],
  'mixed array': () => [1, 'a', null, undefined, true, { x: 1 }, [2]],
  'array of undefined': () => [undefined, undefined],
  'array of records': () => Array.from({ length: 40 }, (_, i) => ({ id: i, name: `n${i}` })),
  'array of different records': () => [
    { a: 1 },
    { a: 'x' },
    { a: null },
    { b: 1 },
    { a: 1, b: 2 },
    { b: 2, a: 1 },
  ],
  'long array': () => Array.from({ length: 3000 }, (_, i) => i * 1.5),
  'array with a hole': () => [1, , 3],
  'array of holes': () => new Array(5),
  'array that ends in a hole': () => [1, 2, ,],
  'sparse array': () => Object.assign([], { 5000: 'x' }),
  'array with a property': () => Object.assign([1, 2], { extra: 'x' }),
  'empty array with a property': () => Object.assign([], { extra: 'x' }),
  'array with a hole and a property': () => Object.assign([1, , 3], { extra: 'x' }),
  'array with a negative index': () => Object.assign([1], { '-1': 2 }),
  'match of a pattern': () => 'a-b-c'.match(/(?<first>\w)-(\w)/),
  'match with indices': () => /(?<x>b)/d.exec('abc'),
  'frozen array': () => Object.freeze([1, { a: 1 }]),
  'subclass of Array': () => Names.from(['a', 'b']),
  'array with a getter': () => Object.defineProperty([1, 2], 1, { get: () => 'got', enumerable: true }),
  'array of arrays': () => [[], [[]], [[1], [2, [3]]]],
  // identity
  'object twice': () => {
    const one = shared()
    return { a: one, b: one }
  },
  'object twice in an array': () => {
    const one = shared()
    return [one, one]
  },
  'array twice': () => {
    const one = [1]
    return [one, { one }]
  },
  'Date twice': () => {
    const date = new Date(0)
    return [date, date]
  },
  'Buffer twice': () => {
    const buffer = Buffer.from('x')
    return { buffer, again: [buffer] }
  },
  'object twice, far apart': () => {
    const one = shared()
    return [one, ...Array.from({ length: 50 }, (_, i) => ({ i })), one]
  },
  'last of many twice': () => {
    const many = Array.from({ length: 50 }, (_, i) => ({ i }))
    return [...many, many[49]]
  },
  'cycle in an object': () => {
    const a = { name: 'a' }
    a.self = a
    return a
  },
  'cycle in an array': () => {
    const a = [1]
    a.push(a)
    return a
  },
  'long cycle': () => {
    const a = { b: { c: [{}] } }
    a.b.c[0].a = a
    return a
  },
  // built-in objects
  Date: () => new Date(1e12),
  'Date before 1970': () => new Date(-1),
  'invalid Date': () => new Date(NaN),
  'Date with a property': () => Object.assign(new Date(5), { extra: 1 }),
  'subclass of Date': () => new (class Later extends Date {})(7),
  RegExp: () => /a+b/giu,
  'RegExp with a lastIndex': () => Object.assign(/a/g, { lastIndex: 3 }),
  Map: () =>
    new Map([
      ['a', 1],
      [{ k: 1 }, { v: 2 }],
    ]),
  'empty Map': () => new Map(),
  'Map of Maps': () => new Map([['m', new Map([[1, 2]])]]),
  'Map with itself': () => {
    const map = new Map()
    return map.set('self', map)
  },
  Set: () => new Set([1, 'a', { x: 1 }]),
  'Map with a property': () => Object.assign(new Map([[1, 2]]), { extra: 1 }),
  'boxed number': () => Object(-0),
  'boxed string': () => Object('abc'),
  'boxed boolean': () => Object(false),
  'boxed bigint': () => Object(5n),
  'boxed string with a property': () => Object.assign(Object('abc'), { extra: 1 }),
  'class instance': () => new Point(3, 4),
  'class instance with private fields': () =>
    new (class Account {
      #secret = 1
      open = true
      secret() {
        return this.#secret
      }
    })(),
  URL: () => new URL('https://example.com/a?b#c'),
  Math: () => Math,
  // binary
  Buffer: () => Buffer.from('some bytes'),
  'empty Buffer': () => Buffer.alloc(0),
  'large Buffer': () => Buffer.alloc(10_000, 'abc'),
  'Buffer out of the pool': () => Buffer.from('0123456789').subarray(2, 5),
  'Buffer with a property': () => Object.assign(Buffer.from('a'), { extra: 1 }),
  Uint8Array: () => new Uint8Array([1, 2, 255]),
  'empty Uint8Array': () => new Uint8Array(0),
  'Uint8Array of 100 bytes': () => new Uint8Array(100).fill(7),
  'part of a Uint8Array': () => new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3),
  Int8Array: () => new Int8Array([-1, 1]),
  Uint8ClampedArray: () => new Uint8ClampedArray([300, -5]),
  Int16Array: () => new Int16Array([-300, 300]),
  Uint16Array: () => new Uint16Array([65535, 1]),
  Int32Array: () => new Int32Array([-70000, 1]),
  Uint32Array: () => new Uint32Array([4294967295]),
  Float32Array: () => new Float32Array([0.5, -0]),
  Float64Array: () => new Float64Array([0.1, NaN, -0]),
  'part of a Float64Array': () => new Float64Array([1, 2, 3]).subarray(1),
  BigInt64Array: () => new BigInt64Array([-1n]),
  BigUint64Array: () => new BigUint64Array([2n ** 64n - 1n]),
  DataView: () => new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
  ArrayBuffer: () => new Uint8Array([9, 8, 7]).buffer,
  'empty ArrayBuffer': () => new ArrayBuffer(0),
  'resizable ArrayBuffer': () => new ArrayBuffer(4, { maxByteLength: 8 }),
  'view on a resizable ArrayBuffer': () => new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 })),
  'view on shared memory': () => new Uint8Array(new SharedArrayBuffer(3)).fill(5),
  'subclass of Uint8Array': () => new Bytes([1, 2]),
  ...(typeof globalThis.Float16Array === 'function' && { Float16Array: () => new Float16Array([1.5]) }),
  // mixtures
  'all binary kinds': () => ({
    b: Buffer.from('b'),
    u: new Uint8Array(3),
    f: new Float64Array(2),
    a: new ArrayBuffer(1),
  }),
  'bigint in a record': () => ({ id: 10n, name: 'x' }),
  'Map in a record': () => ({ id: 1, map: new Map([[1, { a: 1 }]]) }),
  'Set in an array': () => [1, new Set([1]), { a: 1 }],
}

/** Refused by v8.serialize, and so by the codec: what a message says, with the value in the place of `value`. */
/** @type {Record<string, () => unknown>} */
export const uncloneable = {
  function: () => function named() {},
  'arrow function': () => () => 1,
  'async function': () => async () => {},
  class: () => class Thing {},
  symbol: () => Symbol('s'),
  'well-known symbol': () => Symbol.iterator,
  Promise: () => Promise.resolve(1),
  WeakMap: () => new WeakMap(),
  WeakSet: () => new WeakSet(),
  WeakRef: () => new WeakRef({}),
  'Proxy of an object': () => new Proxy({ a: 1 }, {}),
  'Proxy of an array': () => new Proxy([1], {}),
  'Proxy of a Date': () => new Proxy(new Date(0), {}),
  'Proxy with traps that throw': () => new Proxy({}, new Proxy({}, { get: () => () => assertNever() })),
  'Proxy of a function': () => new Proxy(() => {}, {}),
  'boxed symbol': () => Object(Symbol('s')),
  SharedArrayBuffer: () => new SharedArrayBuffer(4),
  generator: () => (function* () {})(),
  'Map iterator': () => new Map().entries(),
  arguments: () =>
    (function () {
      // biome-ignore lint/complexity/noArguments: they are the value
      return arguments
    })(1, 2),
  'empty arguments': () =>
    (function () {
      // biome-ignore lint/complexity/noArguments: they are the value
      return arguments
    })(),
  'detached ArrayBuffer': () => {
    const buffer = new ArrayBuffer(4)
    structuredClone(buffer, { transfer: [buffer] })
    return buffer
  },
  'view on a detached ArrayBuffer': () => {
    const view = new Uint8Array(4)
    structuredClone(view.buffer, { transfer: [view.buffer] })
    return view
  },
  'environment of the process': () => process.env,
  Intl: () => new Intl.NumberFormat(),
}

function own(value) {
  return { value, writable: true, enumerable: true, configurable: true }
}

function deep(levels) {
  let value = { end: true }
  for (let i = 1; i < levels; i++) value = i % 2 ? { value } : [value]
  return value
}

function assertNever() {
  throw new Error('a trap was called')
}
