// What `millrace/fork`, the options for fork scripts and divide() promise.

import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import { divide, workerPool } from 'millrace'
import { type ForkedChild, fork } from 'millrace/fork'
import { type Equal, expect } from './expect.js'

// Children: messages of any kind in, events with their arguments out.
{
  const child = fork('./child.js', ['a'], {
    silent: true,
    serialization: 'advanced',
    killSignal: 'SIGINT',
    timeout: 5,
  })
  expect<Equal<typeof child, ForkedChild>>()
  const same = fork(new URL('file:///child.js'), { cwd: '/', stdio: ['ignore', 'pipe', 2, 'ipc'] })
    .on('message', (_message, handle) => expect<Equal<typeof handle, undefined>>())
    .once('exit', (code, signal) => {
      expect<Equal<typeof code, number | null>>()
      expect<Equal<typeof signal, NodeJS.Signals | null>>()
    })
    .on('error', (error) => expect<Equal<typeof error, Error>>())
  expect<Equal<typeof same, ForkedChild>>()
  expect<Equal<typeof child.stdout, Readable | null>>()
  expect<Equal<typeof child.pid, number | undefined>>()
  const sent: boolean = child.send({ data: [1] }, (error) => expect<Equal<typeof error, Error | null>>())
  child.send(sent, null, {}, () => {})
  child.kill(9)
  child[Symbol.dispose]()
  // Whoever takes a child of Node takes ours.
  const process: ChildProcess = child
  process.send({ data: 1 }, undefined, (error) => error?.message)
  process.channel?.unref()
  const { stdio }: Pick<ChildProcess, 'stdio'> = child
  expect<Equal<(typeof stdio)['length'], 5>>()
  // @ts-expect-error: no message
  child.send(undefined)
  // @ts-expect-error: the parent's process group is not left
  fork('./child.js', { detached: true })
  // @ts-expect-error: not there
  fork('./child.js', { uid: 1 })
  // @ts-expect-error: no script
  fork()
}

// Fork scripts as tasks.
{
  workerPool('./script.js', { protocol: 'message', serialization: 'advanced', lastMessage: { done: true } })
  // @ts-expect-error: no protocol
  workerPool('./script.js', { protocol: 'ipc' })
  // @ts-expect-error: nothing that serializes
  workerPool('./script.js', { serialization: 'xml' })
}

// Shares keep the type of their items.
{
  const shares = divide(['a', 'b'] as const, 2)
  expect<Equal<typeof shares, ('a' | 'b')[][]>>()
  // @ts-expect-error: no array
  divide('ab', 2)
  // @ts-expect-error: how many?
  divide([1])
}
