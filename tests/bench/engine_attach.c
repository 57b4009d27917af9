// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long an attach takes with many extents against few, with as many segments after the
 * checkpoint. An extent is one block that no other follows.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bench.h"

#define FEW	 10000u
#define MANY	 10000000u
#define SEGMENTS 16u /* after the checkpoint */
#define PAIRS	 3u

static void build(struct bench_place *p, uint64_t extents)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	struct delay_conf at_once = { 0 };
	uint64_t block[BENCH_BLOCK / 8];
	struct volume_opts o;
	struct bench b;

	bench_must(q);
	memset(block, 7, sizeof(block));
	bench_make(p, 2 * extents * BENCH_BLOCK);
	volume_opts_init(&o);
	o.segment_bytes = 64u << 20;
	o.checkpoint_segments = 1u << 20; /* one, at the end */
	bench_start(&b, p, at_once, &o, NULL);
	for (uint64_t i = 0; i < extents; i++) {
		block[0] = i;
		bench_io(&b, 0, q, IO_WRITE, 2 * i, 1, block);
	}
	bench_stop(&b, true);
	bench_start(&b, p, at_once, &o, NULL);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		for (uint32_t k = 0; k < 64; k++) {
			block[0] = i;
			bench_io(&b, 0, q, IO_WRITE, 2 * (i * 64 + k), 1, block);
		}
		bench_flush(&b);
	}
	bench_stop(&b, false);
	free(q);
	malloc_trim(0);
}

/* An attach, and the daemon's death. */
static double attach(struct bench_place *p, struct volume_stats *ret, uint64_t *ret_peak)
{
	struct delay_conf conf = DELAY_STANDARD;
	struct volume_opts o;
	struct bench b;

	conf.drop_segments = false; /* fences are to be read by the next */
	volume_opts_init(&o);
	o.checkpoint_segments = 1u << 20;
	bench_rss_begin(p->mem);
	bench_start(&b, p, conf, &o, NULL);
	*ret = bench_stats(&b);
	*ret_peak = bench_rss_end(&b);
	bench_must(b.rec.segments_replayed == SEGMENTS);
	bench_stop(&b, false);
	malloc_trim(0);
	return (double)b.attach_us;
}

int main(void)
{
	struct bench_place few, many;
	struct volume_stats st;
	struct volume_opts o;
	uint64_t peak;
	double ratio[PAIRS], a[PAIRS], z[PAIRS];

	build(&few, FEW);
	build(&many, MANY);
	for (uint32_t i = 0; i < PAIRS; i++) {
		a[i] = attach(&few, &st, &peak);
		z[i] = attach(&many, &st, &peak);
		ratio[i] = z[i] / a[i];
		bench_must(st.mapped_bytes >= MANY * (uint64_t)BENCH_BLOCK);
	}
	bench_say("attach with %u segments after the checkpoint, medians of %u pairs: %u extents "
		  "%.2f s, %u extents %.2f s; maps then take %.0f MiB",
		  SEGMENTS, PAIRS, FEW, bench_median(a, PAIRS) / 1e6, MANY,
		  bench_median(z, PAIRS) / 1e6, (double)st.map_bytes / (1 << 20));
	volume_opts_init(&o);
	bench_memory("attach with 10 M extents", peak, o.memory);
	bench_figure("attach_10m_vs_10k", bench_median(ratio, PAIRS), "x", "lower");
	bench_unmake(&few);
	bench_unmake(&many);
	return 0;
}
