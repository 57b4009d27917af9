// SPDX-License-Identifier: GPL-2.0-only
/* Gone in v6.14; BLK_MQ_F_NO_SCHED_BY_DEFAULT stays. */
#include <linux/blk-mq.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return BLK_MQ_F_NO_SCHED;
}
