// A task file that is compiled to CommonJS: its mapper is exports.default.

export default (n: number) => BigInt(n)
export const named = (n: bigint) => Number(n)
