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
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
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
	lab_end(&lab);
	free(buf);
}

/* A lab whose queues the test serves by hand: queue 0 writes, queue 1 reads. */
static int start_by_hand(struct lab *lab)
{
	int err = lab_create(lab, 60000);

	err = err ? err : lab_arena(lab);
	err = err ? err : lab_add(lab);
	err = err ? err : lab_queues(lab);
	return err ? err : lab_start_devs(lab);
}

static int answer(struct lab_queue *lq, const struct zerofs_req *req)
{
	struct zerofs_seg segs[256];
	struct zerofs_rsp rsp;

	lab_serve(lq, req, &rsp, segs);
	kdev_queue_push(&lq->q, &rsp, segs);
	return kdev_queue_enter(&lq->q, 1, 0, 0, NULL);
}

static void requests_say_what_was_asked(void)
{
	struct zerofs_req r;
	struct lab_io io;
	struct lab lab;
	int fd, sync;

	lab_init(&lab);
	NEED_EQ(start_by_hand(&lab), 0);
	fd = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT);
	sync = lab_open(lab.disk[0].index, O_RDWR | O_DIRECT | O_DSYNC);
	NEED(fd >= 0 && sync >= 0);

	lab_io_start(&io, fd, true, 40960, 8192, 3);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_WRITE);
	CHECK_EQ(r.sector, 80);
	CHECK_EQ(r.nr_sectors, 16);
	CHECK_EQ(r.buf % 4096, 0);
	CHECK(r.flags & ZEROFS_REQ_LAST);
	CHECK(!(r.flags & (ZEROFS_REQ_FUA | ZEROFS_REQ_REISSUED)));
	CHECK(lab_is(lab.arena + r.buf, 8192, 40960, 3));
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 8192);

	/* O_DSYNC arrives as FUA; the block device's own fsync then comes on top. */
	lab_io_start(&io, sync, true, 0, 4096, 4);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_WRITE);
	CHECK(r.flags & ZEROFS_REQ_FUA);
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_FLUSH);
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 4096);

	lab_io_start(&io, fd, false, 40960, 8192, 3);
	NEED_EQ(lab_pop(&lab.q[1], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_READ);
	CHECK_EQ(r.sector, 80);
	CHECK_EQ(r.nr_sectors, 16);
	CHECK_EQ(r.buf, 0);
	CHECK_EQ(answer(&lab.q[1], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK(lab_is(io.buf, 8192, 40960, 3));

	lab_io_start_kind(&io, fd, LAB_IO_SYNC, 0, 0);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_FLUSH);
	CHECK_EQ(r.nr_sectors, 0);
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 0);

	lab_io_start_kind(&io, fd, LAB_IO_DISCARD, 1 << 20, 1 << 20);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_DISCARD);
	CHECK_EQ(r.sector, 2048);
	CHECK_EQ(r.nr_sectors, 2048);
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 0);

	lab_io_start_kind(&io, fd, LAB_IO_ZERO, 1 << 20, 8192);
	NEED_EQ(lab_pop(&lab.q[0], &r, 2000), 1);
	CHECK_EQ(r.op, ZEROFS_OP_WRITE_ZEROES);
	CHECK_EQ(r.nr_sectors, 16);
	CHECK(r.flags & ZEROFS_REQ_NOUNMAP); /* BLKZEROOUT keeps the room */
	CHECK_EQ(answer(&lab.q[0], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 0);
	close(fd);
	close(sync);
	lab_end(&lab);
}

static void generations_differ(void)
{
	struct zerofs_req a, b;
	struct lab_io io;
	struct lab lab;
	int fd;

	lab_init(&lab);
	lab.disk[0].depth = 1;
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, false, 0, 4096, 0);
	NEED_EQ(lab_pop(&lab.q[1], &a, 2000), 1);
	CHECK_EQ(answer(&lab.q[1], &a), 0);
	CHECK(lab_io_wait(&io, 2000));
	lab_io_start(&io, fd, false, 0, 4096, 0);
	NEED_EQ(lab_pop(&lab.q[1], &b, 2000), 1);
	CHECK_EQ(answer(&lab.q[1], &b), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(a.tag, b.tag);
	CHECK(a.gen != b.gen);
	close(fd);
	lab_end(&lab);
}

