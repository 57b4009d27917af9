/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fetches frames into the cache: joined ranged GETs, then workers that open and decode them.
 * Threads: core lock.
 */
#ifndef VOLUME_FETCH_H
#define VOLUME_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "format/fmt_frame.h"

struct cache_ent;
struct volume;

#define FETCH_MAX_GAP	(64u << 10)	/* frames so close in an object are one GET */
#define FETCH_MAX_LEN	(1u << 20)
/* the same of what is read ahead: STREAM_PIECE blocks in frames, each longer by a tag */
#define FETCH_AHEAD_LEN	((1u << 20) + (32u << 10))
#define FETCH_AHEAD_NR	32u		/* GETs of it under way at once */
#define FETCH_TRIES	2u		/* of a frame that proves damaged */

struct fetch_frame {
	struct cache_ent *ent;		/* LOADING; ent->seg says which object */
	struct fmt_frame f;
	uint32_t tries;
	int err;
};

/*
 * Plans the GETs for @n frames (sorts them). They start at fetch_pump(). -ENOMEM: nothing is
 * planned.
 */
int fetch_prepare(struct volume *v, struct fetch_frame *frames, uint32_t n);

/*
 * The same for frames that nobody has asked for: they go after all others, with three quarters of
 * the memory at most.
 */
int fetch_ahead(struct volume *v, struct fetch_frame *frames, uint32_t n);

/* Somebody asks for a LOADING entry: should it only be planned ahead, it goes with the others. */
void fetch_promote(struct volume *v, struct cache_ent *e);

/*
 * Gives up what is read ahead and not with the store: its slots are free then. False: there was
 * none.
 */
bool fetch_shed(struct volume *v);

/* The volume ends: what is planned ahead is given up, and nothing is read ahead any more. */
void fetch_end_ahead(struct volume *v);

/* Memory for fetches was taken: what is kept of GETs that have ended gives way. */
void fetch_trim(struct volume *v);

/* Starts planned GETs as far as memory allows. */
void fetch_pump(struct volume *v);

/* Is a frame of segment @seg (index in the table) being fetched, or about to be? */
bool fetch_wants(const struct volume *v, uint32_t seg);

/* 0, or 1: an account of what is read ahead is wrong, or beyond its bounds (V7). For tests. */
int fetch_check(const struct volume *v);

/* Frees all fetches, and what READs that wait for them have allocated: before the volume goes. */
void fetch_free_all(struct volume *v);

#endif
