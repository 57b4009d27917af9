// SPDX-License-Identifier: GPL-2.0-or-later
#include "check.h"

#include <stdio.h>
#include <string.h>

static unsigned int failures; /* of the test at hand */
static const char *skipped;

void check_failed(const char *file, int line, const char *what, long long got, long long want)
{
	const char *base = strrchr(file, '/');

	failures++;
	if (failures > 20)
		return;
	printf("# %s:%d: %s", base ? base + 1 : file, line, what);
	if (got != want)
		printf(" (%lld, not %lld)", got, want);
	printf("\n");
	fflush(stdout);
}

void check_skip(const char *why)
{
	skipped = why;
}

int check_main(int argc, char **argv, const struct check_test *tests, unsigned int nr,
	       void (*after)(void))
{
	unsigned int i, passed = 0, failed = 0, skips = 0, n = 0;

	for (i = 0; i < nr; i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		failures = 0;
		skipped = NULL;
		n++;
		tests[i].fn();
		after();
		if (failures) {
			failed++;
			printf("not ok %u %s\n", n, tests[i].name);
		} else if (skipped) {
			skips++;
			printf("ok %u %s # SKIP %s\n", n, tests[i].name, skipped);
		} else {
			passed++;
			printf("ok %u %s\n", n, tests[i].name);
		}
		fflush(stdout);
	}
	printf("%u passed, %u failed, %u skipped\n", passed, failed, skips);
	return failed || !n ? 1 : 0;
}
