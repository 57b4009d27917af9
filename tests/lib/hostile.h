/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a hostile or failing store may do to the bytes of one object. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stddef.h>

/* Opens @len bytes: 0 or -errno. */
typedef int (*hostile_open)(void *ctx, const void *p, size_t len);

/*
 * Asserts that @open takes the object as it is, and refuses every truncation of it, every single
 * flipped bit, and a byte more. Each try gets memory of exactly its length, so that a sanitizer
 * sees what reads past it.
 */
void hostile_check(const void *obj, size_t len, hostile_open open, void *ctx);

#endif
