/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena: one memory file [index | data region], data region = [zero region | write extents |
 * cache].
 *
 * The kernel copies writes into extents that were posted to it; the volume keeps an extent until
 * nothing needs its bytes. An index entry is made for every acknowledged write, discard and
 * write-zeroes before its answer, and cleared when the store has it (format/fmt_arena.h).
 *
 * Threads: core lock; workers read pages of extents that have index entries.
 */
#ifndef VOLUME_ARENA_H
#define VOLUME_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "format/fmt_arena.h"

#define ARENA_ZERO_LEN		(1u << 20)	/* reads of what was never written point here */
#define ARENA_EXTENT_MIN	(4u << 20)
#define ARENA_NO_QUEUE		(~0u)
#define ARENA_MAX_QUEUES	65536u

/*
 *        arena_take()             arena_use()                  arena_use() of another extent
 *  FREE --------------> POSTED ---------------> CURRENT(queue) ------------------> CLOSED
 *   ^                                                                                |
 *   +-------------- no index entry names it, nobody pins it -------------------------+
 *
 * Adopted extents start as CLOSED.
 */
enum arena_state {
	ARENA_FREE,
	ARENA_POSTED,
	ARENA_CURRENT,
	ARENA_CLOSED,
};

/*
 * Invariants (arena_check()):
 *  A1 the kernel may write only to POSTED and CURRENT extents; FREE ones have live = pins = 0.
 *  A2 live = valid index entries that lie in the extent; CLOSED ones have live + pins > 0.
 *  A3 at most one extent is CURRENT of a queue, and queue_cur[] names it.
 *  A4 index slots in use + free slots = all slots; the ring holds those in use in wno order.
 */
struct arena_extent {
	struct list_head link;		/* FREE: in arena.free */
	uint32_t live;
	uint32_t pins;			/* READs and held requests */
	uint32_t queue;			/* CURRENT */
	uint8_t state;			/* enum arena_state */
};

/* An index entry in use, in wno order. */
struct arena_use {
	uint64_t wno;
	uint32_t slot;
	uint32_t ext;			/* ~0: names no data */
	/* of its data in the journal; ~0: not there, or not known */
	uint32_t ring_block;
};

struct arena {
	struct fmt_arena geo;
	uint8_t *base;			/* of the memory file */
	uint8_t *data;			/* of the data region */
	struct fmt_arena_entry *index;
	struct arena_extent *exts;
	uint32_t nr_exts;
	struct list_head free;
	uint32_t nr_free, nr_posted;	/* posted: POSTED and CURRENT */
	uint32_t *free_slots;
	uint32_t nr_free_slots;
	struct arena_use *ring;
	uint32_t ring_head, ring_len;	/* geo.nr_entries places */
	uint32_t *queue_cur;		/* extent + 1, by queue; 0 = none */
	uint32_t nr_queues;
	uint64_t spilled;		/* numbers up to here may have no entry */
	bool untold;			/* the kernel does not know yet what was found here */
	uint64_t heap_bytes;
};

/*
 * The geometry for @memory bytes in all, of which @reserve are spoken for by others (buffers, map),
 * with at least @min_extents extents. *ret_need: what @memory would have to be at least. -ERANGE:
 * it is less.
 */
int arena_plan(struct fmt_arena *ret, uint64_t memory, uint64_t reserve, uint32_t min_extents,
	       uint64_t *ret_need);

/*
 * A fresh arena of geometry @geo in @base: clears the index. -EINVAL: does not fit @total; -ENOMEM.
 * Until arena_told() it says that records are missing, as after arena_give_up().
 */
int arena_init(struct arena *a, void *base, uint64_t total, const struct fmt_arena *geo,
	       const uint8_t uuid[16]);

/*
 * An arena of an earlier daemon: checks header and every entry. Its records, in wno order, are
 * moved to *ret_recs (malloc'ed), with *ret_sound = false if an entry is damaged, two have one
 * number, or two writes share memory: such an entry is left out. -EBADMSG: not an arena of this
 * volume. Changes nothing in the arena: if not sound, arena_give_up() is next.
 */
int arena_adopt(struct arena *a, void *base, uint64_t total, const uint8_t uuid[16],
		struct fmt_arena_rec **ret_recs, uint32_t *ret_nr, bool *ret_sound);

/*
 * Gives up all records, damaged ones too. After it, and at any point within, arena_adopt() by the
 * next daemon finds it spilled to FMT_ARENA_LOST, or to FMT_ARENA_GONE with @gone, until
 * arena_told().
 */
void arena_give_up(struct arena *a, bool gone);

/*
 * The kernel knows what was found, by the owner of epoch @epoch: from here on records are missing
 * only where they are spilled. @journal: the epoch in the superblock of the journal that he writes
 * to, 0: to none.
 */
void arena_told(struct arena *a, uint64_t epoch, uint64_t journal);

/*
 * The owner of epoch @epoch goes on with what the arena's kernel knows; of which owner that was
 * said last, 0 = of none. It outlives arena_give_up(), not arena_init().
 */
void arena_set_owner(struct arena *a, uint64_t epoch);
uint64_t arena_owner(const struct arena *a);
uint64_t arena_journal(const struct arena *a);

void arena_free(struct arena *a);

/* Takes a free extent for posting. False: there is none. */
bool arena_take(struct arena *a, uint32_t *ret_ext);
uint64_t arena_ext_off(const struct arena *a, uint32_t ext);	/* in the data region */

/*
 * Queue @queue has published a write at [off, off + len): checks that the kernel may have written
 * there, makes the extent CURRENT and closes the queue's previous one. -EINVAL: not a place that
 * was posted; -ENOMEM. *ret_closed: the extent that was closed and is free now, ~0 = none.
 */
int arena_use(struct arena *a, uint32_t queue, uint64_t off, uint64_t len, uint32_t *ret_freed);

/* True if an index slot is free. */
bool arena_has_slot(const struct arena *a);

/*
 * Makes the index entry of an acknowledged record; wno ascends from call to call. A slot is free.
 */
void arena_record(struct arena *a, const struct fmt_arena_rec *r);

/*
 * The journal holds everything up to @wno: as arena_trim(), but the arena says that what is missing
 * there has not been stored.
 */
uint32_t arena_spill(struct arena *a, uint64_t wno);
uint64_t arena_spilled(const struct arena *a);

/* Clears the entries with numbers up to @wno. Returns how many extents became free. */
uint32_t arena_trim(struct arena *a, uint64_t wno);

/*
 * The entries in use, in order: the place of the first with a number beyond @wno (ring_len: there
 * is none); the record at a place. False: there is none, or the entry is not what was written.
 */
uint32_t arena_after(const struct arena *a, uint64_t wno);
bool arena_nth(const struct arena *a, uint32_t place, struct fmt_arena_rec *ret);

/* Where the journal has, or is about to have, the data of the entry at a place. */
void arena_set_ring_block(struct arena *a, uint32_t place, uint32_t block);
uint32_t arena_ring_block(const struct arena *a, uint32_t place);

/* The extent that holds byte @off of the data region; ~0: not in the write region. */
uint32_t arena_ext_at(const struct arena *a, uint64_t off);
void arena_pin(struct arena *a, uint32_t ext);
bool arena_unpin(struct arena *a, uint32_t ext);	/* true: it became free */

/* 0, or the number of the invariant that does not hold. For tests. */
int arena_check(const struct arena *a);

#endif
