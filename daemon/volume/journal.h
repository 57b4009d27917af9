/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal: what a FLUSH waits for in local mode. A ring of records on a local disk, written in
 * groups, one at a time; trimmed as the commit point moves.
 *
 * Threads: core lock; a group's records are encrypted on the device's thread, from pages of pinned
 * extents.
 */
#ifndef VOLUME_JOURNAL_H
#define VOLUME_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jdev.h"
#include "format/fmt_journal.h"

#define JOURNAL_MEMORY	(6u << 20)	/* a group at its largest, a superblock, some references */

/* While it is on the list, nothing is written where the record at @pos lies. */
struct journal_pin {
	struct list_head link;
	uint64_t pos;
};

struct journal_group;
struct volume;

/*
 *          jscan_run()           journal_start()            a WRITE fails
 *  CLOSED ------------> SCANNED ----------------> ACTIVE -----------------> FAILED
 *                                                    | journal_close()      |
 *                                                    v                      |
 *                                                  CLEAN <------------------+
 */
enum journal_state {
	JOURNAL_CLOSED,
	JOURNAL_SCANNED,
	JOURNAL_ACTIVE,
	JOURNAL_FAILED,
	JOURNAL_CLEAN,
};

/* A record in the ring that speaks for numbers which are not in the store. */
struct journal_ref {
	uint64_t pos;
	uint64_t last;
	uint32_t len;			/* that was written: of a pad one block */
	uint8_t prev[FMT_HASH_LEN];	/* what it chains to */
};

/*
 * Invariants (journal_check()):
 *  J1 refs ascend in position and number; the first one is at @tail, without any @tail is @head.
 *  J2 sb.start <= tail <= head <= sb.start + ring_len.
 *  J3 at most one group is under way.
 */
struct journal {
	struct volume *v;
	struct jdev *dev;
	enum journal_state state;
	struct fmt_journal_sb sb;	/* as it is durable */
	uint32_t sb_copy;		/* which of the two that is */
	uint64_t ring_len;
	uint64_t head, tail;
	uint8_t prev[FMT_HASH_LEN];	/* hash of the last record */
	uint64_t epoch;			/* scan: its owner's, and ... */
	uint64_t store_to;		/* ... what the store held when the last record was made */
	/* numbers up to here are in a durable record, or in the store */
	uint64_t written;
	struct journal_ref *refs;	/* a ring of cap_refs places */
	uint32_t ref_head, nr_refs, cap_refs;
	struct journal_group *group;	/* under way ... */
	uint8_t *buf;			/* ... and its bytes; buf_cap of them */
	uint32_t buf_cap;
	struct jdev_req sb_req;		/* superblock under way ... */
	struct fmt_journal_sb sb_next;	/* ... and what it says */
	uint8_t *sb_buf;		/* NULL: none is under way */
	bool sb_ended;			/* the last superblock has ended, with sb_res */
	int sb_res;
	bool full;			/* a group waits for room */
	struct list_head pins;		/* of records that are being read */
	uint64_t spill_to;		/* numbers up to here are wanted in the ring (spill.c) */
	uint64_t mem;			/* of group, its buffer and refs */
	uint64_t groups, records, bytes;	/* durable ones */
};

/* -ENOMEM. @dev outlives the volume. */
int journal_new(struct volume *v, struct jdev *dev);

/* What is under way must have ended. NULL does nothing. */
void journal_free(struct journal *j);

/*
 * The journal holds nothing that this log needs: what it says of numbers is of another history.
 */
void journal_reset(struct journal *j);

/*
 * The log is ours and this journal goes on with it: its superblock gets our epoch, and what the
 * store has is given up. ACTIVE afterwards. Errors of the device. [waits]
 */
int journal_start(struct journal *j);

/*
 * Starts what is due: a group if a FLUSH waits for a number that neither ring nor store has, the
 * superblock.
 */
void journal_pump(struct volume *v);

/* The base map has moved: gives up records. */
void journal_trim(struct volume *v);

/*
 * Everything is in the store and the head says so: the ring is empty. One that has FAILED is tried,
 * too: what it holds would else look like something that the store lacks once the volume has been
 * served without it. An error does no harm, the next start skips what the store has. [waits]
 */
int journal_close(struct journal *j);

/* Is a WRITE of it under way? NULL: no. */
bool journal_busy(const struct journal *j);

/* Notes a record that the scan or a group has found or made durable. -ENOMEM. */
int journal_ref_add(struct journal *j, const struct fmt_journal_rec *r);

/*
 * Ring blocks: block @block of the ring, as an overlay extent names it, is at which position now;
 * and which record holds that. False: none that is needed.
 */
uint64_t journal_block_pos(const struct journal *j, uint32_t block);
bool journal_find(const struct journal *j, uint64_t pos, uint64_t *ret_pos, uint32_t *ret_len);

/* The first record that speaks for number @wno or a later one. False: there is none. */
bool journal_first(const struct journal *j, uint64_t wno, uint64_t *ret_pos, uint32_t *ret_len);

/* The newest epoch that is durable on its disk. */
uint64_t journal_epoch(const struct journal *j);

/* Is a FLUSH answered by the journal? */
bool journal_answers(const struct volume *v);

/* 0, or the number of the invariant that does not hold. For tests. */
int journal_check(const struct journal *j);

#endif
