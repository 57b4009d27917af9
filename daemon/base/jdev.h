/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal's device by vtable: one area of a local disk (a file or a partition), read and
 * written in whole 4 KiB blocks, past the page cache. Asynchronous. Nothing of a journal is known
 * here.
 *
 * ASSUMPTION (tests/unit/test_jdev.c on the real one; tests/lib/jdisk.c plays what is worse):
 *   D1  a WRITE that has ended with 0 is durable as a whole, whatever was under way beside it
 *   D2  of a WRITE that has not ended, or has failed, any of its 512-byte sectors may be there
 *       after a power cut, in any order, and the others are what they were, or unreadable
 *   D3  nothing outside a WRITE's blocks changes
 *   D4  what has ended is seen by every READ submitted afterwards
 *
 * All calls return at once; done() comes exactly once, later, with the core lock held, never from
 * within the call. Requests may be carried out in any order.
 * Errors: -EIO, -ENOSPC, -EROFS, -ENODEV...: after a failed WRITE the caller must believe nothing
 * of what lies in its blocks, and of no other WRITE that had not ended before.
 */
#ifndef BASE_JDEV_H
#define BASE_JDEV_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

#define JDEV_BLOCK	4096u

struct jdev_ops;

struct jdev {
	const struct jdev_ops *ops;
	uint64_t size;			/* bytes, a multiple of JDEV_BLOCK */
};

enum jdev_op {
	JDEV_READ,
	JDEV_WRITE,			/* durable when done, as with O_DSYNC */
};

/**
 * struct jdev_req - one request; embedded in the caller's object
 * @link:	the implementation's until done()
 * @op:		enum jdev_op
 * @off:	first byte, a multiple of JDEV_BLOCK
 * @buf:	aligned to JDEV_BLOCK; the caller's, untouched by it until done()
 * @len:	bytes, a multiple of JDEV_BLOCK, within the device
 * @prepare:	WRITE, optional: called before the I/O, without the core lock, on any thread, after
 *		submit() has returned; fills @buf. Not 0: nothing is written, and that is @res
 * @res:	out: 0 or -errno; a short transfer is -EIO
 * @done:	core lock held
 */
struct jdev_req {
	struct list_head link;
	enum jdev_op op;
	uint64_t off;
	void *buf;
	uint32_t len;
	int (*prepare)(struct jdev_req *r);
	int res;
	void (*done)(struct jdev_req *r);
	void *priv;
};

struct jdev_ops {
	void (*submit)(struct jdev *d, struct jdev_req *r);	/* core lock held; never blocks */
	void (*close)(struct jdev *d);	/* nothing may be under way; core lock not held */
};

static inline void jdev_submit(struct jdev *d, struct jdev_req *r)
{
	d->ops->submit(d, r);
}

/* NULL does nothing. */
static inline void jdev_close(struct jdev *d)
{
	if (d)
		d->ops->close(d);
}

#endif
