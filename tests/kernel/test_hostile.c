// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon that breaks the contract. Each breach must end that session's attach and nothing else:
 * the calls answer EPROTO, the counter rises by one, I/O is held for a better daemon, and one that
 * comes finds everything as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define MIB (1UL << 20)

static int start_by_hand(struct lab *lab)
{
	int err = lab_create(lab, 60000);

	err = err ? err : lab_arena(lab);
	err = err ? err : lab_add(lab);
	err = err ? err : lab_queues(lab);
	return err ? err : lab_start_devs(lab);
}

/* A lab with one request in its hands: @op at 8 KiB, 8 KiB long. */
struct stage {
	struct lab lab;
	struct lab_queue *lq;
	struct zerofs_req req;
	struct lab_io io;
	struct lab_io *held; /* the I/O that the breach finds */
	int fd;
};

static bool stage_up(struct stage *s, uint8_t op)
{
	s->held = &s->io;
	lab_init(&s->lab);
	if (start_by_hand(&s->lab))
		return false;
	s->fd = lab_open(s->lab.disk[0].index, O_RDWR | O_DIRECT);
	if (s->fd < 0)
		return false;
	s->lq = &s->lab.q[op == ZEROFS_OP_READ];
	if (op == ZEROFS_OP_FLUSH)
		lab_io_start_kind(&s->io, s->fd, LAB_IO_SYNC, 0, 0);
	else if (op == ZEROFS_OP_DISCARD)
		lab_io_start_kind(&s->io, s->fd, LAB_IO_DISCARD, 8192, 8192);
	else
		lab_io_start(&s->io, s->fd, op == ZEROFS_OP_WRITE, 8192, 8192, 5);
	return lab_pop(s->lq, &s->req, 2000) == 1 && s->req.op == op;
}

/* The breach is made; it must have been noticed, and must have cost no more than the attach. */
static void stage_down(struct stage *s, int enter)
{
	struct pollfd p = { .fd = s->lq->q.fd, .events = POLLIN };
	uint32_t index = s->lab.disk[0].index, state;
	struct zerofs_session_info info;
	struct kdev d;

	CHECK_EQ(enter, -EPROTO);
	CHECK_EQ(kdev_queue_enter(&s->lq->q, 1, 0, 0, NULL), -EPROTO);
	CHECK_EQ(kdev_kick(&s->lab.d), -EPROTO);
	CHECK_EQ(kdev_supersede(&s->lab.d), -EPROTO);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK_EQ(lab_stat(index, "protocol_errors"), 1);
	CHECK_EQ(lab_stat(index, "inflight"), 0);
	CHECK(!lab_io_wait(s->held, 30)); /* held */
	/* A better daemon comes while the broken one's descriptor is still open. */
	d = s->lab.d;
	s->lab.d.fd = -1;
	CHECK_EQ(lab_attach(&s->lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			    UINT64_MAX, &state),
		 0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK(lab_io_wait(s->held, 2000));
	CHECK(s->held->ret >= 0);
	CHECK_EQ(lab_stat(index, "reissued"), 1);
	CHECK_EQ(kdev_session_info(&s->lab.d, s->lab.d.session, &info), 0);
	CHECK_EQ(info.protocol_errors, 1);
	kdev_close(&d); /* no second death */
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE);
	close(s->fd);
	lab_stop(&s->lab);
	lab_free(&s->lab);
	lab_clean();
}

/* The right answer to s->req, to be bent. */
static struct zerofs_rsp right(struct stage *s, struct zerofs_seg *segs)
{
	struct zerofs_rsp rsp;

	lab_serve(s->lq, &s->req, &rsp, segs);
	return rsp;
}

static int send(struct stage *s, struct zerofs_rsp rsp, const struct zerofs_seg *segs)
{
	kdev_queue_push(&s->lq->q, &rsp, segs);
	return kdev_queue_enter(&s->lq->q, 4, 0, 0, NULL);
}

