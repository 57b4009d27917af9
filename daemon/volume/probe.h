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
struct volume;

/**
 * struct probe - the question under way
 * @made:	how many creates were accepted: one may be, by the first probe of a volume's life
 */
struct probe {
	struct volume *v;
	struct sio *sio;
	uint32_t made;
	bool finished;
	int res;
};

/* Asks; probe_wait() or probe_cancel() comes later. */
void probe_start(struct probe *p, struct volume *v);

/*
 * 0: the store keeps to S1, or --unsafe-no-fencing; -EOPNOTSUPP: it does not; store errors. May be
 * called again. [waits]
 */
int probe_wait(struct probe *p);

void probe_cancel(struct probe *p); /* does nothing when it has ended */

#endif
