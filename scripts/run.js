// The one gate of every npm script: `node scripts/run.js <command>` looks at the Node version, then loads
// scripts/<command>.js. It has no import statement and no syntax newer than ES2017, so that a Node which is
// too old still gets as far as the message (the oldest ignore "type": "module" and read it as CommonJS).

const OLDEST = [20, 19]
const COMMANDS = ['setup', 'start', 'test', 'bench', 'chaos']

const version = process.versions.node.split('.').map(Number)
const command = process.argv[2]

if (version[0] < OLDEST[0] || (version[0] === OLDEST[0] && version[1] < OLDEST[1])) {
  const found = `${process.version} (${process.execPath})`
  console.error(`millrace needs Node.js ${OLDEST.join('.')} or newer; this is ${found}`)
  process.exitCode = 1
} else if (COMMANDS.indexOf(command) < 0) {
  console.error(`usage: node scripts/run.js ${COMMANDS.join('|')}`)
  process.exitCode = 1
} else {
  import(`./${command}.js`)
    .then((module) => module.default(process.argv.slice(3)))
    .catch((error) => {
      // A SetupError is one line for a person; anything else is a fault of ours and shows where.
      console.error(error && error.name === 'SetupError' ? error.message : error)
      process.exitCode = 1
    })
}
