/*
 * Edit distance (insert, delete, replace, swap of neighbours), see nearest.h.
 */
#include <string.h>

#include "base/nearest.h"

#define NAME_MAX_LEN 48 /* longer names are compared by their beginning */

void nearest_init(struct nearest *n, const char *wanted, size_t len)
{
	n->wanted = wanted;
	n->len = len < NAME_MAX_LEN ? len : NAME_MAX_LEN;
	n->best = NULL;
	n->distance = 0;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

static unsigned distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned row[3][NAME_MAX_LEN + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= lb; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

void nearest_offer(struct nearest *n, const char *name)
{
	size_t len = strlen(name);
	unsigned d = distance(n->wanted, n->len, name, len < NAME_MAX_LEN ? len : NAME_MAX_LEN);

	if (!n->best || d < n->distance) {
		n->best = name;
		n->distance = d;
	}
}
