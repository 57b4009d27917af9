/* SPDX-License-Identifier: GPL-2.0-or-later */
/* READ: overlay, base map, cache; answered with addresses in the arena. Threads: core lock. */
#ifndef VOLUME_READ_H
#define VOLUME_READ_H

struct cache_ent;
struct io_req;
struct list_head;
struct volume;

/* Takes a checked READ: answered at once, or when its frames are there. */
void read_submit(struct volume *v, struct io_req *io);

/* Gives back what a finished READ holds. */
void read_release(struct volume *v, struct io_req *io);

/* A LOADING entry is READY now (@err 0), or FAILED: tells the READs that wait for it. */
void read_loaded(struct volume *v, struct cache_ent *e, int err);

/* Frees what the READs that wait for a LOADING entry have allocated; they are never answered. */
void read_forget(struct cache_ent *e);

/* Takes up READs that wait for room in the cache, in order. */
void read_resume(struct volume *v);

/* READs that hold nothing end with @err. */
void read_fail_list(struct list_head *reads, int err);

#endif
