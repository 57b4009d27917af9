// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two hosts, each with a kernel that outlives its daemons, take turns at one volume at random.
 * What counts: a kernel is told that all is there if and only if all is there.
 *
 * History branches: what a daemon acknowledged and did not flush is still in its host's arena
 * when the other host goes on without it. As long as the other one writes nothing that stays,
 * it may come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/run.h"
#include "lib/testrand.h"
#include "volume/vol.h"

#define SIZE  (RUN_BLOCKS * 4096ull)
#define STEPS 400u
#define NONE  (~0u)

struct kernel_host {
	struct vol w;
	bool session; /* the kernel knows the volume */
	uint64_t acked, flushed; /* its marks */
	struct model own; /* the branch that its last daemon died on */
	uint32_t own_acked;
	bool has_own;
	bool passed_by; /* the other has flushed something new since */
	bool wrote; /* since it attached */
};

static struct model m; /* the branch under way */
static uint32_t durable; /* of it: the highest operation flushed */
static uint32_t told_intact, told_lost;

static void model_copy(struct model *to, const struct model *from)
{
	size_t i, n = (size_t)from->nr_devs * from->blocks;

	*to = *from;
	to->b = calloc(n, sizeof(*to->b));
	assert_non_null(to->b);
	for (i = 0; i < n; i++) {
		const struct model_block *b = &from->b[i];

		if (!b->nr)
			continue;
		to->b[i] = (struct model_block){ .nr = b->nr, .cap = b->nr };
		to->b[i].ev = malloc(b->nr * sizeof(*b->ev));
		assert_non_null(to->b[i].ev);
		memcpy(to->b[i].ev, b->ev, b->nr * sizeof(*b->ev));
	}
}

static void leaves(struct kernel_host *h)
{
	if (h->has_own)
		model_free(&h->own);
	model_copy(&h->own, &m);
	h->has_own = true;
	h->own_acked = h->w.acked;
	h->passed_by = false;
	if (testrand_below(6) == 0)
		h->w.file_len = 0; /* its state folder is lost */
}

/* As session.c and the module decide it. */
static bool intact(const struct kernel_host *h)
{
	const struct volume_recovery *r = &h->w.rec;

	return !r->foreign && !r->gone && r->recovered_wno >= h->flushed &&
	       r->recovered_wno >= h->acked && (h->acked <= h->flushed || r->adopted);
}

/* Checks what was found and goes on from there. True: the kernel is told that all is there. */
static bool found(struct kernel_host *h)
{
	uint32_t *stamps = vol_stamps(&h->w, &m), at, own = NONE, own_all = NONE;
	bool all;

	at = model_prefix(&m, stamps, durable, m.ops);
	if (h->has_own && !h->passed_by) {
		own = model_prefix(&h->own, stamps, 0, h->own.ops);
		own_all = model_prefix(&h->own, stamps, h->own_acked, h->own.ops);
	}
	free(stamps);
	all = h->session && intact(h);
	if (h->session) {
		assert_int_equal(all, own_all != NONE);
		told_intact += all;
		told_lost += !all;
	}
	if (at == NONE && own == NONE)
		fail_msg("neither branch");
	if (all || at == NONE) {
		model_free(&m);
		model_copy(&m, &h->own);
		at = all ? own_all : own;
	}
	model_cut(&m, at);
	if (durable > at)
		durable = at;
	return all;
}

static bool serve(struct kernel_host *h)
{
	bool all;
	int err;

	h->w.stop_after = testrand_below(3) ? 0 : 1 + testrand_below(120);
	err = vol_attach(&h->w, h->session && h->w.arena);
	h->w.stop_after = 0;
	if (err)
		return false;
	all = found(h);
	if (testrand_below(4) == 0) { /* it dies before it could tell */
		vol_kill(&h->w);
		return false;
	}
	if (!all)
		h->acked = h->flushed = h->session ? h->w.rec.recovered_wno : 0;
	h->session = true;
	h->w.acked = m.ops;
	h->wrote = false;
	volume_resumed(h->w.v);
	return true;
}

static void one_write(struct kernel_host *h, struct kernel_host *other)
{
	struct vol_io x = { .heap = false };
	uint64_t lba = testrand_below(60);
	uint32_t n = 1 + testrand_below(6), op;
	bool data = testrand_below(6);

	op = model_op(&m, 0, lba, n, data);
	vol_submit(&x, &h->w, data ? IO_WRITE : IO_DISCARD, testrand_below(10) ? 0 : IO_F_FUA, 0,
		   lba, n, op);
	assert_int_equal(vol_wait(&x), 0);
	if (x.io.wno > h->acked)
		h->acked = x.io.wno;
	h->wrote = true;
	if (!x.io.dur)
		return;
	assert_true(x.io.dur >= x.io.wno);
	h->flushed = x.io.dur;
	durable = op;
	other->passed_by = true;
}

static void one_flush(struct kernel_host *h, struct kernel_host *other)
{
	struct vol_io x = { .heap = false };

	vol_submit(&x, &h->w, IO_FLUSH, 0, 0, 0, 0, m.ops);
	assert_int_equal(vol_wait(&x), 0);
	/* the module ends a session whose FLUSH covers less */
	assert_true(x.io.dur >= h->acked);
	h->flushed = x.io.dur;
	durable = m.ops;
	other->passed_by |= h->wrote;
}

static void hosts_run(uint64_t seed, unsigned int faults_pm)
{
	struct kernel_host h[2], *now = NULL, *other;
	uint32_t i, n, dice;

	memset(h, 0, sizeof(h));
	vol_init(&h[0].w, seed, 1, SIZE);
	h[0].w.opts.checkpoint_segments = 3 + testrand_below(20);
	vol_share(&h[1].w, &h[0].w);
	for (i = 0; i < 2; i++) {
		h[i].w.untold = true;
		h[i].w.net.refuse_pm = faults_pm;
		h[i].w.net.lose_pm = faults_pm;
	}
	durable = 0;
	model_init(&m, 1, RUN_BLOCKS);
	for (i = 0; i < STEPS; i++) {
		if (!now) {
			n = testrand_below(4) == 0;
			now = serve(&h[n]) ? &h[n] : NULL;
			continue;
		}
		other = now == &h[0] ? &h[1] : &h[0];
		dice = testrand_below(100);
		if (dice < 70) {
			one_write(now, other);
		} else if (dice < 85) {
			one_flush(now, other);
		} else if (dice < 93) {
			for (n = testrand_below(30); n; n--)
				vol_step(&now->w);
		} else if (dice < 98) {
			vol_kill(&now->w);
			leaves(now);
			now = NULL;
		} else {
			assert_int_equal(vol_detach(&now->w), 0);
			durable = m.ops;
			other->passed_by |= now->wrote;
			leaves(now);
			now->session = testrand_below(2); /* a device was open, or none */
			now = NULL;
		}
	}
	for (i = 0; i < 2; i++)
		if (h[i].has_own)
			model_free(&h[i].own);
	vol_end(&h[1].w);
	vol_end(&h[0].w);
	model_free(&m);
}

static void test_two_hosts(void **state)
{
	uint64_t seed, n = run_seeds(40);

	(void)state;
	for (seed = 800; seed < 800 + n; seed++)
		hosts_run(seed, seed % 2 ? 40 : 0);
	/* both verdicts have been put to the test, several times a seed */
	assert_true(told_intact * 2 > n * 5);
	assert_true(told_lost * 4 > n * 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
