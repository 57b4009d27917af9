// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A writer that is faster than the store: how long he is made to wait at a time, how much gets
 * through, and what it takes of memory. The line to the store is shared by all uploads, so they end
 * together: without a pace he would wait for as long as it takes all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/slow.h"
#include "lib/vol.h"
#include "volume/vol.h"

#define DEV_SIZE   (256u << 20)
#define WRITE_US   2000u /* that a write of 1 MiB takes the writer himself */
#define LATENCY_US 50000u

struct slowly {
	struct vol w;
	struct slow s;
	uint64_t longest_us; /* pause */
	uint64_t written; /* MiB */
	uint64_t mem_max;
};

static struct slowly p;

static bool step(struct vol *w)
{
	uint64_t at = w->v ? volume_deadline_us(w->v) : ~0ull;

	if (inline_run(&w->exec))
		return true;
	if (slow_next(&p.s) < at)
		at = slow_next(&p.s);
	if (at == ~0ull)
		return false;
	w->now = at > w->now ? at : w->now;
	slow_advance(&p.s, w->now);
	if (w->v && volume_deadline_us(w->v) <= w->now)
		volume_tick(w->v);
	return true;
}

static int wait_for(void *ctx, const bool *done)
{
	while (!*done)
		assert_true(step(ctx));
	return 0;
}

static void begin(uint64_t seed, uint64_t memory, uint64_t bytes_per_s, int zstd_level)
{
	memset(&p, 0, sizeof(p));
	vol_init(&p.w, seed, 1, DEV_SIZE);
	slow_init(&p.s, p.w.mem, bytes_per_s, LATENCY_US);
	p.s.now_us = p.w.now;
	p.w.env.store = &p.s.store;
	p.w.env.wait = wait_for;
	p.w.step = step;
	p.w.check = false;
	p.w.opts.memory = memory;
	p.w.opts.segment_bytes = 8u << 20;
	p.w.opts.zstd_level = zstd_level;
	assert_int_equal(vol_attach(&p.w, false), 0);
}

static void end(void)
{
	slow_die(&p.s);
	vol_end(&p.w);
}

/* Time goes on while the writer is at work. */
static void pass(uint64_t us)
{
	uint64_t until = p.w.now + us;

	while (p.w.now < until) {
		uint64_t at = volume_deadline_us(p.w.v);

		while (inline_run(&p.w.exec))
			;
		if (slow_next(&p.s) < at)
			at = slow_next(&p.s);
		p.w.now = at < until ? (at > p.w.now ? at : p.w.now + 1) : until;
		slow_advance(&p.s, p.w.now);
		if (volume_deadline_us(p.w.v) <= p.w.now)
			volume_tick(p.w.v);
	}
}

/* The next MiB of a device that is written round and round. */
static void write_one(void)
{
	uint64_t before = p.w.now;
	struct volume_stats st;

	assert_int_equal(vol_write(&p.w, 0, p.written % (DEV_SIZE >> 20) * 256, 256, 2), 0);
	p.written++;
	if (p.w.now - before > p.longest_us)
		p.longest_us = p.w.now - before;
	volume_get_stats(p.w.v, &st);
	if (st.memory_used > p.mem_max)
		p.mem_max = st.memory_used;
	pass(WRITE_US);
}

/* @mib more. Bytes per second that get through. */
static uint64_t write_mib(uint64_t mib)
{
	uint64_t t = p.w.now, i;

	p.longest_us = 0;
	for (i = 0; i < mib; i++)
		write_one();
	return (mib << 20) * 1000000 / (p.w.now - t);
}

/* ---- a slow store ------------------------------------------------------------------------- */

/* Uploads under way hold an eighth of the memory: they end together, and that takes so long. */
static uint64_t all_uploads_us(uint64_t memory, uint64_t rate)
{
	return memory / 8 * 1000000 / rate;
}

static void slow_store(uint64_t seed, uint64_t memory, uint64_t rate)
{
	uint64_t got, first;

	begin(seed, memory, rate, 0);
	write_mib(memory >> 20);
	first = p.longest_us;
	got = write_mib(memory >> 20);
	if (getenv("PACE_FIGURES"))
		printf("memory %llu MiB, store %llu MB/s: longest pause at first %llu ms, then "
		       "%llu ms; %llu kB/s; memory used %llu MiB\n",
		       (unsigned long long)(memory >> 20), (unsigned long long)(rate / 1000000),
		       (unsigned long long)first / 1000, (unsigned long long)p.longest_us / 1000,
		       (unsigned long long)got / 1000, (unsigned long long)(p.mem_max >> 20));
	assert_true(first <= all_uploads_us(memory, rate) + 2000000);
	assert_true(p.longest_us * 4 <= all_uploads_us(memory, rate));
	assert_true(got >= rate / 100 * 96);
	assert_true(p.mem_max <= memory);
	end();
}

static void test_slow_store(void **state)
{
	(void)state;
	slow_store(1, 256u << 20, 10000000);
	slow_store(2, 512u << 20, 10000000);
	slow_store(3, 1024u << 20, 10000000);
	slow_store(4, 512u << 20, 2000000);
}

/*
 * Where each connection has its own share, more uploads are more throughput: there are as many as
 * there can be, of data that compresses, too.
 */
static void test_share_each(void **state)
{
	uint64_t got;

	(void)state;
	begin(7, 1024u << 20, 2000000, 0);
	p.s.each = true;
	write_mib(1024);
	got = write_mib(512);
	/* 14 segments at their worst fit into an eighth of the memory */
	assert_true(got >= 14 * 2000000ull / 100 * 92);
	end();
	begin(8, 256u << 20, 1000000, 1);
	p.s.each = true;
	write_mib(256);
	got = write_mib(512);
	assert_true(got >= (1000000ull << 20) / WRITE_US / 100 * 90);
	end();
}

/* One that takes what is written is not waited for. */
static void test_fast_store(void **state)
{
	uint64_t got;

	(void)state;
	begin(5, 256u << 20, 2000000000, 0);
	write_mib(256);
	got = write_mib(256);
	assert_true(p.longest_us <= 2 * LATENCY_US);
	assert_true(got >= (1000000ull << 20) / WRITE_US / 100 * 90);
	end();
}

/* What fits into half of the memory for writes is taken at once, whatever the store does. */
static void test_burst(void **state)
{
	uint64_t half;

	(void)state;
	begin(6, 512u << 20, 1000000, 0);
	half = p.w.v->arena.geo.write_len / 2 >> 20;
	write_mib(half - VOL_QUEUES * 4);
	assert_int_equal(p.longest_us, 0);
	/* and all of it is used before writers have to wait for the store */
	p.s.away = true;
	while (p.w.v->arena.nr_free + p.w.nr_posts)
		write_one();
	assert_true(p.longest_us < 60000000);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_store),
		cmocka_unit_test(test_share_each),
		cmocka_unit_test(test_fast_store),
		cmocka_unit_test(test_burst),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
