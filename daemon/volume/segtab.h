/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The segment table: what the base map's extents point to. Ascending by seq, only ever appended to.
 * Keeps the exact account of live blocks and bytes per segment.
 *
 * Threads: core lock; a worker may read it while the base map is frozen.
 */
#ifndef VOLUME_SEGTAB_H
#define VOLUME_SEGTAB_H

#include <stdint.h>

#include "format/fmt_run.h"
#include "format/fmt_seg.h"

struct emap;
struct emap_ext;

/**
 * struct segtab_ent - a segment
 * @rec:	as in the manifest; live_blocks and live_bytes are kept up to date
 * @live:	live blocks of each frame that the map may still name
 */
struct segtab_ent {
	struct fmt_segrec rec;
	uint8_t *live;
	uint32_t nr_live;
};

struct segtab {
	struct segtab_ent *ents;
	uint32_t nr, cap;
	uint64_t live_bytes, stored_bytes;
	uint64_t heap_bytes;
};

void segtab_init(struct segtab *t);
void segtab_free(struct segtab *t);

/*
 * Appends a segment without live blocks, frames numbered below @nr_frames. -ENOMEM; -EBADMSG: not
 * ascending.
 */
int segtab_append(struct segtab *t, const struct fmt_segrec *rec, uint32_t nr_frames);

/* The record of a segment whose header was opened or made. */
void segtab_rec(struct fmt_segrec *ret, const struct fmt_seg *s);

/* Index of segment @seq, ~0 = not there. */
uint32_t segtab_find(const struct segtab *t, uint64_t seq);

/* An extent (FRAME) has come into the base map, or left it. */
void segtab_live(struct segtab *t, const struct emap_ext *e);
void segtab_dead(struct segtab *t, const struct emap_ext *e);

/*
 * After a manifest's extents have been put into @base: numbers the frames and counts what lives,
 * whatever the records said. -EBADMSG: extents of one frame contradict each other; -ENOMEM.
 */
int segtab_count(struct segtab *t, struct emap *base);

/* 0, or 1 if the counts are not what a scan of @base finds. For tests. */
int segtab_check(const struct segtab *t, struct emap *base);

#endif
