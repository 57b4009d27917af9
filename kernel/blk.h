/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * blk: what the block layer calls. Each call is handed on to the queue or the device.
 */
#ifndef _ZEROFS_BLK_H
#define _ZEROFS_BLK_H

#include <linux/types.h>

struct gendisk;
struct zerofs_queue;

/* What a disk's private_data points at: how blk speaks to the device above it. */
struct zerofs_blk_owner {
	/* 0, or -ENXIO: on its way out. */
	int (*open)(struct zerofs_blk_owner *owner);
	void (*release)(struct zerofs_blk_owner *owner);
	/* The last reference to an added disk went. The module may go once this returns. */
	void (*freed)(struct zerofs_blk_owner *owner);
	struct zerofs_queue *queues;	/* write queues, then read queues */
	u32 nr_write, nr_read;
};

struct blk_mq_tag_set;

/* A tag set and a disk that is not added yet, called @name. Undone by zerofs_blk_free(). */
int zerofs_blk_alloc(struct zerofs_blk_owner *owner, struct blk_mq_tag_set *set, u32 depth,
		     const char *name, struct gendisk **ret_disk);

/* Drops the disk, whether it was added (and deleted) or not, and the tag set. May sleep. */
void zerofs_blk_free(struct blk_mq_tag_set *set, struct gendisk *disk);

#endif
