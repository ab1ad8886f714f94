// What the user typed, turned into an order that can be carried out, or into a message that says why not. Everything that
// can be checked is checked here, before anything starts.

import { accessSync, constants, fstatSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { isatty } from 'node:tty'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { displayName, inputStat, STDIO } from './inputs.js'

/**
 * @typedef {object} MapOrder
 * @property {{ url: string, path: string, name: string }} task the file, and as it was typed
 * @property {readonly string[]} files at least one, `-` is stdin
 * @property {number | undefined} jobs undefined: what the machine offers
 * @property {number} batch
 * @property {boolean} unordered
 * @property {boolean} stopOnError
 * @property {string | undefined} output undefined: stdout
 * @property {string | undefined} errors
 * @property {boolean} progress
 */

/** Wrong usage: said in one line. An empty message: everything was said. */
export class UsageError extends Error {
  /**
   * @param {string} message
   * @param {number} [exitCode]
   */
  constructor(message, exitCode = 2) {
    super(message)
    this.exitCode = exitCode
  }
}

/**
 * @param {readonly string[]} args without `node` and the program
 * @returns {Readonly<MapOrder>}
 * @throws {UsageError} also, with exit code 0, after `--help` and `--version`
 */
export function parseArguments(args) {
  /** @type {Readonly<MapOrder> | undefined} */
  let order
  const program = new Command('millrace')
    .description('Map the lines of NDJSON in parallel.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'millrace: ')) })
    .addHelpText('after', PROGRAM_EXAMPLES)
  const map = program
    .command('map')
    .summary('call a function with each line of NDJSON')
    .description(DESCRIPTION)
    .argument('<task>', 'the file whose default export is called with each value; CommonJS too')
    .argument('[file...]', 'NDJSON files, read one after the other; - is stdin (default: stdin)')
    .option('-j, --jobs <n>', 'worker processes (default: one per available processor)', positiveInteger)
    .option('-o, --output <file>', 'write the results here (default, and -: stdout)')
    .option('-u, --unordered', 'write results as they finish, not in the order of the lines')
    .option('-e, --errors <file>', 'keep every bad line here: { file, line, error, input }')
    .option('-b, --batch <n>', 'call the function with arrays of up to n values', positiveInteger)
    .option('--stop-on-error', 'end at the first bad line')
    .option('--progress', 'show the progress on stderr (default: if that is a terminal of its own)')
    .option('--no-progress', 'show no progress')
    .addHelpText('after', MAP_HELP)
    .action((task, files, options) => {
      order = mapOrder(task, files, options, () => map.helpInformation() + MAP_HELP)
    })
  try {
    if (args.length === 0) program.help({ error: true })
    program.parse(args, { from: 'user' })
  } catch (error) {
    // Commander has printed what it had to say.
    if (error instanceof CommanderError) throw new UsageError('', error.exitCode === 0 ? 0 : 2)
    throw error
  }
  return /** @type {Readonly<MapOrder>} */ (order)
}

/**
 * @param {string} task
 * @param {string[]} files
 * @param {{ jobs?: number, output?: string, unordered?: boolean, errors?: string, batch?: number, stopOnError?: boolean, progress?: boolean }} options
 * @param {() => string} help
 * @returns {Readonly<MapOrder>}
 */
function mapOrder(task, files, options, help) {
  if (files.length === 0 && isatty(0)) {
    process.stderr.write(help())
    throw new UsageError('')
  }
  const inputs = files.length === 0 ? [STDIO] : files
  if (inputs.filter((file) => file === STDIO).length > 1)
    throw new UsageError('stdin (-) can be read only once')
  const { jobs, batch = 1, unordered = false, stopOnError = false, errors } = options
  const output = options.output === STDIO ? undefined : options.output
  if (errors === STDIO) throw new UsageError('--errors needs a file, stdout is for the results')
  const taskFile = checkTask(task)
  checkFiles(inputs, output, errors)
  return Object.freeze({
    task: taskFile,
    files: Object.freeze(inputs),
    jobs,
    batch,
    unordered,
    stopOnError,
    output,
    errors,
    progress: options.progress ?? (isatty(2) && (output !== undefined || !isatty(1))),
  })
}

/** @param {string} task */
function checkTask(task) {
  const file = task.startsWith('file:') ? fileURLToPath(task) : path.resolve(task)
  const stat = statOf(file, () => statSync(file), `task file ${task}`)
  if (stat.isDirectory()) throw new UsageError(`the task file ${task} is a directory`)
  return Object.freeze({ url: pathToFileURL(file).href, path: file, name: task })
}

/**
 * @param {readonly string[]} inputs
 * @param {string | undefined} output
 * @param {string | undefined} errors
 */
function checkFiles(inputs, output, errors) {
  const read = inputs.map((file) => {
    const stat = statOf(file, () => inputStat(file), displayName(file))
    if (stat.isDirectory()) throw new UsageError(`cannot read ${displayName(file)}: it is a directory`)
    return { name: displayName(file), stat }
  })
  const written = [
    // With `-o`, an input may be the output: it is replaced when everything is done.
    ...(output === undefined ? [{ name: 'stdout', stat: fstatSync(1) }] : []),
    ...(errors === undefined ? [] : existing(errors)),
  ]
  for (const one of written) {
    const same = read.find(({ stat }) => isSameFile(stat, one.stat))
    if (same !== undefined)
      throw new UsageError(`the input ${same.name} is also what is written to (${one.name})`)
  }
  if (errors !== undefined && (errors === output || clash(existing(errors), output, written)))
    throw new UsageError(`--errors ${errors} is the output, too`)
  for (const file of [output, errors]) if (file !== undefined) checkWritable(file)
}

/**
 * @param {{ name: string, stat: import('node:fs').Stats }[]} errors
 * @param {string | undefined} output
 * @param {{ name: string, stat: import('node:fs').Stats }[]} written
 */
function clash(errors, output, written) {
  const outputs = output === undefined ? written.slice(0, 1) : existing(output)
  return errors.some(({ stat }) => outputs.some((other) => isSameFile(stat, other.stat)))
}

/** @param {string} file */
function existing(file) {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? [] : [{ name: file, stat }]
}

/**
 * Pipes and devices may well be the same.
 * @param {import('node:fs').Stats} one
 * @param {import('node:fs').Stats} other
 */
function isSameFile(one, other) {
  return one.isFile() && one.dev === other.dev && one.ino === other.ino
}

/** @param {string} file */
function checkWritable(file) {
  try {
    if (existing(file).some(({ stat }) => stat.isDirectory())) throw new Error('it is a directory')
    accessSync(existing(file).length > 0 ? file : path.dirname(path.resolve(file)), constants.W_OK)
  } catch (error) {
    throw new UsageError(`cannot write ${file}: ${/** @type {Error} */ (error).message}`)
  }
}

/**
 * @param {string} file
 * @param {() => import('node:fs').Stats} look
 * @param {string} name
 */
function statOf(file, look, name) {
  try {
    const stat = look()
    if (file !== STDIO) accessSync(file, constants.R_OK)
    return stat
  } catch (error) {
    throw new UsageError(`cannot read ${name}: ${/** @type {Error} */ (error).message}`)
  }
}

/** @param {string} text */
function positiveInteger(text) {
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError(`Expected a positive integer, got "${text}".`)
  }
  return number
}

/** @returns {string} */
function version() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

const DESCRIPTION = `Call a function with each line of NDJSON, in worker processes, and write what it returns: a line in, a line out.

The task file exports the function: export default (value, context) => result. Return context.skip to write nothing.
An export setup() or teardown() runs once per worker.`

const PROGRAM_EXAMPLES = `
Example:
  $ millrace map ./task.js data.ndjson > results.ndjson

millrace map --help says more.`

const MAP_HELP = `
Bad lines (no JSON, or the function throws, or its worker crashes) are reported with their number and left out; the
others go on. After a crash, lines that were with the bad one in its worker run again: they may run twice. Blank lines
are passed over. With --batch, an array that is returned becomes one line per element.

With -o, the results are written to a file beside it (<file>.<random>.partial), which takes its name when all is done:
so -o may name an input, and a run that is cut short leaves the old file as it was, and says where its results are.

Ctrl-C lets the lines that were read end, and writes their results; a second one stops at once.

Exit code: 0 all lines were fine, 1 there were bad lines or a file could not be read or written to its end, 2 wrong
usage or a task file that does not load, 130 after Ctrl-C.

Examples:
  $ millrace map ./task.js data.ndjson > results.ndjson
  $ zcat logs-*.gz | millrace map ./parse.js -j 8 --errors bad.ndjson | gzip > parsed.gz
  $ millrace map ./geocode.js --batch 50 --unordered a.ndjson b.ndjson -o found.ndjson
  $ millrace map ./task.js data.ndjson | head -3`
