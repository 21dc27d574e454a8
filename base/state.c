/*
 * Field tables: save, load, hash, compare, print. See state.h.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/state.h"

static u64 get(const u8 *p, u32 size)
{
	u16 h;
	u32 w;
	u64 d;

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&h, p, 2);
		return h;
	case 4:
		memcpy(&w, p, 4);
		return w;
	default:
		memcpy(&d, p, 8);
		return d;
	}
}

static void put(u8 *p, u64 v, u32 size)
{
	u8 b = (u8)v;
	u16 h = (u16)v;
	u32 w = (u32)v;

	memcpy(p,
	       size == 1   ? (void *)&b
	       : size == 2 ? (void *)&h
	       : size == 4 ? (void *)&w
			   : &v,
	       size);
}

size_t state_size(const struct state_field *t)
{
	size_t n = 0;

	for (; t->name; t++)
		n += (size_t)t->size * t->count;
	return n;
}

void state_save(const struct state_field *t, const void *object, u8 *out)
{
	for (; t->name; t++) {
		const u8 *p = (const u8 *)object + t->offset;

		if (t->raw) {
			memcpy(out, p, t->size);
			out += t->size;
			continue;
		}
		for (u32 i = 0; i < t->count; i++, p += t->size, out += t->size)
			store_le(out, get(p, t->size), t->size);
	}
}

bool state_load(const struct state_field *t, void *object, const u8 *in, size_t len)
{
	if (len != state_size(t))
		return false;
	for (; t->name; t++) {
		u8 *p = (u8 *)object + t->offset;

		if (t->raw) {
			memcpy(p, in, t->size);
			in += t->size;
			continue;
		}
		for (u32 i = 0; i < t->count; i++, p += t->size, in += t->size)
			put(p, load_le(in, t->size), t->size);
	}
	return true;
}

u64 hash_bytes(u64 seed, const void *data, size_t len)
{
	const u8 *p = data;
	u64 h = seed ^ 0x9e3779b97f4a7c15ull;

	for (; len >= 8; len -= 8, p += 8) {
		h = (h ^ load_le64(p)) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	if (len) {
		h = (h ^ load_le(p, (unsigned)len) ^ (u64)len << 56) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h;
}

u64 state_hash(const struct state_field *t, const void *object, u64 seed)
{
	for (; t->name; t++) {
		const u8 *p = (const u8 *)object + t->offset;

		if (t->raw) {
			seed = hash_bytes(seed, p, t->size);
			continue;
		}
		for (u32 i = 0; i < t->count; i++, p += t->size) {
			u64 v = get(p, t->size);
			u8 le[8];

			store_le64(le, v);
			seed = hash_bytes(seed, le, 8);
		}
	}
	return seed;
}

const char *state_compare(const struct state_field *t, const void *a, const void *b)
{
	for (; t->name; t++)
		if (memcmp((const u8 *)a + t->offset, (const u8 *)b + t->offset,
			   (size_t)t->size * t->count))
			return t->name;
	return NULL;
}

void state_print(const struct state_field *t, const void *object, FILE *out)
{
	for (; t->name; t++) {
		const u8 *p = (const u8 *)object + t->offset;

		fprintf(out, "  %-24s", t->name);
		if (t->raw)
			fprintf(out, " (%u bytes) %016" PRIx64, t->size, hash_bytes(0, p, t->size));
		else
			for (u32 i = 0; i < t->count && i < 16; i++, p += t->size)
				fprintf(out, " %0*" PRIx64, (int)t->size * 2, get(p, t->size));
		fputc('\n', out);
	}
}