static void reads_in_pieces(void)
{
	static const uint32_t sizes[] = { 1, 3, 7, 255 };
	uint8_t *buf = lab_buf(MIB);
	struct lab lab;
	size_t i;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_fill(buf, MIB, 2 * MIB, 9);
	CHECK_EQ(pwrite(fd, buf, MIB, (off_t)(2 * MIB)), MIB);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		lab.seen->segs = sizes[i];
		memset(buf, 0, MIB);
		CHECK_EQ(pread(fd, buf, MIB, (off_t)(2 * MIB)), MIB);
		CHECK(lab_is(buf, MIB, 2 * MIB, 9));
		CHECK_EQ(pread(fd, buf, 20480, (off_t)(2 * MIB)), 20480);
		CHECK(lab_is(buf, 20480, 2 * MIB, 9));
	}
	close(fd);
	lab_end(&lab);
	free(buf);
}

/* Enough large reads in single blocks to take the SEG ring round more than once. */
static void seg_ring_wraps(void)
{
	uint8_t *buf = lab_buf(MIB);
	struct lab lab;
	int fd, i;

	lab_init(&lab);
	lab.disk[0].depth = 2;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab.seen->segs = 1;
	lab_fill(lab.disk[0].data, 4 * MIB, 0, 5);
	for (i = 0; i < 20; i++) {
		uint64_t off = (uint64_t)(i % 3) * MIB + 4096;

		CHECK_EQ(pread(fd, buf, MIB - 4096, (off_t)off), MIB - 4096);
		CHECK(lab_is(buf, MIB - 4096, off, 5));
	}
	close(fd);
	lab_end(&lab);
	free(buf);
}

static void errors_pass_through(void)
{
	static const struct {
		int res, err;
	} map[] = {
		{ -EIO, EIO },	       { -ENOSPC, ENOSPC },	  { -EROFS, EIO },
		{ -ENODATA, ENODATA }, { -ETIMEDOUT, ETIMEDOUT }, { -EBADMSG, EIO },
		{ -EOPNOTSUPP, EIO },  { -ENOMEM, EIO },	  { -EAGAIN, EIO },
		{ -4095, EIO },
	};
	uint8_t *buf = lab_buf(4096);
	struct lab lab;
	size_t i;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		lab.seen->res[ZEROFS_OP_READ] = map[i].res;
		lab.seen->res[ZEROFS_OP_WRITE] = map[i].res;
		lab.seen->res[ZEROFS_OP_FLUSH] = map[i].res;
		errno = 0;
		CHECK(pread(fd, buf, 4096, 0) < 0);
		CHECK_EQ(errno, map[i].err);
		errno = 0;
		CHECK(pwrite(fd, buf, 4096, 0) < 0);
		CHECK_EQ(errno, map[i].err);
		errno = 0;
		CHECK(fsync(fd) < 0);
		CHECK(errno == map[i].err && errno != EOPNOTSUPP);
	}
	lab.seen->res[ZEROFS_OP_READ] = 0;
	lab.seen->res[ZEROFS_OP_WRITE] = 0;
	lab.seen->res[ZEROFS_OP_FLUSH] = 0;
	CHECK_EQ(pread(fd, buf, 4096, 0), 4096);
	CHECK_EQ(lab_stat(lab.disk[0].index, "requests_failed"), 30);
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE);
	close(fd);
	lab_end(&lab);
	free(buf);
}

