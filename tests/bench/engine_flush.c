// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a FLUSH costs in store mode: how many store requests one after the other, and how long
 * against one bare PUT of as many bytes as it made the engine store.
 */
#include <pthread.h>
#include <stdlib.h>

#include "lib/bench.h"

#define PAIRS	  7u
#define CLIENTS	  4u
#define FLUSHES	  12u /* of each client */
#define MAX_BYTES (4u << 20)

static struct bench b;
static const uint8_t *data;

/*
 * How many PUTs one after the other the FLUSH waited for: from the one whose end answered it back
 * to one that began before the FLUSH came, or because of it. What made a PUT begin is one that had
 * ended shortly before, the longest of these.
 */
static uint32_t serial(uint64_t from, uint64_t to, uint32_t put_us)
{
	static struct delay_span s[DELAY_SPANS];
	uint32_t n = delay_spans(b.delay, s), count = 0;
	uint64_t began = to + 1, within = put_us / 2;

	while (began > from) {
		const struct delay_span *last = NULL;

		for (uint32_t i = 0; i < n; i++) {
			if (s[i].end < began && s[i].end >= from && s[i].end + within >= began &&
			    (!last || s[i].begin < last->begin))
				last = &s[i];
		}
		if (!last)
			break;
		count++;
		began = last->begin;
	}
	return count;
}

struct client {
	pthread_t thread;
	uint32_t n, worst;
	uint64_t slowest;
};

/* Writes a little and flushes, again and again, beside others who do the same. */
static void *client(void *arg)
{
	struct client *c = arg;
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t seed = c->n + 1;

	bench_must(q);
	for (uint32_t i = 0; i < FLUSHES; i++) {
		uint64_t from, took;
		uint32_t k;

		for (k = bench_rnd(&seed) % 32; k; k--)
			bench_io(&b, c->n, q, IO_WRITE, bench_rnd(&seed) % 65536, 4,
				 data + bench_rnd(&seed) % 64 * BENCH_BLOCK);
		bench_io(&b, c->n, q, IO_WRITE, bench_rnd(&seed) % 65536, 1, data);
		from = bench_now_us();
		took = bench_flush(&b);
		core_lock(&b.host->core);
		k = serial(from, from + took, DELAY_STANDARD.put_us);
		core_unlock(&b.host->core);
		if (k > c->worst)
			c->worst = k;
		if (took > c->slowest)
			c->slowest = took;
	}
	free(q);
	return NULL;
}

static uint32_t many_clients(void)
{
	struct client c[CLIENTS] = { 0 };
	uint64_t slowest = 0;
	uint32_t worst = 0;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		c[i].n = i;
		bench_must(!pthread_create(&c[i].thread, NULL, client, &c[i]));
	}
	for (uint32_t i = 0; i < CLIENTS; i++) {
		pthread_join(c[i].thread, NULL);
		worst = c[i].worst > worst ? c[i].worst : worst;
		slowest = c[i].slowest > slowest ? c[i].slowest : slowest;
	}
	bench_say("%u clients, each writing up to 500 KiB and flushing: %u serial PUTs at most, "
		  "slowest flush %.0f ms",
		  CLIENTS, worst, (double)slowest / 1e3);
	return worst;
}

/* One FLUSH of @bytes on an idle volume against one PUT; the median of pairs. */
static double against_put(uint32_t bytes, uint32_t *serial_worst)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	double ratio[PAIRS], flush[PAIRS], put[PAIRS];

	bench_must(q);
	for (uint32_t i = 0; i < PAIRS; i++) {
		uint64_t before = bench_puts(&b).bytes, from, took, bare, stored;
		uint32_t step = bytes < (128u << 10) ? bytes : 128u << 10, k;

		for (uint32_t at = 0; at < bytes; at += step)
			bench_io(&b, 0, q, IO_WRITE, at / BENCH_BLOCK, step / BENCH_BLOCK,
				 data + at);
		from = bench_now_us();
		took = bench_flush(&b);
		core_lock(&b.host->core);
		k = serial(from, from + took, DELAY_STANDARD.put_us);
		core_unlock(&b.host->core);
		*serial_worst = k > *serial_worst ? k : *serial_worst;
		stored = bench_puts(&b).bytes - before;
		bare = bench_upload(DELAY_STANDARD, stored, stored, 1);
		flush[i] = (double)took / 1e3;
		put[i] = (double)bare / 1e3;
		ratio[i] = (double)took / (double)bare;
	}
	free(q);
	bench_say("flush of %u KiB: %.1f ms, a PUT of the same bytes %.1f ms (medians of %u pairs)",
		  bytes >> 10, bench_median(flush, PAIRS), bench_median(put, PAIRS), PAIRS);
	return bench_median(ratio, PAIRS);
}

int main(void)
{
	static const uint32_t sizes[] = { 4096, 256u << 10, MAX_BYTES };
	struct bench_place place;
	struct volume_opts o;
	double worst = 0;
	uint32_t serials = 0, k;

	data = bench_data(BENCH_HALF, MAX_BYTES);
	bench_make(&place, 1ull << 30);
	volume_opts_init(&o);
	o.memory = 256u << 20;
	/* so that every PUT is a segment's */
	o.checkpoint_segments = 1u << 20;
	bench_start(&b, &place, DELAY_STANDARD, &o, NULL);
	bench_rss_begin(place.mem);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double r = against_put(sizes[i], &serials);

		worst = r > worst ? r : worst;
	}
	k = many_clients();
	bench_figure("flush_store_requests", k > serials ? k : serials, "1", "lower");
	bench_figure("flush_vs_put", worst, "x", "lower");
	bench_memory("flush", bench_rss_end(&b), o.memory);
	bench_stop(&b, true);
	bench_unmake(&place);
	bench_data_free((void *)data, MAX_BYTES);
	return 0;
}
