/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * struct jdev over a file or a partition: O_DIRECT, O_DSYNC, one thread with a ring of its own.
 * A small request that is alone is carried out by that thread itself, or by the one that asked for
 * it if it lends itself (core_unlock_lend()): the shortest way there and back. To be closed when no
 * other thread uses the core lock any more.
 */
#ifndef BASE_JDEV_URING_H
#define BASE_JDEV_URING_H

#include <stdbool.h>

#include "base/jdev.h"

struct core;

/*
 * Opens @path for this process alone; done() runs under @core, which must outlive the device.
 *	-ENOENT, -EACCES...	as open(2)
 *	-ENOTBLK	neither a regular file nor a block device
 *	-EBUSY		in use: another process has it open so, or it is mounted
 *	-EOPNOTSUPP	its file system has nothing behind the page cache (tmpfs) or no O_DIRECT
 *	-ENODATA	empty
 *	-EINVAL		a file whose length is no multiple of JDEV_BLOCK (of a partition the rest is
 *			left alone)
 */
int jdev_uring_open(struct jdev **ret, struct core *core, const char *path);

/* Requests that have not ended. Core lock held. */
unsigned int jdev_uring_pending(const struct jdev *d);

/**
 * struct jdev_uring_new - what jdev_uring_create() makes
 * @path:	of the file, which must not be there, or of a block device
 * @size:	bytes, a multiple of JDEV_BLOCK; 0: all of the block device
 * @force:	a block device may hold something
 * @progress:	optional: called now and then with the bytes written so far; not 0: stop
 */
struct jdev_uring_new {
	const char *path;
	uint64_t size;
	bool force;
	int (*progress)(void *ctx, uint64_t done, uint64_t size);
	void *ctx;
};

/*
 * Makes a file of zeros that have been written (what is merely allocated is slow to write later),
 * durable with its name, or fills a block device. Blocks; no lock is needed. A file that could not
 * be made is removed.
 *	-EEXIST		the file is there; or the block device's first 64 KiB are not zeros
 *	-ENOSPC		no room; @size is larger than the block device
 *	-EINTR		@progress said so
 *	others		as jdev_uring_open()
 */
int jdev_uring_create(const struct jdev_uring_new *n);

#endif
