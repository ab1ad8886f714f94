// The conformance suite for functions on this event loop.

import { keyConformance } from './keys.js'
import * as mappers from './mappers.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const byName = new Map(Object.entries(mappers))
const place = { name: 'event loop', capacity: Infinity, mapper: (name) => byName.get(name) }
conformance(place)
stageConformance(place)
keyConformance(place)
