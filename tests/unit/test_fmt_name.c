// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/fmt_name.h"
#include "lib/testrand.h"
#include "store/store.h"

static void spelling(void **state)
{
	char n[FMT_NAME_MAX];

	(void)state;
	fmt_name_seg(n, 0);
	assert_string_equal(n, "seg/0000000000000/000");
	fmt_name_seg(n, 0x1234);
	assert_string_equal(n, "seg/0000000000001/234");
	fmt_name_gc(n, UINT64_MAX);
	assert_string_equal(n, "gc/fffffffffffff/fff");
	fmt_name_head(n, 1);
	assert_string_equal(n, "head/fffffffffffffffe");
	fmt_name_manifest(n, 7, 0xabc);
	assert_string_equal(n, "manifest/0000000000000007/0000000000000abc");
	fmt_name_run(n, 7, 1);
	assert_string_equal(n, "run/0000000000000007/0000000000000001");
	fmt_name_keys(n, 1);
	assert_string_equal(n, "keys/0000000000000001");
}

/* LIST order is number order; heads the other way round. */
static void order(void **state)
{
	char a[FMT_NAME_MAX], b[FMT_NAME_MAX];

	(void)state;
	testrand_seed(1);
	for (int i = 0; i < 10000; i++) {
		uint64_t x = testrand_u64() >> testrand_below(64),
			 y = testrand_u64() >> testrand_below(64);
		uint64_t v;

		fmt_name_seg(a, x);
		fmt_name_seg(b, y);
		assert_true((strcmp(a, b) < 0) == (x < y));
		assert_int_equal(fmt_name_parse_seg(a, &v), 0);
		assert_true(v == x);
		fmt_name_head(a, x);
		fmt_name_head(b, y);
		assert_true((strcmp(a, b) < 0) == (x > y));
		assert_int_equal(fmt_name_parse_head(a, &v), 0);
		assert_true(v == x);
		assert_int_equal(store_name_check(a), 0);
	}
}

static void pairs(void **state)
{
	char n[FMT_NAME_MAX];
	uint64_t version = 0, id = 0;

	(void)state;
	fmt_name_manifest(n, 0x1122334455667788ull, 0x99aabbccddeeff00ull);
	assert_int_equal(fmt_name_parse_manifest(n, &version, &id), 0);
	assert_true(version == 0x1122334455667788ull && id == 0x99aabbccddeeff00ull);
	assert_int_equal(fmt_name_parse_run(n, &version, &id), -EINVAL);
	fmt_name_run(n, 3, 4);
	assert_int_equal(fmt_name_parse_run(n, &version, &id), 0);
	assert_true(version == 3 && id == 4);
	fmt_name_gc(n, 0x5005);
	assert_int_equal(fmt_name_parse_gc(n, &version), 0);
	assert_true(version == 0x5005);
	fmt_name_keys(n, 9);
	assert_int_equal(fmt_name_parse_keys(n, &version), 0);
	assert_true(version == 9);
}

static void strangers(void **state)
{
	static const char *const bad[] = {
		"",
		"seg",
		"seg/",
		"seg/0000000000000",
		"seg/0000000000000/",
		"seg/0000000000000/00",
		"seg/0000000000000/0000",
		"seg/000000000000/000",
		"seg/000000000000g/000",
		"seg/0000000000000/00A",
		"seg/0000000000000x000",
		"gc/0000000000000/000",
		"head/0000000000000000",
		"seg/0000000000000/000/",
		" seg/0000000000000/000",
	};
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fmt_name_parse_seg(bad[i], &v), -EINVAL);
	assert_int_equal(fmt_name_parse_head("head/00000000000000000", &v), -EINVAL);
	assert_int_equal(fmt_name_parse_head("head/000000000000000", &v), -EINVAL);
	assert_int_equal(fmt_name_parse_keys("keys/000000000000000G", &v), -EINVAL);
	assert_true(v == 42);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(spelling),
		cmocka_unit_test(order),
		cmocka_unit_test(pairs),
		cmocka_unit_test(strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
