// SPDX-License-Identifier: GPL-2.0-or-later
/* The side of a test that uses the devices: I/O that may hang, counters, states, cleaning up. */
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

void lab_sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

bool lab_wait(bool (*cond)(void *), void *arg, unsigned int ms)
{
	unsigned int waited;

	for (waited = 0; waited < ms; waited += 5) {
		if (cond(arg))
			return true;
		lab_sleep_ms(5);
	}
	return cond(arg);
}

int lab_open(uint32_t index, int flags)
{
	char path[64];
	int fd, i;

	snprintf(path, sizeof(path), "/dev/zerofs%u", index);
	/* The node appears a moment after the disk. */
	for (i = 0; i < 200; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			return fd < 0 ? -errno : fd;
		lab_sleep_ms(5);
	}
	return -ENOENT;
}

int lab_open_disk(const struct lab *lab, int *ret_fd)
{
	int fd = lab_open(lab->disk[0].index, O_RDWR | O_DIRECT);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

void lab_stat_str(uint32_t index, const char *name, char *buf, size_t len)
{
	char path[128];
	FILE *f;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/sys/block/zerofs%u/zerofs/%s", index, name);
	f = fopen(path, "r");
	if (!f)
		return;
	if (fgets(buf, (int)len, f))
		buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
}

long long lab_stat(uint32_t index, const char *name)
{
	char buf[64], *end;
	long long v;

	lab_stat_str(index, name, buf, sizeof(buf));
	v = strtoll(buf, &end, 10);
	return buf[0] && !*end ? v : -1;
}

void lab_fill(void *buf, size_t len, uint64_t off, uint32_t seed)
{
	uint64_t *p = buf;
	size_t i;

	for (i = 0; i < len / 8; i++)
		p[i] = (off + i * 8) * 0x9e3779b97f4a7c15ULL ^ seed;
}

bool lab_is(const void *buf, size_t len, uint64_t off, uint32_t seed)
{
	const uint64_t *p = buf;
	size_t i;

	for (i = 0; i < len / 8; i++)
		if (p[i] != ((off + i * 8) * 0x9e3779b97f4a7c15ULL ^ seed))
			return false;
	return true;
}

void *lab_buf(size_t len)
{
	void *p = aligned_alloc(4096, (len + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	return p;
}

/* ---- I/O that may wait ------------------------------------------------------------------ */

static void *io_thread(void *arg)
{
	struct lab_io *io = arg;
	uint64_t range[2] = { io->off, io->len };
	long ret;

	switch (io->kind) {
	case LAB_IO_SYNC:
		ret = fsync(io->fd);
		break;
	case LAB_IO_DISCARD:
		ret = ioctl(io->fd, BLKDISCARD, range);
		break;
	case LAB_IO_ZERO:
		ret = ioctl(io->fd, BLKZEROOUT, range);
		break;
	default:
		ret = io->write ? pwrite(io->fd, io->buf, io->len, (off_t)io->off) :
				  pread(io->fd, io->buf, io->len, (off_t)io->off);
	}
	io->ret = ret < 0 ? -errno : ret;
	__atomic_store_n(&io->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void lab_io_start(struct lab_io *io, int fd, bool write, uint64_t off, size_t len, uint32_t seed)
{
	memset(io, 0, sizeof(*io));
	io->fd = fd;
	io->write = write;
	io->off = off;
	io->len = len;
	io->seed = seed;
	io->buf = lab_buf(len);
	if (write)
		lab_fill(io->buf, len, off, seed);
	else
		memset(io->buf, 0xee, len);
	if (pthread_create(&io->thread, NULL, io_thread, io))
		abort();
}

void lab_io_start_kind(struct lab_io *io, int fd, int kind, uint64_t off, uint64_t len)
{
	memset(io, 0, sizeof(*io));
	io->fd = fd;
	io->kind = kind;
	io->off = off;
	io->len = len;
	if (pthread_create(&io->thread, NULL, io_thread, io))
		abort();
}

static bool io_done(void *arg)
{
	struct lab_io *io = arg;

	return __atomic_load_n(&io->done, __ATOMIC_ACQUIRE);
}

bool lab_io_wait(struct lab_io *io, unsigned int ms)
{
	if (!lab_wait(io_done, io, ms))
		return false;
	pthread_join(io->thread, NULL);
	return true;
}

/* ---- sessions --------------------------------------------------------------------------- */

uint32_t lab_session(void)
{
	struct zerofs_session_info info;
	uint32_t ids[64];
	struct kdev d;
	uint32_t found = 0;
	int i, n;

	if (kdev_open(&d))
		return 0;
	n = kdev_list(&d, ZEROFS_LIST_SESSIONS, 0, ids, 64);
	for (i = 0; i < n && i < 64; i++)
		if (!kdev_session_info(&d, ids[i], &info) && !strcmp(info.name, "lab"))
			found = ids[i];
	kdev_close(&d);
	return found;
}

int lab_state(void)
{
	struct zerofs_session_info info;
	uint32_t id = lab_session();
	struct kdev d;
	int state = -1;

	if (!id || kdev_open(&d))
		return -1;
	if (!kdev_session_info(&d, id, &info))
		state = (int)info.state;
	kdev_close(&d);
	return state;
}

static bool is_state(void *arg)
{
	return lab_state() == *(int *)arg;
}

bool lab_wait_state(int state, unsigned int ms)
{
	return lab_wait(is_state, &state, ms);
}

static bool no_sessions(void *arg)
{
	uint32_t ids[64];

	return kdev_list(arg, ZEROFS_LIST_SESSIONS, 0, ids, 64) == 0;
}

void lab_clean(void)
{
	uint32_t ids[64];
	struct kdev d;
	int i, n;

	NEED_EQ(kdev_open(&d), 0);
	n = kdev_list(&d, ZEROFS_LIST_DEVS, ~0U, ids, 64);
	for (i = 0; i < n && i < 64; i++)
		kdev_del_dev(&d, ids[i], true);
	CHECK(lab_wait(no_sessions, &d, 2000));
	kdev_close(&d);
}
