// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN	256u

void buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INIT;
}

void buf_free(struct buf *b)
{
	free(b->data);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

int buf_err(const struct buf *b)
{
	return b->err;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_MIN;
	uint8_t *p;

	if (b->err)
		return NULL;
	if (n > SIZE_MAX / 4 - b->len)
		goto nomem;
	if (b->len + n > b->cap || !b->data) {
		while (cap < b->len + n)
			cap *= 2;
		p = realloc(b->data, cap);
		if (!p)
			goto nomem;
		b->data = p;
		b->cap = cap;
	}
	p = b->data + b->len;
	b->len += n;
	return p;
nomem:
	b->err = -ENOMEM;
	return NULL;
}

void buf_put(struct buf *b, const void *src, size_t n)
{
	uint8_t *p = buf_extend(b, n);

	if (p && n)
		memcpy(p, src, n);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void buf_put_var(struct buf *b, uint64_t v)
{
	uint8_t tmp[10];
	size_t n = 0;

	while (v >= 0x80) {
		tmp[n++] = (uint8_t)v | 0x80;
		v >>= 7;
	}
	tmp[n++] = (uint8_t)v;
	buf_put(b, tmp, n);
}

void buf_put_zig(struct buf *b, int64_t v)
{
	buf_put_var(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

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
			break;			/* more than 64 bits */
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if (!b && shift)
				break;		/* not the shortest form */
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