static void big_discard_and_zeroes(void)
{
	uint64_t range[2] = { 0, 9 * GIB };
	struct lab lab;
	uint32_t before;
	int fd;

	lab_init(&lab);
	lab.nr_disks = 0;
	lab_add_disk(&lab, 16 * GIB, 16, 1, 1);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	memset(lab.disk[0].data + 9 * GIB - 4096, 0x11, 8192);
	CHECK_EQ(ioctl(fd, BLKDISCARD, range), 0);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_discard"), 9 * GIB);
	/* Few and large: the cut is at 4 GiB less a block. */
	CHECK_EQ(lab.seen->ops[ZEROFS_OP_DISCARD], 3);
	CHECK_EQ(lab.disk[0].data[9 * GIB - 1], 0);
	CHECK_EQ(lab.disk[0].data[9 * GIB], 0x11);
	before = lab.seen->ops[ZEROFS_OP_WRITE];
	range[1] = 5 * GIB;
	CHECK_EQ(ioctl(fd, BLKZEROOUT, range), 0);
	CHECK_EQ(lab_stat(lab.disk[0].index, "bytes_write_zeroes"), 5 * GIB);
	CHECK_EQ(lab.seen->ops[ZEROFS_OP_WRITE_ZEROES], 2);
	CHECK_EQ(lab.seen->ops[ZEROFS_OP_WRITE], before);
	/* Half a block is refused before it comes to us. */
	range[0] = 512;
	range[1] = 4096;
	CHECK(ioctl(fd, BLKDISCARD, range) < 0 && errno == EINVAL);
	close(fd);
	lab_end(&lab);
}

