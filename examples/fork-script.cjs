// The child of fork.js: it knows nothing but its messages.

process.on('message', ({ data }) => {
  process.send({ sum: data.reduce((sum, number) => sum + number, 0) })
})
