/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The segment table: what the base map's extents point to. Ascending by seq, only ever appended to.
 * Keeps the exact account of live blocks and bytes per segment: how much of a frame lives is looked
 * up in the map when a part of it comes or goes.
 *
 * Threads: core lock; a worker may read it while the base map is frozen.
 */
#ifndef VOLUME_SEGTAB_H
#define VOLUME_SEGTAB_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt_run.h"
#include "format/fmt_seg.h"

struct emap;
struct emap_dev;
struct emap_ext;

/**
 * struct segtab_ent - a segment
 * @rec:	as in the manifest; live_blocks and live_bytes are kept up to date. DELETED: the
 *      	newest manifest says so (dead.h)
 * @changed:	segtab.gen when it last changed
 * @unsure:	more of it has died than was said to live: the counts say nothing, and it is kept
 * @applied:	all of it has been in the base map
 * @dead:	counted in segtab.dead_bytes
 * @gone:	DELETED, and the store has said that the object is no more
 */
struct segtab_ent {
	struct fmt_segrec rec;
	uint32_t changed;
	bool unsure;
	bool applied;
	bool dead;
	bool gone;
};

struct segtab {
	struct segtab_ent *ents;
	uint32_t nr, cap;
	uint64_t live_bytes, stored_bytes; /* stored: but for those that are gone */
	uint64_t dead_bytes;		/* stored in segments without a live block */
	uint32_t nr_gone;		/* whose records a rewriting of the table would drop */
	uint32_t nr_dropped;		/* whose records are in no manifest any more */
	uint64_t heap_bytes;
	uint32_t gen;			/* of the checkpoint that will hold what changes now ... */
	uint32_t saved_gen;		/* ... of the newest one that is durable */
};

void segtab_init(struct segtab *t);
void segtab_free(struct segtab *t);

/* Appends a segment without live blocks. -ENOMEM; -EBADMSG: not ascending. */
int segtab_append(struct segtab *t, const struct fmt_segrec *rec);

/*
 * A record of a run, which later ones override: added, or put in the place of the one there is.
 * -ENOMEM.
 */
int segtab_load(struct segtab *t, const struct fmt_segrec *rec);

/* Is it to be written by the next checkpoint? */
static inline bool segtab_changed(const struct segtab *t, uint32_t i)
{
	return t->ents[i].changed > t->saved_gen;
}

/* Nothing in the base map names it: with the base map frozen, the image that is being written. */
static inline bool segtab_dead(const struct segtab_ent *e)
{
	return !e->rec.live_blocks && !e->unsure;
}

/* All entries of segment @i are in the base map: from here on it may be dead. */
void segtab_applied(struct segtab *t, uint32_t i);

/* The object of segment @i, which is DELETED, is no more. */
void segtab_gone(struct segtab *t, uint32_t i);

/* The record of a segment whose header was opened or made. */
void segtab_rec(struct fmt_segrec *ret, const struct fmt_seg *s);

/* Index of segment @seq, ~0 = not there. */
uint32_t segtab_find(const struct segtab *t, uint64_t seq);

/*
 * Before [lba, lba + n) of the base map is overwritten: what it names there is dead. Then, before
 * the frame's part *e (or NULL) is put there: that lives. The leaves of the frames concerned are
 * known. Returns how many blocks have died.
 */
uint32_t segtab_overwrite(struct segtab *t, struct emap_dev *d, uint64_t lba, uint32_t n,
		      const struct emap_ext *e);

/*
 * 0, or 1 if the counts are not what a scan of @base finds; not @exact: if they are less. For
 * tests.
 */
int segtab_check(const struct segtab *t, struct emap *base, bool exact);

#endif
