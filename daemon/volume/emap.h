/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extent map: (device, block) -> where its bytes are, at 4 KiB granularity. The volume has two of
 * them with one leaf structure: the *base map* (the state at the commit point: EMAP_FRAME, and
 * EMAP_ZERO where older runs may say otherwise) and the *overlay* (all that is acknowledged beyond
 * it: the other kinds, and EMAP_FRAME from segments that were replayed).
 *
 * A leaf covers EMAP_LEAF_BLOCKS blocks (4 MiB) and holds a sorted array of extents; leaves hang in
 * a radix tree per device, so a range costs what it touches and not what it spans. No extent
 * crosses a leaf.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_EMAP_H
#define VOLUME_EMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMAP_LEAF_SHIFT		10
#define EMAP_LEAF_BLOCKS	(1u << EMAP_LEAF_SHIFT)

enum emap_kind {
	EMAP_ZERO,	/* reads as zero */
	EMAP_PAGE,	/* in the arena's data region */
	EMAP_FRAME,	/* in a frame of a segment */
	EMAP_JOURNAL,	/* in the journal's ring */
	EMAP_LOST,	/* base map: what is there stood in a part of a run that is damaged */
};

/**
 * struct emap_ext - one extent
 * @start:	first block within the leaf
 * @nblocks:	1..EMAP_LEAF_BLOCKS
 * @kind:	enum emap_kind
 * @delta:	FRAME: block of the frame that @start is
 * @fblocks:	FRAME: blocks in the whole frame
 * @codec:	FRAME: as in the segment's table
 * @owner:	overlay: id of the batch; base map, FRAME: index in the segment table
 * @pos:	PAGE: page of the data region; JOURNAL: block of the ring; FRAME: byte offset of the
 *      	frame in its object
 * @stored:	FRAME: bytes of the frame in the object
 * @seg:	overlay, FRAME: index in the segment table
 * @wno:	sequence number of the write that made it
 */
struct emap_ext {
	uint16_t start;
	uint16_t nblocks;
	uint8_t kind;
	uint8_t delta;
	uint8_t fblocks;
	uint8_t codec;
	uint32_t owner;
	uint32_t pos;
	uint32_t stored;
	uint32_t seg;
	uint64_t wno;
};

_Static_assert(sizeof(struct emap_ext) == 32, "extents make up most of the memory of a map");

/*
 * Invariants of a leaf (emap_check()):
 *  E1 ext[] is sorted by start and no two overlap; none is empty, none ends beyond the leaf.
 *  E2 nr <= cap; a map that does not keep empty leaves has none.
 *  E3 FRAME: delta + nblocks <= fblocks.
 *  E4 the map's counters (extents, blocks, bytes) are the sums over its leaves.
 */
struct emap_leaf {
	uint32_t nr, cap;
	/* overlay: the batch that last listed this leaf; base: the checkpoint for which it was */
	uint32_t mark;
	struct emap_ext ext[];
};

struct emap_node;

struct emap_dev {
	uint32_t id;
	uint32_t height;		/* levels of nodes above the leaves */
	uint64_t nblocks;
	struct emap_node *root;
};

/* Called for every piece that leaves the map, cut to what leaves. */
typedef void emap_drop_fn(void *ctx, const struct emap_ext *piece);

struct emap {
	struct emap_dev *devs;		/* sorted by id */
	uint32_t nr_devs;
	uint64_t extents;
	uint64_t blocks;		/* in PAGE and FRAME extents */
	uint64_t bytes;			/* heap memory */
	/* leaves stay when they are empty: that a leaf is there says that all is known of it */
	bool keep;
	emap_drop_fn *drop;		/* NULL: nobody wants to know */
	void *drop_ctx;
};

void emap_init(struct emap *m, emap_drop_fn *drop, void *ctx);
void emap_free(struct emap *m);		/* the map may be init'ed again */

/* -ENOMEM, -EEXIST. Ids may come in any order. */
int emap_add_dev(struct emap *m, uint32_t id, uint64_t nblocks);
struct emap_dev *emap_dev(struct emap *m, uint32_t id);	/* NULL: unknown */

/*
 * Makes sure that one emap_set() or emap_punch() anywhere inside the range cannot fail. @fresh:
 * leaves that do not exist yet are made too (emap_set() needs them). -ENOMEM.
 */
int emap_reserve(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n, bool fresh);

/* After an emap_reserve() that failed or was not used: frees the leaves that it made. */
void emap_unreserve(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n);

/*
 * Replaces [lba, lba + e->nblocks), which lies within one leaf, by *e (start is set here). The
 * room has been reserved.
 */
void emap_set(struct emap *m, struct emap_dev *d, uint64_t lba, const struct emap_ext *e);

/* Removes [lba, lba + n), any number of leaves. The room has been reserved (@fresh false). */
void emap_punch(struct emap *m, struct emap_dev *d, uint64_t lba, uint64_t n);

/*
 * What is at @lba: true and the piece from @lba on, cut to @n blocks; or false and in ret->nblocks
 * the number of blocks, up to @n, that are not in the map. Never looks past the leaf.
 */
bool emap_find(struct emap_dev *d, uint64_t lba, uint32_t n, struct emap_ext *ret);

/* The leaf @no, or NULL. Valid until the map changes. */
struct emap_leaf *emap_leaf(struct emap_dev *d, uint64_t no);

/* The first leaf with a number >= *no, and its number in *no; NULL: none. */
struct emap_leaf *emap_next_leaf(struct emap_dev *d, uint64_t *no);

/* Removes the extents of leaf @no that belong to @owner, without the drop callback. */
void emap_purge_owner(struct emap *m, struct emap_dev *d, uint64_t no, uint32_t owner);

/*
 * The pages of write @wno of batch @owner over [lba, lba + n) lie in the ring from block @pos on:
 * those PAGE extents that are left of it become JOURNAL.
 */
void emap_to_journal(struct emap_dev *d, uint64_t lba, uint32_t n, uint32_t owner, uint64_t wno,
		     uint32_t pos);

/* Removes the EMAP_ZERO extents of leaf @no that are of @wno or older, without the callback. */
void emap_purge_zero(struct emap *m, struct emap_dev *d, uint64_t no, uint64_t wno);

/* Gives back the room of leaf @no that it does not need. */
void emap_shrink(struct emap *m, struct emap_dev *d, uint64_t no);

/*
 * Leaf @no of @from, which has it, becomes m's, which does not have it, with all that is in it.
 * -ENOMEM: nothing has happened.
 */
int emap_graft(struct emap *m, struct emap_dev *d, struct emap *from, struct emap_dev *from_d,
	       uint64_t no);

/* Cuts *e down to the @n blocks from its @skip-th on. */
void emap_cut(struct emap_ext *e, uint32_t skip, uint32_t n);

/* 0, or the number of the invariant that does not hold. For tests. */
int emap_check(struct emap *m);

#endif
