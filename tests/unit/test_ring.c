// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * transport/ring against a kernel that is played here: ioctl() of this program is ours, and a
 * queue's memory is a memory file that both sides map. The kernel's side follows uapi/zerofs.h and
 * checks what it gets: each tag answered once, with its generation, a READ's bytes untouched until
 * it has taken them. The volume's side answers at once, or from other threads in any order, and
 * scribbles over a READ's bytes as soon as it gets them back.
 *
 * A failure aborts: the threads of a failed test would spoil the next one.
 *
 * Made to fail once each: no ENTER after an answer from another thread (requests hang), READs given
 * back when their RSP is written instead of read (wrong bytes), no wait for room in the RSP ring
 * (an answer lost), gen of the tag before (refused).
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core.h"
#include "base/list.h"
#include "io.h"
#include "transport/kdev.h"
#include "transport/ring.h"
#include "transport/sink.h"
#include "uapi/zerofs.h"

#define DEPTH	     16u
#define SEGS	     4096u /* DEPTH * 256 */
#define ARENA_BLOCKS 512u
#define WORKERS	     2u
#define HANG_S	     20

#define RO_LEN	     8192u
#define RW_LEN	     (4096u + DEPTH * sizeof(struct zerofs_rsp) + SEGS * sizeof(struct zerofs_seg))

#define must(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort(); \
		} \
	} while (0)

/* ---- the kernel's side ------------------------------------------------------------------- */

struct tag {
	bool busy;
	bool ended;
	uint8_t op;
	uint32_t gen;
	uint32_t blocks;
	uint64_t lba;
	int32_t res;
};

static struct {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t reqs; /* a REQ was published, or the end */
	pthread_cond_t ended; /* a request has ended */
	struct zerofs_queue_k *k;
	struct zerofs_req *req;
	struct zerofs_queue_u *u;
	struct zerofs_rsp *rsp;
	struct zerofs_seg *seg;
	uint32_t req_tail;
	uint32_t rsp_head; /* our own; k->rsp_head may lag behind */
	bool late; /* publish rsp_head only at the end of an ENTER, and let others in meanwhile */
	pthread_mutex_t done; /* one ENTER at a time reaps */
	struct tag tags[DEPTH];
	int dead;
	bool starved;
	bool interrupt; /* as if a signal had come, from here on */
	uint64_t ended_total;
	uint64_t errors;
	uint64_t enters;
} kern;

static uint64_t *arena; /* ARENA_BLOCKS blocks of 512 words */

static uint64_t pattern(uint64_t lba, uint32_t i)
{
	return lba * 1000003 + i * 7 + 1;
}

static int check_read(const struct tag *t, const struct zerofs_rsp *rsp)
{
	uint32_t done = 0;

	if (rsp->res != (int32_t)(t->blocks * 4096))
		return -EPROTO;
	for (uint32_t s = 0; s < (rsp->nseg ? rsp->nseg : 1); s++) {
		const struct zerofs_seg *seg = &kern.seg[((uint32_t)rsp->buf + s) & (SEGS - 1)];
		uint64_t off = rsp->nseg ? seg->buf : rsp->buf;
		uint32_t len = rsp->nseg ? seg->len : t->blocks * 4096;

		must(off % 4096 == 0 && len && len % 4096 == 0 &&
		     off / 4096 + len / 4096 <= ARENA_BLOCKS);
		for (uint32_t b = 0; b < len / 4096; b++, done++)
			for (uint32_t i = 0; i < 512; i += 73)
				must(__atomic_load_n(&arena[(off / 4096 + b) * 512 + i],
						     __ATOMIC_RELAXED) ==
				     pattern(t->lba + done, i));
	}
	return done == t->blocks ? 0 : -EPROTO;
}

