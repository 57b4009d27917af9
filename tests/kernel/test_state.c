// SPDX-License-Identifier: GPL-2.0-or-later
/* The state machine: every edge, what each state does to I/O, and who believes a RESUME. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define MIB (1UL << 20)

/* As an administrator does: on a descriptor of its own. */
static int admin(int (*call)(struct kdev *d, uint32_t session))
{
	uint32_t id = lab_session();
	struct kdev d;
	int err = kdev_open(&d);

	if (err)
		return err;
	err = call(&d, id);
	kdev_close(&d);
	return err;
}

static int fail_lab(void)
{
	return admin(kdev_fail);
}

static int clear_lab(void)
{
	return admin(kdev_clear);
}

static bool io_fails(struct lab *lab, bool write)
{
	struct lab_io io;
	int fd = lab_open(lab->disk[0].index, O_RDWR | O_DIRECT);
	bool failed = false;

	if (fd < 0)
		return false;
	lab_io_start(&io, fd, write, 0, 4096, 1);
	if (lab_io_wait(&io, 3000))
		failed = io.ret < 0;
	close(fd);
	return failed;
}

static bool io_works(struct lab *lab)
{
	struct lab_io io;
	int fd = lab_open(lab->disk[0].index, O_RDWR | O_DIRECT);
	bool ok = false;

	if (fd < 0)
		return false;
	lab_io_start(&io, fd, true, 0, 4096, 1);
	if (lab_io_wait(&io, 3000))
		ok = io.ret == 4096;
	lab_io_start_kind(&io, fd, LAB_IO_SYNC, 0, 0);
	ok = lab_io_wait(&io, 3000) && io.ret == 0 && ok;
	lab_io_start(&io, fd, false, 0, 4096, 1);
	ok = lab_io_wait(&io, 3000) && io.ret == 4096 && lab_is(io.buf, 4096, 0, 1) && ok;
	close(fd);
	return ok;
}

static bool sysfs_state(struct lab *lab, const char *want)
{
	char buf[32];

	lab_stat_str(lab->disk[0].index, "state", buf, sizeof(buf));
	return !strcmp(buf, want);
}

static void session_without_devices_goes_with_its_daemon(void)
{
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, ZEROFS_GRACE_FOREVER), 0);
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE);
	NEED_EQ(lab_add(&lab), 0); /* NEW: goes, too */
	lab_stop(&lab);
	CHECK_EQ(lab_state(), -1);
	lab_free(&lab);
}

static void live_detached_recovering_live(void)
{
	struct lab_io io;
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	CHECK(io_works(&lab));
	lab_stop(&lab);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK(sysfs_state(&lab, "detached"));
	/* Held, not failed. */
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, false, 0, 4096, 1);
	CHECK(!lab_io_wait(&io, 200));
	NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			   UINT64_MAX, &state),
		0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK_EQ(lab.seen->info.state, ZEROFS_S_DETACHED);
	CHECK_EQ(lab.seen->info.nr_devs, 1);
	CHECK_EQ(lab.seen->info.attach_gen, 2);
	CHECK(lab_io_wait(&io, 1000));
	CHECK(lab_is(io.buf, 4096, 0, 1));
	CHECK_EQ(lab.seen->reissued, 0); /* no daemon had it before */
	CHECK(io_works(&lab));
	CHECK_EQ(lab_stat(lab.disk[0].index, "attach_gen"), 2);
	close(fd);
	lab_end(&lab);
}

