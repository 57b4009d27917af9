// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/cur.h"

#include <errno.h>

void cur_init(struct cur *c, const void *p, size_t len)
{
	c->p = p;
	c->end = c->p + len;
	c->err = 0;
}

int cur_err(const struct cur *c)
{
	return c->err;
}

size_t cur_left(const struct cur *c)
{
	return c->err ? 0 : (size_t)(c->end - c->p);
}

const uint8_t *cur_bytes(struct cur *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->err || (size_t)(c->end - c->p) < n) {
		c->err = -EBADMSG;
		return NULL;
	}
	c->p += n;
	return p;
}

uint8_t cur_u8(struct cur *c)
{
	const uint8_t *p = cur_bytes(c, 1);

	return p ? *p : 0;
}

uint64_t cur_var(struct cur *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t b = cur_u8(c);

		if (c->err)
			return 0;
		if (shift == 63 && b > 1)
			break; /* more than 64 bits */
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if (!b && shift)
				break; /* not the shortest form */
			return v;
		}
	}
	c->err = -EBADMSG;
	return 0;
}

int64_t cur_zig(struct cur *c)
{
	uint64_t v = cur_var(c);

	return (int64_t)((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

uint64_t cur_var_max(struct cur *c, uint64_t max)
{
	uint64_t v = cur_var(c);

	if (v > max) {
		c->err = -EBADMSG;
		return 0;
	}
	return v;
}
