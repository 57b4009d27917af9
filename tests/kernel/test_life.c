// SPDX-License-Identifier: GPL-2.0-or-later
/* Daemons that die and devices that go: what is held, what is reissued, what is freed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define MIB (1UL << 20)

/* The daemon is a child: its copy of the lab knows the index, ours asks the module. */
static bool learn_index(struct lab *lab)
{
	uint32_t ids[4];
	struct kdev d;
	int n;

	if (kdev_open(&d))
		return false;
	n = kdev_list(&d, ZEROFS_LIST_DEVS, lab_session(), ids, 4);
	kdev_close(&d);
	if (n < 1)
		return false;
	lab->disk[0].index = ids[0];
	return true;
}

/* lab_fork() with a disk whose index we know. */
static pid_t fork_daemon(struct lab *lab, uint32_t grace_ms)
{
	pid_t pid = lab_fork(lab, grace_ms);

	return pid > 0 && !learn_index(lab) ? -ENODEV : pid;
}

static uint32_t times_seen(struct lab_seen *seen, uint8_t op, uint64_t sector, bool reissued)
{
	uint32_t i, n = 0;

	for (i = 0; i < seen->nr && i < LAB_LOG; i++)
		n += seen->req[i].op == op && seen->req[i].sector == sector &&
		     !!(seen->req[i].flags & ZEROFS_REQ_REISSUED) == reissued;
	return n;
}

static void killed_daemon_loses_nothing(void)
{
	struct lab_io io[12];
	struct lab lab;
	pid_t pid;
	int fd, i;

	lab_init(&lab);
	lab.seen->hold_ops = ~0U;
	pid = fork_daemon(&lab, 60000);
	NEED(pid > 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_fill(lab.disk[0].data + 32 * MIB, 12 * 8192, 32 * MIB, 6);
	for (i = 0; i < 12; i++)
		lab_io_start(&io[i], fd, i & 1, (i & 1 ? 0 : 32 * MIB) + (uint64_t)i * 8192, 8192,
			     6);
	CHECK(!lab_io_wait(&io[0], 300));
	CHECK_EQ(lab.seen->nr, 12);
	lab_kill(pid);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK_EQ(lab_stat(lab.disk[0].index, "inflight"), 0);
	lab_sleep_ms(100);
	for (i = 0; i < 12; i++)
		CHECK(!io[i].done);
	lab.seen->hold_ops = 0;
	pid = lab_fork_attach(&lab, 60000);
	NEED(pid > 0);
	CHECK_EQ(lab.seen->state, ZEROFS_S_LIVE);
	for (i = 0; i < 12; i++) {
		CHECK(lab_io_wait(&io[i], 2000));
		CHECK_EQ(io[i].ret, 8192);
	}
	/* Each exactly twice: as it was, and once more with REISSUED. */
	CHECK_EQ(lab.seen->nr, 24);
	CHECK_EQ(lab.seen->reissued, 12);
	for (i = 0; i < 12; i++) {
		uint64_t sector = io[i].off >> 9;
		uint8_t op = i & 1 ? ZEROFS_OP_WRITE : ZEROFS_OP_READ;

		CHECK_EQ(times_seen(lab.seen, op, sector, false), 1);
		CHECK_EQ(times_seen(lab.seen, op, sector, true), 1);
		if (i & 1)
			CHECK(lab_is(lab.disk[0].data + io[i].off, 8192, io[i].off, 6));
		else
			CHECK(lab_is(io[i].buf, 8192, io[i].off, 6));
	}
	CHECK_EQ(lab_stat(lab.disk[0].index, "reissued"), 12);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_write"), 6 * 8192);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_copied_write"), 12 * 8192);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_copied_reissued"), 6 * 8192);
	close(fd);
	lab_kill(pid);
	lab_free(&lab);
}

