// SPDX-License-Identifier: GPL-2.0-only
/* Up to v6.8: limits are set by calls on the queue after blk_mq_alloc_disk(set, data). */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>

struct gendisk *probe(struct blk_mq_tag_set *set, void *data);
struct gendisk *probe(struct blk_mq_tag_set *set, void *data)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, data);

	blk_queue_logical_block_size(disk->queue, 4096);
	blk_queue_max_discard_sectors(disk->queue, 8);
	blk_queue_write_cache(disk->queue, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
}
