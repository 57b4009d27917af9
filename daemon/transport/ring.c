// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: see ring.h. A request is in one of these places:
 *
 *	free --REQ--> in flight --done()--> [backlog] --RSP--> answered --reaped--> free
 *
 * "backlog" only while the RSP or SEG ring is full. "answered" only READs that succeeded: they hold
 * the cache's bytes until the kernel has copied them; everything else is free once its RSP is
 * written. There are twice as many as the queue is deep, so that all tags can be under way while as
 * many READs wait to be reaped.
 *
 * Failure modes: the kernel declares the queue dead (ENTER: -ESHUTDOWN, -EPROTO): nothing is copied
 * from then on, so what was answered is given back at once, and what is in flight when it
 * completes. A REQ that makes no sense (the ring is the kernel's, read-only to us, but we do not
 * trust it) is answered with -EIO and never reaches the volume.
 */
#include "transport/ring.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/core.h"
#include "base/list.h"
#include "io.h"
#include "transport/kdev.h"
#include "transport/sink.h"

#define RING_BATCH 64u /* requests submitted in one section under the core lock */
#define RING_RELEASE_US \
	2000u /* a READ's bytes are given back at most so long after an idle queue copied them */
#define RING_SIGNAL SIGUSR1 /* interrupts ENTER; does nothing else */

struct ring_io {
	struct io_req io; /* io.link: on one of the ring's lists, except while in flight */
	struct ring *ring;
	uint32_t gen;
	uint32_t rsp_at; /* answered: the index of its RSP */
	uint16_t tag;
	bool holds; /* a READ that ended with 0: the sink waits for release() */
};

struct ring {
	struct core *core;
	const struct sink *sink;
	struct ring_conf conf;
	struct kdev_queue q;
	struct core_kick kick;
	pthread_t thread;
	bool started;
	bool stop; /* atomic */
	bool ended; /* atomic: the thread is past its loop */

	/* Guarded by the core lock. */
	bool busy; /* the thread is in a section that an ENTER of its own will follow */
	bool dead; /* the kernel reads no more answers */
	struct list_head free;
	uint32_t nr_free;
	struct list_head backlog;
	struct list_head answered; /* in the order of their RSPs */
	uint32_t inflight;
	uint64_t rejected;
	uint64_t ring_full;
	bool backlogged; /* atomic copy of !list_empty(&backlog) */

	struct ring_io *ios;
	struct io_seg *segs;
};

static void ignore_signal(int sig)
{
	(void)sig;
}

static struct ring_io *to_rio(struct io_req *io)
{
	return container_of(io, struct ring_io, io);
}

/* ---- answers (core lock held) ------------------------------------------------------------ */

static void set_backlogged(struct ring *r)
{
	__atomic_store_n(&r->backlogged, !list_empty(&r->backlog), __ATOMIC_RELAXED);
}

static void give_back(struct ring *r, struct ring_io *rio)
{
	if (rio->holds)
		r->sink->release(r->sink->ctx, &rio->io);
	rio->holds = false;
	list_add(&rio->io.link, &r->free);
	r->nr_free++;
}

/* Writes the RSP. -EAGAIN: no room. */
static int answer(struct ring *r, struct ring_io *rio)
{
	struct zerofs_seg segs[IO_MAX_BLOCKS];
	struct zerofs_rsp rsp = {
		.tag = rio->tag,
		.res = rio->io.res,
		.gen = rio->gen,
	};
	uint32_t at = r->q.rsp_tail;
	int rc;

	if (rio->holds && rio->io.res == 0) {
		rsp.res = (int32_t)(rio->io.nblocks << IO_BLOCK_SHIFT);
		if (rio->io.nsegs == 1) {
			rsp.buf = rio->io.segs[0].off;
		} else {
			for (uint32_t i = 0; i < rio->io.nsegs; i++)
				segs[i] = (struct zerofs_seg){ rio->io.segs[i].off,
							       rio->io.segs[i].len, 0 };
			rsp.nseg = rio->io.nsegs;
		}
	} else if (!rio->io.res) {
		/*
		 * Only these say something about numbers; the kernel takes anything else for a
		 * fault.
		 */
		rsp.wno = rio->io.op == IO_FLUSH ? 0 : rio->io.wno;
		rsp.dur = rio->io.op == IO_FLUSH || rio->io.flags & IO_F_FUA ? rio->io.dur : 0;
	}
	rc = kdev_queue_push(&r->q, &rsp, segs);
	if (rc)
		return rc;
	rio->rsp_at = at;
	if (rio->holds)
		list_add_tail(&rio->io.link, &r->answered);
	else
		give_back(r, rio);
	if (!r->busy)
		core_kick(r->core, &r->kick);
	return 0;
}

