// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/hash.h"
#include "lib/testrand.h"

/* RFC 3720, B.4, and the check value of the polynomial. */
static void vectors(void **state)
{
	uint8_t b[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
	memset(b, 0, sizeof(b));
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x8a9136aau);
	memset(b, 0xff, sizeof(b));
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x62a8ab43u);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x46dd794eu);
	assert_int_equal(crc32c(0, b, 0), 0);
}

/*
 * The instruction and the tables agree, at every length around the chunks and from any alignment.
 */
static void both_ways(void **state)
{
	size_t room = 40000;
	uint8_t *b = malloc(room + 8);

	(void)state;
	assert_non_null(b);
	testrand_seed(2);
	for (size_t i = 0; i < room + 8; i++)
		b[i] = (uint8_t)testrand_u64();
	for (size_t n = 0; n < room; n += n < 100 ? 1 : testrand_below(997) + 1) {
		const uint8_t *p = b + n % 8;

		assert_int_equal(crc32c(7, p, n), crc32c_table(7, p, n));
	}
	free(b);
}

static void in_pieces(void **state)
{
	uint8_t b[10000];
	uint32_t whole;

	(void)state;
	testrand_seed(3);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)testrand_u64();
	whole = crc32c(0, b, sizeof(b));
	for (int i = 0; i < 200; i++) {
		size_t cut = testrand_below(sizeof(b));

		assert_int_equal(crc32c(crc32c(0, b, cut), b + cut, sizeof(b) - cut), whole);
	}
}

static void table_hashes_spread(void **state)
{
	unsigned int bucket[64] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 6400; i++)
		bucket[hash_2u64(i, 4096 * i) % 64]++;
	for (int i = 0; i < 64; i++)
		assert_in_range(bucket[i], 50, 150);
	assert_true(hash_bytes("a", 1) != hash_bytes("b", 1));
	assert_true(hash_bytes("", 0) == hash_bytes("x", 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(both_ways),
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(table_hashes_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