/* One bent answer: @bend gets the right one. */
static void bent(uint8_t op, void (*bend)(struct stage *s, struct zerofs_rsp *rsp))
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct stage s;

	NEED(stage_up(&s, op));
	rsp = right(&s, segs);
	bend(&s, &rsp);
	stage_down(&s, send(&s, rsp, segs));
}

#define BENT(name, op, code) \
	static void bend_##name(struct stage *s, struct zerofs_rsp *rsp) \
	{ \
		(void)s; \
		code; \
	} \
	static void name(void) \
	{ \
		bent(op, bend_##name); \
	}

BENT(tag_beyond_depth, ZEROFS_OP_READ, rsp->tag = 16)
BENT(tag_far_beyond, ZEROFS_OP_READ, rsp->tag = 0xffff)
BENT(tag_of_nobody, ZEROFS_OP_READ, rsp->tag = (uint16_t)((s->req.tag + 1) % 16))
BENT(gen_of_another, ZEROFS_OP_READ, rsp->gen++)
BENT(flags_set, ZEROFS_OP_READ, rsp->flags = 1)
BENT(read_short, ZEROFS_OP_READ, rsp->res -= 4096)
BENT(read_long, ZEROFS_OP_READ, rsp->res += 4096)
BENT(read_nothing, ZEROFS_OP_READ, rsp->res = 0)
BENT(read_with_wno, ZEROFS_OP_READ, rsp->wno = 1)
BENT(read_beyond_arena, ZEROFS_OP_READ, rsp->buf = s->lab.arena_len - 4096)
BENT(read_at_wrap, ZEROFS_OP_READ, rsp->buf = ~0ULL - 4095)
BENT(read_at_2_63, ZEROFS_OP_READ, rsp->buf = 1ULL << 63)
BENT(errno_out_of_range, ZEROFS_OP_READ, rsp->res = -4096)
BENT(errno_min, ZEROFS_OP_READ, rsp->res = INT32_MIN)
BENT(write_says_bytes, ZEROFS_OP_WRITE, rsp->res = 8192)
BENT(write_with_segs, ZEROFS_OP_WRITE, rsp->nseg = 1)
BENT(write_says_durable, ZEROFS_OP_WRITE, rsp->dur = 1)
BENT(flush_says_bytes, ZEROFS_OP_FLUSH, rsp->res = 1)
BENT(flush_with_wno, ZEROFS_OP_FLUSH, rsp->wno = 1)
BENT(discard_with_segs, ZEROFS_OP_DISCARD, rsp->nseg = 2)

/* The pieces of a read that are not its pieces. */
static void bent_segs(const struct zerofs_seg *in, uint32_t n)
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	rsp = right(&s, segs);
	memcpy(segs, in, n * sizeof(*in));
	rsp.nseg = n;
	stage_down(&s, send(&s, rsp, segs));
}

static void seg_sum_short(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 4096, 0 } }, 1);
}

static void seg_sum_long(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 8192, 0 }, { 0, 4096, 0 } }, 2);
}

static void seg_empty(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 8192, 0 }, { 0, 0, 0 } }, 2);
}

static void seg_odd_length(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 4095, 0 }, { 0, 4097, 0 } }, 2);
}

static void seg_reserved_set(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 8192, 1 } }, 1);
}

static void seg_outside(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 4096, 0 }, { 1ULL << 40, 4096, 0 } }, 2);
}

static void seg_wraps_around(void)
{
	bent_segs((struct zerofs_seg[]){ { 0, 4096, 0 }, { ~0ULL - 4095, 4096, 0 } }, 2);
}

static void too_many_segs(void)
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	rsp = right(&s, segs);
	rsp.nseg = 0;
	NEED_EQ(kdev_queue_push(&s.lq->q, &rsp, segs), 0);
	/* kdev would not put this there. */
	s.lq->q.rsp[0].nseg = 0xffffffff;
	s.lq->q.rsp[0].buf = 0;
	stage_down(&s, kdev_queue_enter(&s.lq->q, 1, 0, 0, NULL));
}

