/*
 * Property lists, see props.h. The strings live as long as the command line's settings.
 */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "frontend/props.h"

/* Ends the item at the first single comma, in place; returns what follows, or NULL. */
static char *cut_item(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == ',') {
			if (s[1] != ',') {
				*to = 0;
				return s + 1;
			}
			s++;
		}
		*to++ = *s;
	}
	*to = 0;
	return NULL;
}

static bool key_allowed(struct cli *c, const char *key, const char *allowed)
{
	char names[256], *save = NULL;
	struct nearest n;

	nearest_init(&n, key, strlen(key));
	snprintf(names, sizeof(names), "%s", allowed);
	for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		if (!strcmp(name, key))
			return true;
		nearest_offer(&n, name);
	}
	return cli_unknown(c, "property", key, n.best);
}

bool props_parse(struct cli *c, const char *arg, const char *allowed, struct props *p)
{
	char *s = cli_keep(c, strdup(arg)), *next;

	memset(p, 0, sizeof(*p));
	for (bool first = true; s; s = next, first = false) {
		char *eq;

		next = cut_item(s);
		eq = strchr(s, '=');
		if (!eq && first) {
			p->first = s;
			continue;
		}
		if (!eq)
			return cli_error(c, "'%s' in '%s' has no value", s, arg);
		*eq = 0;
		if (!key_allowed(c, s, allowed))
			return false;
		if (props_get(p, s))
			return cli_error(c, "'%s' is given twice in '%s'", s, arg);
		if (p->count == PROPS_MAX)
			return cli_error(c, "too many properties in '%s'", arg);
		p->item[p->count].key = s;
		p->item[p->count++].value = eq + 1;
	}
	return true;
}

const char *props_get(const struct props *p, const char *key)
{
	for (unsigned i = 0; i < p->count; i++)
		if (!strcmp(p->item[i].key, key))
			return p->item[i].value;
	return NULL;
}
