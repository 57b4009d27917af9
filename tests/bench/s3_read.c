// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What 4 KiB random reads cost over a store of fixed delay, of incompressible data that was written
 * sequentially: cold ones, each of another frame, against bare GETs of a frame's bytes in the same
 * run, one at a time and 32 deep; bytes fetched per byte asked; hot ones, one at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/core.h"
#include "format/fmt_name.h"
#include "lib/bench.h"

#define REGION (1ull << 30)
#define SOURCE (64ull << 20)
#define FRAME  (32u << 10) /* bytes of a whole frame, near enough for a bare GET */
#define FRAMES (REGION / FRAME)
#define COLD   300u
#define DEPTH  32u
#define DEEP   3200u
#define HOT    20000u

static const uint8_t *source;
static uint64_t seed = 7;
static uint32_t order[FRAMES], drawn; /* frames that were not read yet, from drawn on */

static void check(const struct loop_req *q)
{
	const uint8_t *want = source + q->lba * BENCH_BLOCK % SOURCE, *got = q->data;

	for (uint32_t i = 0; i < BENCH_BLOCK; i += 8)
		bench_must(*(const uint64_t *)(want + i) == *(const uint64_t *)(got + i));
}

static int by_value(const void *x, const void *y)
{
	const double *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static double p99(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n * 99 / 100];
}

/* But for the first, which was read for the map. */
static void shuffle(void)
{
	for (uint32_t i = 1; i < FRAMES; i++) {
		uint32_t j = 1 + (uint32_t)(bench_rnd(&seed) % i);

		order[i] = order[j];
		order[j] = i;
	}
	drawn = 1;
}

/* A block of a frame that nobody has read yet. */
static uint64_t cold_lba(void)
{
	bench_must(drawn < FRAMES);
	return order[drawn++] * (FRAME / BENCH_BLOCK) + bench_rnd(&seed) % (FRAME / BENCH_BLOCK);
}

/* Finer than bench_now_us(): a hot read may take less than one. */
static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double timed(struct bench *b, struct loop_req *q, uint64_t lba, void *to)
{
	double at = now_us();

	bench_io(b, 0, q, IO_READ, lba, 1, to);
	return now_us() - at;
}

static void got(struct store_req *r)
{
	*(bool *)r->priv = true;
}

static void carry_out(struct bench *b, struct store_req *r)
{
	bool ended = false;

	r->done = got;
	r->priv = &ended;
	core_lock(&b->host->core);
	store_submit(b->delay, r);
	while (!ended)
		core_wait(&b->host->core, UINT64_MAX);
	core_unlock(&b->host->core);
}

/* The name of a segment that is longer than a frame. */
static void find_segment(struct bench *b, char *name)
{
	static struct store_entry ents[64];
	struct store_req r = { .op = STORE_LIST, .ents = ents, .max_ents = 64 };

	snprintf(r.name, sizeof(r.name), FMT_PREFIX_SEG);
	carry_out(b, &r);
	for (ssize_t i = 0; i < r.res; i++) {
		if (ents[i].size > FRAME) {
			snprintf(name, STORE_NAME_MAX, "%s", ents[i].name);
			return;
		}
	}
	bench_failed(__FILE__, __LINE__, "no segment");
}

/* A GET of a frame's bytes from the store alone; returns its us. */
static double bare(struct bench *b, const char *name, uint8_t *to)
{
	struct store_req r = { .op = STORE_GET, .buf = to, .len = FRAME };
	uint64_t at = bench_now_us();

	snprintf(r.name, sizeof(r.name), "%s", name);
	carry_out(b, &r);
	bench_must(r.res == FRAME);
	return (double)(bench_now_us() - at);
}

