// SPDX-License-Identifier: GPL-2.0-only
/* Gone in v6.14: merging is the default from there on. */
#include <linux/blk-mq.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return BLK_MQ_F_SHOULD_MERGE;
}
