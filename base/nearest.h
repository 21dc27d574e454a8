/*
 * The name that somebody probably meant: for messages about unknown options, features and devices.
 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/types.h"

/* Keeps the closest of the names it is offered. */
struct nearest {
	const char *wanted; /* not terminated */
	size_t len;
	const char *best; /* NULL: none offered yet */
	unsigned distance;
};

void nearest_init(struct nearest *n, const char *wanted, size_t len);
void nearest_offer(struct nearest *n, const char *name);

#endif