static void grace_ends_in_failed(void)
{
	struct zerofs_session_info info;
	struct lab_io io;
	struct lab lab;
	struct kdev d;
	uint32_t state;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 700), 0);
	CHECK(io_works(&lab));
	lab_stop(&lab);
	NEED_EQ(kdev_open(&d), 0);
	CHECK_EQ(kdev_session_info(&d, lab_session(), &info), 0);
	CHECK(info.grace_left_ms > 0 && info.grace_left_ms <= 700);
	CHECK_EQ(info.pid, 0);
	CHECK(!(info.flags & ZEROFS_INFO_ATTACHED));
	kdev_close(&d);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK(!lab_io_wait(&io, 200));
	CHECK(lab_io_wait(&io, 1700)); /* grace + 1 s */
	CHECK_EQ(io.ret, -EIO);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	CHECK(io_fails(&lab, false) && io_fails(&lab, true));
	/* FAILED, RECOVERING: fails on until RESUME. */
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(lab.seen->info.state, ZEROFS_S_FAILED);
	CHECK_EQ(lab_state(), ZEROFS_S_RECOVERING);
	CHECK(io_fails(&lab, false));
	/* Released: back where it came from. */
	kdev_close(&lab.d);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			   UINT64_MAX, &state),
		0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK(io_works(&lab));
	close(fd);
	lab_end(&lab);
}

static void grace_zero_fails_at_once(void)
{
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 0), 0);
	lab_stop(&lab);
	CHECK(lab_wait_state(ZEROFS_S_FAILED, 500));
	CHECK(io_fails(&lab, true));
	lab_free(&lab);
}

static void attach_stops_grace(void)
{
	struct lab lab;
	uint32_t state;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 300), 0);
	lab_stop(&lab);
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 300, &lab.seen->info), 0);
	lab_sleep_ms(600);
	CHECK_EQ(lab_state(), ZEROFS_S_RECOVERING);
	kdev_close(&lab.d); /* DETACHED, grace anew */
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	lab_sleep_ms(100);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	CHECK(lab_wait_state(ZEROFS_S_FAILED, 1000));
	NEED_EQ(lab_attach(&lab, ZEROFS_GRACE_FOREVER, true, ZEROFS_RESUME_INTACT,
			   ZEROFS_RESUME_ADOPTED, UINT64_MAX, &state),
		0);
	lab_stop(&lab);
	lab_sleep_ms(300);
	CHECK_EQ(lab_state(), ZEROFS_S_DETACHED);
	lab_free(&lab);
}

/* FAIL on a live but stuck daemon: its requests end, its queues are dead, it may come again. */
static void fail_ends_a_stuck_daemon(void)
{
	struct lab_io io[3];
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	lab.seen->hold_ops = ~0U;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io[0], fd, true, 0, 4096, 1);
	lab_io_start(&io[1], fd, false, 0, 4096, 1);
	lab_io_start_kind(&io[2], fd, LAB_IO_SYNC, 0, 0);
	CHECK(!lab_io_wait(&io[0], 200));
	CHECK_EQ(fail_lab(), 0);
	CHECK(lab_io_wait(&io[0], 1000) && io[0].ret == -EIO);
	CHECK(lab_io_wait(&io[1], 1000) && io[1].ret == -EIO);
	CHECK(lab_io_wait(&io[2], 1000) && io[2].ret == -EIO);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	CHECK(sysfs_state(&lab, "failed"));
	CHECK_EQ(kdev_state(&lab.d), ZEROFS_S_FAILED);
	CHECK_EQ(fail_lab(), -EBADFD);
	lab_stop_threads(&lab);
	CHECK_EQ(lab.q[0].err, -ESHUTDOWN);
	CHECK_EQ(kdev_queue_enter(&lab.q[0].q, 1, 0, 0, NULL), -ESHUTDOWN);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, 0, 0, &state), -EBADFD);
	CHECK_EQ(lab_stat(lab.disk[0].index, "inflight"), 0);
	lab_stop(&lab);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	lab.seen->hold_ops = 0;
	NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			   UINT64_MAX, &state),
		0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK(io_works(&lab));
	CHECK_EQ(lab.seen->reissued, 0); /* they were failed, not kept */
	close(fd);
	lab_end(&lab);
}