/* Lock held, and let go of meanwhile. */
static int reap(uint32_t max)
{
	uint32_t tail = __atomic_load_n(&kern.u->rsp_tail, __ATOMIC_ACQUIRE), n = 0;

	must(tail - kern.rsp_head <= DEPTH);
	while (kern.rsp_head != tail && n < max && !kern.dead) {
		struct zerofs_rsp rsp = kern.rsp[kern.rsp_head & (DEPTH - 1)];
		struct tag *t = &kern.tags[rsp.tag];

		must(rsp.tag < DEPTH && t->busy && !t->ended && rsp.gen == t->gen && !rsp.flags);
		if (rsp.res < 0) {
			kern.errors++;
		} else if (t->op == ZEROFS_OP_READ) {
			must(!rsp.wno && !rsp.dur);
			must(!check_read(t, &rsp));
		} else {
			must(!rsp.res && !rsp.nseg);
			must(t->op == ZEROFS_OP_FLUSH ? rsp.dur && !rsp.wno : rsp.wno && !rsp.dur);
		}
		t->res = rsp.res;
		t->ended = true;
		kern.ended_total++;
		kern.rsp_head++;
		n++;
		pthread_cond_broadcast(&kern.ended);
		if (kern.late) {
			pthread_mutex_unlock(&kern.lock);
			usleep(50);
			pthread_mutex_lock(&kern.lock);
		} else {
			__atomic_store_n(&kern.k->rsp_head, kern.rsp_head, __ATOMIC_RELEASE);
		}
	}
	__atomic_store_n(&kern.k->rsp_head, kern.rsp_head, __ATOMIC_RELEASE);
	return (int)n;
}

static uint32_t avail(void)
{
	return kern.req_tail - __atomic_load_n(&kern.u->req_head, __ATOMIC_ACQUIRE);
}

static int enter(struct zerofs_enter *e)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += e->timeout_us ? 0 : 1000000;
	until.tv_nsec += (long)e->timeout_us * 1000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&kern.done);
	pthread_mutex_lock(&kern.lock);
	kern.enters++;
	if (!kern.dead)
		e->reaped = (uint32_t)reap(e->to_reap);
	pthread_mutex_unlock(&kern.done);
	while (!kern.dead && e->min_req && avail() < e->min_req && !kern.starved &&
	       !kern.interrupt && !rc)
		rc = pthread_cond_timedwait(&kern.reqs, &kern.lock, &until);
	rc = kern.interrupt && e->min_req && !e->reaped ? EINTR : 0;
	e->avail = avail();
	e->ret_flags = kern.starved ? ZEROFS_ENTER_STARVED : 0;
	kern.starved = false;
	if (kern.dead)
		rc = kern.dead;
	pthread_mutex_unlock(&kern.lock);
	errno = rc;
	return rc ? -1 : 0;
}

static int queue_fd(struct zerofs_queue_fd *f)
{
	f->fd = dup(kern.fd);
	f->ring_entries = DEPTH;
	f->seg_entries = SEGS;
	f->req_off = 4096;
	f->ro_len = RO_LEN;
	f->rsp_off = 4096;
	f->seg_off = 4096 + DEPTH * sizeof(struct zerofs_rsp);
	f->rw_len = RW_LEN;
	return 0;
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == ZEROFS_IOC_ENTER)
		return enter(arg);
	if (cmd == ZEROFS_IOC_QUEUE_FD)
		return queue_fd(arg);
	errno = ENOTTY;
	return -1;
}

static void kernel_init(bool late)
{
	char *ro, *rw;

	memset(&kern, 0, sizeof(kern));
	kern.late = late;
	pthread_mutex_init(&kern.done, NULL);
	pthread_mutex_init(&kern.lock, NULL);
	pthread_cond_init(&kern.reqs, NULL);
	pthread_cond_init(&kern.ended, NULL);
	kern.fd = memfd_create("ring", 0);
	must(kern.fd >= 0 && !ftruncate(kern.fd, (off_t)(ZEROFS_OFF_QUEUE_RW + RW_LEN)));
	ro = mmap(NULL, RO_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, kern.fd, ZEROFS_OFF_QUEUE_RO);
	rw = mmap(NULL, RW_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, kern.fd, ZEROFS_OFF_QUEUE_RW);
	must(ro != MAP_FAILED && rw != MAP_FAILED);
	kern.k = (void *)ro;
	kern.k->depth = DEPTH;
	kern.req = (void *)(ro + 4096);
	kern.u = (void *)rw;
	kern.rsp = (void *)(rw + 4096);
	kern.seg = (void *)(rw + 4096 + DEPTH * sizeof(struct zerofs_rsp));
}

static void kernel_exit(void)
{
	munmap(kern.k, RO_LEN);
	munmap(kern.u, RW_LEN);
	close(kern.fd);
}