/* One kind at a time: the block layer lets only one of the last two at a device's range. */
static void reissued(int kind, uint8_t op)
{
	struct lab_io io;
	struct lab lab;
	pid_t pid;
	int fd;

	lab_init(&lab);
	lab.seen->hold_ops = ~0U;
	pid = fork_daemon(&lab, 60000);
	NEED(pid > 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start_kind(&io, fd, kind, MIB, MIB);
	CHECK(!lab_io_wait(&io, 200));
	CHECK_EQ(lab.seen->nr, 1);
	lab_kill(pid);
	lab.seen->hold_ops = 0;
	pid = lab_fork_attach(&lab, 60000);
	NEED(pid > 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 0);
	CHECK_EQ(lab.seen->reissued, 1);
	CHECK_EQ(lab.seen->ops[op], 2);
	/* The disk's own flush state did not get lost on the way. */
	CHECK_EQ(fsync(fd), 0);
	close(fd);
	lab_kill(pid);
	lab_free(&lab);
	lab_clean();
}

static void flush_discard_zeroes_are_reissued(void)
{
	reissued(LAB_IO_SYNC, ZEROFS_OP_FLUSH);
	reissued(LAB_IO_DISCARD, ZEROFS_OP_DISCARD);
	reissued(LAB_IO_ZERO, ZEROFS_OP_WRITE_ZEROES);
}

/* Starved when the daemon dies: the write was never delivered, and must not be lost either. */
static void starved_at_death(void)
{
	struct lab_io io;
	struct lab lab;
	pid_t pid;
	int fd;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	pid = fork_daemon(&lab, 60000);
	NEED(pid > 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, true, 0, 4096, 9);
	CHECK(!lab_io_wait(&io, 200));
	CHECK(lab_stat(lab.disk[0].index, "starved") > 0);
	lab_kill(pid);
	lab.seen->no_repost = 0;
	pid = lab_fork_attach(&lab, 60000);
	NEED(pid > 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 4096);
	CHECK_EQ(lab.seen->reissued, 0);
	CHECK(lab_is(lab.disk[0].data, 4096, 0, 9));
	close(fd);
	lab_kill(pid);
	lab_free(&lab);
}

struct churn {
	pthread_t thread;
	int fd;
	uint32_t id;
	uint32_t rounds, errors, wrong;
	bool stop;
};

/* Writes and reads back its own 256 KiB, a new pattern each round. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	uint64_t off = (uint64_t)c->id * 256 * 1024;
	uint8_t *buf = lab_buf(256 * 1024);

	while (!__atomic_load_n(&c->stop, __ATOMIC_SEQ_CST)) {
		c->rounds++;
		lab_fill(buf, 256 * 1024, off, c->rounds);
		if (pwrite(c->fd, buf, 256 * 1024, (off_t)off) != 256 * 1024)
			c->errors++;
		if (c->rounds % 4 == 0 && fsync(c->fd))
			c->errors++;
		memset(buf, 0, 256 * 1024);
		if (pread(c->fd, buf, 256 * 1024, (off_t)off) != 256 * 1024)
			c->errors++;
		else if (!lab_is(buf, 256 * 1024, off, c->rounds))
			c->wrong++;
	}
	free(buf);
	return NULL;
}

static void kills_under_load(void)
{
	struct churn c[4];
	struct lab lab;
	uint32_t before;
	pid_t pid;
	int fd, i, round;

	lab_init(&lab);
	lab.nr_disks = 0;
	lab_add_disk(&lab, 64 * MIB, 8, 2, 2);
	lab.seen->segs = 5;
	pid = fork_daemon(&lab, 60000);
	NEED(pid > 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	memset(c, 0, sizeof(c));
	for (i = 0; i < 4; i++) {
		c[i].fd = fd;
		c[i].id = (uint32_t)i;
		pthread_create(&c[i].thread, NULL, churn, &c[i]);
	}
	for (round = 0; round < 15 && pid > 0; round++) {
		lab_sleep_ms(40 + (unsigned int)round * 7);
		lab_kill(pid);
		lab_sleep_ms((unsigned int)(round % 3) * 15);
		before = c[0].rounds + c[1].rounds + c[2].rounds + c[3].rounds;
		pid = lab_fork_attach(&lab, 60000);
		CHECK(pid > 0);
		CHECK_EQ(lab.seen->state, ZEROFS_S_LIVE);
	}
	lab_sleep_ms(200);
	CHECK(c[0].rounds + c[1].rounds + c[2].rounds + c[3].rounds > before);
	for (i = 0; i < 4; i++) {
		__atomic_store_n(&c[i].stop, true, __ATOMIC_SEQ_CST);
		pthread_join(c[i].thread, NULL);
		CHECK_EQ(c[i].errors, 0);
		CHECK_EQ(c[i].wrong, 0);
		CHECK(c[i].rounds > 0);
	}
	CHECK_EQ(lab_stat(lab.disk[0].index, "requests_failed"), 0);
	CHECK_EQ(lab_stat(lab.disk[0].index, "protocol_errors"), 0);
	/* One copy a byte: what was copied again is what was taken from dead daemons. */
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_copied_write") -
			 lab_stat(lab.disk[0].index, "bytes_copied_reissued"),
		 lab_stat(lab.disk[0].index, "bytes_write"));
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_copied_read"),
		 lab_stat(lab.disk[0].index, "bytes_read"));
	close(fd);
	lab_kill(pid);
	lab_free(&lab);
}

