// Sources that are read in Rust: lines, blocks and names of files. Each is a call that maps nothing: lazy, consumed once,
// and the beginning of stages.

import { NativeFeed, NativeWalk } from './binding.js'
import { ByteBlocks } from './byte-blocks.js'
import { outOfRange } from './errors.js'
import { FileNames } from './file-names.js'
import { LineRecords } from './line-records.js'
import { sourceCall } from './parallel-map.js'
import { RustFeed } from './rust-feed.js'
import { blockSize, filePath, fileSettings, lineSettings } from './source-options.js'
import { StreamFeed } from './stream-feed.js'

/**
 * @param {unknown} source
 * @param {unknown} [options]
 */
export function lines(source, options) {
  const settings = lineSettings(options)
  return sourceCall(new LineRecords(feedOf(source), settings), lines)
}

/**
 * @param {unknown} source
 * @param {unknown} [options]
 */
export function blocks(source, options) {
  const size = blockSize(options)
  return sourceCall(new ByteBlocks(feedOf(source), size), blocks)
}

/**
 * @param {unknown} pattern
 * @param {unknown} [options]
 */
export function files(pattern, options) {
  const walk = walkOf(fileSettings(pattern, options))
  const feed = new RustFeed((onWake) => NativeFeed.names(walk, onWake))
  return sourceCall(new FileNames(feed), files)
}

/** @param {unknown} source */
function feedOf(source) {
  const path = filePath(source)
  return path === undefined
    ? new StreamFeed(source)
    : new RustFeed((onWake) => NativeFeed.file(path, onWake), path)
}

/** @param {Readonly<import('./source-options.js').FileSettings>} settings */
function walkOf(settings) {
  try {
    return new NativeWalk(settings)
  } catch (error) {
    const [pattern, why] = /** @type {Error} */ (error).message.split('\n')
    throw outOfRange(wrongList(settings), `a glob pattern of files (${why})`, pattern)
  }
}

/**
 * Where the pattern stands that cannot be understood: it may be written the same way in both.
 * @param {Readonly<import('./source-options.js').FileSettings>} settings
 */
function wrongList(settings) {
  try {
    new NativeWalk({ ...settings, exclude: [] })
    return 'exclude'
  } catch {
    return 'pattern'
  }
}
