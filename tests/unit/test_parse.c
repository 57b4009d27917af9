// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/parse.h"
#include "base/uuid.h"

static void sizes(void **state)
{
	static const struct {
		const char *s;
		int rc;
		uint64_t v;
	} t[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4K", 0, 4096 },
		{ "4k", 0, 4096 },
		{ "512M", 0, 512ull << 20 },
		{ "4G", 0, 4ull << 30 },
		{ "4GiB", 0, 4ull << 30 },
		{ "1Ti", 0, 1ull << 40 },
		{ "3P", 0, 3ull << 50 },
		{ "7E", 0, 7ull << 60 },
		{ "8E", -ERANGE, 0 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999K", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "1GB", -EINVAL, 0 },
		{ "1Z", -EINVAL, 0 },
		{ "1KK", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1GiBs", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t v = 42;

		assert_int_equal(parse_size(t[i].s, &v), t[i].rc);
		assert_true(v == (t[i].rc ? 42 : t[i].v));
	}
}

static void numbers(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("3", 4, 9, &v), -ERANGE);
	assert_int_equal(parse_u64("10", 4, 9, &v), -ERANGE);
	assert_int_equal(parse_u64("4x", 4, 9, &v), -EINVAL);
	assert_int_equal(parse_u64("", 4, 9, &v), -EINVAL);
	assert_int_equal(parse_u64("007", 4, 9, &v), 0);
	assert_true(v == 7);
}

static void times(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(parse_ms("2", &v), 0);
	assert_int_equal(v, 2000);
	assert_int_equal(parse_ms("250ms", &v), 0);
	assert_int_equal(v, 250);
	assert_int_equal(parse_ms("3m", &v), 0);
	assert_int_equal(v, 180000);
	assert_int_equal(parse_ms("1h", &v), 0);
	assert_int_equal(v, 3600000);
	assert_int_equal(parse_ms("1d", &v), -EINVAL);
	assert_int_equal(parse_ms("", &v), -EINVAL);
	assert_int_equal(parse_ms("9999999999999999h", &v), -ERANGE);
}

static void printed_sizes(void **state)
{
	static const struct {
		uint64_t v;
		const char *s;
	} t[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 102400, "100 KiB" },
		{ 1048575, "1.0 MiB" },
		{ 4ull << 30, "4.0 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char out[PARSE_SIZE_STR];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(parse_size_str(out, t[i].v), t[i].s);
}

static void uuids(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeefff",
		"00112233x4455-6677-8899-aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddeefg",
		"0011223344556677-8899-aabbccddeeff00",
	};
	const char *s = "00112233-4455-6677-8899-aabbccddeeff";
	uint8_t a[16], b[16];
	char out[UUID_STR_LEN], hex[9];

	(void)state;
	assert_int_equal(uuid_parse(s, a), 0);
	assert_int_equal(a[0], 0x00);
	assert_int_equal(a[15], 0xff);
	assert_string_equal(uuid_str(out, a), s);
	assert_int_equal(uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", b), 0);
	assert_memory_equal(a, b, 16);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuid_parse(bad[i], b), -EINVAL);
	uuid_random(a);
	uuid_random(b);
	assert_memory_not_equal(a, b, 16);
	assert_int_equal(a[6] >> 4, 4);
	assert_int_equal(a[8] >> 6, 2);
	assert_false(uuid_is_null(a));
	memset(a, 0, 16);
	assert_true(uuid_is_null(a));
	assert_string_equal(uuid_hex(hex, "\x01\xab\xff\x00", 4), "01abff00");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),	 cmocka_unit_test(numbers), cmocka_unit_test(times),
		cmocka_unit_test(printed_sizes), cmocka_unit_test(uuids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