/* Publishes a request under a free tag; false if there is none. @bad: one that makes no sense. */
static bool issue(uint8_t op, bool bad)
{
	struct tag *t = NULL;
	uint32_t i;

	pthread_mutex_lock(&kern.lock);
	for (i = 0; i < DEPTH && !t; i++)
		if (!kern.tags[i].busy)
			t = &kern.tags[i];
	if (t) {
		struct zerofs_req q = { .op = op, .tag = (uint16_t)(t - kern.tags) };

		t->busy = true;
		t->ended = false;
		t->op = op;
		q.gen = ++t->gen;
		t->blocks = op == ZEROFS_OP_FLUSH ? 0 : 1 + (uint32_t)rand() % 16;
		t->lba = (uint64_t)rand() % 1000;
		q.sector = op == ZEROFS_OP_FLUSH ? 0 : t->lba * 8;
		q.nr_sectors = t->blocks * 8;
		if (op == ZEROFS_OP_WRITE)
			q.buf = bad ? (uint64_t)ARENA_BLOCKS * 4096 : 4096;
		else if (bad)
			q.op = 17;
		kern.req[kern.req_tail & (DEPTH - 1)] = q;
		kern.req_tail++;
		__atomic_store_n(&kern.k->req_tail, kern.req_tail, __ATOMIC_RELEASE);
		pthread_cond_broadcast(&kern.reqs);
	}
	pthread_mutex_unlock(&kern.lock);
	return t;
}

/*
 * Frees tags whose request has ended; waits for one if @wait. Aborts when nothing ends for HANG_S.
 */
static uint32_t collect(bool wait)
{
	struct timespec until;
	uint32_t n = 0, busy = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += HANG_S;
	pthread_mutex_lock(&kern.lock);
	do {
		busy = 0;
		for (uint32_t i = 0; i < DEPTH; i++) {
			struct tag *t = &kern.tags[i];

			busy += t->busy;
			if (t->busy && t->ended) {
				t->busy = false;
				n++;
			}
		}
		if (!n && wait && busy)
			must(!pthread_cond_timedwait(&kern.ended, &kern.lock, &until));
	} while (!n && wait && busy);
	pthread_mutex_unlock(&kern.lock);
	return n;
}

static uint64_t ended_total(void)
{
	uint64_t n;

	pthread_mutex_lock(&kern.lock);
	n = kern.ended_total;
	pthread_mutex_unlock(&kern.lock);
	return n;
}

/* ---- the volume's side ------------------------------------------------------------------- */

static struct {
	struct core core;
	struct sink sink;
	struct list_head later; /* core lock */
	pthread_cond_t more;
	bool end;
	bool now; /* answer everything at once */
	uint32_t next_block;
	uint8_t used[ARENA_BLOCKS]; /* core lock: held by a READ that was not given back */
	uint64_t wno;
	uint64_t submitted, released, reads;
	int ended; /* of sink.ended: 1 = not called */
	uint64_t starved;
	pthread_t workers[WORKERS];
} vol;

static uint32_t take_block(void)
{
	uint32_t b;

	do {
		b = vol.next_block++ % ARENA_BLOCKS;
	} while (vol.used[b]);
	vol.used[b] = 1;
	return b;
}

static void complete(struct io_req *io)
{
	io->res = rand() % 50 ? 0 : -EIO;
	if (io->op == IO_READ && !io->res) {
		vol.reads++;
		io->nsegs = 0;
		for (uint32_t i = 0; i < io->nblocks; i++) {
			uint32_t b = take_block();

			for (uint32_t j = 0; j < 512; j += 73)
				__atomic_store_n(&arena[b * 512 + j], pattern(io->lba + i, j),
						 __ATOMIC_RELAXED);
			io->segs[io->nsegs++] = (struct io_seg){ (uint64_t)b * 4096, 4096 };
		}
	} else if (io->op == IO_FLUSH) {
		io->dur = vol.wno + 1;
	} else {
		/*
		 * More than the kernel wants to hear of: the ring leaves out what does not belong.
		 */
		io->wno = ++vol.wno;
		io->dur = vol.wno;
	}
	io->done(io);
}

