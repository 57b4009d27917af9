// SPDX-License-Identifier: GPL-2.0-only
/* v6.5: ->open(gendisk, blk_mode_t), ->release(gendisk). */
#include <linux/blkdev.h>

static int probe_open(struct gendisk *disk, blk_mode_t mode)
{
	return disk && mode ? 0 : -ENXIO;
}

static void probe_release(struct gendisk *disk)
{
}

extern const struct block_device_operations probe;
const struct block_device_operations probe = {
	.open = probe_open,
	.release = probe_release,
};
