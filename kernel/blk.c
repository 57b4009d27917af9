// SPDX-License-Identifier: GPL-2.0-only
#include "blk.h"

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/ratelimit.h>

#include "compat/compat.h"
#include "queue.h"

/*
 * 1 MiB of io_opt makes for 2 MiB of read-ahead; more would be a segment's worth. The largest
 * discard and write-zeroes are whole blocks: 6.1 cuts the latter at this number as it stands.
 */
static const struct zerofs_limits limits = {
	.block_size = ZEROFS_BLOCK_SIZE,
	.io_opt = ZEROFS_MAX_IO,
	.max_io_sectors = ZEROFS_MAX_IO >> SECTOR_SHIFT,
	.max_discard_sectors = (UINT_MAX & ~(ZEROFS_BLOCK_SIZE - 1)) >> SECTOR_SHIFT,
	.max_wzeroes_sectors = (UINT_MAX & ~(ZEROFS_BLOCK_SIZE - 1)) >> SECTOR_SHIFT,
	.discard_granularity = ZEROFS_BLOCK_SIZE,
	.max_segments = USHRT_MAX,
	.dma_alignment = 3,
};

static blk_status_t blk_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	return zerofs_queue_issue(hctx->driver_data, bd->rq, bd->last);
}

static void blk_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	zerofs_queue_commit(hctx->driver_data);
}

static int blk_init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int index)
{
	struct zerofs_blk_owner *owner = data;

	hctx->driver_data = &owner->queues[index];
	return 0;
}

/* A slow store is no reason to give up: say so, count, and go on waiting. */
static enum blk_eh_timer_return blk_timeout(struct request *rq)
{
	struct zerofs_queue *q = rq->mq_hctx->driver_data;

	atomic64_inc(&q->timeouts);
	pr_warn_ratelimited("zerofs: %s: a request waits for the daemon for more than %u s\n",
			    rq->q->disk ? rq->q->disk->disk_name : "?", rq->timeout / HZ);
	return BLK_EH_RESET_TIMER;
}

/* Reads have hardware queues, and so tags, of their own: writes without room never hold them. */
static void blk_map_queues(struct blk_mq_tag_set *set)
{
	struct zerofs_blk_owner *owner = set->driver_data;
	struct blk_mq_queue_map *map = &set->map[HCTX_TYPE_DEFAULT];

	map->nr_queues = owner->nr_write;
	map->queue_offset = 0;
	blk_mq_map_queues(map);
	map = &set->map[HCTX_TYPE_READ];
	map->nr_queues = owner->nr_read;
	map->queue_offset = owner->nr_write;
	blk_mq_map_queues(map);
}

static const struct blk_mq_ops mq_ops = {
	.queue_rq = blk_queue_rq,
	.commit_rqs = blk_commit_rqs,
	.init_hctx = blk_init_hctx,
	.timeout = blk_timeout,
	.map_queues = blk_map_queues,
};

static int do_open(struct gendisk *disk)
{
	struct zerofs_blk_owner *owner = disk->private_data;

	return owner->open(owner);
}

static void do_release(struct gendisk *disk)
{
	struct zerofs_blk_owner *owner = disk->private_data;

	owner->release(owner);
}

ZEROFS_DEFINE_OPEN_RELEASE(blk_disk, do_open, do_release)

static void blk_free_disk(struct gendisk *disk)
{
	struct zerofs_blk_owner *owner = disk->private_data;

	owner->freed(owner);
}

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
	.open = blk_disk_open,
	.release = blk_disk_release,
	.free_disk = blk_free_disk,
};

int zerofs_blk_alloc(struct zerofs_blk_owner *owner, struct blk_mq_tag_set *set, u32 depth,
		     const char *name, struct gendisk **ret_disk)
{
	struct gendisk *disk;
	int err;

	memset(set, 0, sizeof(*set));
	set->ops = &mq_ops;
	set->driver_data = owner;
	set->nr_maps = HCTX_TYPE_READ + 1;
	set->nr_hw_queues = owner->nr_write + owner->nr_read;
	set->queue_depth = depth;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct zerofs_cmd);
	set->flags = ZEROFS_TAG_FLAGS;
	err = blk_mq_alloc_tag_set(set);
	if (err)
		return err;
	disk = zerofs_compat_alloc_disk(set, &limits, owner);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(set);
		return PTR_ERR(disk);
	}
	disk->fops = &disk_ops;
	disk->private_data = owner;
	/* Nobody answers reads while the daemon is busy adding it: user space scans later. */
	set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);
	strscpy(disk->disk_name, name, sizeof(disk->disk_name));
	*ret_disk = disk;
	return 0;
}

void zerofs_blk_free(struct blk_mq_tag_set *set, struct gendisk *disk)
{
	put_disk(disk);
	blk_mq_free_tag_set(set);
}
