// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cur.h"
#include "base/le.h"

static void numbers(void **state)
{
	static const uint64_t edge[] = { 0,	     1,		127,
					 128,	     16383,	16384,
					 UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1,
					 UINT64_MAX };
	struct buf b = BUF_INIT;
	struct cur c;

	(void)state;
	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
		buf_put_var(&b, edge[i]);
		buf_put_zig(&b, (int64_t)edge[i]);
	}
	assert_int_equal(buf_err(&b), 0);
	cur_init(&c, b.data, b.len);
	for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
		assert_true(cur_var(&c) == edge[i]);
		assert_true(cur_zig(&c) == (int64_t)edge[i]);
	}
	assert_int_equal(cur_err(&c), 0);
	assert_int_equal(cur_left(&c), 0);
	/* Reading on is an error, and stays one. */
	assert_int_equal(cur_u8(&c), 0);
	assert_int_equal(cur_err(&c), -EBADMSG);
	buf_free(&b);
}

static void small_numbers_are_short(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_put_zig(&b, -64);
	buf_put_zig(&b, 63);
	buf_put_var(&b, 127);
	assert_int_equal(b.len, 3);
	buf_free(&b);
}

static void refuse(const uint8_t *p, size_t len)
{
	struct cur c;

	cur_init(&c, p, len);
	assert_true(cur_var(&c) == 0);
	assert_int_equal(cur_err(&c), -EBADMSG);
}

static void malformed(void **state)
{
	static const uint8_t cut[] = { 0x80 };
	static const uint8_t padded[] = { 0x80, 0x00 };
	static const uint8_t padded2[] = { 0xff, 0x80, 0x00 };
	static const uint8_t too_big[] = { 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xff, 0xff, 0xff, 0xff, 0x02 };
	static const uint8_t too_long[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					    0xff, 0xff, 0xff, 0x81, 1 };

	(void)state;
	refuse(cut, sizeof(cut));
	refuse(padded, sizeof(padded));
	refuse(padded2, sizeof(padded2));
	refuse(too_big, sizeof(too_big));
	refuse(too_long, sizeof(too_long));
	refuse(cut, 0);
}

static void growth(void **state)
{
	struct buf b = BUF_INIT;
	uint8_t chunk[777];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		memset(chunk, i, sizeof(chunk));
		buf_put(&b, chunk, sizeof(chunk));
	}
	assert_int_equal(b.len, 777000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(b.data[i * 777 + 776], i & 0xff);
	/* More than there can be: an error that sticks. */
	assert_null(buf_extend(&b, SIZE_MAX / 2));
	assert_int_equal(buf_err(&b), -ENOMEM);
	buf_put_u8(&b, 1);
	assert_int_equal(b.len, 777000);
	buf_reset(&b);
	buf_put_u8(&b, 1);
	assert_int_equal(buf_err(&b), 0);
	assert_int_equal(b.len, 1);
	buf_free(&b);
}

static void little_endian(void **state)
{
	le16 a = le_16(0x0102);
	le32 b = le_32(0x01020304);
	le64 c = le_64(0x0102030405060708ull);

	(void)state;
	assert_memory_equal(a.b, "\x02\x01", 2);
	assert_memory_equal(b.b, "\x04\x03\x02\x01", 4);
	assert_memory_equal(c.b, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_int_equal(le_cpu16(a), 0x0102);
	assert_int_equal(le_cpu32(b), 0x01020304);
	assert_true(le_cpu64(c) == 0x0102030405060708ull);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),	 cmocka_unit_test(small_numbers_are_short),
		cmocka_unit_test(malformed),	 cmocka_unit_test(growth),
		cmocka_unit_test(little_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
