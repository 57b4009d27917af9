// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/testrand.h"
#include "volume/codec.h"

static uint8_t data[FMT_FRAME_MAX_BLOCKS * FMT_BLOCK_SIZE];
static uint8_t stored[FMT_FRAME_MAX_STORED];
static uint8_t back[sizeof(data)];

static const uint8_t uuid[16] = { 1 }, salt[FMT_SALT_LEN] = { 2 }, kdata[FMT_KEY_LEN] = { 3 };

static void fill_random(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)testrand_u64();
}

/* Seals the first @blocks blocks, opens them again, and returns the codec that was chosen. */
static uint8_t there_and_back(uint16_t blocks)
{
	struct codec *c = codec_new();
	struct fmt_frame f = { .dev = 1, .lba = 100, .blocks = blocks };
	size_t len = (size_t)blocks * FMT_BLOCK_SIZE;
	struct fmt_segkey key;

	assert_non_null(c);
	fmt_segkey_init(&key, FMT_SEG_DATA, uuid, 7, 1, salt, kdata);
	assert_int_equal(codec_seal(c, 1, &key, 0, &f, data, stored), 0);
	assert_int_equal(codec_open(c, &key, &f, stored, f.stored_len, back), 0);
	assert_memory_equal(back, data, len);
	codec_free(c);
	return f.codec;
}

static void random_is_stored_raw(void **state)
{
	(void)state;
	testrand_seed(1);
	fill_random();
	for (uint16_t blocks = 1; blocks <= FMT_FRAME_MAX_BLOCKS; blocks++)
		assert_int_equal(there_and_back(blocks), FMT_CODEC_RAW);
}

/*
 * Pages, records and sectors begin at round numbers: the probe must not see their beginnings only.
 */
static void half_random_compresses(void **state)
{
	(void)state;
	testrand_seed(2);
	for (uint16_t blocks = 1; blocks <= FMT_FRAME_MAX_BLOCKS; blocks *= 2) {
		for (size_t rhythm = 512; rhythm <= (size_t)blocks * FMT_BLOCK_SIZE; rhythm *= 2) {
			for (size_t phase = 0; phase < 2; phase++) {
				fill_random();
				for (size_t at = phase * rhythm / 2; at < sizeof(data);
				     at += rhythm)
					memset(data + at, 0, rhythm / 2);
				assert_int_equal(there_and_back(blocks), FMT_CODEC_ZSTD);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_is_stored_raw),
		cmocka_unit_test(half_random_compresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
