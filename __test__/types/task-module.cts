// A task file in CommonJS: its module.exports is the mapper.

export = (n: number) => Promise.resolve(String(n))