/* Returns the median of a bare GET, in us. */
static double cold(struct bench *b, struct loop_req *q, uint8_t *to)
{
	struct bench_cost before, after, none = { 0 }, sum = none;
	double reads[COLD], raw[COLD], us = 0;
	char name[STORE_NAME_MAX];

	find_segment(b, name);
	for (uint32_t i = 0; i < COLD; i++) {
		before = bench_cost(b);
		reads[i] = timed(b, q, cold_lba(), to);
		check(q);
		after = bench_cost(b);
		us += reads[i];
		sum.get += after.get - before.get;
		sum.down += after.down - before.down;
		raw[i] = bare(b, name, to);
	}
	bench_job("cold 4 KiB random read, QD1", COLD, BENCH_BLOCK, (uint64_t)us, none, sum);
	bench_say("cold 4 KiB: p99 %.0f us; a bare GET of 32 KiB: %.0f us", p99(reads, COLD),
		  p99(raw, COLD));
	bench_figure("cold_4k_p99_vs_get", p99(reads, COLD) / p99(raw, COLD), "x", "lower");
	bench_figure("cold_fetched_per_byte", (double)sum.down / (COLD * BENCH_BLOCK), "1",
		     "lower");
	return bench_median(raw, COLD);
}

static void send(struct bench *b, struct loop_req *q)
{
	q->op = IO_READ;
	q->lba = cold_lba();
	q->nblocks = 1;
	loop_submit(b->loop, 0, q);
}

static void deep(struct bench *b, double get_us)
{
	struct loop_req *q = calloc(DEPTH, sizeof(*q));
	uint8_t *to = bench_data(BENCH_RANDOM, DEPTH * BENCH_BLOCK);
	struct bench_cost before = bench_cost(b);
	uint64_t at = bench_now_us();
	double rate, ceiling = DEPTH * 1e6 / get_us;

	bench_must(q);
	for (uint32_t i = 0; i < DEPTH; i++) {
		q[i].data = to + i * BENCH_BLOCK;
		send(b, &q[i]);
	}
	for (uint32_t i = 0; i < DEEP; i++) {
		struct loop_req *r = &q[i % DEPTH];

		bench_must(!loop_wait(r));
		check(r);
		if (i + DEPTH < DEEP)
			send(b, r);
	}
	at = bench_now_us() - at;
	rate = DEEP * 1e6 / (double)at;
	bench_job("cold 4 KiB random read, QD32", DEEP, BENCH_BLOCK, at, before, bench_cost(b));
	bench_say("32 deep: %.0f reads/s; 32 / median of a bare GET: %.0f", rate, ceiling);
	bench_figure("cold_qd32_vs_ceiling", rate / ceiling, "x", "higher");
	bench_data_free(to, DEPTH * BENCH_BLOCK);
	free(q);
}

static void hot(struct bench *b, struct loop_req *q, uint8_t *to)
{
	double *us = calloc(HOT, sizeof(*us));

	bench_must(us);
	for (uint32_t i = 0; i < 256; i++)
		timed(b, q, i, to);
	for (uint32_t i = 0; i < HOT; i++) {
		us[i] = timed(b, q, bench_rnd(&seed) % 256, to);
		check(q);
	}
	bench_figure("hot_qd1_us", bench_median(us, HOT), "us", "lower");
	free(us);
}

int main(void)
{
	struct delay_conf conf = DELAY_STANDARD;
	struct loop_req *q = calloc(1, sizeof(*q));
	uint8_t *data = bench_data(BENCH_RANDOM, SOURCE), *to = bench_data(BENCH_RANDOM, FRAME);
	struct bench_place place;
	struct volume_opts o;
	struct bench b;

	bench_must(q);
	source = data;
	conf.drop_segments = false;
	bench_make(&place, REGION);
	volume_opts_init(&o);
	bench_start(&b, &place, (struct delay_conf){ 0 }, &o, NULL);
	for (uint64_t at = 0; at < REGION; at += 1u << 20)
		bench_io(&b, 0, q, IO_WRITE, at / BENCH_BLOCK, (1u << 20) / BENCH_BLOCK,
			 data + at % SOURCE);
	bench_stop(&b, true);
	bench_start(&b, &place, conf, &o, NULL);
	timed(&b, q, 0, to); /* the map's leaves */
	shuffle();
	deep(&b, cold(&b, q, to));
	hot(&b, q, to);
	bench_stop(&b, true);
	bench_unmake(&place);
	bench_data_free(data, SOURCE);
	bench_data_free(to, FRAME);
	free(q);
	return 0;
}
