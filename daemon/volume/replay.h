/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over the log's slots behind the manifest, and the fence at its end. Threads: core lock.
 */
#ifndef VOLUME_REPLAY_H
#define VOLUME_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt.h"

struct fmt_head;
struct volume;

/* What the walk has found. */
struct replay {
	uint64_t segments;		/* applied */
	uint64_t resume_wno;		/* numbers of this writer begin here */
	uint64_t fence_seq, resume_at;
	/* of the log's last owner: as the last fence says, or the head of who made the manifest */
	uint8_t owner_journal[FMT_UUID_LEN];
	/*
	 * the first fence of somebody newer than our journal's owner, and what was in the log
	 * there. Known only where what the image holds, or an object that the walk has met before,
	 * is that owner's or an earlier one's: else the first one lies behind the image
	 */
	bool ours_seen, left_seen, left_hidden;
	uint64_t left_wno;
	bool continues;			/* our journal goes on with the log (jreplay_judge()) */
};

/*
 * Applies the segments from v->head.replay_from on, obeys the fences of earlier owners, and creates
 * a fence in the first free slot. v's commit point, chain and replay point are set. Errors as
 * volume_recover(). [waits]
 */
int replay_walk(struct volume *v, struct replay *ret);

/*
 * What replay_walk() would say of the journal here if head @h were followed by one of ours:
 * -EUCLEAN and the other errors, with their notices; 0: nothing speaks against it; -EEXIST: @h is
 * not the newest any more, look again. Nothing is written, so the owner of the volume goes on. What
 * v knows of the log is replay_walk()'s to set. [waits]
 */
int replay_look(struct volume *v, const struct fmt_head *h);

#endif
