/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * arena: the daemon's memory, pinned. The only place where bytes move between a bio and it.
 */
#ifndef _ZEROFS_ARENA_H
#define _ZEROFS_ARENA_H

#include <linux/bvec.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "ring.h"

struct bio;
struct file;
struct request;

struct zerofs_arena {
	struct file *file;		/* kept: the only way to map these pages again */
	u64 offset;			/* of the region in the file */
	u64 length;
	struct page **pages;
	unsigned long nr_pages;
	u64 attach_gen;
	bool live;			/* the session was LIVE with it: acked data may lie here */
	bool broken;			/* the BUF ring lied; under lock */
	bool starved;			/* a write waits for a BUF */
	spinlock_t lock;		/* bufs, broken */
	struct zerofs_bufs *bufs;	/* the attach's, which outlives us */
};

/* A queue's current write extent. Under the queue's submit lock. */
struct zerofs_extent {
	u64 pos, end;			/* arena offsets; equal: nothing left */
	u32 id;
	bool open;
	bool used;			/* something was allocated from it */
};

/*
 * Pins [@address, @address + @length) of the caller, which must be the shared mapping of @file (a
 * shmem file sealed against shrinking) at @offset. Takes its own reference to @file.
 * -EINVAL: not that; -ENOMEM, -EFAULT. May sleep. On success *@ret is to be freed.
 */
int zerofs_arena_pin(struct file *file, u64 offset, u64 address, u64 length,
		     struct zerofs_arena **ret);
void zerofs_arena_free(struct zerofs_arena *arena);

/*
 * Room for @len bytes of a write, in publish order: from @ext, else from a newly taken BUF.
 * -EAGAIN: none is posted; the arena is marked starved and whoever posts one restarts the queues.
 * -EPROTO: a BUF was not what the contract says. Submit lock; neither sleeps nor allocates.
 */
int zerofs_arena_alloc(struct zerofs_arena *arena, struct zerofs_extent *ext, u32 len, u64 *ret);

/* Takes one posted BUF back: 1, 0 if there is none, -EPROTO. */
int zerofs_arena_recall(struct zerofs_arena *arena, u32 *ret_id);

/* Whether starved writes can go on; if so they must be restarted, now. */
bool zerofs_arena_unstarve(struct zerofs_arena *arena);

/* Whether [@off, @off + @len) lies in the arena. */
static inline bool zerofs_arena_has(const struct zerofs_arena *arena, u64 off, u64 len)
{
	return len <= arena->length && off <= arena->length - len;
}

/* Where a copy out of the arena stands in a request's data. */
struct zerofs_cursor {
	struct bio *bio;
	struct bvec_iter iter;
};

/* A write's @len bytes, all of them, to @off. Needs zerofs_arena_has(). Any context. */
void zerofs_arena_copy_in(struct zerofs_arena *arena, u64 off, u32 len, struct request *rq);
/* Starts at a read's first byte. */
void zerofs_arena_rewind(struct zerofs_cursor *cur, struct request *rq);
/* The next @len bytes of a read from @off; the request has as many left. Any context. */
void zerofs_arena_copy_out(struct zerofs_arena *arena, u64 off, u32 len,
			   struct zerofs_cursor *cur);

#endif
