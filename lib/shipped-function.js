// Which functions workerPool() can send to its workers. A function travels as its source alone, so that source has to be
// there, whole, and to mean the same elsewhere. What does not is refused when the pool is made, with the reason.

import { types } from 'node:util'
import { ERR_INVALID_ARG_TYPE } from './errors.js'
import { compile } from './shipped-script.js'

/**
 * @param {Function} fn
 * @returns {Readonly<import('./shipped-script.js').ShippedFunction>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function shippedFunction(fn) {
  // Not fn.toString(): that may be anything.
  const source = Function.prototype.toString.call(fn)
  const name = nameOf(fn)
  const obstacle = obstacleOf(fn, name, source) ?? syntaxObstacle(source)
  if (obstacle !== undefined) throw refused(name, obstacle)
  return Object.freeze({ source, strict: isStrict(fn, source), name })
}

/**
 * @param {Function} fn
 * @param {string} name
 * @param {string} source
 * @returns {string | undefined}
 */
function obstacleOf(fn, name, source) {
  if (types.isProxy(fn)) return 'a Proxy, which has no source'
  if (NO_SOURCE.test(source)) {
    return name.startsWith('bound ')
      ? 'a bound function, which has no source; what it is bound to stays behind'
      : 'a native function, which has no source'
  }
  if (/^class\b/.test(source)) return 'a class, which cannot be called'
  if (INSTRUMENTED.some((mark) => mark.test(source))) {
    return 'a function that a tool for coverage or mutation tests has changed: it counts in variables that a worker does not have (leave it out, as with /* istanbul ignore next */ before the function, or measure with V8 coverage, as c8 does)'
  }
  return undefined
}

/**
 * @param {string} source
 * @returns {string | undefined}
 */
function syntaxObstacle(source) {
  const error = syntaxError(source)
  if (error !== undefined) {
    return isMethod(source)
      ? 'a method, getter or setter in the short form of an object or class, whose source is no function by itself'
      : `a function whose source does not compile outside its place (${error.message})`
  }
  // An arrow function takes them from around it, which is allowed anywhere but here.
  if (
    syntaxError(source, true) === undefined &&
    syntaxError(`class { static task = (${source}\n) }`) !== undefined
  )
    return 'a function that uses the `arguments` of the function around it'
  return undefined
}

/**
 * Whether the code is to run as strict code, which its source alone does not tell: an ES module is strict without a
 * word.
 * @param {Function} fn
 * @param {string} source
 */
function isStrict(fn, source) {
  // An arrow function may still be sloppy, of a CommonJS file: that is seen only if it uses what strict code may not.
  return !isSloppy(fn) && syntaxError(source, true) === undefined
}

/**
 * Whether it is a plain function of sloppy code: only those may be asked for their `caller`.
 * @param {Function} fn
 */
function isSloppy(fn) {
  // A property of each of them, before Node 26.
  if (Object.getOwnPropertyDescriptor(fn, 'caller')?.configurable === false) return true
  try {
    Reflect.apply(/** @type {() => unknown} */ (CALLER?.get), fn, [])
    return true
  } catch {
    return false
  }
}

/** @param {string} source of something that is no expression */
function isMethod(source) {
  // Private names have to be those of the class around it.
  const names = new Set(source.match(/#[\p{ID_Start}$_][\p{ID_Continue}$]*/gu))
  return [[], [...names]].some(
    (declared) => syntaxError(`class extends Object {${declared.join(';')}\n${source}\n}`) === undefined,
  )
}

/**
 * @param {string} source
 * @param {boolean} [strict]
 * @returns {Error | undefined}
 */
function syntaxError(source, strict = false) {
  try {
    compile(source, strict)
    return undefined
  } catch (error) {
    return /** @type {Error} */ (error)
  }
}

/** @param {Function} fn */
function nameOf(fn) {
  // Never a getter's code, nor a Proxy's traps.
  if (types.isProxy(fn)) return ''
  const name = Object.getOwnPropertyDescriptor(fn, 'name')?.value
  return typeof name === 'string' ? name : ''
}

/**
 * @param {string} name
 * @param {string} obstacle
 */
function refused(name, obstacle) {
  const named = name === '' ? '' : ` "${name}",`
  const message = `Invalid "task": expected a function that can be sent to another process as its source, got${named} ${obstacle}. Wrap the call in an arrow function that needs nothing from outside itself, or use a task file: workerPool(new URL('./task.js', import.meta.url))`
  return Object.assign(new TypeError(message), { code: ERR_INVALID_ARG_TYPE })
}

const CALLER = Object.getOwnPropertyDescriptor(Function.prototype, 'caller')
/** How V8 prints a function without source. No source of a function ends like this. */
const NO_SOURCE = /\{\s*\[native code\]\s*\}\s*$/
/** What instrumenters put into functions: calls and counters that live in the file around them. */
const INSTRUMENTED = [
  // istanbul, nyc, babel-plugin-istanbul, swc-plugin-coverage: `cov_1a2b3c().s[0]++`, before that `cov_1a2b3c.s[0]++`
  // and `__cov_1a2b3c$.s['1']++`.
  /\b(?:__)?cov_[\w$]+(?:\(\))?\s*\.\s*[sfb]\s*\[/,
  /\b__coverage__\b/,
  // jscoverage and JSCover, blanket, CoverJS.
  /(?<![\w$])(?:_\$jscoverage|_\$blanket|_\$jscmd|__\$coverObject)\b/,
  // Stryker's mutants, Wallaby.
  /(?<![\w$])(?:stryMutAct_|stryCov_|stryNS_)\w+\s*\(/,
  /(?<![\w$])\$_\$(?:wf?|wv|wpe|tracer)\w*\s*[(.]/,
]