static void fail_ends_detached_and_recovering(void)
{
	struct lab_io io;
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, ZEROFS_GRACE_FOREVER), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_stop(&lab);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK(!lab_io_wait(&io, 100));
	CHECK_EQ(fail_lab(), 0);
	CHECK(lab_io_wait(&io, 1000) && io.ret == -EIO);
	NEED_EQ(lab_attach(&lab, ZEROFS_GRACE_FOREVER, true, ZEROFS_RESUME_INTACT,
			   ZEROFS_RESUME_ADOPTED, UINT64_MAX, &state),
		0);
	lab_stop(&lab);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK(!lab_io_wait(&io, 100));
	CHECK_EQ(fail_lab(), 0);
	CHECK(lab_io_wait(&io, 1000) && io.ret == -EIO);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	kdev_close(&lab.d);
	CHECK_EQ(lab_state(), ZEROFS_S_FAILED);
	close(fd);
	lab_free(&lab);
}

static void superseded_is_for_good(void)
{
	struct lab_io io;
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	lab.seen->hold_ops = 1U << ZEROFS_OP_READ;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, false, 0, 4096, 1);
	CHECK(!lab_io_wait(&io, 100));
	CHECK_EQ(kdev_supersede(&lab.d), 0);
	CHECK(lab_io_wait(&io, 1000) && io.ret == -EIO);
	CHECK_EQ(lab_state(), ZEROFS_S_SUPERSEDED);
	CHECK_EQ(kdev_supersede(&lab.d), -EBADFD);
	CHECK_EQ(fail_lab(), -EBADFD);
	CHECK_EQ(clear_lab(), -EBADFD);
	lab_stop(&lab);
	CHECK_EQ(lab_state(), ZEROFS_S_SUPERSEDED);
	NEED_EQ(kdev_open(&lab.d), 0);
	CHECK_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(lab_state(), ZEROFS_S_SUPERSEDED);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, 0, ~0ULL, &state), -EBADFD);
	CHECK(io_fails(&lab, false));
	kdev_close(&lab.d);
	CHECK_EQ(lab_state(), ZEROFS_S_SUPERSEDED);
	close(fd);
	lab_free(&lab);
}

static void superseded_while_recovering(void)
{
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	lab_stop(&lab);
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(kdev_supersede(&lab.d), 0);
	CHECK_EQ(lab_state(), ZEROFS_S_SUPERSEDED);
	kdev_close(&lab.d);
	lab_free(&lab);
}

/* ---- RESUME ------------------------------------------------------------------------------ */

/* Leaves a session with acked 3 and flushed 2, and its daemon gone. */
static bool acked_beyond_flushed(struct lab *lab)
{
	uint8_t *buf = lab_buf(4096);
	bool ok;
	int fd;

	lab_init(lab);
	if (lab_start(lab, 60000))
		return false;
	fd = lab_open(lab->disk[0].index, O_RDWR | O_DIRECT);
	lab_fill(buf, 4096, 0, 1);
	ok = fd >= 0 && pwrite(fd, buf, 4096, 0) == 4096 && pwrite(fd, buf, 4096, 4096) == 4096 &&
	     fsync(fd) == 0 && pwrite(fd, buf, 4096, 8192) == 4096;
	close(fd); /* the last close writes nothing: all was O_DIRECT */
	lab_stop(lab);
	free(buf);
	return ok;
}

static void try_resume(bool take, uint32_t result, uint32_t flags, uint64_t recovered,
		       uint32_t want)
{
	struct lab lab;
	uint32_t state = ~0U;

	NEED(acked_beyond_flushed(&lab));
	NEED_EQ(lab_attach(&lab, 60000, take, result, flags, recovered, &state), 0);
	CHECK_EQ(lab.seen->info.acked_wno, 3);
	CHECK_EQ(lab.seen->info.flushed_wno, 2);
	CHECK(lab.seen->info.flags & ZEROFS_ATTACH_HAS_ARENA);
	CHECK_EQ(state, want);
	CHECK_EQ(lab_state(), want);
	CHECK(want == ZEROFS_S_LIVE ? io_works(&lab) :
				      io_fails(&lab, true) && io_fails(&lab, false));
	lab_end(&lab);
	lab_clean();
}

