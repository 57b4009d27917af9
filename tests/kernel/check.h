/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check: the smallest frame for tests that need root and the module. A test is a function; CHECK
 * notes a failure and goes on, NEED notes it and leaves the test.
 */
#ifndef TESTS_KERNEL_CHECK_H
#define TESTS_KERNEL_CHECK_H

#include <stdbool.h>
#include <stdint.h>

void check_failed(const char *file, int line, const char *what, long long got, long long want);

#define CHECK(cond)								\
	do {									\
		if (!(cond))							\
			check_failed(__FILE__, __LINE__, #cond, 0, 0);		\
	} while (0)
#define CHECK_EQ(got, want)							\
	do {									\
		long long got_ = (long long)(got), want_ = (long long)(want);	\
										\
		if (got_ != want_)						\
			check_failed(__FILE__, __LINE__, #got " == " #want,	\
				     got_, want_);				\
	} while (0)
#define NEED(cond)								\
	do {									\
		if (!(cond)) {							\
			check_failed(__FILE__, __LINE__, #cond, 0, 0);		\
			return;							\
		}								\
	} while (0)
#define NEED_EQ(got, want)							\
	do {									\
		long long got_ = (long long)(got), want_ = (long long)(want);	\
										\
		if (got_ != want_) {						\
			check_failed(__FILE__, __LINE__, #got " == " #want,	\
				     got_, want_);				\
			return;							\
		}								\
	} while (0)

/* Leaves the test as skipped. */
void check_skip(const char *why);

struct check_test {
	const char *name;
	void (*fn)(void);
};
#define CHECK_TEST(fn) { #fn, fn }

/*
 * Runs the tests, or those whose name contains argv[1], each followed by @after, and prints a line
 * each and the closing line. Returns the exit status.
 */
int check_main(int argc, char **argv, const struct check_test *tests, unsigned int nr,
	       void (*after)(void));

#endif
