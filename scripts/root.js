// Where the project lies: every script works from here, whatever the caller's working directory is.

import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