static long long queue_limit(uint32_t index, const char *name)
{
	char path[128];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/zerofs%u/queue/%s", index, name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

static void limits_are_the_contract(void)
{
	char sched[64] = "";
	struct lab lab;
	uint32_t n;
	FILE *f;
	char path[128];

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	n = lab.disk[0].index;
	CHECK_EQ(queue_limit(n, "logical_block_size"), 4096);
	CHECK_EQ(queue_limit(n, "physical_block_size"), 4096);
	CHECK_EQ(queue_limit(n, "minimum_io_size"), 4096);
	CHECK(queue_limit(n, "optimal_io_size") <= (long long)MIB);
	CHECK_EQ(queue_limit(n, "max_hw_sectors_kb"), 1024);
	CHECK_EQ(queue_limit(n, "max_segments"), 65535);
	CHECK_EQ(queue_limit(n, "discard_granularity"), 4096);
	CHECK_EQ(queue_limit(n, "discard_max_hw_bytes"), 4 * GIB - 4096);
	CHECK_EQ(queue_limit(n, "write_zeroes_max_bytes"), 4 * GIB - 4096);
	CHECK_EQ(queue_limit(n, "rotational"), 0);
	CHECK_EQ(queue_limit(n, "add_random"), 0);
	CHECK_EQ(queue_limit(n, "stable_writes"), 0);
	CHECK_EQ(queue_limit(n, "fua"), 1);
	snprintf(path, sizeof(path), "/sys/block/zerofs%u/queue/write_cache", n);
	f = fopen(path, "r");
	CHECK(f && fgets(sched, sizeof(sched), f) && !strcmp(sched, "write back\n"));
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/sys/block/zerofs%u/queue/scheduler", n);
	f = fopen(path, "r");
	CHECK(f && fgets(sched, sizeof(sched), f) && strstr(sched, "none"));
	if (f)
		fclose(f);
	lab_end(&lab);
}

static void sysfs_names_the_device(void)
{
	char buf[128], want[32];
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	lab_stat_str(lab.disk[0].index, "volume", buf, sizeof(buf));
	CHECK(!strcmp(buf, "lab"));
	lab_stat_str(lab.disk[0].index, "device", buf, sizeof(buf));
	CHECK(!strcmp(buf, "disk0"));
	lab_stat_str(lab.disk[0].index, "state", buf, sizeof(buf));
	CHECK(!strcmp(buf, "live"));
	lab_stat_str(lab.disk[0].index, "session", buf, sizeof(buf));
	snprintf(want, sizeof(want), "%u", lab.d.session);
	CHECK(!strcmp(buf, want));
	lab_stat_str(lab.disk[0].index, "uuid", buf, sizeof(buf));
	CHECK(!strcmp(buf, "1ab00102-0304-0506-0708-090a0b0c0000"));
	CHECK_EQ(lab_stat(lab.disk[0].index, "attach_gen"), 1);
	lab_end(&lab);
}

static void two_queues_two_devices(void)
{
	struct lab_io io[8];
	struct lab lab;
	int fd[2], i;

	lab_init(&lab);
	lab.nr_disks = 0;
	lab_add_disk(&lab, 64 << 20, 16, 2, 2);
	lab_add_disk(&lab, 32 << 20, 4, 1, 1);
	NEED_EQ(lab_start(&lab, 60000), 0);
	CHECK(lab.disk[0].index != lab.disk[1].index);
	for (i = 0; i < 2; i++) {
		fd[i] = lab_open(lab.disk[i].index, O_RDWR | O_DIRECT);
		NEED(fd[i] >= 0);
	}
	for (i = 0; i < 8; i++)
		lab_io_start(&io[i], fd[i & 1], true, (uint64_t)i * MIB, MIB, 20 + (uint32_t)i);
	for (i = 0; i < 8; i++) {
		CHECK(lab_io_wait(&io[i], 5000));
		CHECK_EQ(io[i].ret, MIB);
	}
	for (i = 0; i < 8; i++) {
		CHECK(lab_is(lab.disk[i & 1].data + (uint64_t)i * MIB, MIB, (uint64_t)i * MIB,
			     20 + (uint32_t)i));
		lab_io_start(&io[i], fd[i & 1], false, (uint64_t)i * MIB, MIB, 0);
	}
	for (i = 0; i < 8; i++) {
		CHECK(lab_io_wait(&io[i], 5000));
		CHECK(lab_is(io[i].buf, MIB, (uint64_t)i * MIB, 20 + (uint32_t)i));
	}
	close(fd[0]);
	close(fd[1]);
	lab_end(&lab);
}

static void resize_and_ro(void)
{
	uint8_t *buf = lab_buf(4096);
	uint64_t size;
	struct lab lab;
	int fd, cached;

	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	CHECK_EQ(kdev_resize(&lab.d, lab.disk[0].index, 32 * MIB), 0);
	CHECK_EQ(ioctl(fd, BLKGETSIZE64, &size), 0);
	CHECK_EQ(size, 32 * MIB);
	CHECK(pread(fd, buf, 4096, (off_t)(32 * MIB)) <= 0);
	CHECK_EQ(kdev_resize(&lab.d, lab.disk[0].index, 64 * MIB), 0);
	CHECK_EQ(pread(fd, buf, 4096, (off_t)(32 * MIB)), 4096);

	/* What was written to the page cache before comes to the module after. */
	cached = lab_open(lab.disk[0].index, O_RDWR);
	NEED(cached >= 0);
	CHECK_EQ(pwrite(cached, buf, 4096, 8192), 4096);
	CHECK_EQ(kdev_set_ro(&lab.d, lab.disk[0].index, true), 0);
	CHECK(fsync(cached) < 0 && errno == EIO);
	close(cached);
	CHECK(pwrite(fd, buf, 4096, 0) < 0);
	CHECK_EQ(pread(fd, buf, 4096, 0), 4096);
	/* The lost write-back is every earlier descriptor's to hear of, once. */
	CHECK(fsync(fd) < 0 && errno == EIO);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(lab.seen->ops[ZEROFS_OP_WRITE], 0);
	CHECK_EQ(kdev_set_ro(&lab.d, lab.disk[0].index, false), 0);
	CHECK_EQ(pwrite(fd, buf, 4096, 0), 4096);
	close(fd);
	lab_end(&lab);
	free(buf);
}

static bool starving(void *arg)
{
	return kdev_starved(&((struct lab *)arg)->d);
}

static void starved_writes_wait_and_go_on(void)
{
	struct lab_io w[4], r, f;
	struct pollfd p;
	struct lab lab;
	int fd, i;

	lab_init(&lab);
	lab.seen->no_repost = 2; /* post nothing */
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	for (i = 0; i < 4; i++)
		lab_io_start(&w[i], fd, true, (uint64_t)i * 8192, 8192, 30);
	CHECK(lab_wait(starving, &lab, 2000));
	CHECK(!lab_io_wait(&w[0], 50));
	/* Reads do not care. */
	lab_io_start(&r, fd, false, 0, 4096, 0);
	CHECK(lab_io_wait(&r, 2000));
	CHECK_EQ(r.ret, 4096);
	CHECK(lab_stat(lab.disk[0].index, "starved") > 0);
	/* A BUF and a kick, and they go on. */
	lab_stop_threads(&lab);
	p = (struct pollfd){ .fd = lab.q[0].q.fd, .events = POLLIN | POLLPRI };
	CHECK_EQ(kdev_post_buf(&lab.d, 0, ZEROFS_MIN_BUF, 77), 0);
	CHECK_EQ(kdev_kick(&lab.d), 0);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK(p.revents & POLLIN);
	lab_run(&lab);
	for (i = 0; i < 4; i++) {
		CHECK(lab_io_wait(&w[i], 3000));
		CHECK_EQ(w[i].ret, 8192);
	}
	CHECK(!kdev_starved(&lab.d));
	lab_io_start_kind(&f, fd, LAB_IO_SYNC, 0, 0);
	CHECK(lab_io_wait(&f, 2000));
	close(fd);
	lab_end(&lab);
}

/* Many rounds of running dry, restarted by ENTER alone: a lost restart would hang one of them. */
static void starvation_loses_no_restart(void)
{
	struct zerofs_req r;
	struct lab_io io;
	struct lab lab;
	int fd, i, n, waits = 0;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	for (i = 0; i < 60; i++) {
		/* Five writes of 1 MiB: each BUF takes four. */
		lab_io_start(&io, fd, true, 0, MIB, 40);
		if (i % 4 == 0) {
			CHECK(lab_wait(starving, &lab, 2000));
			waits++;
			CHECK_EQ(kdev_post_buf(&lab.d, (uint64_t)(i / 4 % 8) * ZEROFS_MIN_BUF,
					       ZEROFS_MIN_BUF, (uint32_t)i),
				 0);
			CHECK_EQ(kdev_queue_enter(&lab.q[0].q, 0, 0, 0, NULL), 0);
		}
		n = lab_pop(&lab.q[0], &r, 3000);
		NEED_EQ(n, 1);
		CHECK_EQ(answer(&lab.q[0], &r), 0);
		NEED(lab_io_wait(&io, 3000));
		CHECK_EQ(io.ret, MIB);
	}
	CHECK_EQ(waits, 15);
	close(fd);
	lab_end(&lab);
}

/* A daemon asleep in ENTER is told that a write waits; once, not over and over. */
static void starvation_wakes_a_sleeper(void)
{
	struct zerofs_enter e;
	struct lab_io io;
	struct lab lab;
	int fd;

	lab_init(&lab);
	lab.seen->no_repost = 2;
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK_EQ(kdev_queue_enter(&lab.q[0].q, 0, 1, 2000000, &e), 0);
	CHECK_EQ(e.ret_flags, ZEROFS_ENTER_STARVED);
	CHECK_EQ(e.avail, 0);
	CHECK_EQ(kdev_queue_enter(&lab.q[0].q, 0, 1, 50000, &e), 0);
	CHECK_EQ(e.ret_flags, 0);
	lab_stop_threads(&lab);
	CHECK_EQ(lab_post_all(&lab), 0);
	lab_run(&lab);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 4096);
	close(fd);
	lab_end(&lab);
}

