// The conformance suite for functions on this event loop.

import * as mappers from './mappers.js'
import { conformance } from './suite.js'

conformance({ name: 'event loop', capacity: Infinity, mapper: (name) => mappers[name] })
