/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM cache of decoded frames. Its memory is the last part of the arena's data region, so that a
 * READ is answered with addresses and the kernel makes the only copy. Memory is cut into slabs of
 * CACHE_SLAB_PAGES pages; a slab belongs to one class and holds slots of a power of two of pages.
 * Eviction is CLOCK within the class; a slab moves to another class when that class needs it.
 *
 * Threads: core lock. Only a LOADING entry's bytes are written by others (one worker).
 */
#ifndef VOLUME_CACHE_H
#define VOLUME_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define CACHE_SLAB_PAGES	32u	/* the largest frame the format knows: 128 KiB */
#define CACHE_CLASSES		6u	/* 1, 2, 4 .. 32 pages */

/*
 *        cache_new()           cache_ready()
 *  FREE ------------> LOADING ---------------> READY
 *   ^                    | cache_failed()        |
 *   |   last unpin       v                       |
 *   +---------------- FAILED                     |
 *   +--------------------------------------------+  evicted: unpinned and not referenced lately
 */
enum cache_state {
	CACHE_FREE,
	CACHE_LOADING,
	CACHE_READY,
	CACHE_FAILED,
};

/*
 * Invariants (cache_check()):
 *  C1 LOADING and READY entries are in the hash once, others are not.
 *  C2 FREE entries are on their class's free list and have no pin and no waiter.
 *  C3 READY entries have no waiter.
 *  C4 no two entries share a page.
 *  C5 no more than a quarter of all slots is LOADING for nobody, and that is what ahead_loading
 *  says.
 */
struct cache_ent {
	uint32_t seg;			/* key: index in the segment table ... */
	uint32_t pos;			/* ... and byte offset of the frame in its object */
	uint32_t pins;
	uint8_t state;			/* enum cache_state */
	uint8_t ref;			/* touched since the hand came by */
	uint16_t no;			/* within the slab */
	bool ahead;			/* read ahead, and nobody has asked for it yet */
	struct cache_slab *slab;
	struct cache_ent *next;		/* in the hash chain */
	struct list_head link;		/* FREE: in the class's list */
	struct list_head waiters;	/* LOADING: the reader's */
	void *priv;			/* LOADING: the fetcher's */
};

struct cache_slab {
	struct list_head link;		/* in the class's list, or in cache.empty */
	uint64_t off;			/* in the arena's data region */
	uint8_t cls;
	uint16_t nr, used;		/* slots; not FREE */
	struct cache_ent *ents;		/* NULL: of no class */
};

struct cache_class {
	struct list_head slabs, free;
	uint32_t nr_slabs;
	struct cache_slab *hand;
	uint32_t hand_no;
	uint32_t evictions;
};

struct cache {
	uint64_t off;			/* first byte in the arena's data region */
	uint32_t nr_slabs;
	struct cache_slab *slabs;
	struct list_head empty;
	struct cache_class cls[CACHE_CLASSES];
	uint32_t turn;			/* whose slabs are looked at for cold ones */
	struct cache_ent **hash;
	uint32_t hash_mask;
	uint64_t used_bytes;		/* in READY entries */
	uint64_t evictions;
	uint64_t ahead_bytes, ahead_used; /* of slots: read ahead; asked for then */
	uint64_t ahead_loading;		/* ... that are LOADING, and nobody has asked for yet */
	uint64_t heap_bytes;
};

/* @off and @len: bytes of the arena's data region. -ENOMEM. */
int cache_init(struct cache *c, uint64_t off, uint64_t len);
void cache_free(struct cache *c);

/* The LOADING or READY entry of a frame, marked as touched; NULL: none. */
struct cache_ent *cache_find(struct cache *c, uint32_t seg, uint32_t pos);

/* The same, and nobody is told that it was asked for. */
struct cache_ent *cache_peek(struct cache *c, uint32_t seg, uint32_t pos);

/*
 * A new LOADING entry with one pin and room for @pages pages; the frame is not in the cache.
 * NULL: every slot that could be had is pinned or loading.
 */
struct cache_ent *cache_new(struct cache *c, uint32_t seg, uint32_t pos, uint32_t pages);

/*
 * The same without a pin, for a frame that nobody has asked for yet: the hand spares it once, so
 * that it outlives what was read before it, and after the first who asks it is as any other. NULL
 * also when a quarter of all slots is LOADING for nobody.
 */
struct cache_ent *cache_new_ahead(struct cache *c, uint32_t seg, uint32_t pos, uint32_t pages);

/* LOADING -> READY. The caller has taken all waiters off. */
void cache_ready(struct cache *c, struct cache_ent *e);

/* LOADING -> FAILED: out of the hash at once, free when the last pin goes. */
void cache_failed(struct cache *c, struct cache_ent *e);

void cache_pin(struct cache_ent *e);
void cache_unpin(struct cache *c, struct cache_ent *e);

/* Where the entry's bytes are in the arena's data region. */
uint64_t cache_off(const struct cache_ent *e);

/* The entry that owns byte @off of the data region; @off lies in the cache. */
struct cache_ent *cache_at(struct cache *c, uint64_t off);

/* 0, or the number of the invariant that does not hold. For tests. */
int cache_check(struct cache *c);

#endif
