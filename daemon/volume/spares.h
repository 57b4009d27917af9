/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of sealed chunks that have gone to the store, kept for the next ones. What a worker writes
 * into memory that is new costs a page fault every 4 KiB.
 *
 * Threads: core lock.
 */
#ifndef VOLUME_SPARES_H
#define VOLUME_SPARES_H

#include <stddef.h>
#include <stdint.h>

/* As much as is on its way to a store at once. */
#define SPARES_MAX 256u

struct spares {
	void *mem[SPARES_MAX];
	size_t len[SPARES_MAX];
	uint32_t nr;
	uint64_t bytes; /* of all */
};

/* The one put by last, malloc'ed, to be resized and freed by the caller; NULL: there is none. */
void *spares_take(struct spares *s);

/* Takes malloc'ed @mem (may be NULL) of @len bytes; frees it if there is no place. */
void spares_give(struct spares *s, void *mem, size_t len);

/* Frees as many as make @bytes at most of what is left. */
void spares_shrink(struct spares *s, uint64_t bytes);

#endif
