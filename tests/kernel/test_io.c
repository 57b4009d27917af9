// SPDX-License-Identifier: GPL-2.0-or-later
/* The data path: what arrives at the daemon, what comes back, what is counted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define KIB 1024UL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void write_then_read(void)
{
	struct lab lab;
	uint8_t *buf = lab_buf(MIB);
	uint64_t off;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	fd = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT);
	NEED(fd >= 0);
	for (off = 0; off < 16 * MIB; off += MIB) {
		lab_fill(buf, MIB, off, 1);
		CHECK_EQ(pwrite(fd, buf, MIB, (off_t)off), MIB);
	}
	CHECK_EQ(fsync(fd), 0);
	for (off = 0; off < 16 * MIB; off += 64 * KIB) {
		memset(buf, 0, 64 * KIB);
		CHECK_EQ(pread(fd, buf, 64 * KIB, (off_t)off), 64 * KIB);
		CHECK(lab_is(buf, 64 * KIB, off, 1));
	}
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_write"), 16 * MIB);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_copied_write"), 16 * MIB);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_read"),
		 lab_stat(lab.disk[0].index, "bytes_copied_read"));
	CHECK(lab_stat(lab.disk[0].index, "bytes_read") >= (long long)(16 * MIB));
	CHECK_EQ(lab_stat(lab.disk[0].index, "requests_flush"), 1);
	CHECK_EQ(lab_stat(lab.disk[0].index, "inflight"), 0);
	close(fd);
	CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[0].index, false), 0);
	lab_stop(&lab);
	lab_free(&lab);
	free(buf);
}

static const struct check_test tests[] = {
	CHECK_TEST(write_then_read),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