static void sink_submit(void *ctx, struct io_req *io)
{
	(void)ctx;
	must(core_held(&vol.core));
	vol.submitted++;
	if (vol.now || !(rand() % 3)) {
		complete(io);
		return;
	}
	list_add_tail(&io->link, &vol.later);
	pthread_cond_signal(&vol.more);
}

static void sink_release(void *ctx, struct io_req *io)
{
	(void)ctx;
	must(core_held(&vol.core));
	must(io->op == IO_READ && !io->res);
	vol.released++;
	for (uint32_t i = 0; i < io->nsegs; i++) {
		uint64_t b = io->segs[i].off / 4096;

		must(vol.used[b]);
		vol.used[b] = 0;
		for (uint32_t j = 0; j < 512; j += 73)
			__atomic_store_n(&arena[b * 512 + j], 0xdeadull, __ATOMIC_RELAXED);
	}
}

static void sink_starved(void *ctx)
{
	(void)ctx;
	vol.starved++;
}

static void sink_ended(void *ctx, int rc)
{
	(void)ctx;
	must(vol.ended == 1);
	vol.ended = rc;
}

/* Answers some of what waits, in no order. */
static void *worker(void *arg)
{
	(void)arg;
	core_lock(&vol.core);
	while (!vol.end) {
		uint32_t n = kern.late ? DEPTH : 1 + (uint32_t)rand() % 4;

		if (list_empty(&vol.later)) {
			core_wait_on(&vol.core, &vol.more, UINT64_MAX);
			continue;
		}
		while (n-- && !list_empty(&vol.later)) {
			struct io_req *io =
				rand() & 1 ? list_first_entry(&vol.later, struct io_req, link) :
					     list_last_entry(&vol.later, struct io_req, link);

			list_del(&io->link);
			complete(io);
		}
		core_unlock(&vol.core);
		if (!(rand() % 8))
			usleep((useconds_t)rand() % 300);
		core_lock(&vol.core);
	}
	core_unlock(&vol.core);
	return NULL;
}

static struct ring *begin(bool late)
{
	struct ring_conf conf = { .dev = 3, .number = 5, .arena_len = ARENA_BLOCKS * 4096 };
	struct kdev d = { .fd = -1 };
	struct ring *r;

	kernel_init(late);
	memset(&vol, 0, sizeof(vol));
	vol.ended = 1;
	must(!core_init(&vol.core, NULL, NULL));
	must(!core_cond_init(&vol.more));
	list_init(&vol.later);
	vol.sink = (struct sink){ sink_submit, sink_release, sink_starved, sink_ended, NULL };
	must(!ring_new(&r, &vol.core, &vol.sink, &d, &conf));
	for (uint32_t i = 0; i < WORKERS; i++)
		must(!pthread_create(&vol.workers[i], NULL, worker, NULL));
	must(!ring_start(r));
	return r;
}

static uint32_t inflight(struct ring *r)
{
	uint32_t n;

	core_lock(&vol.core);
	n = ring_inflight(r);
	core_unlock(&vol.core);
	return n;
}

static void finish(struct ring *r)
{
	pthread_mutex_lock(&kern.lock);
	kern.interrupt = true;
	pthread_cond_broadcast(&kern.reqs);
	pthread_mutex_unlock(&kern.lock);
	ring_stop(r);
	while (inflight(r))
		usleep(1000);
	ring_drain(r);
	core_lock(&vol.core);
	vol.end = true;
	pthread_cond_broadcast(&vol.more);
	core_unlock(&vol.core);
	for (uint32_t i = 0; i < WORKERS; i++)
		pthread_join(vol.workers[i], NULL);
	must(vol.released == vol.reads);
	ring_free(r);
	pthread_cond_destroy(&vol.more);
	core_destroy(&vol.core);
	kernel_exit();
}

/* ---- tests ------------------------------------------------------------------------------- */

static uint8_t some_op(void)
{
	static const uint8_t ops[] = { ZEROFS_OP_READ,	      ZEROFS_OP_READ,  ZEROFS_OP_READ,
				       ZEROFS_OP_WRITE,	      ZEROFS_OP_FLUSH, ZEROFS_OP_DISCARD,
				       ZEROFS_OP_WRITE_ZEROES };

	return ops[(uint32_t)rand() % sizeof(ops)];
}

