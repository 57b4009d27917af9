/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings: what a person may say about how a volume is served, whoever serves it: the options of
 * `zerofs serve`, the parameters of the nbdkit plugin.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include <stdint.h>

#include "volume/volume.h"

/* As given, NULL: not given. Named as the options are. */
struct settings_texts {
	const char *memory, *segment_size, *segment_age, *zstd_level, *read_ahead;
	const char *flush, *journal, *max_dirty_bytes, *max_dirty_age, *stop_after;
};

/*
 * Fills in @ret: defaults, what @t says, and who this machine is. The switches of struct
 * volume_opts and its write_queues are left to the caller. 0, or -EINVAL and one sentence in @err
 * (HOST_ERR_LEN bytes).
 */
int settings_take(const struct settings_texts *t, struct volume_opts *ret, char *err);

/* As many queues of a kind as there are pairs of CPUs: half of these ask, half answer. */
uint32_t settings_queues(void);

#endif