static void answered_twice(void)
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct lab_io second;
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	rsp = right(&s, segs);
	CHECK_EQ(send(&s, rsp, segs), 0);
	CHECK(lab_io_wait(&s.io, 2000));
	/* Something to be held while the breach happens. */
	lab_io_start(&second, s.fd, false, 0, 4096, 0);
	lab_pop(s.lq, &s.req, 2000);
	s.held = &second;
	stage_down(&s, send(&s, rsp, segs));
}

static void answered_twice_in_one_batch(void)
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct zerofs_req other;
	struct lab_io second;
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	lab_io_start(&second, s.fd, false, 0, 4096, 0);
	NEED_EQ(lab_pop(s.lq, &other, 2000), 1);
	rsp = right(&s, segs);
	kdev_queue_push(&s.lq->q, &rsp, segs);
	kdev_queue_push(&s.lq->q, &rsp, segs);
	CHECK_EQ(kdev_queue_enter(&s.lq->q, 16, 0, 0, NULL), -EPROTO);
	CHECK(lab_io_wait(&s.io, 2000)); /* once, and well */
	CHECK_EQ(s.io.ret, 8192);
	s.held = &second;
	stage_down(&s, -EPROTO);
}

static void rsp_tail_runs_ahead(void)
{
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	__atomic_store_n(&s.lq->q.u->rsp_tail, s.lq->q.ring_entries + 1, __ATOMIC_RELEASE);
	stage_down(&s, kdev_queue_enter(&s.lq->q, 16, 0, 0, NULL));
}

static void rsp_tail_runs_back(void)
{
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	__atomic_store_n(&s.lq->q.u->rsp_tail, ~0U, __ATOMIC_RELEASE);
	stage_down(&s, kdev_queue_enter(&s.lq->q, 16, 0, 0, NULL));
}

static void req_head_runs_ahead(void)
{
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_READ));
	__atomic_store_n(&s.lq->q.u->req_head, 5, __ATOMIC_RELEASE);
	stage_down(&s, kdev_queue_enter(&s.lq->q, 0, 1, 0, NULL));
}

/* A flush that does not cover what was acknowledged before it. */
static void flush_forgets_a_write(void)
{
	struct zerofs_seg segs[256] = { 0 };
	struct zerofs_rsp rsp;
	struct stage s;

	NEED(stage_up(&s, ZEROFS_OP_WRITE));
	rsp = right(&s, segs);
	CHECK_EQ(send(&s, rsp, segs), 0);
	CHECK(lab_io_wait(&s.io, 2000));
	lab_io_start_kind(&s.io, s.fd, LAB_IO_SYNC, 0, 0);
	NEED_EQ(lab_pop(s.lq, &s.req, 2000), 1);
	rsp = right(&s, segs);
	rsp.dur = 0;
	stage_down(&s, send(&s, rsp, segs));
}

/* ---- BUFs -------------------------------------------------------------------------------- */

static bool detached(void *arg)
{
	(void)arg;
	return lab_state() == ZEROFS_S_DETACHED;
}

/* A BUF is looked at when a write needs it: in somebody else's context. */
static void bad_buf(uint64_t off, uint32_t len)
{
	struct lab_io io;
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	CHECK_EQ(kdev_post_buf(&lab.d, off, len, 1), 0);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK(lab_wait(detached, NULL, 2000));
	CHECK_EQ(kdev_kick(&lab.d), -EPROTO);
	CHECK_EQ(kdev_queue_enter(&lab.q[0].q, 0, 1, 0, NULL), -EPROTO);
	CHECK_EQ(lab_stat(lab.disk[0].index, "protocol_errors"), 1);
	lab_stop(&lab);
	lab.seen->no_repost = 0;
	CHECK_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			    UINT64_MAX, &state),
		 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 4096);
	close(fd);
	lab_end(&lab);
	lab_clean();
}

static void buf_too_short(void)
{
	bad_buf(0, ZEROFS_MIN_BUF - 4096);
}

static void buf_outside(void)
{
	bad_buf(1ULL << 40, ZEROFS_MIN_BUF);
}

