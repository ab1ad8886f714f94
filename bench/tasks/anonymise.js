// What a log has to go through before it is passed on: who it was becomes a pseudonym, the rest is put in order.

import { createHash } from 'node:crypto'

export default ({ id, name, email, score, tags }) => ({
  id,
  user: createHash('sha256').update(email.toLowerCase()).digest('base64url'),
  initial: name[0].toUpperCase(),
  score: Math.round(score),
  tags: tags.length,
})
