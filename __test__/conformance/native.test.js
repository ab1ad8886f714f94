// The conformance suite for native operations: 'double' is the SHA-256 of the item, written as a string.

import { createHash } from 'node:crypto'
import { native } from '../../index.js'
import { stageConformance } from './stages.js'
import { conformance } from './suite.js'

const place = {
  name: 'native',
  capacity: 2,
  mappers: new Set(['double']),
  mapper: () => native.sha256(),
  item: (i) => `item ${i}`,
  result: (i) => createHash('sha256').update(`item ${i}`).digest('hex'),
  badItem: 42,
}
conformance(place)
stageConformance(place)
