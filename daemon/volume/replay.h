/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over the log's slots behind the manifest, and the fence at its end. Threads: core lock.
 */
#ifndef VOLUME_REPLAY_H
#define VOLUME_REPLAY_H

#include <stdint.h>

struct volume;

/* What the walk has found. */
struct replay {
	uint64_t segments;		/* applied */
	uint64_t resume_wno;		/* numbers of this writer begin here */
	uint64_t fence_seq, resume_at;
};

/*
 * Applies the segments from v->head.replay_from on, obeys the fences of earlier owners, and creates
 * a fence in the first free slot. v's commit point, chain and replay point are set. Errors as
 * volume_recover(). [waits]
 */
int replay_walk(struct volume *v, struct replay *ret);

#endif
