/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that knows that kernels differ. The module is written for the newest form of a
 * call; an older form is dressed up as it here. Which form there is was found by compiling
 * (probe.sh); if none compiled, the build stops rather than guess.
 */
#ifndef _ZEROFS_COMPAT_H
#define _ZEROFS_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/mm.h>

#include "zerofs_config.h"

#if !defined(ZEROFS_HAVE_LIMITS_FEATURES) && !defined(ZEROFS_HAVE_LIMITS_SETTERS)
#error "zerofs: this kernel sets queue limits in a way that is not known"
#endif
#if !defined(ZEROFS_HAVE_OPEN_GENDISK) && !defined(ZEROFS_HAVE_OPEN_BDEV)
#error "zerofs: this kernel opens block devices in a way that is not known"
#endif
#if !defined(ZEROFS_HAVE_VM_FLAGS_MOD) && !defined(ZEROFS_HAVE_VM_FLAGS_ASSIGN)
#error "zerofs: this kernel sets vm_flags in a way that is not known"
#endif
#if !defined(ZEROFS_HAVE_NO_SCHED) && !defined(ZEROFS_HAVE_NO_SCHED_BY_DEFAULT)
#error "zerofs: this kernel has no known way to leave out the I/O scheduler"
#endif

/* Tag set flags: merge, no scheduler, and do not wait for our requests when CPUs go away. */
#ifdef ZEROFS_HAVE_SHOULD_MERGE
#define ZEROFS_COMPAT_MERGE	BLK_MQ_F_SHOULD_MERGE
#else
#define ZEROFS_COMPAT_MERGE	0
#endif
#ifdef ZEROFS_HAVE_NO_SCHED
#define ZEROFS_COMPAT_NO_SCHED	BLK_MQ_F_NO_SCHED
#else
#define ZEROFS_COMPAT_NO_SCHED	BLK_MQ_F_NO_SCHED_BY_DEFAULT
#endif
#ifdef ZEROFS_HAVE_STACKING
#define ZEROFS_COMPAT_STACKING	BLK_MQ_F_STACKING
#else
#define ZEROFS_COMPAT_STACKING	0
#endif
#define ZEROFS_TAG_FLAGS \
	(ZEROFS_COMPAT_MERGE | ZEROFS_COMPAT_NO_SCHED | ZEROFS_COMPAT_STACKING)

/* What zerofs wants of a queue, in the words of no kernel. */
struct zerofs_limits {
	unsigned int block_size;	/* bytes: logical, physical and io_min */
	unsigned int io_opt;		/* bytes */
	unsigned int max_io_sectors;
	unsigned int max_discard_sectors;
	unsigned int max_wzeroes_sectors;
	unsigned int discard_granularity; /* bytes */
	unsigned short max_segments;
	unsigned int dma_alignment;
};

/*
 * A disk with these limits, a volatile write cache with FUA, not rotational, no entropy.
 * Returns the disk or an ERR_PTR.
 */
static inline struct gendisk *zerofs_compat_alloc_disk(struct blk_mq_tag_set *set,
						       const struct zerofs_limits *l, void *data)
{
#ifdef ZEROFS_HAVE_LIMITS_FEATURES
	struct queue_limits lim = {
		.logical_block_size = l->block_size,
		.physical_block_size = l->block_size,
		.io_min = l->block_size,
		.io_opt = l->io_opt,
		.max_hw_sectors = l->max_io_sectors,
		.max_hw_discard_sectors = l->max_discard_sectors,
		.max_write_zeroes_sectors = l->max_wzeroes_sectors,
		.discard_granularity = l->discard_granularity,
		.max_segments = l->max_segments,
		.max_segment_size = UINT_MAX,
		.dma_alignment = l->dma_alignment,
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	return blk_mq_alloc_disk(set, &lim, data);
#else
	struct gendisk *disk = blk_mq_alloc_disk(set, data);
	struct request_queue *q;

	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
	blk_queue_logical_block_size(q, l->block_size);
	blk_queue_physical_block_size(q, l->block_size);
	blk_queue_io_min(q, l->block_size);
	blk_queue_io_opt(q, l->io_opt);
	blk_queue_max_hw_sectors(q, l->max_io_sectors);
	blk_queue_max_segments(q, l->max_segments);
	blk_queue_max_segment_size(q, UINT_MAX);
	blk_queue_dma_alignment(q, l->dma_alignment);
	blk_queue_max_discard_sectors(q, l->max_discard_sectors);
	blk_queue_max_write_zeroes_sectors(q, l->max_wzeroes_sectors);
	q->limits.discard_granularity = l->discard_granularity;
	blk_queue_write_cache(q, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);
	return disk;
#endif
}

/* block_device_operations.open and .release, named fn_open and fn_release, from one of each. */
#ifdef ZEROFS_HAVE_OPEN_GENDISK
#define ZEROFS_DEFINE_OPEN_RELEASE(fn, do_open, do_release)		\
static int fn##_open(struct gendisk *disk, blk_mode_t mode)		\
{									\
	return do_open(disk);						\
}									\
static void fn##_release(struct gendisk *disk)				\
{									\
	do_release(disk);						\
}
#else
#define ZEROFS_DEFINE_OPEN_RELEASE(fn, do_open, do_release)		\
static int fn##_open(struct block_device *bdev, fmode_t mode)		\
{									\
	return do_open(bdev->bd_disk);					\
}									\
static void fn##_release(struct gendisk *disk, fmode_t mode)		\
{									\
	do_release(disk);						\
}
#endif

static inline void zerofs_compat_vm_flags(struct vm_area_struct *vma, unsigned long set,
					  unsigned long clear)
{
#ifdef ZEROFS_HAVE_VM_FLAGS_MOD
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

#endif
