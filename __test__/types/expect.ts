// Types that turn a wrong type into an error of the compiler.

/** Whether two types are the same one, `any` and optional members included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Refuses `false`: `expect<Equal<A, B>>()`. */
export declare function expect<_Claim extends true>(): void
