// SPDX-License-Identifier: GPL-2.0-only
/* v5.8: requests of a hardware queue whose CPUs go away are not waited for. */
#include <linux/blk-mq.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return BLK_MQ_F_STACKING;
}
