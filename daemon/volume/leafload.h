/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One load of leaves; for leaves.c. Threads: core lock, but for the worker's part. */
#ifndef VOLUME_LEAFLOAD_H
#define VOLUME_LEAFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/exec.h"
#include "volume/emap.h"
#include "volume/leaves.h"
#include "volume/rival.h"

struct sio;

/* Blocks [first, first + nr) of run @run, which lie behind one another. */
struct leafload_part {
	struct leafload *l;
	uint32_t run, first, nr;
	struct sio *get;
};

/* The first block of a run that could not be had; or a segment that it names, and that is not. */
struct leafload_bad {
	uint64_t seq;			/* 0: it is the block */
	uint64_t version, id, off;
	uint32_t len;
	int why;
};

/*
 *           leafload_go()     all parts are there        worker              moved
 *  WAITING -------------> FETCHING -------------> MERGING ------> MERGED -----------> (freed)
 *                            ^                                      | the first time, and
 *                            +--------------------------------------+ something is damaged
 *
 * Between MERGING and MERGED, once, if a run is missing: ASKING whether the volume is ours still.
 */
enum leafload_state {
	LEAFLOAD_WAITING,
	LEAFLOAD_FETCHING,
	LEAFLOAD_MERGING,
	LEAFLOAD_ASKING,
	LEAFLOAD_MERGED,
};

struct leafload {
	struct list_head link;		/* leaves.loads */
	struct volume *v;
	enum leafload_state state;
	uint32_t dev;
	uint64_t nblocks;		/* of the device */
	uint32_t nr;
	uint64_t no[LEAVES_SET];
	struct leafload_part *parts;	/* runs oldest first */
	uint32_t nr_parts, sent, there;
	uint64_t bytes;
	uint32_t tries;
	struct list_head reads;		/* READs that wait */

	/* the worker's, then leafload_go()'s */
	struct exec_work work;
	struct emap map;		/* FRAME: owner is an index in seqs */
	uint64_t *seqs;
	uint32_t nr_seqs, cap_seqs;
	int err;			/* no memory: done over */
	bool lost;			/* there is EMAP_LOST in map */
	struct leafload_bad bad;
	struct rival rival;
	bool asked;
	uint32_t moved;			/* leaves that are in the base map */
};

/* As many of @no as fit, at least one: l->nr of them. NULL: no memory. */
struct leafload *leafload_new(struct volume *v, struct emap_dev *d, const uint64_t *no,
			      uint32_t nr);

/* Whether all that the runs may hold of leaf @no is in what is fetched for the others anyway. */
bool leafload_covers(const struct leafload *l, uint64_t no);

/* Does what can be done now. True: all leaves are in the base map; the caller ends it. */
bool leafload_go(struct leafload *l);

/* Also of one that is under way; takes it off its list. The reads are the caller's. */
void leafload_free(struct leafload *l);

#endif
