// What the cases work on.

export function* numbers(count) {
  for (let number = 0; number < count; number++) yield number
}

/** Records of five fields, as a database or a CSV file gives them. Made in advance: making them is not measured. */
export function records(count) {
  return Array.from({ length: count }, (_, id) => ({
    id,
    name: `Customer ${id}`,
    email: `customer.${id}@example.com`,
    active: id % 3 === 0,
    score: ((id * 7919) % 1000) / 10,
  }))
}
