/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of the base map, with the account that goes with them: live blocks of segments, and the
 * leaves that the next checkpoint has to look at. What became zero stays in the map as EMAP_ZERO (a
 * tombstone) until a manifest that says so is durable.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_BASEMAP_H
#define VOLUME_BASEMAP_H

#include <stdint.h>

struct emap_dev;
struct emap_ext;
struct emap_leaf;
struct volume;

#define BASEMAP_CHUNK	255u

/* Leaves that have changed since they were last listed; in any order, some perhaps twice. */
struct basemap_chunk {
	struct basemap_chunk *next;
	uint32_t nr;
	struct {
		uint32_t dev;
		uint64_t no;
	} at[BASEMAP_CHUNK];
};

struct basemap_dirty {
	struct basemap_chunk *first;
	uint64_t nr, bytes;
};

/* A leaf of a frozen list. */
struct basemap_leaf {
	uint32_t dev;
	uint64_t no;
	const struct emap_leaf *leaf;
};

void basemap_free(struct volume *v);	/* the lists; not the map */

/*
 * [lba, lba + e->nblocks) is now *e, a part of one frame (EMAP_FRAME). -ENOMEM; -EAGAIN: leaves are
 * being loaded, see leaves_ready(). Some of it may be set then; the same call again is right.
 */
int basemap_set(struct volume *v, struct emap_dev *d, uint64_t lba, const struct emap_ext *e);

/* [lba, lba + n) reads as zero since number @wno. As above. */
int basemap_zero(struct volume *v, struct emap_dev *d, uint64_t lba, uint64_t n, uint64_t wno);

/*
 * The list of changed leaves becomes v->saving; a fresh array of them in *ret_leaves. -ENOMEM:
 * nothing has happened.
 */
int basemap_freeze(struct volume *v, struct basemap_leaf **ret_leaves, uint64_t *ret_nr);

/* The checkpoint came to nothing: what is in v->saving is changed still. */
void basemap_give_back(struct volume *v);

/* It is durable, up to number @wno: the tombstones up to there have done their work. */
void basemap_saved(struct volume *v, uint64_t wno);

/* 0, or the number of the invariant in vol.h that does not hold. For tests. */
int basemap_check(struct volume *v);

#endif
