// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 4 KiB random writes, 32 under way, through the engine with a journal, against the same of a
 * plain file on the journal's disk (io_uring, O_DIRECT), by turns. One of 1024 requests is a FLUSH,
 * so that all of what is written goes through the journal.
 */
#include <stdlib.h>

#include "lib/bench.h"
#include "lib/plain.h"

#define DEVICE	    (1ull << 30)
#define JOURNAL	    (1ull << 30)
#define DEPTH	    32u
#define FLUSH_EVERY 1024u
#define ROUNDS	    7u
#define ROUND_US    2000000ull
#define SOURCE	    (16ull << 20)

static const uint8_t *data;
static uint64_t seed = 1;

/* Writes per second. The last ones of a round are waited for. */
static double engine(struct bench *b, struct loop_req *q)
{
	uint64_t began = bench_now_us(), now = began, nr = 0, writes = 0;

	for (; now < began + ROUND_US; nr++) {
		struct loop_req *r = &q[nr % DEPTH];

		if (nr >= DEPTH)
			bench_must(!loop_wait(r));
		r->op = nr % FLUSH_EVERY == FLUSH_EVERY - 1 ? IO_FLUSH : IO_WRITE;
		r->flags = 0;
		r->dev = 0;
		r->lba = r->op == IO_FLUSH ? 0 : bench_rnd(&seed) % (DEVICE / BENCH_BLOCK);
		r->nblocks = r->op == IO_WRITE;
		r->data = (void *)(data + bench_rnd(&seed) % (SOURCE / BENCH_BLOCK) * BENCH_BLOCK);
		writes += r->op == IO_WRITE;
		loop_submit(b->loop, 0, r);
		now = bench_now_us();
	}
	for (uint64_t i = nr - DEPTH; i < nr; i++)
		bench_must(!loop_wait(&q[i % DEPTH]));
	return (double)writes * 1e6 / (double)(bench_now_us() - began);
}

int main(void)
{
	struct loop_req *q = calloc(DEPTH, sizeof(*q));
	double ours[ROUNDS], disk[ROUNDS], ratio[ROUNDS];
	struct volume_stats st;
	struct bench_place place;
	struct volume_opts o;
	struct plain p;
	struct bench b;

	bench_must(q);
	data = bench_data(BENCH_HALF, SOURCE);
	volume_opts_init(&o);
	o.flush_local = true;
	bench_make(&place, DEVICE);
	bench_make_journal(&place, JOURNAL);
	plain_make(&p, DEVICE);
	bench_rss_begin(place.mem);
	bench_start(&b, &place, DELAY_STANDARD, &o, NULL);
	engine(&b, q); /* the arena's pages are there then */
	for (uint32_t i = 0; i < ROUNDS; i++) {
		disk[i] = plain_random(&p, DEPTH, ROUND_US, data, &seed);
		ours[i] = engine(&b, q);
		ratio[i] = ours[i] / disk[i];
	}
	st = bench_stats(&b);
	bench_must(st.journal_active);
	bench_say("random 4 KiB writes, %u under way, one of %u a FLUSH, store of standard delay: "
		  "%.0f/s; a written file on the journal's disk (O_DIRECT, no flush): %.0f/s "
		  "(medians of %u rounds of %llu s, by turns; memory %llu MiB)",
		  DEPTH, FLUSH_EVERY, bench_median(ours, ROUNDS), bench_median(disk, ROUNDS),
		  ROUNDS, ROUND_US / 1000000, (unsigned long long)(o.memory >> 20));
	bench_say("of the bytes written the journal took %.2f times as many",
		  (double)st.journal_bytes / (double)st.bytes[IO_WRITE]);
	bench_figure("randwrite_4k_vs_disk", bench_median(ratio, ROUNDS), "x", "higher");
	bench_memory("random 4 KiB writes with a journal", bench_rss_end(&b), o.memory);
	bench_stop(&b, true);
	plain_unmake(&p);
	bench_unmake(&place);
	bench_data_free((void *)data, SOURCE);
	free(q);
	return 0;
}
