// SPDX-License-Identifier: GPL-2.0-only
/* v5.14. */
#include <linux/blk-mq.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return BLK_MQ_F_NO_SCHED_BY_DEFAULT;
}
