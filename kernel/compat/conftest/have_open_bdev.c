// SPDX-License-Identifier: GPL-2.0-only
/* Up to v6.4: ->open(block_device, fmode_t), ->release(gendisk, fmode_t). */
#include <linux/blkdev.h>

static int probe_open(struct block_device *bdev, fmode_t mode)
{
	return bdev && mode ? 0 : -ENXIO;
}

static void probe_release(struct gendisk *disk, fmode_t mode)
{
}

extern const struct block_device_operations probe;
const struct block_device_operations probe = {
	.open = probe_open,
	.release = probe_release,
};
