// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"

void run_flush(struct run *r)
{
	vol_submit(vol_io_new(), &r->w, IO_FLUSH, 0, 0, 0, 0, r->m.ops);
}

static uint32_t random_len(uint32_t max)
{
	uint32_t n = testrand_below(8) ? 1 + testrand_below(12) : 1 + testrand_below(max);

	return n < max ? n : max;
}

void run_op(struct run *r)
{
	uint32_t dev = testrand_below(r->m.nr_devs), kind = testrand_below(20);
	uint64_t lba = testrand_below(4) ? testrand_below(200) : testrand_below(r->m.blocks);
	uint32_t left = r->m.blocks - lba, n, op;
	uint8_t flags = testrand_below(30) ? 0 : IO_F_FUA;

	if (kind < 16) {
		n = random_len(left < IO_MAX_BLOCKS ? left : IO_MAX_BLOCKS);
		op = model_op(&r->m, dev, lba, n, true);
		vol_submit(vol_io_new(), &r->w, IO_WRITE, flags, dev, lba, n, op);
	} else if (kind < 19) {
		n = random_len(left);
		op = model_op(&r->m, dev, lba, n, false);
		vol_submit(vol_io_new(), &r->w, kind == 18 ? IO_WRITE_ZEROES : IO_DISCARD,
			   flags | (testrand_below(2) ? IO_F_NOUNMAP : 0), dev, lba, n, op);
	} else {
		run_flush(r);
	}
	while (r->w.pending > r->max_async)
		assert_true(vol_step(&r->w));
	if (testrand_below(3))
		vol_step(&r->w);
}

void run_begin_journal(struct run *r, uint64_t seed, uint32_t devs, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	vol_init(&r->w, seed, devs, RUN_BLOCKS * 4096ull);
	if (size)
		vol_journal(&r->w, size);
	model_init(&r->m, devs, RUN_BLOCKS);
	r->max_async = 1 + testrand_below(24);
	r->w.opts.frame_bytes = 4096u << testrand_below(6);
	r->w.opts.zstd_level = testrand_below(3);
	r->w.opts.checkpoint_segments = 4 + testrand_below(20);
	assert_int_equal(vol_attach(&r->w, false), 0);
}

void run_begin(struct run *r, uint64_t seed, uint32_t devs)
{
	run_begin_journal(r, seed, devs, 0);
}

void run_end(struct run *r)
{
	vol_end(&r->w);
	model_free(&r->m);
}

uint64_t run_seeds(uint64_t n)
{
	const char *s = getenv("SEEDS");

	return s && *s ? strtoull(s, NULL, 10) : n;
}
