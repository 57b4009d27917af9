// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cold sequential read of incompressible data through the engine, 128 KiB at a time and four
 * under way, against bare GETs of the same segments in the same run, with as many bytes under way
 * as read-ahead may have: the best of several sizes of GET. By turns, each time after a new attach;
 * median of the rounds' ratios.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/core.h"
#include "format/fmt_name.h"
#include "lib/bench.h"
#include "volume/vol.h"

#define REGION	 (1ull << 30)
#define SOURCE	 (64ull << 20)
#define READ	 (128u << 10)
#define DEPTH	 4u
#define WAYS	 64u
#define ROUNDS	 3u
#define LIMIT_US 5000000u /* what has not come by then is not waited for */
#define SEGS_MAX 1024u
#define SEG_ROOM (16u << 20)
#define MAX_GET	 (8u << 20)

static const uint8_t *source;

/* ---- bare GETs --------------------------------------------------------------------------- */

struct bare {
	struct bench *b;
	struct store_entry segs[SEGS_MAX];
	uint32_t nr, next; /* segments; the next one to be asked for, from off on */
	uint64_t off, piece, got;
	uint32_t inflight;
};

struct way {
	struct store_req r;
	struct bare *bare;
	uint8_t *to;
};

static void next(struct way *w);

static void got(struct store_req *r)
{
	struct way *w = r->priv;

	bench_must(r->res == (ssize_t)r->len);
	w->bare->got += r->len;
	w->bare->inflight--;
	next(w);
}

static void next(struct way *w)
{
	struct bare *x = w->bare;
	uint64_t left;

	if (x->next == x->nr)
		return;
	left = x->segs[x->next].size - x->off;
	w->r = (struct store_req){ .op = STORE_GET, .buf = w->to, .off = x->off, .priv = w };
	w->r.len = left < x->piece ? left : x->piece;
	w->r.done = got;
	snprintf(w->r.name, sizeof(w->r.name), "%s", x->segs[x->next].name);
	x->off += w->r.len;
	if (w->r.len == left) {
		x->next++;
		x->off = 0;
	}
	x->inflight++;
	store_submit(x->b->delay, &w->r);
}

static void listed(struct store_req *r)
{
	*(bool *)r->priv = true;
}

static void find_segments(struct bare *x)
{
	struct store_req r = { .op = STORE_LIST, .ents = x->segs, .max_ents = SEGS_MAX };
	bool ended = false;

	snprintf(r.name, sizeof(r.name), FMT_PREFIX_SEG);
	r.done = listed;
	r.priv = &ended;
	core_lock(&x->b->host->core);
	store_submit(x->b->delay, &r);
	while (!ended)
		core_wait(&x->b->host->core, UINT64_MAX);
	core_unlock(&x->b->host->core);
	bench_must(r.res > 0 && r.res < (ssize_t)SEGS_MAX);
	x->nr = (uint32_t)r.res;
	for (uint32_t i = 0; i < x->nr; i++)
		bench_must(x->segs[i].size <= SEG_ROOM);
}

/* Bytes of the region per us, when its segments are fetched with GETs of @piece, @nr at once. */
static double bare(struct bare *x, uint64_t piece, struct way *ways, uint32_t nr)
{
	uint64_t at = bench_now_us();

	x->next = 0;
	x->off = x->got = 0;
	x->piece = piece;
	bench_must(nr && nr <= WAYS);
	core_lock(&x->b->host->core);
	for (uint32_t i = 0; i < nr; i++) {
		ways[i].bare = x;
		next(&ways[i]);
	}
	while (x->inflight)
		core_wait(&x->b->host->core, UINT64_MAX);
	core_unlock(&x->b->host->core);
	at = bench_now_us() - at;
	bench_must(x->got >= REGION); /* of data that does not compress */
	return (double)REGION / (double)at;
}

/* ---- through the engine ------------------------------------------------------------------ */

static void send(struct bench *b, struct loop_req *q, uint64_t at)
{
	q->op = IO_READ;
	q->flags = 0;
	q->dev = 0;
	q->lba = at / BENCH_BLOCK;
	q->nblocks = READ / BENCH_BLOCK;
	loop_submit(b->loop, 0, q);
}

