// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/count.h"
#include "base/hist.h"

static struct hist h;

/* Every value is in the one bucket that ends beyond it and not before. */
static void buckets(void **state)
{
	static const uint64_t at[] = { 0, 1, 3, 4, 7, 8, 100, 1000, 65535, 65536, 1u << 20 };

	(void)state;
	for (unsigned int b = 1; b < HIST_BUCKETS; b++) {
		assert_true(hist_upper(b) > hist_upper(b - 1));
		/* a quarter of itself at most */
		assert_true(b < 4 ||
			    hist_upper(b) - hist_upper(b - 1) <= hist_upper(b - 1) / 4 + 1);
	}
	assert_true(hist_upper(HIST_BUCKETS - 1) == 1ull << 32);
	for (uint64_t v = 0; v < 300000; v += v < 5000 ? 1 : 1 + v % 97) {
		unsigned int b = 0;

		memset(&h, 0, sizeof(h));
		hist_add(&h, v);
		while (!h.count[b])
			b++;
		assert_true(v < hist_upper(b) && (!b || v >= hist_upper(b - 1)));
	}
	memset(&h, 0, sizeof(h));
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		hist_add(&h, at[i]);
	hist_add(&h, UINT64_MAX / 2);
	assert_int_equal(h.n, sizeof(at) / sizeof(at[0]) + 1);
	assert_int_equal(h.count[HIST_BUCKETS - 1], 1);
	assert_true(h.max == UINT64_MAX / 2);
}

static void quantiles(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	assert_int_equal(hist_quantile(&h, 500), 0);
	for (unsigned int i = 1; i <= 10000; i++)
		hist_add(&h, i);
	/* of evenly spread values the interpolation is all but exact */
	assert_in_range(hist_quantile(&h, 0), 0, 1);
	assert_in_range(hist_quantile(&h, 100), 995, 1005);
	assert_in_range(hist_quantile(&h, 500), 4990, 5010);
	assert_in_range(hist_quantile(&h, 990), 9600, 10000);
	assert_int_equal(hist_quantile(&h, 1000), 10000);
	assert_int_equal(h.sum, 50005000);
	/* and of equal ones within their bucket, and never above the largest */
	memset(&h, 0, sizeof(h));
	for (int i = 0; i < 1000; i++)
		hist_add(&h, 100);
	assert_in_range(hist_quantile(&h, 10), 96, 100);
	assert_int_equal(hist_quantile(&h, 999), 100);
	hist_add(&h, 1ull << 40);
	assert_true(hist_quantile(&h, 1000) == 1ull << 40);
	assert_in_range(hist_quantile(&h, 990), 96, 112);
}

static void *adding(void *arg)
{
	struct hist *one = arg;

	for (uint64_t i = 0; i < 100000; i++)
		hist_add(one, i);
	return NULL;
}

/* Who reads meanwhile sees no count go back, and the sum of the buckets as the number. */
static void merged(void **state)
{
	static struct hist one, sum;
	uint64_t last = 0;
	pthread_t t;

	(void)state;
	memset(&one, 0, sizeof(one));
	assert_int_equal(pthread_create(&t, NULL, adding, &one), 0);
	do {
		uint64_t n = 0;

		memset(&sum, 0, sizeof(sum));
		hist_merge(&sum, &one);
		for (unsigned int b = 0; b < HIST_BUCKETS; b++)
			n += sum.count[b];
		assert_true(sum.n == n && n >= last);
		last = n;
	} while (last < 100000);
	pthread_join(t, NULL);
	hist_merge(&sum, &one);
	assert_int_equal(sum.n, 200000);
	assert_int_equal(sum.max, 99999);
	assert_int_equal(count_read(&one.n), 100000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets),
		cmocka_unit_test(quantiles),
		cmocka_unit_test(merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
