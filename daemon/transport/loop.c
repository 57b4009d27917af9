// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/core.h"
#include "transport/sink.h"

struct loop_extent {
	uint64_t off;
	uint32_t len;
	uint32_t id;
};

struct loop_queue {
	pthread_mutex_t lock; /* allocation order is submission order */
	uint64_t at, end; /* of the extent in use */
};

struct loop {
	struct core *core;
	const struct sink *sink;
	unsigned char *data;
	uint64_t len;
	uint32_t nr_queues;
	struct loop_queue *queues;

	/* Guarded by the core lock. */
	struct loop_extent *posted; /* a ring of nr_posted_max */
	uint32_t nr_posted_max;
	uint32_t head, tail;
	pthread_cond_t room; /* an extent was posted, or the end has come */
	struct list_head waiting; /* loop_reqs in loop_wait() */
	uint32_t inflight;
	bool stopped;
	bool abandoned;
};

int loop_new(struct loop **ret, struct core *core, const struct sink *sink, void *data,
	     uint64_t len, uint32_t nr_queues)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->core = core;
	l->sink = sink;
	l->data = data;
	l->len = len;
	l->nr_queues = nr_queues;
	l->nr_posted_max = (uint32_t)(len / IO_BLOCK_SIZE);
	list_init(&l->waiting);
	l->queues = calloc(nr_queues, sizeof(*l->queues));
	l->posted = calloc(l->nr_posted_max, sizeof(*l->posted));
	if (!l->queues || !l->posted || core_cond_init(&l->room)) {
		free(l->queues);
		free(l->posted);
		free(l);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr_queues; i++)
		pthread_mutex_init(&l->queues[i].lock, NULL);
	*ret = l;
	return 0;
}

void loop_post_buf(struct loop *l, uint32_t id, uint64_t off, uint32_t len)
{
	assert(core_held(l->core));
	assert(l->tail - l->head < l->nr_posted_max);
	assert(off <= l->len && len <= l->len - off);
	l->posted[l->tail++ % l->nr_posted_max] = (struct loop_extent){ off, len, id };
	pthread_cond_broadcast(&l->room);
}

/*
 * Core and queue lock held. Room for @bytes in one piece, or -ESHUTDOWN; waits for an extent to be
 * posted.
 */
static int room(struct loop *l, struct loop_queue *lq, uint32_t bytes, uint64_t *ret)
{
	while (!l->stopped && lq->end - lq->at < bytes) {
		struct loop_extent *e = &l->posted[l->head % l->nr_posted_max];

		if (l->head == l->tail) {
			l->sink->starved(l->sink->ctx);
			if (l->head == l->tail)
				core_wait_on(l->core, &l->room, UINT64_MAX);
			continue;
		}
		l->head++;
		lq->at = e->off;
		lq->end = e->off + e->len;
	}
	if (l->stopped)
		return -ESHUTDOWN;
	*ret = lq->at;
	lq->at += bytes;
	return 0;
}

static void loop_done(struct io_req *io)
{
	struct loop_req *q = container_of(io, struct loop_req, io);
	struct loop *l = q->loop;

	assert(core_held(l->core));
	assert(l->inflight > 0);
	l->inflight--;
	q->finished = true;
	if (q->waiter)
		pthread_cond_signal(q->waiter);
}

void loop_submit(struct loop *l, uint32_t queue, struct loop_req *q)
{
	struct loop_queue *lq = &l->queues[queue % l->nr_queues];
	uint64_t buf = 0;

	q->loop = l;
	q->finished = false;
	q->waiter = NULL;
	q->io = (struct io_req){
		.op = q->op,
		.flags = q->flags,
		.dev = q->dev,
		.queue = queue % l->nr_queues,
		.lba = q->lba,
		.nblocks = q->nblocks,
		.segs = q->segs,
		.done = loop_done,
	};
	pthread_mutex_lock(&lq->lock);
	core_lock(l->core);
	q->io.res = l->stopped ? -ESHUTDOWN : 0;
	if (!q->io.res && q->op == IO_WRITE) {
		q->io.res = room(l, lq, q->nblocks << IO_BLOCK_SHIFT, &buf);
		if (!q->io.res) {
			core_unlock(l->core);
			memcpy(l->data + buf, q->data, (size_t)q->nblocks << IO_BLOCK_SHIFT);
			q->io.buf = buf;
			core_lock(l->core);
		}
	}
	if (!q->io.res && l->stopped)
		q->io.res = -ESHUTDOWN;
	if (q->io.res) {
		q->finished = true;
	} else {
		l->inflight++;
		l->sink->submit(l->sink->ctx, &q->io);
	}
	pthread_mutex_unlock(&lq->lock);
	/* as a queue's thread does for the only request of its queue (ring.c) */
	if (l->inflight == 1)
		core_unlock_lend(l->core);
	else
		core_unlock(l->core);
}

/* Core lock held. */
static void sleep_until_finished(struct loop *l, struct loop_req *q)
{
	pthread_cond_t cond;

	core_cond_init(&cond);
	q->waiter = &cond;
	list_add_tail(&q->link, &l->waiting);
	while (!q->finished && !l->abandoned)
		core_wait_on(l->core, &cond, UINT64_MAX);
	list_del(&q->link);
	q->waiter = NULL;
	pthread_cond_destroy(&cond);
}

int loop_wait(struct loop_req *q)
{
	struct loop *l = q->loop;
	struct io_req *io = &q->io;
	bool copy;

	core_lock(l->core);
	if (!q->finished && !l->abandoned)
		sleep_until_finished(l, q);
	if (l->abandoned) {
		core_unlock(l->core);
		q->res = -ESHUTDOWN;
		return q->res;
	}
	q->res = io->res;
	q->wno = io->wno;
	q->dur = io->dur;
	copy = io->op == IO_READ && !io->res;
	core_unlock(l->core);
	if (!copy)
		return q->res;

	unsigned char *to = q->data;

	for (uint32_t i = 0; i < io->nsegs; i++) {
		memcpy(to, l->data + q->segs[i].off, q->segs[i].len);
		to += q->segs[i].len;
	}
	assert(to == (unsigned char *)q->data + ((size_t)q->nblocks << IO_BLOCK_SHIFT));
	core_lock(l->core);
	if (!l->abandoned)
		l->sink->release(l->sink->ctx, io);
	core_unlock(l->core);
	return 0;
}

int loop_io(struct loop *l, uint32_t queue, struct loop_req *q)
{
	loop_submit(l, queue, q);
	return loop_wait(q);
}

void loop_stop(struct loop *l)
{
	core_lock(l->core);
	l->stopped = true;
	pthread_cond_broadcast(&l->room);
	core_unlock(l->core);
}

void loop_abandon(struct loop *l)
{
	struct loop_req *q;

	core_lock(l->core);
	assert(l->stopped);
	l->abandoned = true;
	list_for_each_entry(q, &l->waiting, link)
		pthread_cond_signal(q->waiter);
	core_unlock(l->core);
}

uint32_t loop_inflight(const struct loop *l)
{
	assert(core_held(l->core));
	return l->inflight;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (uint32_t i = 0; i < l->nr_queues; i++)
		pthread_mutex_destroy(&l->queues[i].lock);
	pthread_cond_destroy(&l->room);
	free(l->queues);
	free(l->posted);
	free(l);
}
