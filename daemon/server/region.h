/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region: the memory file that is the arena, mapped. */
#ifndef SERVER_REGION_H
#define SERVER_REGION_H

#include <stdint.h>

struct region {
	int fd; /* -1: none */
	void *base;
	uint64_t total; /* bytes, the whole file is mapped */
};

#define REGION_NONE ((struct region){ .fd = -1 })

/*
 * A new memory file of @total bytes that cannot change its size, shared and not inherited by fork.
 * 0 or -errno.
 */
int region_make(struct region *ret, uint64_t total);

/*
 * Maps an earlier daemon's; takes @fd over, also on failure. -EBADMSG: it is not @total bytes long.
 */
int region_adopt(struct region *ret, int fd, uint64_t total);

/* Unmaps and closes; does nothing for REGION_NONE. */
void region_free(struct region *r);

#endif