/*
 * The pieces of a READ make up all of it: the kernel must never be told to copy what nobody meant.
 */
static bool segs_whole(const struct io_req *io)
{
	uint64_t sum = 0;

	if (!io->nsegs || io->nsegs > IO_MAX_BLOCKS)
		return false;
	for (uint32_t i = 0; i < io->nsegs; i++)
		sum += io->segs[i].len;
	return sum == (uint64_t)io->nblocks << IO_BLOCK_SHIFT;
}

static void ring_done(struct io_req *io)
{
	struct ring_io *rio = to_rio(io);
	struct ring *r = rio->ring;

	assert(core_held(r->core));
	assert(r->inflight > 0);
	r->inflight--;
	rio->holds = io->op == IO_READ && !io->res;
	if (rio->holds && !segs_whole(io))
		io->res = -EIO;
	if (r->dead) {
		give_back(r, rio);
		return;
	}
	if (list_empty(&r->backlog) && !answer(r, rio))
		return;
	r->ring_full++;
	list_add_tail(&io->link, &r->backlog);
	set_backlogged(r);
	if (!r->busy)
		core_kick(r->core, &r->kick);
}

/* Gives back READs that the kernel has copied. */
static void release_reaped(struct ring *r)
{
	uint32_t reaped = kdev_queue_reaped(&r->q);

	while (!list_empty(&r->answered)) {
		struct ring_io *rio = to_rio(list_first_entry(&r->answered, struct io_req, link));

		if (!r->dead && (int32_t)(reaped - rio->rsp_at) <= 0)
			break;
		list_del(&rio->io.link);
		give_back(r, rio);
	}
}

/* Writes what had to wait for room. Returns how many. */
static uint32_t flush_backlog(struct ring *r)
{
	uint32_t n = 0;

	while (!list_empty(&r->backlog)) {
		struct ring_io *rio = to_rio(list_first_entry(&r->backlog, struct io_req, link));

		list_del(&rio->io.link);
		if (r->dead) {
			give_back(r, rio);
		} else if (answer(r, rio)) {
			list_add(&rio->io.link, &r->backlog);
			break;
		}
		n++;
	}
	set_backlogged(r);
	return n;
}

/* The kernel has said that the queue is dead: it copies nothing from here on. */
static void declare_dead(struct ring *r)
{
	if (r->dead)
		return;
	r->dead = true;
	flush_backlog(r);
	release_reaped(r);
}

/*
 * After somebody let go of the core lock: has the kernel read the answers that were written
 * meanwhile.
 */
static void ring_kick(struct core_kick *k)
{
	struct ring *r = container_of(k, struct ring, kick);
	uint32_t written;

	do {
		int rc;

		do {
			rc = kdev_queue_enter(&r->q, r->q.ring_entries, 0, 0, NULL);
		} while (rc == -EINTR);
		written = 0;
		if (rc || __atomic_load_n(&r->backlogged, __ATOMIC_RELAXED)) {
			bool busy;

			core_lock(r->core);
			busy = r->busy;
			r->busy = true; /* the ENTER that follows is ours */
			if (rc)
				declare_dead(r);
			else
				written = flush_backlog(r);
			r->busy = busy;
			core_unlock(r->core);
		}
	} while (written);
}

/* ---- requests ---------------------------------------------------------------------------- */

static const uint8_t op_map[ZEROFS_OP_NR] = {
	[ZEROFS_OP_READ] = IO_READ,
	[ZEROFS_OP_WRITE] = IO_WRITE,
	[ZEROFS_OP_FLUSH] = IO_FLUSH,
	[ZEROFS_OP_DISCARD] = IO_DISCARD,
	[ZEROFS_OP_WRITE_ZEROES] = IO_WRITE_ZEROES,
	[ZEROFS_OP_SECURE_ERASE] = IO_NR_OPS,
};