static void buf_over_the_end(void)
{
	bad_buf((LAB_EXTENTS * 4 + 32 - 3) * MIB, ZEROFS_MIN_BUF);
}

static void buf_wraps_around(void)
{
	bad_buf(~0ULL - 4095, ZEROFS_MIN_BUF);
}

static void buf_not_aligned(void)
{
	bad_buf(512, ZEROFS_MIN_BUF);
	bad_buf(0, ZEROFS_MIN_BUF + 512);
}

static void buf_tail_runs_ahead(void)
{
	struct lab_io io;
	struct lab lab;
	int fd;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	__atomic_store_n(&lab.d.u->buf_tail, lab.nr_bufs + 1, __ATOMIC_RELEASE);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK(lab_wait(detached, NULL, 2000));
	close(fd);
	lab_stop(&lab);
	lab_clean();
	CHECK(lab_io_wait(&io, 2000) && io.ret < 0);
	lab_free(&lab);
}

static void recall_meets_a_bad_buf(void)
{
	struct zerofs_recall_ent ents[16];
	struct lab lab;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	NEED_EQ(start_by_hand(&lab), 0);
	CHECK_EQ(kdev_post_buf(&lab.d, 3, 5, 1), 0);
	CHECK_EQ(kdev_recall(&lab.d, ents, 16), -EPROTO);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK_EQ(kdev_recall(&lab.d, ents, 16), -EPROTO);
	lab_end(&lab);
}

/* ---- another session does not notice ------------------------------------------------------ */

static void only_that_session_dies(void)
{
	const uint8_t uuid[16] = { 0x77 };
	struct zerofs_session_info info;
	struct stage s;
	struct kdev d;

	NEED_EQ(kdev_open(&d), 0);
	NEED_EQ(kdev_create(&d, uuid, "bystander", 1000), 0);
	NEED(stage_up(&s, ZEROFS_OP_READ));
	__atomic_store_n(&s.lq->q.u->rsp_tail, 1U << 31, __ATOMIC_RELEASE);
	CHECK_EQ(kdev_queue_enter(&s.lq->q, 16, 0, 0, NULL), -EPROTO);
	CHECK_EQ(kdev_session_info(&d, d.session, &info), 0);
	CHECK_EQ(info.state, ZEROFS_S_LIVE);
	CHECK_EQ(info.protocol_errors, 0);
	CHECK_EQ(kdev_kick(&d), 0);
	kdev_close(&d);
	stage_down(&s, -EPROTO);
}

/* ---- fuzz -------------------------------------------------------------------------------- */

static uint64_t rnd_state = 88172645463325252ULL;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

struct flipper {
	pthread_t thread;
	struct lab *lab;
	bool stop;
	uint64_t flips;
};

/* Flips bits of everything that a daemon can write while another thread answers properly. */
static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_SEQ_CST)) {
		struct kdev_queue *q = &f->lab->q[rnd() % f->lab->nr_queues].q;
		uint8_t *base = rnd() % 8 ? (uint8_t *)q->u : (uint8_t *)f->lab->d.u;
		size_t len = base == (uint8_t *)q->u ? 128 + 40 * q->ring_entries + 256 :
						       64 + 16 * f->lab->nr_bufs;
		size_t at = rnd() % 16 ? 128 + rnd() % (len - 64) : rnd() % 128;

		if (at < len)
			__atomic_fetch_xor(base + at, (uint8_t)(1U << rnd() % 8), __ATOMIC_RELAXED);
		f->flips++;
		if (f->flips % 64 == 0)
			lab_sleep_ms(1);
	}
	return NULL;
}

#define FUZZ_LIVES 40
#define FUZZ_IOS   8

