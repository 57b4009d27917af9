// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a 4 KiB write and a FLUSH cost with a journal, one after the other, against pwrite() and
 * fdatasync() of a plain file on the same disk, by turns. The store's PUTs take 100 ms.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/bench.h"
#include "lib/plain.h"

#define DEVICE	(1ull << 30)
#define JOURNAL (512ull << 20)
#define ROUNDS	41u
#define WRITES	200u /* a round and side */
#define SOURCE	(16ull << 20)
#define WARM	(512ull << 20)

static const uint8_t *data;
static uint64_t seed = 1;

static const void *some_data(void)
{
	return data + bench_rnd(&seed) % (SOURCE / BENCH_BLOCK) * BENCH_BLOCK;
}

static void engine(struct bench *b, struct loop_req *q, double *us)
{
	for (uint32_t i = 0; i < WRITES; i++) {
		uint64_t at = bench_now_us();

		bench_io(b, 0, q, IO_WRITE, bench_rnd(&seed) % (DEVICE / BENCH_BLOCK), 1,
			 some_data());
		bench_io(b, 0, q, IO_FLUSH, 0, 0, NULL);
		us[i] = (double)(bench_now_us() - at);
	}
}

static void file(struct plain *p, double *us)
{
	for (uint32_t i = 0; i < WRITES; i++)
		us[i] = (double)plain_fsync(p, bench_rnd(&seed) % (DEVICE / BENCH_BLOCK),
					    some_data());
}

/*
 * Meets the arena's pages for the first time, which is the kernel's affair, and lets all of that
 * get to the store: what is measured pays for the upload of its own writes, not of these.
 */
static void warm(struct bench *b, struct loop_req *q)
{
	uint32_t step = 128u << 10;

	for (uint64_t at = 0; at < WARM; at += step)
		bench_io(b, 0, q, IO_WRITE, at % DEVICE / BENCH_BLOCK, step / BENCH_BLOCK,
			 data + at % SOURCE);
	bench_flush(b);
	while (bench_stats(b).dirty_bytes)
		usleep(10000);
}

static double sum(const double *v)
{
	double s = 0;

	for (uint32_t i = 0; i < WRITES; i++)
		s += v[i];
	return s;
}

/* Sorts. */
static double p99(double *v, uint32_t n)
{
	bench_median(v, n);
	return v[n - n / 100 - 1];
}

int main(void)
{
	static double ours[ROUNDS][WRITES], theirs[ROUNDS][WRITES];
	struct loop_req *q = calloc(1, sizeof(*q));
	struct delay_conf conf = DELAY_STANDARD;
	double rate[ROUNDS], a[ROUNDS], z[ROUNDS], tail, plain_tail;
	struct bench_place place;
	struct volume_opts o;
	struct volume_stats st;
	struct plain p;
	struct bench b;

	bench_must(q);
	data = bench_data(BENCH_HALF, SOURCE);
	conf.put_us = 100000;
	volume_opts_init(&o);
	o.memory = 256u << 20;
	o.flush_local = true;
	bench_make(&place, DEVICE);
	bench_make_journal(&place, JOURNAL);
	plain_make(&p, DEVICE);
	bench_rss_begin(place.mem);
	bench_start(&b, &place, conf, &o, NULL);
	warm(&b, q);
	engine(&b, q, ours[0]);
	file(&p, theirs[0]);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		if (i % 2)
			engine(&b, q, ours[i]);
		file(&p, theirs[i]);
		if (i % 2 == 0)
			engine(&b, q, ours[i]);
		a[i] = sum(ours[i]);
		z[i] = sum(theirs[i]);
		rate[i] = z[i] / a[i];
	}
	st = bench_stats(&b);
	bench_must(st.journal_active && st.journal_groups >= ROUNDS * (uint64_t)WRITES);
	bench_say("random 4 KiB writes, each with a FLUSH (journal of %llu MiB) or an fdatasync "
		  "(O_DIRECT, written file of %llu MiB), %u by turns, %u rounds: %.0f/s and %.0f/s "
		  "(medians)",
		  JOURNAL >> 20, DEVICE >> 20, WRITES, ROUNDS,
		  WRITES * 1e6 / bench_median(a, ROUNDS), WRITES * 1e6 / bench_median(z, ROUNDS));
	tail = p99(ours[0], ROUNDS * WRITES);
	plain_tail = p99(theirs[0], ROUNDS * WRITES);
	bench_say("p99 of all of them: %.2f ms and %.2f ms; PUT takes 100 ms", tail / 1e3,
		  plain_tail / 1e3);
	bench_figure("fsync_4k_vs_file", bench_median(rate, ROUNDS), "x", "higher");
	bench_figure("fsync_4k_p99_vs_file", tail / plain_tail, "x", "lower");
	bench_memory("flush with a journal", bench_rss_end(&b), o.memory);
	bench_stop(&b, true);
	plain_unmake(&p);
	bench_unmake(&place);
	bench_data_free((void *)data, SOURCE);
	free(q);
	return 0;
}
