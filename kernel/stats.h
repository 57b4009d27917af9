/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stats: /sys/block/zerofsN/zerofs/. One value a file; docs/abi.md says what each means.
 */
#ifndef _ZEROFS_STATS_H
#define _ZEROFS_STATS_H

#include <linux/sysfs.h>

extern const struct attribute_group zerofs_stats_group;

#endif