/* A word of each block. */
static void check(const struct loop_req *q)
{
	const uint8_t *want = source + q->lba * BENCH_BLOCK % SOURCE, *to = q->data;

	for (uint32_t i = 0; i < READ; i += BENCH_BLOCK)
		bench_must(*(const uint64_t *)(want + i) == *(const uint64_t *)(to + i));
}

static double engine(struct bench *b, struct loop_req *q, bool tell)
{
	struct bench_cost from = bench_cost(b);
	uint64_t began = bench_now_us(), us, sent = 0, done = 0;

	for (; sent < DEPTH; sent++)
		send(b, &q[sent], sent * READ);
	for (; done < sent; done++) {
		struct loop_req *r = &q[done % DEPTH];

		bench_must(!loop_wait(r));
		check(r);
		if (sent < REGION / READ && bench_now_us() - began < LIMIT_US)
			send(b, r, sent++ * READ);
	}
	us = bench_now_us() - began;
	if (tell)
		bench_job("cold sequential read, 128 KiB, QD4", done, READ, us, from,
			  bench_cost(b));
	return (double)(done * READ) / (double)us;
}

/* ---- both -------------------------------------------------------------------------------- */

static void fill(struct bench_place *place, const struct volume_opts *o)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	struct bench b;

	bench_must(q);
	bench_make(place, REGION);
	bench_start(&b, place, (struct delay_conf){ 0 }, o, NULL);
	for (uint64_t at = 0; at < REGION; at += 1u << 20)
		bench_io(&b, 0, q, IO_WRITE, at / BENCH_BLOCK, (1u << 20) / BENCH_BLOCK,
			 source + at % SOURCE);
	bench_stop(&b, true);
	free(q);
}

static double turn(struct bench_place *place, const struct volume_opts *o, struct loop_req *q,
		   struct way *ways, bool tell)
{
	static const uint64_t pieces[] = { 1u << 20, 2u << 20, 4u << 20, 8u << 20 };
	struct bare *x = calloc(1, sizeof(*x));
	struct delay_conf conf = DELAY_STANDARD;
	double rate, best = 0, mine;
	uint64_t piece = 0, room;
	struct bench b;

	bench_must(x);
	conf.drop_segments = false;
	bench_start(&b, place, conf, o, NULL);
	x->b = &b;
	mine = engine(&b, q, tell);
	room = b.volume->fetch_cap / 4 * 3;
	find_segments(x);
	for (uint32_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		rate = bare(x, pieces[i], ways, (uint32_t)(room / pieces[i]));
		if (rate > best) {
			best = rate;
			piece = pieces[i];
		}
	}
	bench_stop(&b, true);
	bench_say("%.0f MB/s; bare GETs of %llu MiB, %llu at once, are the best: %.0f MB/s", mine,
		  (unsigned long long)(piece >> 20), (unsigned long long)(room / piece), best);
	free(x);
	return mine / best;
}

int main(void)
{
	struct loop_req *q = calloc(DEPTH, sizeof(*q));
	struct way *ways = calloc(WAYS, sizeof(*ways));
	uint8_t *data = bench_data(BENCH_RANDOM, SOURCE);
	uint8_t *to = bench_data(BENCH_RANDOM, DEPTH * READ);
	uint8_t *room = bench_data(BENCH_RANDOM, WAYS * (uint64_t)MAX_GET);
	struct bench_place place;
	struct volume_opts o;
	double ratios[ROUNDS];

	bench_must(q && ways);
	source = data;
	for (uint32_t i = 0; i < DEPTH; i++)
		q[i].data = to + i * READ;
	for (uint32_t i = 0; i < WAYS; i++)
		ways[i].to = room + i * (uint64_t)MAX_GET;
	volume_opts_init(&o);
	fill(&place, &o);
	for (uint32_t i = 0; i < ROUNDS; i++)
		ratios[i] = turn(&place, &o, q, ways, !i);
	bench_figure("cold_seq_vs_get", bench_median(ratios, ROUNDS), "x", "higher");
	bench_unmake(&place);
	bench_data_free(data, SOURCE);
	bench_data_free(to, DEPTH * READ);
	bench_data_free(room, WAYS * (uint64_t)MAX_GET);
	free(q);
	free(ways);
	return 0;
}
