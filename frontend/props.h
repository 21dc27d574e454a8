/*
 * "name,key=value,key=value" arguments; a comma in a value is doubled.
 */
#ifndef FRONTEND_PROPS_H
#define FRONTEND_PROPS_H

#include "frontend/cli.h"

#define PROPS_MAX 16

struct props {
	const char *first; /* the part without a key before the first comma, or NULL */
	struct {
		const char *key, *value;
	} item[PROPS_MAX];
	unsigned count;
};

/* allowed: keys separated by spaces. Complains about others, naming the nearest. */
bool props_parse(struct cli *c, const char *arg, const char *allowed, struct props *p);
/* NULL: not given. */
const char *props_get(const struct props *p, const char *key);

#endif
