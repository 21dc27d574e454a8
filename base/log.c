/*
 * Logging by kind, see log.h.
 */
#include <stdarg.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

#define LOG_LIMIT 1000 /* lines of a rate-limited kind before the rest is only counted */

static const struct {
	const char *name, *text;
	bool limited, bare;
} kinds[] = {
#define L(name, text, limited, bare) {#name, text, limited, bare},
#include "base/log_kinds.def"
};

const char *log_kind_name(enum log_kind kind)
{
	return kinds[kind].name;
}

const char *log_kind_text(enum log_kind kind)
{
	return kinds[kind].text;
}

void log_line(struct log *l, enum log_kind kind, const char *fmt, ...)
{
	FILE *f = l->out ? l->out : stderr;
	va_list ap;

	if (kinds[kind].limited && l->count[kind] >= LOG_LIMIT) {
		if (l->dropped[kind]++ == 0)
			fprintf(f, "%s: more of these are not shown\n", kinds[kind].name);
		return;
	}
	l->count[kind]++;
	if (!kinds[kind].bare)
		fprintf(f, "%s: ", kinds[kind].name);
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fputc('\n', f);
}

static bool same_name(const char *name, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] != (s[i] == '-' ? '_' : s[i]))
			return false;
	return !name[len];
}

static int kind_by_name(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (same_name(kinds[i].name, s, len))
			return (int)i;
	return -1;
}

bool log_parse(const char *list, u32 *mask, const char **bad)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		int k = kind_by_name(list, len);

		if (k < 0) {
			*bad = list;
			return false;
		}
		*mask |= 1u << k;
		list += len + (list[len] == ',');
	}
	return true;
}