static void intact_needs_flushed_adopted_and_taken(void)
{
	try_resume(true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED, 3, ZEROFS_S_LIVE);
	try_resume(true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED, 2, ZEROFS_S_CACHE_LOST);
	try_resume(true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED, 1, ZEROFS_S_CACHE_LOST);
	try_resume(true, ZEROFS_RESUME_INTACT, 0, 3, ZEROFS_S_CACHE_LOST);
	try_resume(false, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED, 3, ZEROFS_S_CACHE_LOST);
	try_resume(true, ZEROFS_RESUME_LOST, 0, 3, ZEROFS_S_CACHE_LOST);
}

/* With nothing acknowledged beyond the last flush, no arena is needed. */
static void flushed_needs_no_arena(void)
{
	uint8_t *buf = lab_buf(4096);
	struct lab lab;
	uint32_t state;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	CHECK_EQ(pwrite(fd, buf, 4096, 0), 4096);
	CHECK_EQ(fsync(fd), 0);
	close(fd);
	lab_stop(&lab);
	NEED_EQ(lab_attach(&lab, 60000, false, ZEROFS_RESUME_INTACT, 0, 1, &state), 0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK(io_works(&lab));
	lab_end(&lab);
	free(buf);
}

static void resume_needs_everything(void)
{
	struct lab lab;
	uint32_t state;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	lab_stop(&lab);
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, 0, 0, &state), -ENXIO);
	NEED_EQ(lab_arena(&lab), 0);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, 0, 0, &state), -ENXIO);
	NEED_EQ(kdev_queue_open(&lab.d, lab.disk[0].index, 0, &lab.q[0].q), 0);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, 0, 0, &state), -ENXIO);
	CHECK_EQ(lab_state(), ZEROFS_S_RECOVERING);
	kdev_queue_close(&lab.q[0].q);
	lab_end(&lab);
}

static void cache_lost_until_clear(void)
{
	struct lab_io io;
	struct lab lab;
	uint32_t state;
	int fd, rd;

	NEED(acked_beyond_flushed(&lab));
	rd = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT);
	NEED(rd >= 0);
	lab_io_start_kind(&io, rd, LAB_IO_SYNC, 0, 0);
	CHECK(!lab_io_wait(&io, 100));
	CHECK_EQ(clear_lab(), -EBADFD); /* DETACHED: nothing to clear */
	NEED_EQ(lab_attach(&lab, 60000, true, ZEROFS_RESUME_LOST, 0, 1, &state), 0);
	CHECK_EQ(state, ZEROFS_S_CACHE_LOST);
	/* The flush that was held fails: never a success after a loss. */
	CHECK(lab_io_wait(&io, 1000) && io.ret == -EIO);
	CHECK_EQ(clear_lab(), -EBUSY); /* an opener */
	lab_stop(&lab);
	CHECK_EQ(lab_state(), ZEROFS_S_CACHE_LOST);
	CHECK_EQ(clear_lab(), -ENXIO); /* no daemon */
	/* INTACT does not undo it. */
	NEED_EQ(lab_attach(&lab, 60000, false, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED, 99,
			   &state),
		0);
	CHECK_EQ(lab.seen->info.state, ZEROFS_S_CACHE_LOST);
	CHECK(!(lab.seen->info.flags & ZEROFS_ATTACH_HAS_ARENA));
	CHECK_EQ(state, ZEROFS_S_CACHE_LOST);
	lab_io_start_kind(&io, rd, LAB_IO_SYNC, 0, 0);
	CHECK(lab_io_wait(&io, 1000) && io.ret == -EIO);
	close(rd);
	lab_stop(&lab);
	/* A daemon that attached but has not said RESUME cannot be cleared. */
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(clear_lab(), -ENXIO);
	kdev_close(&lab.d);
	NEED_EQ(lab_attach(&lab, 60000, false, ZEROFS_RESUME_LOST, 0, 1, &state), 0);
	CHECK_EQ(clear_lab(), 0);
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE);
	lab.seen->wno = 1; /* the log goes on from what was recovered */
	lab_run(&lab);
	CHECK(io_works(&lab));
	fd = lab_open(lab.disk[0].index, O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	lab_stop(&lab);
	/* The marks went back with it. */
	NEED_EQ(lab_attach(&lab, 60000, false, ZEROFS_RESUME_INTACT, 0, 2, &state), 0);
	CHECK_EQ(lab.seen->info.acked_wno, 2);
	CHECK_EQ(lab.seen->info.flushed_wno, 2);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	lab_end(&lab);
}

