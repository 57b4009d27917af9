// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon that did nothing wrong must not be taken for one that broke the contract, and what it
 * asks for must not make the kernel complain. (That it complained fails the test from outside.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define KIB    1024UL
#define MIB    (1024 * KIB)
#define TIB    (MIB * MIB)
#define ROUNDS 5

struct del {
	pthread_t thread;
	uint32_t index;
	struct kdev admin;
	int err;
};

static void *del_thread(void *arg)
{
	struct del *del = arg;

	del->err = kdev_del_dev(&del->admin, del->index, true);
	return NULL;
}

/* The read queue of a lab with one write and one read queue. */
static struct lab_queue *read_queue(struct lab *lab)
{
	return &lab->q[1];
}

/*
 * A read is with the daemon; an admin deletes the device by force, which takes the read back; the
 * daemon, which cannot know, answers it. Another device of the same daemon must not suffer.
 */
static void one_late_answer(void)
{
	struct zerofs_seg segs[ZEROFS_MAX_IO / ZEROFS_BLOCK_SIZE];
	struct zerofs_session_info info;
	struct zerofs_req req;
	struct zerofs_rsp rsp;
	struct lab_io io = {};
	struct del del = {};
	struct lab lab;
	int fd, err;

	lab_init(&lab);
	lab_add_disk(&lab, 64 * MIB, 16, 1, 1);
	NEED_EQ(lab_start(&lab, 60000), 0);
	lab_stop_threads(&lab);
	fd = lab_open(lab.disk[0].index, O_RDONLY | O_DIRECT);
	NEED(fd >= 0);
	NEED_EQ(kdev_open(&del.admin), 0);
	del.index = lab.disk[0].index;
	lab_io_start(&io, fd, false, 0, 4 * KIB, 0);
	NEED_EQ(lab_pop(read_queue(&lab), &req, 10000), 1);
	NEED_EQ(pthread_create(&del.thread, NULL, del_thread, &del), 0);
	CHECK(lab_io_wait(&io, 20000));
	CHECK_EQ(io.ret, -EIO);

	lab_serve(read_queue(&lab), &req, &rsp, segs);
	NEED_EQ(kdev_queue_push(&read_queue(&lab)->q, &rsp, segs), 0);
	err = kdev_queue_enter(&read_queue(&lab)->q, 1, 0, 0, NULL);
	CHECK_EQ(err, -ESHUTDOWN);
	close(fd);
	pthread_join(del.thread, NULL);
	CHECK_EQ(del.err, 0);

	NEED_EQ(kdev_session_info(&del.admin, lab.d.session, &info), 0);
	CHECK_EQ(info.protocol_errors, 0);
	CHECK_EQ(info.state, ZEROFS_S_LIVE);
	CHECK_EQ(info.flags & ZEROFS_INFO_ATTACHED, ZEROFS_INFO_ATTACHED);
	kdev_close(&del.admin);
	CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[1].index, true), 0);
	lab_end(&lab);
}

static void answer_after_forced_delete(void)
{
	int i;

	for (i = 0; i < ROUNDS; i++)
		one_late_answer();
}

/* As above, for an admin's FAIL, with a daemon that goes on answering all the while. */
static void answer_while_failed(void)
{
	struct zerofs_session_info info;
	struct lab_io io[4];
	struct kdev admin;
	struct lab lab;
	unsigned int i;
	int fd, round;

	for (round = 0; round < 20; round++) {
		lab_init(&lab);
		NEED_EQ(lab_start(&lab, 60000), 0);
		NEED_EQ(kdev_open(&admin), 0);
		fd = lab_open(lab.disk[0].index, O_RDONLY | O_DIRECT);
		NEED(fd >= 0);
		for (i = 0; i < 4; i++) {
			memset(&io[i], 0, sizeof(io[i]));
			lab_io_start(&io[i], fd, false, i * MIB, MIB, 0);
		}
		CHECK_EQ(kdev_fail(&admin, lab.d.session), 0);
		for (i = 0; i < 4; i++)
			CHECK(lab_io_wait(&io[i], 20000));
		close(fd);
		lab_stop_threads(&lab);
		NEED_EQ(kdev_session_info(&admin, lab.d.session, &info), 0);
		CHECK_EQ(info.protocol_errors, 0);
		CHECK_EQ(info.state, ZEROFS_S_FAILED);
		CHECK_EQ(kdev_del_dev(&admin, lab.disk[0].index, true), 0);
		kdev_close(&admin);
		lab_stop(&lab);
		lab_free(&lab);
	}
}

/* The list of its pages would be more than the kernel allocates, and it says so loudly. */
static void huge_arena(void)
{
	const uint64_t len = TIB + 4 * KIB;
	struct lab lab;
	void *p;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 0), 0);
	fd = kdev_arena_memfd(len);
	NEED(fd >= 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	NEED(p != MAP_FAILED);
	CHECK_EQ(kdev_reg_arena(&lab.d, fd, 0, p, len, 16), -EINVAL);
	munmap(p, len);
	close(fd);
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(answer_after_forced_delete),
	CHECK_TEST(answer_while_failed),
	CHECK_TEST(huge_arena),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
