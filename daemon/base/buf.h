/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growable byte buffer. Errors are sticky: after a failed allocation every call does nothing and
 * buf_err() says -ENOMEM, so that an encoder checks once, at its end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	int err;
};

#define BUF_INIT	{ NULL, 0, 0, 0 }

void buf_init(struct buf *b);
/* releases the memory; @b is empty and usable again */
void buf_free(struct buf *b);
void buf_reset(struct buf *b);			/* empties, keeps the memory, forgets the error */
int buf_err(const struct buf *b);		/* 0 or -ENOMEM */

/* Makes room for @n more bytes and counts them in; their content is undefined. NULL on error. */
uint8_t *buf_extend(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_var(struct buf *b, uint64_t v);	/* LEB128, shortest form */
void buf_put_zig(struct buf *b, int64_t v);	/* zigzag, then LEB128 */

#endif
