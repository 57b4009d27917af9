/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checkpoint: what has changed in the base map and in the segment table as runs, a manifest that
 * names these and those before, a head that names the manifest. Threads: core lock.
 */
#ifndef VOLUME_CHECKPOINT_H
#define VOLUME_CHECKPOINT_H

#include <stdbool.h>

struct checkpoint;
struct volume;

/* So many deltas of a kind, and all its runs are written anew; at a clean end twice as many. */
#define CHECKPOINT_RUNS	64u

/*
 * What one asks of the store, for an estimate: two runs, a manifest and a head are PUT, heads are
 * listed after that, and for the sweep manifests and runs; it deletes a manifest, and, since whole
 * runs are written anew in the end, as many runs.
 */
#define CHECKPOINT_PUTS	   4u
#define CHECKPOINT_LISTS   3u
#define CHECKPOINT_DELETES 3u

/* Starts one if enough segments were applied since the last. */
void checkpoint_due(struct volume *v);

/*
 * Starts one now; @clean: nothing will follow. At its end v->ckpt is NULL, v->ckpt_res 0 or -errno,
 * and v->wake is set.
 * -EBUSY: one is under way, a batch is being applied, or adopted records are not all in the store;
 * -ENOMEM.
 */
int checkpoint_start(struct volume *v, bool clean);

/*
 * After an attach: if there are so many deltas that all is to be written anew, what that needs is
 * loaded.
 */
void checkpoint_prepare(struct volume *v);

void checkpoint_free(struct volume *v);		/* none under way does nothing */

#endif
