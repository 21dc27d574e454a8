/*
 * The only place for compiler attributes and extensions.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_NOINLINE __attribute__((noinline))
#define ATTR_ALWAYS_INLINE __attribute__((always_inline)) inline
#define ATTR_ALIGNED(n) __attribute__((aligned(n)))
#define ATTR_PACKED __attribute__((packed))
#define ATTR_COLD __attribute__((cold, noinline))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_MAY_ALIAS __attribute__((may_alias))

/* A tail call that must be a jump where the compiler can promise it (interpreter.md). */
#if defined(__has_attribute)
#if __has_attribute(musttail)
#define MUSTTAIL __attribute__((musttail))
#endif
#endif
#ifndef MUSTTAIL
#define MUSTTAIL
#endif

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

#endif
