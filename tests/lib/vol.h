/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A world for a volume: time that stands until told, a local disk of one file, work that runs when
 * told, a network before a store in memory, and as much of a kernel as allocates from write
 * extents. One thread, everything from one seed.
 */
#ifndef VOL_WORLD_H
#define VOL_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/inline.h"
#include "io.h"
#include "lib/model.h"
#include "lib/net.h"
#include "volume/volume.h"

#define VOL_QUEUES	4u
#define VOL_MAX_POSTS	1024u

struct jdisk;
struct vol_io;

struct vol_post {
	uint64_t at, end;
};

struct vol {
	struct clock clock;
	uint64_t now;
	struct disk disk;
	uint8_t file[256];
	size_t file_len;		/* 0: there is none */
	int disk_err;			/* writes of it fail so (0 = not) */
	struct inline_exec exec;
	struct store *mem;
	struct net net;
	struct jdisk *jdisk;		/* NULL: no journal */
	bool own_jdisk;
	struct keyring *kr;
	bool own_kr;
	struct volume_env env;
	struct volume_opts opts;
	struct volume *v;
	bool untold;			/* vol_attach() leaves volume_resumed() to the test */
	struct volume_recovery rec;
	void *arena;
	uint64_t arena_len, data_off;
	struct vol_post posts[VOL_MAX_POSTS];
	uint32_t nr_posts;
	struct vol_post cur[VOL_QUEUES];
	bool superseded;
	bool check;			/* volume_check() after each step */
	/* wait() ends with -EINTR after so many steps (0 = never) */
	uint32_t stop_after;
	unsigned int notices;
	char notice[512];		/* the last one */
	uint32_t pending;		/* requests not answered yet */
	uint32_t acked;			/* the model's: highest operation answered */
	uint32_t durable;		/* ... answered by a FLUSH or as FUA */
	unsigned int failed;		/* requests answered with an error */
	bool own_mem;
	bool keep_arena;		/* a fresh one may be in the memory of one before */
	struct list_head ios;		/* self-freeing requests not answered yet */
	struct vol *beside;		/* another world that goes on while this one waits */
	/* instead of vol_step() where this file waits; false: nothing will ever happen */
	bool (*step)(struct vol *w);
	void (*answered)(struct vol_io *x);	/* before a request is forgotten */
};

/* One request of the kernel's. */
struct vol_io {
	struct io_req io;
	struct io_seg segs[IO_MAX_BLOCKS];
	struct vol *w;
	struct list_head link;
	bool done, heap;
	/* the model's number; FLUSH: the highest that it covers; 0 = none */
	uint32_t op;
};

/* A formatted volume of @nr_devs devices in a world of its own, not attached. */
void vol_init(struct vol *w, uint64_t seed, uint32_t nr_devs, uint64_t dev_size);

/* A world with a copy of @from's store (and its keys, which @from must outlive); nothing local. */
void vol_clone(struct vol *w, struct vol *from);
/* A second host: the same store, everything else of its own. @from outlives it. */
void vol_share(struct vol *w, struct vol *from);
void vol_end(struct vol *w);		/* the volume, if any, is killed */

/*
 * Gives the world a journal on a disk of @size bytes, as 'zerofs journal create' makes it; flushes
 * are answered by it.
 */
void vol_journal(struct vol *w, uint64_t size);

/* New volume on the store. @adopt: the arena that is there is handed on. As volume_recover(). */
int vol_attach(struct vol *w, bool adopt);

/* The daemon dies; what is under way reaches the store or not. The arena stays. */
void vol_kill(struct vol *w);
/* The power goes: as vol_kill(), and the arena is gone. */
void vol_cut(struct vol *w);
int vol_detach(struct vol *w);		/* clean, and frees it */

/*
 * One thing that can happen happens; time moves only if nothing else can. False: nothing will ever
 * happen.
 */
bool vol_step(struct vol *w);
void vol_settle(struct vol *w);		/* steps while something can happen without time */
void vol_advance(struct vol *w, uint64_t us);

/* Submits; the answer comes with later steps. A WRITE's bytes are made by model_fill() with @op. */
void vol_submit(struct vol_io *x, struct vol *w, uint8_t io_op, uint8_t flags, uint32_t dev,
		uint64_t lba, uint32_t nblocks, uint32_t op);
struct vol_io *vol_io_new(void);	/* one that frees itself when it is answered */
int vol_wait(struct vol_io *x);		/* until it is answered; its res */

/* Submit and wait. READ: the bytes into @buf, and release. */
int vol_write(struct vol *w, uint32_t dev, uint64_t lba, uint32_t nblocks, uint32_t op);
int vol_read(struct vol *w, uint32_t dev, uint64_t lba, uint32_t nblocks, void *buf);
int vol_flush(struct vol *w);

/*
 * Reads every block: stamps as model_prefix() takes them (malloc'ed). Fails the test on a read
 * error.
 */
uint32_t *vol_stamps(struct vol *w, const struct model *m);

/*
 * Asserts that the volume holds a prefix of at least @min and at most @max operations; returns it.
 */
uint32_t vol_assert_prefix(struct vol *w, const struct model *m, uint32_t min, uint32_t max);

/* Asserts the same of what another host would find in the store now. */
uint32_t vol_assert_store(struct vol *w, const struct model *m, uint32_t min, uint32_t max);

#endif
