// SPDX-License-Identifier: GPL-2.0-only
/* v6.9 (queue_limits passed to blk_mq_alloc_disk) and v6.11 (BLK_FEAT_* in queue_limits). */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>

struct gendisk *probe(struct blk_mq_tag_set *set, void *data);
struct gendisk *probe(struct blk_mq_tag_set *set, void *data)
{
	struct queue_limits lim = {
		.max_hw_discard_sectors = 8,
		.max_write_zeroes_sectors = 8,
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	return blk_mq_alloc_disk(set, &lim, data);
}