/* Descriptors and maps outlive the session: pages stay, calls say so. */
static void queue_fd_outlives_session(void)
{
	struct pollfd p;
	struct lab lab;
	struct lab_queue lq;
	struct zerofs_req r;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	lab_stop_threads(&lab);
	lq = lab.q[0];
	lab.q[0].q.fd = -1; /* lab_stop() leaves it alone */
	lab_stop(&lab);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK(kdev_queue_dead(&lq.q));
	CHECK_EQ(kdev_queue_enter(&lq.q, 1, 1, 0, NULL), -ESHUTDOWN);
	p = (struct pollfd){ .fd = lq.q.fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	lab_clean(); /* the device and its session go */
	CHECK_EQ(kdev_queue_pop(&lq.q, &r, 1), 0);
	CHECK_EQ(lq.q.k->magic, ZEROFS_MAGIC);
	__atomic_store_n(&lq.q.u->rsp_tail, 12345, __ATOMIC_RELEASE);
	CHECK_EQ(kdev_queue_enter(&lq.q, 1, 1, 0, NULL), -ESHUTDOWN);
	kdev_queue_close(&lq.q);
	lab_free(&lab);
}

/* ---- DEL --------------------------------------------------------------------------------- */

struct del {
	pthread_t thread;
	uint32_t index;
	bool force;
	int ret;
	bool done;
};

static void *del_thread(void *arg)
{
	struct del *del = arg;
	struct kdev d;

	del->ret = kdev_open(&d);
	if (!del->ret) {
		del->ret = kdev_del_dev(&d, del->index, del->force);
		kdev_close(&d);
	}
	__atomic_store_n(&del->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void del_start(struct del *del, uint32_t index, bool force)
{
	memset(del, 0, sizeof(*del));
	del->index = index;
	del->force = force;
	pthread_create(&del->thread, NULL, del_thread, del);
}

static bool del_done(void *arg)
{
	return __atomic_load_n(&((struct del *)arg)->done, __ATOMIC_SEQ_CST);
}

static bool del_wait(struct del *del, unsigned int ms)
{
	if (!lab_wait(del_done, del, ms))
		return false;
	pthread_join(del->thread, NULL);
	return true;
}

static void del_waits_for_openers(void)
{
	struct lab lab;
	struct del del;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	fd = lab_open(lab.disk[0].index, O_RDWR);
	NEED(fd >= 0);
	CHECK_EQ(pwrite(fd, lab.seen, 4096, 0), 4096); /* dirty page cache */
	del_start(&del, lab.disk[0].index, false);
	CHECK(!del_wait(&del, 200));
	/* Still there for who has it, and for others. */
	CHECK_EQ(fsync(fd), 0);
	close(fd);
	CHECK(del_wait(&del, 3000));
	CHECK_EQ(del.ret, 0);
	CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[0].index, false), -ENODEV);
	CHECK(lab.seen->ops[ZEROFS_OP_WRITE] > 0);
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE); /* the session stays with its daemon */
	lab_stop(&lab);
	CHECK_EQ(lab_state(), -1);
	lab_free(&lab);
}

static void del_force_kills_io(void)
{
	struct lab_io io[2];
	struct lab lab;
	uint8_t *buf = lab_buf(4096);
	int fd;

	lab_init(&lab);
	lab.seen->hold_ops = ~0U;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io[0], fd, true, 0, 4096, 1);
	lab_io_start(&io[1], fd, false, 0, 4096, 1);
	CHECK(!lab_io_wait(&io[0], 100));
	CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[0].index, true), 0);
	CHECK(lab_io_wait(&io[0], 1000) && io[0].ret < 0);
	CHECK(lab_io_wait(&io[1], 1000) && io[1].ret < 0);
	CHECK(pread(fd, buf, 4096, 0) <= 0);
	lab_stop_threads(&lab);
	CHECK_EQ(lab.q[0].err, -ESHUTDOWN);
	/* The number is free at once, though the old one is still open. */
	NEED_EQ(lab_add(&lab), 0);
	close(fd);
	lab_end(&lab);
	free(buf);
}

