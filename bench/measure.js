// One measurement in a process of its own, so that heaps and compiled code of the sides do not disturb each other:
// `node bench/measure.js <case> <path into its exports> [settings] [profile]` prints what it measured as a line of
// JSON; with `profile` also where this process (not its workers) spent its time.

import { profiled } from './profile.js'

const [, , name, path, settings = '{}', profile] = process.argv
const loaded = await import(`./cases/${name}.js`)
const measure = path.split('.').reduce((value, key) => value[key], loaded)
const work = () => measure(JSON.parse(settings))
console.log(JSON.stringify(profile ? await profiled(work) : await work()))
