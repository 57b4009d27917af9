/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings blocks that lie only in the journal's ring into the cache, a record at a time. Threads:
 * core lock.
 */
#ifndef VOLUME_JFETCH_H
#define VOLUME_JFETCH_H

#include <stdint.h>

struct cache_ent;
struct volume;

/*
 * The cache's key of the ring's block at position @pos: positions never come again, so what a lap
 * has left in the cache is not taken for what the next one writes there.
 */
#define JFETCH_SEG(pos)		(0x80000000u | (uint32_t)((pos) >> 44))
#define JFETCH_POS(pos)		((uint32_t)((pos) >> 12))

/* One block; @ent is LOADING and has a page. */
struct jfetch_block {
	struct cache_ent *ent;
	uint64_t pos;
};

/* Plans the reads of @n blocks. They start at jfetch_pump(). -ENOMEM: nothing is planned. */
int jfetch_prepare(struct volume *v, const struct jfetch_block *blocks, uint32_t n);

/* Takes back what the last jfetch_prepare() planned; none of it has started. */
void jfetch_unprepare(struct volume *v, const struct jfetch_block *blocks, uint32_t n);

/* Starts planned reads as far as memory allows. */
void jfetch_pump(struct volume *v);

/* As fetch_free_all(). Nothing is under way. */
void jfetch_free_all(struct volume *v);

#endif