static void ring_bytes_flip(void)
{
	uint64_t flips = 0, errors;
	struct lab_io io[FUZZ_IOS];
	struct flipper f;
	struct lab lab;
	uint32_t state = 0;
	int fd, i, life;

	lab_init(&lab);
	lab.seen->segs = 2;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	for (life = 0; life < FUZZ_LIVES; life++) {
		memset(&f, 0, sizeof(f));
		f.lab = &lab;
		pthread_create(&f.thread, NULL, flip, &f);
		for (i = 0; i < FUZZ_IOS; i++)
			lab_io_start(&io[i], fd, i & 1, (uint64_t)i * MIB, 64 << 10, 1);
		for (i = 0; i < 10 && lab_state() == ZEROFS_S_LIVE; i++)
			lab_sleep_ms(10);
		__atomic_store_n(&f.stop, true, __ATOMIC_SEQ_CST);
		pthread_join(f.thread, NULL);
		flips += f.flips;
		/* An end, whether the module noticed or the bits did not matter. */
		lab_stop(&lab);
		CHECK(lab_state() == ZEROFS_S_DETACHED);
		NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
				   1ULL << 62, &state),
			0);
		/* A flip can forge a mark; a wrong INTACT is then refused, as it should be. */
		if (state == ZEROFS_S_CACHE_LOST) {
			struct kdev d;

			for (i = 0; i < FUZZ_IOS; i++)
				CHECK(lab_io_wait(&io[i], 5000));
			lab_stop(&lab);
			close(fd);
			NEED_EQ(kdev_open(&d), 0);
			CHECK_EQ(kdev_del_dev(&d, lab.disk[0].index, true), 0);
			kdev_close(&d);
			NEED_EQ(lab_start(&lab, 60000), 0);
			fd = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT);
			NEED(fd >= 0);
			continue;
		}
		for (i = 0; i < FUZZ_IOS; i++)
			CHECK(lab_io_wait(&io[i], 5000));
	}
	errors = (uint64_t)lab_stat(lab.disk[0].index, "protocol_errors");
	printf("# %d lives, %llu flips, %llu protocol errors on the last device\n", FUZZ_LIVES,
	       (unsigned long long)flips, (unsigned long long)errors);
	CHECK(flips > FUZZ_LIVES * 64);
	CHECK_EQ(lab_stat(lab.disk[0].index, "inflight"), 0);
	close(fd);
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(tag_beyond_depth),
	CHECK_TEST(tag_far_beyond),
	CHECK_TEST(tag_of_nobody),
	CHECK_TEST(gen_of_another),
	CHECK_TEST(flags_set),
	CHECK_TEST(read_short),
	CHECK_TEST(read_long),
	CHECK_TEST(read_nothing),
	CHECK_TEST(read_with_wno),
	CHECK_TEST(read_beyond_arena),
	CHECK_TEST(read_at_wrap),
	CHECK_TEST(read_at_2_63),
	CHECK_TEST(errno_out_of_range),
	CHECK_TEST(errno_min),
	CHECK_TEST(write_says_bytes),
	CHECK_TEST(write_with_segs),
	CHECK_TEST(write_says_durable),
	CHECK_TEST(flush_says_bytes),
	CHECK_TEST(flush_with_wno),
	CHECK_TEST(discard_with_segs),
	CHECK_TEST(seg_sum_short),
	CHECK_TEST(seg_sum_long),
	CHECK_TEST(seg_empty),
	CHECK_TEST(seg_odd_length),
	CHECK_TEST(seg_reserved_set),
	CHECK_TEST(seg_outside),
	CHECK_TEST(seg_wraps_around),
	CHECK_TEST(too_many_segs),
	CHECK_TEST(answered_twice),
	CHECK_TEST(answered_twice_in_one_batch),
	CHECK_TEST(rsp_tail_runs_ahead),
	CHECK_TEST(rsp_tail_runs_back),
	CHECK_TEST(req_head_runs_ahead),
	CHECK_TEST(flush_forgets_a_write),
	CHECK_TEST(buf_too_short),
	CHECK_TEST(buf_outside),
	CHECK_TEST(buf_over_the_end),
	CHECK_TEST(buf_wraps_around),
	CHECK_TEST(buf_not_aligned),
	CHECK_TEST(buf_tail_runs_ahead),
	CHECK_TEST(recall_meets_a_bad_buf),
	CHECK_TEST(only_that_session_dies),
	CHECK_TEST(ring_bytes_flip),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
