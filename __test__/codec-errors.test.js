// Errors keep what they carry, thrown or as values.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { types } from 'node:util'
import vm from 'node:vm'
import { SerializationError } from '../lib/errors.js'
import { assertSameGraph, Channel } from './codec-graph.js'

/** All the ways for an error: thrown, as a value, in an object (twice: the second one has a shape), in an array. */
const ways = {
  thrown: (error) => new Channel().tripError(error),
  'as a value': (error) => new Channel().trip(error),
  'in records': (error) => {
    const records = [
      { id: 1, error },
      { id: 2, error },
      { id: 3, error },
    ]
    return new Channel().batch(records)[2].error
  },
  'in an array': (error) => new Channel().trip([1, error])[1],
  'deep in plain objects': (error) => new Channel().trip({ a: [{ b: { error } }] }).a[0].b.error,
}

for (const [way, trip] of Object.entries(ways)) {
  for (const Type of [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError]) {
    test(`${Type.name} ${way}`, () => {
      const error = new Type('what happened')
      const arrived = trip(error)
      assert.equal(Object.getPrototypeOf(arrived), Type.prototype)
      assert.ok(types.isNativeError(arrived))
      assert.equal(arrived.message, 'what happened')
      assert.equal(arrived.stack, error.stack)
      assert.equal(arrived.name, Type.name)
      assert.deepEqual(Object.keys(arrived), [])
      assert.equal(Object.hasOwn(arrived, 'name'), false)
      assert.equal(Object.hasOwn(arrived, 'cause'), false)
    })
  }

  test(`AggregateError ${way}`, () => {
    const error = new AggregateError([new TypeError('a'), 'b', new Error('c', { cause: 1 })], 'several')
    const arrived = trip(error)
    assert.ok(arrived instanceof AggregateError)
    assert.equal(arrived.message, 'several')
    assert.ok(arrived.errors[0] instanceof TypeError)
    assert.equal(arrived.errors[1], 'b')
    assert.equal(arrived.errors[2].cause, 1)
    assert.equal(Object.getOwnPropertyDescriptor(arrived, 'errors').enumerable, false)
  })

  test(`DOMException ${way}`, () => {
    const error = AbortSignal.abort().reason
    const arrived = trip(error)
    assert.ok(arrived instanceof DOMException)
    assert.equal(arrived.name, 'AbortError')
    assert.equal(arrived.code, 20)
    assert.equal(arrived.message, error.message)
    assert.equal(arrived.stack, error.stack)
  })

  test(`causes ${way}`, () => {
    const error = new Error('outer', { cause: new TypeError('middle', { cause: { reason: 'inner' } }) })
    const arrived = trip(error)
    assert.ok(arrived.cause instanceof TypeError)
    assert.equal(arrived.cause.stack, error.cause.stack)
    assert.deepEqual(arrived.cause.cause, { reason: 'inner' })
    assert.equal(Object.getOwnPropertyDescriptor(arrived, 'cause').enumerable, false)
  })

  test(`a cause that is undefined ${way}`, () => {
    const arrived = trip(new Error('x', { cause: undefined }))
    assert.ok(Object.hasOwn(arrived, 'cause'))
    assert.equal(arrived.cause, undefined)
  })

  test(`a cause that is the error itself ${way}`, () => {
    const error = new Error('x')
    error.cause = new RangeError('y', { cause: error })
    error.all = [error, error.cause]
    const arrived = trip(error)
    assert.equal(arrived.cause.cause, arrived)
    assert.deepEqual(arrived.all, [arrived, arrived.cause])
  })

  test(`own properties ${way}`, () => {
    const error = Object.assign(new Error('x'), {
      code: 'E_X',
      at: new Date(0),
      map: new Map([[1, 2]]),
      '': 0,
    })
    Object.defineProperty(error, '__proto__', { value: { polluted: true }, enumerable: true })
    const arrived = trip(error)
    assert.deepEqual(Object.keys(arrived), ['code', 'at', 'map', '', '__proto__'])
    assert.equal(Object.getPrototypeOf(arrived), Error.prototype)
    assertSameGraph(arrived.map, error.map)
  })

  test(`a subclass ${way}`, () => {
    class HttpError extends RangeError {
      status = 404

      get name() {
        return 'HttpError'
      }
    }
    const arrived = trip(new HttpError('not found'))
    assert.equal(Object.getPrototypeOf(arrived), RangeError.prototype)
    assert.equal(arrived.name, 'HttpError')
    assert.equal(arrived.status, 404)
    assert.equal(arrived.message, 'not found')
    assert.deepEqual(Object.keys(arrived), ['status'])
  })

  test(`a name set by hand ${way}`, () => {
    const arrived = trip(Object.assign(new Error('x'), { name: 'Renamed' }))
    assert.equal(arrived.name, 'Renamed')
    assert.deepEqual(Object.keys(arrived), ['name'])
  })

  test(`properties that cannot be cloned are dropped and named ${way}`, () => {
    const error = Object.assign(new Error('x', { cause: () => {} }), {
      code: 1,
      request() {},
      inner: new Error('y'),
    })
    Object.defineProperty(error, 'bad', {
      enumerable: true,
      get() {
        throw new Error('not readable')
      },
    })
    error.inner.symbol = Symbol('s')
    const arrived = trip(error)
    assert.equal(arrived.code, 1)
    assert.deepEqual(arrived.droppedProperties.toSorted(), ['bad', 'cause', 'request'])
    assert.deepEqual(arrived.inner.droppedProperties, ['symbol'])
    // Sent on, the names are not lost.
    assert.deepEqual(trip(arrived).droppedProperties, arrived.droppedProperties)
  })

  test(`an error of another realm ${way}`, () => {
    const arrived = trip(vm.runInNewContext('Object.assign(new TypeError("far"), { code: 1 })'))
    assert.equal(Object.getPrototypeOf(arrived), TypeError.prototype)
    assert.equal(arrived.message, 'far')
    assert.equal(arrived.code, 1)
  })

  test(`an error whose stack is odd ${way}`, () => {
    const error = new Error('x')
    Object.defineProperty(error, 'stack', { value: 7 })
    assert.equal(typeof trip(error).stack, 'string')
  })

  test(`a chain of 1000 causes ${way}`, () => {
    let error = new Error('first')
    for (let i = 0; i < 1000; i++) error = new Error(`${i}`, { cause: error })
    let arrived = trip(error)
    let depth = 0
    while (arrived.cause) {
      arrived = arrived.cause
      depth++
    }
    assert.equal(depth, 64)
    assert.deepEqual(arrived.droppedProperties, ['cause'])
  })

  test(`an AggregateError of 10000 errors ${way}`, () => {
    const errors = Array.from({ length: 10_000 }, (_, i) => new Error(`${i}`))
    const arrived = trip(new AggregateError(errors))
    assert.equal(arrived.errors.length, 10_000)
    assert.equal(arrived.errors[9999].message, '9999')
  })

  test(`a SerializationError ${way}`, () => {
    const arrived = trip(new SerializationError('cannot', { cause: 1, index: 5 }))
    assert.ok(arrived instanceof SerializationError)
    assert.equal(arrived.code, 'ERR_SERIALIZATION')
    assert.equal(arrived.index, 5)
  })
}

