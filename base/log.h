/*
 * Logging. Kinds are switched on by `-d KIND,...` and go to stderr or the -D file. Guest-triggered
 * kinds are rate-limited per call site kind so that a guest cannot fill a disk.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdio.h>

#include "base/types.h"

enum log_kind {
#define L(name, text, limited, bare) LOG_##name,
#include "base/log_kinds.def"
	LOG_KINDS
};

struct log {
	FILE *out;	      /* NULL: stderr */
	u32 mask;	      /* bit per enum log_kind */
	u32 count[LOG_KINDS]; /* lines printed, for the rate limit */
	u64 dropped[LOG_KINDS];
};

static inline bool log_on(const struct log *l, enum log_kind kind)
{
	return unlikely(l->mask >> kind & 1);
}

/* Prints "kind: ..." with a newline added. Never fails: a full disk drops lines. */
void log_line(struct log *l, enum log_kind kind, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* "int,exits" -> bits of log.mask in *mask; on an unknown name returns false and *bad points at it. */
bool log_parse(const char *list, u32 *mask, const char **bad);
const char *log_kind_name(enum log_kind kind);
const char *log_kind_text(enum log_kind kind);

#define LOG(l, kind, ...)                                                                          \
	do {                                                                                       \
		if (log_on((l), LOG_##kind))                                                       \
			log_line((l), LOG_##kind, __VA_ARGS__);                                    \
	} while (0)

#endif