/* @total requests, up to @depth at a time. */
static void drive(uint32_t total, uint32_t depth)
{
	uint32_t issued = 0, got = 0;

	while (got < total) {
		while (issued < total && issued - got < depth && issue(some_op(), false))
			issued++;
		got += collect(true);
	}
}

static void test_every_request_is_answered(void **state)
{
	static const uint32_t depths[] = { 1, 4, DEPTH };
	struct ring_stats st;
	struct ring *r;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		r = begin(false);
		drive(3000, depths[i]);
		must(ended_total() == 3000);
		core_lock(&vol.core);
		ring_get_stats(r, &st);
		core_unlock(&vol.core);
		must(st.requests == 3000);
		must(st.rejected == 0);
		finish(r);
		must(vol.ended == 0);
	}
}

/* The kernel says late what it has read: answers find no room and wait for it. */
static void test_full_ring(void **state)
{
	struct ring_stats st = { 0 };
	struct ring *r = begin(true);

	(void)state;
	for (uint32_t i = 0; !st.ring_full && i < 20; i++) {
		drive(2000, DEPTH);
		core_lock(&vol.core);
		ring_get_stats(r, &st);
		core_unlock(&vol.core);
	}
	must(st.ring_full > 0);
	finish(r);
}

/*
 * One at a time, answered at once: the answer goes out with the call that waits for the next
 * request.
 */
static void test_one_call_a_request(void **state)
{
	struct ring_stats st;
	struct ring *r = begin(false);

	(void)state;
	core_lock(&vol.core);
	vol.now = true;
	core_unlock(&vol.core);
	for (uint32_t i = 0; i < 500; i++) {
		must(issue(ZEROFS_OP_WRITE, false));
		must(collect(true) == 1);
	}
	core_lock(&vol.core);
	ring_get_stats(r, &st);
	core_unlock(&vol.core);
	/* The first may have been there before the first call; the last call has not returned. */
	must(st.enters >= 499 && st.enters <= 501);
	finish(r);
}

static void test_nonsense_is_refused(void **state)
{
	struct ring_stats st;
	struct ring *r = begin(false);

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		must(issue(i & 1 ? ZEROFS_OP_WRITE : ZEROFS_OP_READ, true));
		must(collect(true) == 1);
	}
	core_lock(&vol.core);
	ring_get_stats(r, &st);
	core_unlock(&vol.core);
	must(st.rejected == 20);
	finish(r);
	must(kern.errors == 20);
	must(vol.submitted == 0);
}

/* Until the ring's thread has found out. */
static void await_end(void)
{
	int ended = 1;

	for (uint32_t i = 0; ended == 1 && i < HANG_S * 1000; i++) {
		usleep(1000);
		core_lock(&vol.core);
		ended = vol.ended;
		core_unlock(&vol.core);
	}
}

/*
 * The kernel takes the queue away in the middle: everything comes back, nothing is copied any more.
 */
static void test_queue_dies(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 20; round++) {
		struct ring *r = begin(round & 1);
		uint64_t at = (uint64_t)rand() % 200;

		while (ended_total() < at) {
			while (issue(some_op(), false))
				;
			collect(true);
		}
		while (issue(some_op(), false))
			;
		pthread_mutex_lock(&kern.lock);
		kern.dead = ESHUTDOWN;
		pthread_cond_broadcast(&kern.reqs);
		pthread_mutex_unlock(&kern.lock);
		await_end();
		finish(r);
		must(vol.ended == -ESHUTDOWN);
	}
}

static void test_starved_is_passed_on(void **state)
{
	struct ring *r = begin(false);
	uint64_t n;

	(void)state;
	pthread_mutex_lock(&kern.lock);
	kern.starved = true;
	pthread_cond_broadcast(&kern.reqs);
	pthread_mutex_unlock(&kern.lock);
	for (uint32_t i = 0; i < 2000; i++) {
		core_lock(&vol.core);
		n = vol.starved;
		core_unlock(&vol.core);
		if (n)
			break;
		usleep(1000);
	}
	usleep(50000);
	finish(r);
	must(vol.starved == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_request_is_answered),
		cmocka_unit_test(test_full_ring),
		cmocka_unit_test(test_one_call_a_request),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_queue_dies),
		cmocka_unit_test(test_starved_is_passed_on),
	};

	arena = calloc(ARENA_BLOCKS, 4096);
	must(arena);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