static void del_of_a_held_device(void)
{
	struct lab_io io;
	struct lab lab;
	struct del slow, del;
	int fd;

	/* Held I/O, no daemon: only force gets through, and helps the patient one. */
	lab_init(&lab);
	NEED_EQ(lab_start(&lab, ZEROFS_GRACE_FOREVER), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_stop(&lab);
	lab_io_start(&io, fd, false, 0, 4096, 1);
	CHECK(!lab_io_wait(&io, 100));
	del_start(&slow, lab.disk[0].index, false);
	CHECK(!del_wait(&slow, 100));
	del_start(&del, lab.disk[0].index, true);
	CHECK(del_wait(&del, 3000));
	CHECK_EQ(del.ret, 0);
	CHECK(lab_io_wait(&io, 1000) && io.ret < 0);
	CHECK(del_wait(&slow, 3000));
	CHECK(slow.ret == 0 || slow.ret == -ENODEV);
	close(fd);
	CHECK_EQ(lab_state(), -1);
	lab_free(&lab);
}

/* A DEL that syncs through a daemon that dies: grace, and nothing else, must end it. */
static void daemon_dies_during_del(void)
{
	struct lab lab;
	struct del del;
	pid_t pid;
	int fd;

	lab_init(&lab);
	pid = fork_daemon(&lab, 800);
	NEED(pid > 0);
	fd = lab_open(lab.disk[0].index, O_RDWR);
	NEED(fd >= 0);
	lab.seen->hold_ops = ~0U;
	CHECK_EQ(pwrite(fd, lab.seen, 65536, 0), 65536);
	/* The close writes back; it hangs, and so does whoever deletes. */
	fflush(stdout);
	if (!fork()) {
		close(fd);
		_exit(0);
	}
	del_start(&del, lab.disk[0].index, false);
	CHECK(!del_wait(&del, 100));
	lab_kill(pid);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK(lab_wait_state(ZEROFS_S_FAILED, 2000));
	close(fd);
	CHECK(del_wait(&del, 3000));
	CHECK_EQ(del.ret, 0);
	CHECK_EQ(lab_state(), -1);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	lab_free(&lab);
}

static void del_is_interruptible(void)
{
	struct lab lab;
	int fd, status;
	struct kdev d;
	pid_t pid;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	fd = lab_open(lab.disk[0].index, O_RDWR);
	NEED(fd >= 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct sigaction sa = { .sa_handler = SIG_IGN };

		sigaction(SIGPIPE, &sa, NULL);
		if (kdev_open(&d))
			_exit(1);
		kdev_del_dev(&d, lab.disk[0].index, false);
		_exit(2);
	}
	lab_sleep_ms(150);
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGTERM);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(fsync(fd), 0); /* nothing happened to the device */
	close(fd);
	fd = lab_open(lab.disk[0].index, O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	lab_end(&lab);
}

static void module_stays_while_used(void)
{
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, ZEROFS_GRACE_FOREVER), 0);
	CHECK(syscall(SYS_delete_module, "zerofs", O_NONBLOCK) < 0);
	CHECK(errno == EBUSY || errno == EWOULDBLOCK);
	lab_stop(&lab);
	/* No descriptor is open; the device alone holds it. */
	CHECK(syscall(SYS_delete_module, "zerofs", O_NONBLOCK) < 0);
	CHECK(errno == EBUSY || errno == EWOULDBLOCK);
	lab_free(&lab);
}

static void many_lives(void)
{
	struct lab lab;
	uint32_t state;
	int i, fd;

	for (i = 0; i < 30; i++) {
		struct lab_io io;

		lab_init(&lab);
		NEED_EQ(lab_start(&lab, 60000), 0);
		fd = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT);
		NEED(fd >= 0);
		lab_io_start(&io, fd, true, 0, 4096, (uint32_t)i);
		if (i & 1) {
			lab_stop(&lab);
			NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT,
					   ZEROFS_RESUME_ADOPTED, UINT64_MAX, &state),
				0);
		}
		CHECK(lab_io_wait(&io, 2000));
		CHECK_EQ(io.ret, 4096);
		close(fd);
		CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[0].index, i % 3 == 0), 0);
		lab_stop(&lab);
		CHECK_EQ(lab_state(), -1);
		lab_free(&lab);
	}
}

static const struct check_test tests[] = {
	CHECK_TEST(killed_daemon_loses_nothing),
	CHECK_TEST(flush_discard_zeroes_are_reissued),
	CHECK_TEST(starved_at_death),
	CHECK_TEST(kills_under_load),
	CHECK_TEST(queue_fd_outlives_session),
	CHECK_TEST(del_waits_for_openers),
	CHECK_TEST(del_force_kills_io),
	CHECK_TEST(del_of_a_held_device),
	CHECK_TEST(daemon_dies_during_del),
	CHECK_TEST(del_is_interruptible),
	CHECK_TEST(module_stays_while_used),
	CHECK_TEST(many_lives),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
