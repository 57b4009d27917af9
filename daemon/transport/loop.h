/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop: a transport inside the process. Client threads take the kernel's part: they copy what they
 * write into the arena, bump-allocated from posted extents per queue as zerofs.ko does, and copy
 * out what they read.
 *
 * Lock order: a queue's lock (clients only) before the core lock.
 */
#ifndef TRANSPORT_LOOP_H
#define TRANSPORT_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "io.h"

struct core;
struct loop;
struct sink;

/**
 * struct loop_req - one request of a client; the memory is the client's until loop_wait() has
 * returned
 * @op:		enum io_op
 * @flags:	IO_F_*
 * @dev:	device id
 * @lba:	first block
 * @nblocks:	length in blocks
 * @data:	READ: where to; WRITE: what (free again after loop_submit())
 * @res:	out: 0 or -errno; -ESHUTDOWN: loop_stop() or loop_abandon() came first
 * @wno:	out, as in io_req
 * @dur:	out, as in io_req
 */
struct loop_req {
	uint8_t op;
	uint8_t flags;
	uint32_t dev;
	uint64_t lba;
	uint32_t nblocks;
	void *data;
	int res;
	uint64_t wno;
	uint64_t dur;
	/* The rest is the transport's. */
	struct io_req io;
	struct io_seg segs[IO_MAX_BLOCKS];
	struct loop *loop;
	struct list_head link;
	pthread_cond_t *waiter;
	bool finished;
};

/* @data: the arena's data region, @len bytes. 0 or -ENOMEM. */
int loop_new(struct loop **ret, struct core *core, const struct sink *sink, void *data,
	     uint64_t len, uint32_t nr_queues);

/* A free write extent. Core lock held. */
void loop_post_buf(struct loop *l, uint32_t id, uint64_t off, uint32_t len);

/*
 * Hands @q over through @queue; a WRITE may wait for an extent, and who submits the only request in
 * flight may be lent (base/core.h). Any thread, without the core lock.
 */
void loop_submit(struct loop *l, uint32_t queue, struct loop_req *q);

/*
 * Waits until @q has ended, copies what a READ found, and returns @q->res. Any thread, without the
 * core lock.
 */
int loop_wait(struct loop_req *q);

/* Both. */
int loop_io(struct loop *l, uint32_t queue, struct loop_req *q);

/*
 * Nothing new is taken: it ends with -ESHUTDOWN. What the sink holds goes on. Without the core
 * lock.
 */
void loop_stop(struct loop *l);

/*
 * After loop_stop(), when the sink is gone and will never call done(): whatever it held ends with
 * -ESHUTDOWN. This is the daemon's death as clients see it. Without the core lock.
 */
void loop_abandon(struct loop *l);

/* Requests that the sink holds. Core lock held. */
uint32_t loop_inflight(const struct loop *l);

/* When no client is in a call, and nothing is in flight or all was abandoned. NULL does nothing. */
void loop_free(struct loop *l);

#endif
