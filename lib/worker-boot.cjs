'use strict'
// The first file of a worker process, CommonJS because that starts fastest: opens the addon by the path that the parent
// found, and hands over to worker-main.js. Its arguments: the addon, the inherited descriptors.

const [addonPath, descriptors] = process.argv.slice(-2)
Reflect.set(globalThis, Symbol.for('millrace.worker'), true)
/** @type {{ exports: any }} */
const addon = { exports: {} }
process.dlopen(addon, addonPath)
require('./worker-main.js').runWorker(addon.exports.WorkerPort, descriptors)
