// The usual forms of async, with callbacks and with promises. All of them but two compile with `@types/async` as well,
// where the items of `groupBy` have no type, and `queue` takes one type argument.
import async, {
  type AsyncBooleanResultCallback,
  type AsyncCargoQueue,
  type AsyncQueue,
  type AsyncResultArrayCallback,
  type AsyncResultCallback,
  type ErrorCallback,
  eachLimit,
  mapLimit,
  type QueueObject,
  queue,
} from 'millrace/async'

interface User {
  id: number
  name: string
}
const users: User[] = []
const byName: Record<string, User> = {}

// Callbacks: the error of a callback is an Error, null or undefined.
async.each(
  users,
  (user, callback) => {
    callback(user.id > 1 ? new Error('no') : undefined)
  },
  (error) => {
    if (error) console.log(error.message)
  },
)
async.forEach(users, (user, done) => setTimeout(done, user.id))
async.eachSeries(
  users,
  (user, next) => {
    user.name
    next()
  },
  (error) => error?.message,
)
eachLimit(
  users,
  2,
  (_user, next) => next(null),
  (error) => {
    if (error) throw error
  },
)
async.eachOf(
  byName,
  (user, key, next) => {
    key.toString()
    user.id
    next()
  },
  (error) => error?.stack,
)
async.forEachOf([1, 2], (value, _index, next) => {
  value.toFixed()
  next()
})
async.eachOfLimit(users, 3, (_user, _index, next) => next())
async.map(
  users,
  (user, callback) => callback(null, user.name),
  (_error, names) => {
    names?.length
  },
)
async.map<User, string>(
  users,
  (user, callback) => callback(null, user.name),
  (_error, names) => {
    names?.map((name) => name?.length)
  },
)
mapLimit(
  users,
  4,
  (user: User, callback: (error: Error | null, name?: string) => void) => callback(null, user.name),
  (error, names) => {
    console.log(error, names)
  },
)
async.mapSeries(
  users,
  (user, callback) => callback(undefined, user.id),
  (_error, ids) => ids?.length,
)
async.mapValues(
  byName,
  (user, key, callback) => callback(null, user.id + key.length),
  (_error, lengths) => lengths,
)
async.mapValuesLimit(
  byName,
  2,
  (user, _key, callback) => callback(null, user.name),
  (_error, names) => names,
)
async.filter(
  users,
  (user, callback) => callback(null, user.id > 1),
  (_error, kept) => kept?.length,
)
async.reject(
  users,
  (_user, callback) => callback(null, true),
  (_error, kept) => kept?.length,
)
async.detect(
  users,
  (_user, callback) => callback(null, true),
  (_error, found) => found?.name,
)
async.some(
  users,
  (_user, callback) => callback(null, true),
  (_error, any) => any === true,
)
async.every(
  users,
  (_user, callback) => callback(null, true),
  (_error, all) => all === true,
)
async.concat(
  users,
  (user, callback) => callback(null, [user.name]),
  (_error, names) => names?.length,
)
async.sortBy(
  users,
  (user, callback) => callback(null, user.id),
  (_error, sorted) => sorted?.length,
)
async.groupBy(
  users,
  (user, callback) => callback(null, user.name),
  (_error, groups) => groups,
)
async.reduce(
  users,
  0,
  (sum, user, callback) => callback(null, (sum ?? 0) + user.id),
  (_error, sum) => sum?.toFixed(),
)
async.transform(
  users,
  [] as string[],
  (all, user, _index, callback) => {
    all.push(user.name)
    callback()
  },
  (_error, all) => all?.length,
)

// Promises.
async function promises() {
  await async.each(users, async (user) => {
    user.id
  })
  await async.eachLimit(users, 2, async (user) => {
    user.id
  })
  await async.eachSeries(users, (_user, next) => next())
  await async.eachOf(users, async (user, _index) => {
    user.id
  })
  const names: string[] = await async.map(users, async (user: User) => user.name)
  const more: string[] = await async.mapLimit(users, 2, async (user: User) => user.name)
  const one: string[] = await async.mapLimit<User, string>(users, 2, async (user) => user.name)
  const kept: User[] = await async.filter(users, async (user: User) => user.id > 1)
  const found = await async.detect(users, async (user: User) => user.id > 1)
  const all: boolean = await async.every(users, async (user: User) => user.id > 1)
  const any: boolean = await async.some(users, async (user: User) => user.id > 1)
  const sum = await async.reduce(
    users,
    0,
    async (memo: number | undefined, user: User) => (memo ?? 0) + user.id,
  )
  const sorted = await async.sortBy(users, async (user: User) => user.id)
  const joined = await async.concat(users, async (user: User) => [user.name])
  const values = await async.mapValues(byName, async (user: User, _key: string) => user.id)
  return { names, more, one, kept, found, all, any, sum, sorted, joined, values }
}

// Queues.
const tasks: QueueObject<User> = queue<User>((_user, callback) => callback(), 2)
tasks.push({ id: 1, name: 'a' })
tasks.push([{ id: 1, name: 'a' }], (error) => {
  if (error) console.log(error)
})
tasks.unshift({ id: 1, name: 'a' }, (error?: Error | null) => error)
tasks.drain(() => console.log('all done'))
tasks.drain().then(() => {})
tasks.error((error, task) => console.log(error, task.name))
tasks.saturated(() => {})
const numbers: [number, boolean, boolean, number, number] = [
  tasks.length(),
  tasks.idle(),
  tasks.paused,
  tasks.running(),
  tasks.concurrency,
]
tasks.pause()
tasks.resume()
tasks.kill()
tasks.remove((node) => node.data.id === 1)
const typed = async.queue<User, string>((user, callback) => {
  callback(null, user.name)
}, 1)
typed.push<string>({ id: 1, name: 'a' }, (_error, name) => name?.length)
const urgent = async.priorityQueue<User>((_user, callback) => callback(), 1)
urgent.push({ id: 1, name: 'a' }, 3, (error) => error)
const many = async.cargo<User>((batch, callback) => {
  batch.map(({ name }) => name)
  callback()
}, 10)
many.push({ id: 1, name: 'a' })
const more = async.cargoQueue<User>(
  (batch, callback) => {
    batch.length
    callback()
  },
  2,
  10,
)
const asyncTasks = async.queue(async (user: User) => {
  user.name
}, 2)
asyncTasks.push({ id: 1, name: 'a' })
const workers = async.queue<User>(async (user) => {
  user.name
}, 2)
const queues: [AsyncQueue<User>, AsyncCargoQueue<User>] = [tasks, more]

export { byName, many, more, numbers, promises, queues, urgent, workers }

// Callbacks that have names and types of their own.
const onEnd: ErrorCallback = (error) => console.log(error?.message)
const onNames: AsyncResultCallback<(string | undefined)[]> = (error, names) =>
  console.log(error?.message, names?.length)
const onAnswer: AsyncBooleanResultCallback = (error, answer) => console.log(error?.message, answer)
function done(error: Error | null | undefined) {
  if (error) throw error
}
const step = (_user: User, callback: ErrorCallback) => {
  callback(null)
}
const name = (user: User, callback: AsyncResultCallback<string>) => {
  callback(null, user.name)
}
async.each(users, step, onEnd)
async.eachSeries(users, step, done)
async.eachOfSeries(users, (user, _index, next) => step(user, next), done)
async.map(users, name, onNames)
const onAll: AsyncResultArrayCallback<string> = (error, names) => console.log(error?.message, names?.length)
async.map(users, name, onAll)
async.some(users, (_user: User, callback: AsyncBooleanResultCallback) => callback(null, true), onAnswer)
