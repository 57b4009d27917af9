// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_frame.h"
#include "lib/hostile.h"
#include "lib/testrand.h"

static uint8_t data[FMT_FRAME_MAX_BLOCKS * FMT_BLOCK_SIZE];
static uint8_t stored[FMT_FRAME_MAX_STORED];
static uint8_t back[sizeof(data)];

static const uint8_t uuid[16] = { 1, 2, 3 };
static const uint8_t kdata[FMT_KEY_LEN] = { 4, 5, 6 };

struct fixture {
	struct fmt_segkey key;
	struct fmt_frame f;
	uint8_t salt[FMT_SALT_LEN];
};

static void make_key(struct fixture *x, uint8_t type, uint64_t seq, uint64_t epoch)
{
	fmt_segkey_init(&x->key, type, uuid, seq, epoch, x->salt, kdata);
}

static void setup(struct fixture *x)
{
	testrand_seed(1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)testrand_u64();
	fmt_segkey_salt(x->salt);
	make_key(x, FMT_SEG_DATA, 77, 3);
	x->f = (struct fmt_frame){ .dev = 1, .lba = 100, .blocks = 2, .codec = FMT_CODEC_RAW };
}

static int open_frame(void *ctx, const void *p, size_t len)
{
	struct fixture *x = ctx;
	uint32_t n, no;
	int rc = fmt_frame_open(&x->key, &x->f, p, len, back, sizeof(back), &n, &no);

	if (!rc && (no != 5 || memcmp(back, data, n)))
		return -EIO;
	return rc;
}

static void raw(void **state)
{
	struct fixture x;
	uint32_t n = 0, no = 0;

	(void)state;
	setup(&x);
	for (uint16_t blocks = 1; blocks <= FMT_FRAME_MAX_BLOCKS; blocks++) {
		x.f.blocks = blocks;
		assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, blocks * 4096u, stored), 0);
		assert_int_equal(x.f.stored_len, 32 + blocks * 4096u);
		memset(back, 0, sizeof(back));
		assert_int_equal(fmt_frame_open(&x.key, &x.f, stored, x.f.stored_len, back,
						blocks * 4096u, &n, &no),
				 0);
		assert_int_equal(n, blocks * 4096u);
		assert_int_equal(no, 5);
		assert_memory_equal(back, data, n);
		/* No room: nothing is written. */
		assert_int_equal(fmt_frame_open(&x.key, &x.f, stored, x.f.stored_len, back,
						blocks * 4096u - 1, &n, NULL),
				 -EINVAL);
	}
}

/* Every payload length: padded to 16, and the padding is not a place to hide anything. */
static void compressed(void **state)
{
	struct fixture x;
	uint32_t n = 0, peek = 0;

	(void)state;
	setup(&x);
	x.f.codec = FMT_CODEC_ZSTD;
	for (uint32_t len = 1; len < 8192; len += len < 70 ? 1 : 257) {
		assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, len, stored), 0);
		assert_int_equal(x.f.stored_len % 16, 0);
		assert_in_range(x.f.stored_len, 32 + len, 32 + len + 15);
		assert_int_equal(fmt_frame_payload_len(&x.f, stored, x.f.stored_len, &peek), 0);
		assert_int_equal(peek, len);
		assert_int_equal(fmt_frame_open(&x.key, &x.f, stored, x.f.stored_len, back, len, &n,
						NULL),
				 0);
		assert_int_equal(n, len);
		assert_memory_equal(back, data, len);
	}
}

static void refused_shapes(void **state)
{
	struct fixture x;

	(void)state;
	setup(&x);
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 4096, stored), -EINVAL);
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 0, stored), -EINVAL);
	x.f.codec = FMT_CODEC_ZSTD;
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 8192, stored), -EINVAL);
	x.f.codec = FMT_NR_CODECS;
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 100, stored), -EINVAL);
	x.f.codec = FMT_CODEC_RAW;
	x.f.blocks = 0;
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 0, stored), -EINVAL);
	x.f.blocks = FMT_FRAME_MAX_BLOCKS + 1;
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, x.f.blocks * 4096u, stored),
			 -EINVAL);
	x.f.blocks = 1;
	x.f.lba = FMT_MAX_LBA;
	assert_int_equal(fmt_frame_seal(&x.key, 0, &x.f, data, 4096, stored), -EINVAL);
}

static void damaged(void **state)
{
	struct fixture x;

	(void)state;
	setup(&x);
	x.f.codec = FMT_CODEC_ZSTD;
	assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, 1001, stored), 0);
	hostile_check(stored, x.f.stored_len, open_frame, &x);
}

/* A frame is only ever taken for itself. */
static void bound(void **state)
{
	struct fixture x, y;

	(void)state;
	setup(&x);
	assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, 8192, stored), 0);
	assert_int_equal(open_frame(&x, stored, x.f.stored_len), 0);
#define REFUSED(change) \
	do { \
		y = x; \
		change; \
		assert_int_equal(open_frame(&y, stored, x.f.stored_len), -EBADMSG); \
	} while (0)
	REFUSED(y.f.dev++);
	REFUSED(y.f.lba++);
	REFUSED(y.f.lba--);
	REFUSED(y.f.blocks = 1);
	REFUSED(y.f.codec = FMT_CODEC_ZSTD);
	REFUSED(make_key(&y, FMT_SEG_DATA, 78, 3));
	REFUSED(make_key(&y, FMT_SEG_DATA, 77, 4));
	REFUSED(make_key(&y, FMT_SEG_GC, 77, 3));
	REFUSED(y.key.uuid[0] ^= 1);
	REFUSED(y.key.seq++);
	REFUSED(y.key.epoch++);
	REFUSED(y.salt[31] ^= 1; make_key(&y, FMT_SEG_DATA, 77, 3));
#undef REFUSED
}

/* The same blocks under two numbers, seqs or salts give unlike bytes: no nonce is used twice. */
static void nonces(void **state)
{
	static uint8_t other[FMT_FRAME_MAX_STORED];
	struct fixture x, y;

	(void)state;
	setup(&x);
	y = x;
	assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, 8192, stored), 0);
	assert_int_equal(fmt_frame_seal(&y.key, 6, &y.f, data, 8192, other), 0);
	assert_memory_not_equal(stored + 32, other + 32, 8192);
	fmt_segkey_salt(y.salt);
	make_key(&y, FMT_SEG_DATA, 77, 3);
	assert_int_equal(fmt_frame_seal(&y.key, 5, &y.f, data, 8192, other), 0);
	assert_memory_not_equal(stored + 32, other + 32, 8192);
	/* A resend is the same bytes. */
	assert_int_equal(fmt_frame_seal(&x.key, 5, &x.f, data, 8192, other), 0);
	assert_memory_equal(stored, other, x.f.stored_len);
	fmt_segkey_wipe(&x.key);
	for (size_t i = 0; i < FMT_KEY_LEN; i++)
		assert_int_equal(x.key.key[i], 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw),
		cmocka_unit_test(compressed),
		cmocka_unit_test(refused_shapes),
		cmocka_unit_test(damaged),
		cmocka_unit_test(bound),
		cmocka_unit_test(nonces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
