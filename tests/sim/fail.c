// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages and failures. The helpers in tests/lib assert with cmocka's macros; here what these call
 * ends the seed and says how to see it again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/sim.h"

struct sim *sim_now;
bool sim_tracing;
static uint64_t digest = 0xcbf29ce484222325ull;
static char last_error[512];

uint64_t sim_digest(void)
{
	return digest;
}

void sim_trace(const struct sim *s, const char *fmt, ...)
{
	char line[512];
	const char *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (p = line; *p; p++)
		digest = (digest ^ (uint8_t)*p) * 0x100000001b3ull;
	digest = (digest ^ s->step) * 0x100000001b3ull;
	if (sim_tracing)
		printf("%6" PRIu64 " %10.6f %s\n", s->step, (double)s->now / 1e6, line);
}

static void end(const char *what) __attribute__((noreturn));
static void end(const char *what)
{
	const struct sim *s = sim_now;

	fflush(stdout);
	if (!s) {
		fprintf(stderr, "sim: %s\n", what);
		_exit(1);
	}
	fprintf(stderr, "sim: seed %" PRIu64 " step %" PRIu64 ": %s\n", s->seed, s->step, what);
	fprintf(stderr, "replay: make sim SEED=%" PRIu64, s->seed);
	if (s->point)
		fprintf(stderr, " POINT=%" PRIu64, s->point);
	fprintf(stderr, " TRACE=1\n");
	_exit(1);
}

void sim_fail(const char *fmt, ...)
{
	char what[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	end(what);
}

/* ---- what cmocka.h declares and tests/lib uses --------------------------------------------- */

static void at(const char *what, const char *file, int line)
{
	char text[768];

	snprintf(text, sizeof(text), "%s (%s:%d)", what, file, line);
	end(text);
}

void _assert_true(const LargestIntegralType result, const char *const expression,
		  const char *const file, const int line)
{
	if (!result)
		at(expression, file, line);
}

void _assert_int_equal(const LargestIntegralType a, const LargestIntegralType b,
		       const char *const file, const int line)
{
	char text[64];

	if (a == b)
		return;
	snprintf(text, sizeof(text), "%lld is not %lld", (long long)a, (long long)b);
	at(text, file, line);
}

void _fail(const char *const file, const int line)
{
	at(last_error, file, line);
	abort();
}

void print_error(const char *const format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(last_error, sizeof(last_error), format, ap);
	va_end(ap);
	last_error[strcspn(last_error, "\n")] = 0;
}

void print_message(const char *const format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}
