/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cursor over bytes that somebody else owns: the reading side of base/buf.h. Errors are sticky:
 * after a read beyond the end or of a malformed number everything reads as 0 and cur_err() says
 * -EBADMSG.
 */
#ifndef BASE_CUR_H
#define BASE_CUR_H

#include <stddef.h>
#include <stdint.h>

struct cur {
	const uint8_t *p;
	const uint8_t *end;
	int err;
};

void cur_init(struct cur *c, const void *p, size_t len);
int cur_err(const struct cur *c);
size_t cur_left(const struct cur *c);
const uint8_t *cur_bytes(struct cur *c, size_t n);	/* NULL on error */
uint8_t cur_u8(struct cur *c);
uint64_t cur_var(struct cur *c);			/* refuses what is not the shortest form */
int64_t cur_zig(struct cur *c);

/* A number that must not exceed @max. */
uint64_t cur_var_max(struct cur *c, uint64_t max);

#endif
