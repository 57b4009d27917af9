/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dead segments: data segments that the newest manifest says are deleted. Their objects are deleted
 * here, in the background; docs/DESIGN.md 2.9a says when one may be, and why.
 *
 * Nothing waits for this but a clean end, for a moment. What a store does not do now is tried again
 * later, one object at a time; what a process leaves, the next one finds in the manifest.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_DEAD_H
#define VOLUME_DEAD_H

#include <stdbool.h>
#include <stdint.h>

struct volume;

#define DEAD_DELETES	4u		/* under way at once */
#define DEAD_PAUSE_MIN	1000000u	/* microseconds after a failure, doubled ... */
#define DEAD_PAUSE_MAX	60000000u	/* ... up to this */
#define DEAD_LAST	5000000u	/* what a clean end gives it at most */

/*
 * Invariants (dead_check()):
 *  D1 a segment of the table is DELETED and not gone if and only if it waits here, is being
 *     deleted, or has been while the base map was frozen; and then only once.
 *  D2 a DELETED one has no live block, and its seq is below floor and replay_from of our newest
 *     head.
 *  D3 at most DEAD_DELETES are under way; none that a fetch wants.
 */
struct dead {
	uint32_t *seg;			/* indices in the segment table: to be deleted */
	uint32_t nr, cap;
	uint32_t busy[DEAD_DELETES];	/* under way */
	uint32_t nr_busy;
	/* deleted while a worker reads the table, which is told later */
	uint32_t ended[DEAD_DELETES];
	uint32_t nr_ended;
	uint64_t pause_us;		/* 0: the last one went well */
	uint64_t retry_us;		/* else: not before this */
	uint64_t last_us;		/* a clean end waits until then; 0: there is none */
	bool told;			/* the store refuses for good */
	bool ending;			/* no more: volume_ending() */
};

/* Room for @n more, so that dead_add() cannot fail. -ENOMEM. */
int dead_reserve(struct volume *v, uint32_t n);

/*
 * A head whose image says that segments @seg[0..n) of the table are deleted is there, and was the
 * newest in the LIST after its create.
 */
void dead_add(struct volume *v, const uint32_t *seg, uint32_t n);

/*
 * The image of head v->head has been loaded: what it calls deleted may not have been. -EBADMSG: it
 * contradicts itself; -ENOMEM.
 */
int dead_load(struct volume *v);

/* Goes on: after a fetch has ended, the base map has thawed, or the volume begins to serve. */
void dead_pump(struct volume *v);

void dead_tick(struct volume *v);
uint64_t dead_deadline(const struct volume *v);		/* ~0: never */

/* A clean end: dead_busy() is true while it pays to wait, DEAD_LAST at most. Sets v->wake. */
void dead_last(struct volume *v);
bool dead_busy(const struct volume *v);

/* So many records in the manifest are of segments that are gone that the table is written anew. */
bool dead_outgrown(const struct volume *v);

void dead_free(struct volume *v);

/* 0, or the number of the invariant that does not hold. For tests. */
int dead_check(const struct volume *v);

#endif
