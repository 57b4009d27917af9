/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does the store keep to S1: is a name that is taken refused to whoever creates it again? One
 * object per volume, `probe`, always the same bytes, never deleted: making it must fail once it is
 * there.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_PROBE_H
#define VOLUME_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct sio;
struct sio_ctx;

/**
 * struct probe - the question under way
 * @made:	how many creates were accepted: one may be, by the first probe of a volume's life
 */
struct probe {
	struct sio_ctx *c;
	uint8_t uuid[16];
	bool no_fencing;
	uint32_t tries;
	struct sio *sio;
	uint32_t made;
	bool finished;
	int res;
};

/*
 * Asks for the volume @uuid; probe_wait() or probe_cancel() comes later. @no_fencing: a store that
 * does not keep to S1 is warned of and taken. @tries: as of sio_start().
 */
void probe_start(struct probe *p, struct sio_ctx *c, const uint8_t uuid[16], bool no_fencing,
		 uint32_t tries);

/*
 * 0: the store keeps to S1, or --unsafe-no-fencing; -EOPNOTSUPP: it does not; store errors. May be
 * called again. [waits]
 */
int probe_wait(struct probe *p);

void probe_cancel(struct probe *p); /* does nothing when it has ended */

#endif
