// A forked child that sends every message back: what one writes by hand without a library.
process.on('message', (message) => process.send(message))
