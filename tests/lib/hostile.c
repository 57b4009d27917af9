// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int try_len(const void *obj, size_t copy, size_t len, hostile_open open, void *ctx)
{
	uint8_t *p = malloc(len ? len : 1);
	int rc;

	assert_non_null(p);
	memset(p, 0, len);
	memcpy(p, obj, copy);
	rc = open(ctx, p, len);
	free(p);
	return rc;
}

void hostile_check(const void *obj, size_t len, hostile_open open, void *ctx)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	memcpy(p, obj, len);
	assert_int_equal(open(ctx, p, len), 0);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (open(ctx, p, len) >= 0)
			fail_msg("byte %zu of %zu, bit %zu: accepted", bit / 8, len, bit % 8);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free(p);
	for (size_t n = 0; n < len; n++)
		if (try_len(obj, n, n, open, ctx) >= 0)
			fail_msg("cut to %zu of %zu: accepted", n, len);
	if (try_len(obj, len, len + 1, open, ctx) >= 0)
		fail_msg("a byte more than %zu: accepted", len);
}
