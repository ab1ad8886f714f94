// Loads a worker's task file: the mapper, and `setup` and `teardown` if it has them.

/**
 * What the parent tells a worker to load.
 * @typedef {object} TaskOrder
 * @property {string} url of the task file
 * @property {string} path of the same
 * @property {string} exportName
 * @property {unknown} setupData
 */

/**
 * @typedef {object} Task
 * @property {(item: any, context: any) => unknown} run
 * @property {(() => unknown) | undefined} teardown
 */

/**
 * @param {TaskOrder} order
 * @returns {Promise<Task>}
 * @throws whatever loading the file or its `setup` throws; an Error where it has no such function
 */
export async function loadTask({ url, path, exportName, setupData }) {
  // As in a program that `fork` starts: argv[1] is the file, and nothing of ours is behind it.
  process.argv.splice(1, Infinity, path)
  const exported = await import(url)
  const run = exportOf(exported, exportName)
  if (typeof run !== 'function') throw new Error(missingFunction(path, exportName, exported))
  const setup = exportOf(exported, 'setup')
  if (typeof setup === 'function') await setup(setupData)
  const teardown = exportOf(exported, 'teardown')
  return { run, teardown: typeof teardown === 'function' ? teardown : undefined }
}

/**
 * An export by its name, also where the file is CommonJS (`module.exports = { name }`), and where that was compiled
 * from ESM (`exports.default`).
 * @param {any} exported
 * @param {string} name
 */
function exportOf(exported, name) {
  const whole = exported.default
  if (name === 'default')
    return whole?.__esModule ? whole.default : typeof whole === 'function' ? whole : whole?.default
  return exported[name] ?? whole?.[name]
}

/**
 * @param {string} path
 * @param {string} exportName
 * @param {any} exported
 */
function missingFunction(path, exportName, exported) {
  const names = Object.keys(exported).filter((name) => typeof exported[name] === 'function')
  const wanted = exportName === 'default' ? 'default function' : `function "${exportName}"`
  const found = names.length > 0 ? `functions ${names.join(', ')}` : 'no function'
  return `The task file ${path} must export a ${wanted}, expected "export default function (item, context) { … }" or "module.exports = function …", got ${found}`
}
