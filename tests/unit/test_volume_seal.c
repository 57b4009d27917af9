// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sealing that fails in the middle and is started anew: the segment is right in the end, and no key
 * has sealed two things under one number. The linker puts this file's functions before those that
 * seal (Makefile).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_seg.h"
#include "lib/run.h"
#include "lib/testrand.h"
#include "volume/codec.h"

#define TABLE UINT32_MAX
#define MANY  65536u

static struct {
	struct {
		uint8_t key[FMT_KEY_LEN];
		uint32_t no; /* of a frame, or TABLE */
	} used[MANY];
	uint32_t nr;
	uint32_t frames_pm, tables_pm; /* per mille that fail once they are made */
	uint32_t failed_frames, failed_tables;
} seen;

int __real_codec_seal(struct codec *c, int level, const struct fmt_segkey *k, uint32_t no,
		      struct fmt_frame *f, const void *src, void *dst);
int __wrap_codec_seal(struct codec *c, int level, const struct fmt_segkey *k, uint32_t no,
		      struct fmt_frame *f, const void *src, void *dst);
int __real_fmt_seg_seal(struct buf *b, struct fmt_seg *s, const struct fmt_table *t,
			const struct fmt_segkey *k, const uint8_t *header_key);
int __wrap_fmt_seg_seal(struct buf *b, struct fmt_seg *s, const struct fmt_table *t,
			const struct fmt_segkey *k, const uint8_t *header_key);

static void use(const struct fmt_segkey *k, uint32_t no)
{
	uint32_t i;

	for (i = 0; i < seen.nr; i++)
		if (seen.used[i].no == no && !memcmp(seen.used[i].key, k->key, FMT_KEY_LEN))
			fail_msg("slot %llu: one key has sealed number %u twice",
				 (unsigned long long)k->seq, no);
	assert_true(seen.nr < MANY);
	memcpy(seen.used[seen.nr].key, k->key, FMT_KEY_LEN);
	seen.used[seen.nr++].no = no;
}

int __wrap_codec_seal(struct codec *c, int level, const struct fmt_segkey *k, uint32_t no,
		      struct fmt_frame *f, const void *src, void *dst)
{
	int err = __real_codec_seal(c, level, k, no, f, src, dst);

	use(k, no);
	if (err || testrand_below(1000) >= seen.frames_pm)
		return err;
	seen.failed_frames++;
	return -ENOMEM;
}

int __wrap_fmt_seg_seal(struct buf *b, struct fmt_seg *s, const struct fmt_table *t,
			const struct fmt_segkey *k, const uint8_t *header_key)
{
	int err = __real_fmt_seg_seal(b, s, t, k, header_key);

	if (!k) /* a fence */
		return err;
	use(k, TABLE);
	if (err || testrand_below(1000) >= seen.tables_pm)
		return err;
	seen.failed_tables++;
	return -ENOMEM;
}

static void fails(uint64_t seed, uint32_t frames_pm, uint32_t tables_pm)
{
	struct run r;
	uint32_t i;

	memset(&seen, 0, sizeof(seen));
	run_begin(&r, seed, 1);
	seen.frames_pm = frames_pm;
	seen.tables_pm = tables_pm;
	for (i = 0; i < 150; i++)
		run_op(&r);
	assert_int_equal(vol_flush(&r.w), 0);
	vol_assert_store(&r.w, &r.m, r.m.ops, r.m.ops);
	assert_int_equal(r.w.failed, 0);
	assert_true(!frames_pm == !seen.failed_frames);
	assert_true(!tables_pm == !seen.failed_tables);
	run_end(&r);
}

static void test_frames_fail(void **state)
{
	(void)state;
	fails(600, 30, 0);
}

static void test_tables_fail(void **state)
{
	(void)state;
	fails(601, 0, 300);
}

static void test_both_fail(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 602; seed < 602 + run_seeds(3); seed++)
		fails(seed, 20, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_fail),
		cmocka_unit_test(test_tables_fail),
		cmocka_unit_test(test_both_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
