// SPDX-License-Identifier: GPL-2.0-or-later
/* What a successor must have found for its INTACT to be believed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define KIB    1024UL
#define WRITES 4

/* Writes are acknowledged, none is flushed, the daemon dies; its arena is adopted up to @short_of
 * the last. */
static void adopt(uint64_t short_of, int want)
{
	uint8_t *buf = lab_buf(4 * KIB);
	uint32_t state = ZEROFS_S_NR;
	uint64_t acked;
	struct lab lab;
	int fd, i;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_fill(buf, 4 * KIB, 0, 1);
	for (i = 0; i < WRITES; i++)
		CHECK_EQ(pwrite(fd, buf, 4 * KIB, i * 4 * (off_t)KIB), 4 * KIB);
	acked = lab.seen->wno;
	CHECK_EQ(acked, WRITES);
	lab_stop(&lab);
	NEED(lab_wait_state(ZEROFS_S_DETACHED, 5000));
	NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			   acked - short_of, &state),
		0);
	CHECK_EQ(lab.seen->info.acked_wno, acked);
	CHECK_EQ(lab.seen->info.flushed_wno, 0);
	CHECK_EQ(state, want);
	CHECK_EQ(lab_state(), want);
	close(fd);
	lab_end(&lab);
	free(buf);
}

static void adopted_all(void)
{
	adopt(0, ZEROFS_S_LIVE);
}

/* It says that it adopted everything, and in the same breath that it lacks the last write. */
static void adopted_too_little(void)
{
	adopt(1, ZEROFS_S_CACHE_LOST);
}

static const struct check_test tests[] = {
	CHECK_TEST(adopted_all),
	CHECK_TEST(adopted_too_little),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
