#!/usr/bin/env node
// The command line. Everything that it does is in lib/cli.

import { main } from '../lib/cli/main.js'

main(process.argv.slice(2))