static bool req_to_io(const struct ring *r, const struct zerofs_req *q, struct io_req *io)
{
	uint32_t bytes_max = q->op == ZEROFS_OP_READ || q->op == ZEROFS_OP_WRITE ? ZEROFS_MAX_IO :
										   ~0u;
	uint64_t bytes = (uint64_t)q->nr_sectors << 9;

	if (q->op >= ZEROFS_OP_NR || op_map[q->op] == IO_NR_OPS || q->tag >= r->q.depth)
		return false;
	if ((q->sector | q->nr_sectors) & (IO_BLOCK_SIZE / 512 - 1))
		return false;
	if (q->op == ZEROFS_OP_FLUSH ? q->nr_sectors != 0 : (!q->nr_sectors || bytes > bytes_max))
		return false;
	if (q->op == ZEROFS_OP_WRITE && (q->buf % IO_BLOCK_SIZE || q->buf > r->conf.arena_len ||
					 bytes > r->conf.arena_len - q->buf))
		return false;
	io->op = op_map[q->op];
	io->flags = (q->flags & ZEROFS_REQ_FUA ? IO_F_FUA : 0) |
		    (q->flags & ZEROFS_REQ_NOUNMAP ? IO_F_NOUNMAP : 0) |
		    (q->flags & ZEROFS_REQ_RAHEAD ? IO_F_RAHEAD : 0) |
		    (q->flags & ZEROFS_REQ_REISSUED ? IO_F_REISSUED : 0);
	io->lba = q->sector / (IO_BLOCK_SIZE / 512);
	io->nblocks = (uint32_t)(bytes >> IO_BLOCK_SHIFT);
	io->buf = q->op == ZEROFS_OP_WRITE ? q->buf : 0;
	return true;
}

static void take_one(struct ring *r, const struct zerofs_req *q)
{
	struct ring_io *rio = to_rio(list_first_entry(&r->free, struct io_req, link));
	struct io_req *io = &rio->io;

	list_del(&io->link);
	r->nr_free--;
	rio->tag = q->tag;
	rio->gen = q->gen;
	io->res = 0;
	io->wno = 0;
	io->dur = 0;
	io->nsegs = 0;
	memset(io->vpriv, 0, sizeof(io->vpriv));
	r->inflight++;
	if (req_to_io(r, q, io)) {
		r->sink->submit(r->sink->ctx, io);
		return;
	}
	r->rejected++;
	io->op = IO_FLUSH; /* nothing to give back */
	io->res = -EIO;
	ring_done(io);
}

/*
 * One section under the core lock: gives back, writes what had to wait, takes up to RING_BATCH
 * requests. Returns how many it took, or -EPROTO. @ret_waiting: a READ's bytes are still out.
 *
 * If one request is all that the kernel waits for, this thread may as well do itself what that one
 * needs. An answer that comes meanwhile is seen by the ENTER that follows.
 */
static int serve_once(struct ring *r, bool *ret_waiting)
{
	struct zerofs_req reqs[RING_BATCH];
	int n;

	core_lock(r->core);
	r->busy = true;
	release_reaped(r);
	flush_backlog(r);
	n = kdev_queue_pop(&r->q, reqs, r->nr_free < RING_BATCH ? r->nr_free : RING_BATCH);
	for (int i = 0; i < n; i++)
		take_one(r, &reqs[i]);
	if (n > 0 && r->inflight == 1) {
		core_unlock_lend(r->core);
		core_lock(r->core);
	}
	r->busy = false;
	*ret_waiting = !list_empty(&r->answered);
	core_unlock(r->core);
	return n;
}