/* ---- the arena --------------------------------------------------------------------------- */

static void arena_is_handed_back_whole(void)
{
	struct lab lab;
	uint64_t len;
	uint32_t state;
	int fd;
	void *p;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	CHECK(io_works(&lab));
	len = lab.arena_len;
	lab_fill(lab.arena + 8 * MIB, MIB, 0, 77);
	lab_stop(&lab);
	/* A daemon that attaches and dies before RESUME takes nothing from its successor. */
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	NEED_EQ(lab_arena(&lab), 0);
	lab_stop(&lab);
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK_EQ(lab.seen->info.arena_len, len);
	CHECK_EQ(lab.seen->info.arena_offset, 0);
	fd = kdev_arena_fd(&lab.d);
	NEED(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(p != MAP_FAILED);
	CHECK(lab_is((uint8_t *)p + 8 * MIB, MIB, 0, 77));
	munmap(p, len);
	NEED_EQ(lab_arena_from(&lab, fd, len), 0);
	NEED_EQ(lab_queues(&lab), 0);
	CHECK_EQ(kdev_resume(&lab.d, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			     lab.seen->info.acked_wno, &state),
		 0);
	CHECK_EQ(state, ZEROFS_S_LIVE);
	CHECK_EQ(kdev_arena_fd(&lab.d), -ENODATA); /* given up at RESUME */
	lab_run(&lab);
	CHECK(io_works(&lab));
	lab_end(&lab);
}

static void arena_survives_failed(void)
{
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 0), 0);
	lab_fill(lab.arena, MIB, 0, 78);
	lab_stop(&lab);
	CHECK(lab_wait_state(ZEROFS_S_FAILED, 1000));
	NEED_EQ(kdev_open(&lab.d), 0);
	NEED_EQ(kdev_attach(&lab.d, lab_uuid, 60000, &lab.seen->info), 0);
	CHECK(lab.seen->info.flags & ZEROFS_ATTACH_HAS_ARENA);
	lab.arena_fd = kdev_arena_fd(&lab.d);
	NEED(lab.arena_fd >= 0);
	lab.arena_len = lab.seen->info.arena_len;
	lab.arena = mmap(NULL, lab.arena_len, PROT_READ, MAP_SHARED, lab.arena_fd, 0);
	CHECK(lab_is(lab.arena, MIB, 0, 78));
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(session_without_devices_goes_with_its_daemon),
	CHECK_TEST(live_detached_recovering_live),
	CHECK_TEST(grace_ends_in_failed),
	CHECK_TEST(grace_zero_fails_at_once),
	CHECK_TEST(attach_stops_grace),
	CHECK_TEST(fail_ends_a_stuck_daemon),
	CHECK_TEST(fail_ends_detached_and_recovering),
	CHECK_TEST(superseded_is_for_good),
	CHECK_TEST(superseded_while_recovering),
	CHECK_TEST(intact_needs_flushed_adopted_and_taken),
	CHECK_TEST(flushed_needs_no_arena),
	CHECK_TEST(resume_needs_everything),
	CHECK_TEST(cache_lost_until_clear),
	CHECK_TEST(arena_is_handed_back_whole),
	CHECK_TEST(arena_survives_failed),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
