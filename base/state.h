/*
 * State as tables. Every chip and the vCPU list the fields that are architectural state; saving,
 * loading, hashing, printing and comparing are loops over these rows, never hand-written code.
 * The saved form is little-endian, element by element, in row order.
 */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include <stdio.h>

#include "base/types.h"

struct state_field {
	const char *name;
	u32 offset;
	u32 size;  /* bytes of one element: 1, 2, 4 or 8, or any size with raw = true */
	u32 count; /* elements */
	bool raw;  /* plain bytes (buffers, memories) */
};

#define STATE_SIZEOF(type, m) sizeof(((type *)0)->m)
#define STATE_FIELD(type, m)                                                                       \
	{                                                                                          \
#m, offsetof(type, m), STATE_SIZEOF(type, m), 1, false                             \
	}
/* An array of scalars, one or more dimensions: elem names one element, e.g. regs[0]. */
#define STATE_ARRAY(type, m, elem)                                                                 \
	{                                                                                          \
#m, offsetof(type, m), STATE_SIZEOF(type, elem),                                   \
			STATE_SIZEOF(type, m) / (STATE_SIZEOF(type, elem)), false                  \
	}
#define STATE_BYTES(type, m)                                                                       \
	{                                                                                          \
#m, offsetof(type, m), STATE_SIZEOF(type, m), 1, true                              \
	}
#define STATE_END                                                                                  \
	{                                                                                          \
		0, 0, 0, 0, false                                                                  \
	}

/* Bytes that state_save writes for this table. */
size_t state_size(const struct state_field *table);
void state_save(const struct state_field *table, const void *object, u8 *out);
/* Returns false (object untouched) if len is not state_size(table). */
bool state_load(const struct state_field *table, void *object, const u8 *in, size_t len);
/* Folds all fields into a 64-bit hash, starting from seed. */
u64 state_hash(const struct state_field *table, const void *object, u64 seed);
/* Name of the first field that differs, or NULL. */
const char *state_compare(const struct state_field *table, const void *a, const void *b);
void state_print(const struct state_field *table, const void *object, FILE *out);
/* FNV-like mixing of a byte range, 8 bytes at a time; used for state hashes only. */
u64 hash_bytes(u64 seed, const void *data, size_t len);

#endif
