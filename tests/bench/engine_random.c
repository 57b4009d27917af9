// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What random writes cost in the store, before any cleaning: bytes uploaded per byte written, for
 * 8 KiB overwrites of data that does not compress; PUTs per GiB, for 4 KiB without flushes.
 */
#include <stdlib.h>

#include "lib/bench.h"

#define REGION (1ull << 30) /* that is written, of the device */
#define TOTAL  (1ull << 30) /* bytes written at random */
#define SOURCE (64ull << 20)

/* @bytes a write, at random places, until TOTAL. */
static void random_writes(struct bench *b, const uint8_t *data, uint32_t bytes)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t seed = 1;

	bench_must(q);
	for (uint64_t at = 0; at < TOTAL; at += bytes)
		bench_io(b, 0, q, IO_WRITE,
			 bench_rnd(&seed) % (REGION / bytes) * (bytes / BENCH_BLOCK),
			 bytes / BENCH_BLOCK, data + bench_rnd(&seed) % (SOURCE / bytes) * bytes);
	free(q);
}

static void fill(struct bench *b, const uint8_t *data)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint32_t step = 1u << 20;

	bench_must(q);
	for (uint64_t at = 0; at < REGION; at += step)
		bench_io(b, 0, q, IO_WRITE, at / BENCH_BLOCK, step / BENCH_BLOCK,
			 data + at % SOURCE);
	free(q);
	bench_flush(b);
}

/* Everything that was PUT from the first random write on to the end of a clean detach. */
static struct delay_count job(const char *name, enum bench_data kind, uint32_t bytes, bool over)
{
	uint8_t *data = bench_data(kind, SOURCE);
	struct delay_count before;
	struct bench_place place;
	struct volume_opts o;
	struct bench b;
	uint64_t peak;

	bench_make(&place, REGION);
	volume_opts_init(&o);
	bench_rss_begin(place.mem);
	bench_start(&b, &place, DELAY_STANDARD, &o, NULL);
	if (over)
		fill(&b, data);
	before = bench_puts(&b);
	random_writes(&b, data, bytes);
	peak = bench_rss_end(&b);
	bench_stop(&b, true);
	bench_say("%s: 1 GiB over a region of 1 GiB, %llu PUTs, %.1f MiB", name,
		  (unsigned long long)(b.puts.requests - before.requests),
		  (double)(b.puts.bytes - before.bytes) / (1 << 20));
	bench_memory(name, peak, o.memory);
	bench_unmake(&place);
	bench_data_free(data, SOURCE);
	return (struct delay_count){ b.puts.requests - before.requests,
				     b.puts.bytes - before.bytes };
}

int main(void)
{
	struct delay_count c = job("random 8 KiB overwrites", BENCH_RANDOM, 8192, true);

	bench_figure("write_amp_8k", (double)c.bytes / (double)TOTAL, "1", "lower");
	c = job("random 4 KiB writes without flush", BENCH_HALF, 4096, false);
	bench_figure("puts_per_gib_4k", (double)c.requests * (1 << 30) / (double)TOTAL, "1/GiB",
		     "lower");
	return 0;
}