test('what is thrown and is no error arrives as it is', () => {
  for (const thrown of [
    'text',
    undefined,
    null,
    0,
    -0,
    false,
    '',
    5n,
    { message: 'no error' },
    [1],
    new Map([[1, 2]]),
  ]) {
    assertSameGraph(new Channel().tripError(thrown), thrown)
  }
})

test('what is thrown and cannot be cloned arrives as an error that says so', () => {
  const cases = [
    [function thrownFunction() {}, /thrown was the function thrownFunction, which cannot be cloned/],
    [Symbol('tag'), /thrown was the symbol Symbol\(tag\)/],
    [{ message: 'boom', fn() {} }, /with the message "boom".*value\.fn/],
    [Promise.reject(new Error('in a promise')), /of type Promise/],
    [new Proxy(new Error('behind a proxy'), {}), /a Proxy/],
  ]
  cases[3][0].catch(() => {})
  for (const [thrown, message] of cases) {
    const arrived = new Channel().tripError(thrown)
    assert.ok(arrived instanceof SerializationError)
    assert.match(arrived.message, message)
  }
})

test('encodeError never throws', () => {
  const throwing = {
    get() {
      throw new Error('trap')
    },
    getPrototypeOf() {
      throw new Error('trap')
    },
  }
  const getter = (name) =>
    Object.defineProperty({}, name, {
      get() {
        throw new Error('getter')
      },
      enumerable: true,
    })
  const odd = [
    new Proxy({}, throwing),
    new Proxy(new Error('x'), throwing),
    getter('message'),
    getter(Symbol.toStringTag),
    Object.setPrototypeOf(getter('stack'), Error.prototype),
    Object.setPrototypeOf(new Error('x'), new Proxy({}, throwing)),
    Object.setPrototypeOf(new Error('x'), null),
    Object.defineProperty(new Error('x'), 'message', { get: () => assert.fail() }),
    Object.defineProperty(new Error('x'), Symbol.toStringTag, { get: () => assert.fail() }),
    Object.assign(new Error('x'), { errors: new Proxy([], throwing) }),
  ]
  for (const thrown of odd) {
    const arrived = new Channel().tripError(thrown)
    assert.ok(arrived instanceof Error || typeof arrived === 'object')
  }
})

test('an error that does not fit leaves the positions as they were', () => {
  const { encoder } = new Channel(20)
  assert.equal(encoder.encodeError(new Error('x')), false)
  assert.equal(encoder.encodeError(Symbol('x')), false)
  assert.deepEqual([encoder.rowPos, encoder.textPos], [0, 0])
})

test('making errors again leaves Error.stackTraceLimit alone', () => {
  const before = Error.stackTraceLimit
  new Channel().tripError(new Error('x'))
  assert.equal(Error.stackTraceLimit, before)
})