static void *ring_thread(void *arg)
{
	struct ring *r = arg;
	bool waiting = false;
	sigset_t set;
	int rc = 0;

	sigemptyset(&set);
	sigaddset(&set, RING_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		struct zerofs_enter e = { 0 };
		int n = serve_once(r, &waiting);

		if (n < 0) {
			rc = n;
			break;
		}
		/*
		 * More may have come meanwhile than one section takes: no reason to sleep, but to
		 * answer.
		 */
		rc = kdev_queue_enter(&r->q, r->q.ring_entries, 1, waiting ? RING_RELEASE_US : 0,
				      &e);
		if (rc == -EINTR)
			rc = 0;
		if (rc)
			break;
		if (e.ret_flags & ZEROFS_ENTER_STARVED) {
			core_lock(r->core);
			r->sink->starved(r->sink->ctx);
			core_unlock(r->core);
		}
	}
	core_lock(r->core);
	if (rc)
		declare_dead(r);
	r->sink->ended(r->sink->ctx, rc);
	core_unlock(r->core);
	__atomic_store_n(&r->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

int ring_new(struct ring **ret, struct core *core, const struct sink *sink, struct kdev *d,
	     const struct ring_conf *conf)
{
	struct ring *r = calloc(1, sizeof(*r));
	uint32_t n;
	int rc;

	if (!r)
		return -ENOMEM;
	r->core = core;
	r->sink = sink;
	r->conf = *conf;
	r->kick.run = ring_kick;
	list_init(&r->free);
	list_init(&r->backlog);
	list_init(&r->answered);
	rc = kdev_queue_open(d, conf->index, conf->queue, &r->q);
	if (rc)
		goto err_free;
	n = 2 * r->q.depth;
	r->ios = calloc(n, sizeof(*r->ios));
	r->segs = calloc((size_t)n * IO_MAX_BLOCKS, sizeof(*r->segs));
	if (!r->ios || !r->segs) {
		rc = -ENOMEM;
		goto err_queue;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct ring_io *rio = &r->ios[i];

		rio->ring = r;
		rio->io.dev = conf->dev;
		rio->io.queue = conf->number;
		rio->io.segs = &r->segs[(size_t)i * IO_MAX_BLOCKS];
		rio->io.done = ring_done;
		list_add_tail(&rio->io.link, &r->free);
	}
	r->nr_free = n;
	*ret = r;
	return 0;

err_queue:
	kdev_queue_close(&r->q);
	free(r->ios);
	free(r->segs);
err_free:
	free(r);
	return rc;
}

int ring_start(struct ring *r)
{
	struct sigaction sa = { .sa_handler =
					ignore_signal }; /* no SA_RESTART: ENTER has to return */
	int rc;

	sigaction(RING_SIGNAL, &sa, NULL);
	rc = pthread_create(&r->thread, NULL, ring_thread, r);
	if (rc)
		return -rc;
	r->started = true;
	return 0;
}

void ring_stop(struct ring *r)
{
	if (!r->started)
		return;
	__atomic_store_n(&r->stop, true, __ATOMIC_RELEASE);
	/* The signal may come just before the thread goes to sleep, so once is not enough. */
	while (!__atomic_load_n(&r->ended, __ATOMIC_ACQUIRE)) {
		struct timespec ms = { 0, 1000000 };

		pthread_kill(r->thread, RING_SIGNAL);
		nanosleep(&ms, NULL);
	}
	pthread_join(r->thread, NULL);
	r->started = false;
}

uint32_t ring_inflight(const struct ring *r)
{
	assert(core_held(r->core));
	return r->inflight;
}

void ring_drain(struct ring *r)
{
	ring_kick(&r->kick);
	core_lock(r->core);
	assert(r->inflight == 0);
	if (kdev_queue_unreaped(&r->q))
		r->dead = true; /* its descriptor is closed next: the kernel will not read them */
	flush_backlog(r);
	release_reaped(r);
	core_unlock(r->core);
}

void ring_get_stats(const struct ring *r, struct ring_stats *ret)
{
	assert(core_held(r->core));
	*ret = (struct ring_stats){
		.requests = r->q.popped,
		.enters = __atomic_load_n(&r->q.enters, __ATOMIC_RELAXED),
		.waits = __atomic_load_n(&r->q.waits, __ATOMIC_RELAXED),
		.wakeups = __atomic_load_n(&r->q.wakeups, __ATOMIC_RELAXED),
		.rejected = r->rejected,
		.ring_full = r->ring_full,
	};
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	kdev_queue_close(&r->q);
	free(r->ios);
	free(r->segs);
	free(r);
}
