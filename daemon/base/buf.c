// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN 256u

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