static void recall_takes_extents_back(void)
{
	struct zerofs_recall_ent ents[16];
	struct lab_io io;
	struct lab lab;
	uint32_t seen = 0, used = 0;
	int fd, n, i;

	lab_init(&lab);
	lab.seen->no_repost = 1;
	NEED_EQ(lab_start(&lab, 60000), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	lab_io_start(&io, fd, true, 0, 4096, 1);
	CHECK(lab_io_wait(&io, 2000));
	/* In two goes: what has no room in the first stays for the second. */
	n = kdev_recall(&lab.d, ents, 3);
	CHECK_EQ(n, 3);
	n = kdev_recall(&lab.d, ents + 3, 13);
	CHECK_EQ(n, LAB_EXTENTS - 3);
	for (i = 0; i < LAB_EXTENTS; i++) {
		NEED(ents[i].id < LAB_EXTENTS);
		seen |= 1U << ents[i].id;
		if (ents[i].used)
			used |= 1U << ents[i].id;
	}
	CHECK_EQ(seen, (1 << LAB_EXTENTS) - 1);
	CHECK_EQ(used, 1); /* the first posted */
	CHECK_EQ(kdev_recall(&lab.d, ents, 16), 0);
	/* Dry now; a write waits until something is posted. */
	lab_io_start(&io, fd, true, 4096, 4096, 2);
	CHECK(lab_wait(starving, &lab, 2000));
	CHECK_EQ(lab_post_all(&lab), 0);
	CHECK_EQ(kdev_kick(&lab.d), 0);
	CHECK(lab_io_wait(&io, 2000));
	CHECK_EQ(io.ret, 4096);
	close(fd);
	lab_end(&lab);
}

static void poll_wakes(void)
{
	struct pollfd p;
	struct zerofs_req r;
	struct lab_io io;
	struct lab lab;
	long long before;
	int fd;

	lab_init(&lab);
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	p = (struct pollfd){ .fd = lab.q[1].q.fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 30), 0);
	before = lab_stat(lab.disk[0].index, "wakeups");
	lab_io_start(&io, fd, false, 0, 4096, 0);
	CHECK_EQ(poll(&p, 1, 2000), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK(lab_stat(lab.disk[0].index, "wakeups") <= before + 1);
	NEED_EQ(lab_pop(&lab.q[1], &r, 0), 1);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(answer(&lab.q[1], &r), 0);
	CHECK(lab_io_wait(&io, 2000));
	close(fd);
	CHECK_EQ(kdev_del_dev(&lab.d, lab.disk[0].index, true), 0);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	CHECK_EQ(kdev_queue_enter(&lab.q[1].q, 0, 1, 0, NULL), -ESHUTDOWN);
	CHECK(kdev_queue_dead(&lab.q[1].q));
	lab_end(&lab);
}

static void batches_are_published_once(void)
{
	struct zerofs_req r[16];
	struct lab_io io[8];
	struct lab lab;
	int fd, i, n = 0, got, last = 0;

	lab_init(&lab);
	NEED_EQ(start_by_hand(&lab), 0);
	NEED_EQ(lab_open_disk(&lab, &fd), 0);
	for (i = 0; i < 8; i++)
		lab_io_start(&io[i], fd, false, (uint64_t)i * 4096, 4096, 0);
	while (n < 8) {
		NEED_EQ(kdev_queue_enter(&lab.q[1].q, 0, 1, 2000000, NULL), 0);
		got = kdev_queue_pop(&lab.q[1].q, r + n, 16 - (uint32_t)n);
		NEED(got > 0);
		/* The last one visible always ends a batch. */
		CHECK(r[n + got - 1].flags & ZEROFS_REQ_LAST);
		n += got;
	}
	for (i = 0; i < 8; i++) {
		last += !!(r[i].flags & ZEROFS_REQ_LAST);
		CHECK_EQ(answer(&lab.q[1], &r[i]), 0);
	}
	CHECK(last >= 1 && last <= 8);
	for (i = 0; i < 8; i++)
		CHECK(lab_io_wait(&io[i], 2000));
	CHECK_EQ(lab_stat(lab.disk[0].index, "inflight"), 0);
	close(fd);
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(write_then_read),
	CHECK_TEST(requests_say_what_was_asked),
	CHECK_TEST(generations_differ),
	CHECK_TEST(reads_in_pieces),
	CHECK_TEST(seg_ring_wraps),
	CHECK_TEST(errors_pass_through),
	CHECK_TEST(big_discard_and_zeroes),
	CHECK_TEST(limits_are_the_contract),
	CHECK_TEST(sysfs_names_the_device),
	CHECK_TEST(two_queues_two_devices),
	CHECK_TEST(resize_and_ro),
	CHECK_TEST(starved_writes_wait_and_go_on),
	CHECK_TEST(starvation_loses_no_restart),
	CHECK_TEST(starvation_wakes_a_sleeper),
	CHECK_TEST(recall_takes_extents_back),
	CHECK_TEST(poll_wakes),
	CHECK_TEST(batches_are_published_once),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
