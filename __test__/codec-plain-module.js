// A module whose exports could be cloned; the module itself cannot.
export const a = 1
export const b = 'x'
