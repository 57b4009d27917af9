// SPDX-License-Identifier: GPL-2.0-or-later
/* The journal's device on a real file, beside the test program: /tmp may be memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/core.h"
#include "base/jdev_uring.h"
#include "lib/tempdir.h"

#define SIZE	(8u << 20)
#define MAX_LEN (1u << 20)
#define THREADS 4
#define ROUNDS	150

struct fix {
	char *dir;
	char path[512];
	struct core core;
	struct jdev *d;
};

struct job {
	struct jdev_req r;
	struct fix *f;
	unsigned int prepared, done, again;
	uint64_t done_at; /* the how-manieth done() of all */
	int prepare_err;
	bool held_in_prepare;
	pthread_t prepared_by;
	unsigned int prepare_us;
	uint8_t fill;
};

static int make_dir(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	char exe[400];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_non_null(f);
	assert_true(n > 0);
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	setenv("TMPDIR", exe, 1);
	f->dir = tempdir_make();
	snprintf(f->path, sizeof(f->path), "%s/journal", f->dir);
	assert_int_equal(core_init(&f->core, NULL, NULL), 0);
	*state = f;
	return 0;
}

static int make(void **state)
{
	struct jdev_uring_new n = { .size = SIZE };
	struct fix *f;

	make_dir(state);
	f = *state;
	n.path = f->path;
	assert_int_equal(jdev_uring_create(&n), 0);
	assert_int_equal(jdev_uring_open(&f->d, &f->core, f->path), 0);
	assert_int_equal(f->d->size, SIZE);
	return 0;
}

static int end(void **state)
{
	struct fix *f = *state;

	jdev_close(f->d);
	core_destroy(&f->core);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static struct job *job_new(struct fix *f, enum jdev_op op, uint64_t off, uint32_t len)
{
	struct job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->f = f;
	j->r = (struct jdev_req){ .op = op, .off = off, .len = len, .res = 1 };
	assert_int_equal(posix_memalign(&j->r.buf, JDEV_BLOCK, len), 0);
	memset(j->r.buf, 0xee, len);
	return j;
}

static void job_free(struct job *j)
{
	free(j->r.buf);
	free(j);
}

static void done(struct jdev_req *r)
{
	static uint64_t all; /* core lock */
	struct job *j = container_of(r, struct job, r);

	assert_true(core_held(&j->f->core));
	j->done++;
	j->done_at = ++all;
	if (j->again) {
		j->again--;
		jdev_submit(j->f->d, r);
	}
}

static int prepare(struct jdev_req *r)
{
	struct job *j = container_of(r, struct job, r);

	j->prepared++;
	j->prepared_by = pthread_self();
	if (j->prepare_us)
		usleep(j->prepare_us);
	j->held_in_prepare |= core_held(&j->f->core);
	memset(r->buf, j->fill, r->len);
	return j->prepare_err;
}

static void submit(struct job *j)
{
	j->r.done = done;
	j->r.res = 1;
	core_lock(&j->f->core);
	jdev_submit(j->f->d, &j->r);
	core_unlock(&j->f->core);
}

static int wait_for(struct job *j, unsigned int times)
{
	core_lock(&j->f->core);
	while (j->done < times)
		core_wait(&j->f->core, UINT64_MAX);
	core_unlock(&j->f->core);
	assert_int_equal(j->done, times);
	return j->r.res;
}

static int run(struct job *j)
{
	unsigned int n = j->done + 1;

	submit(j);
	return wait_for(j, n);
}

static void filled_with(const struct job *j, uint8_t v)
{
	const uint8_t *p = j->r.buf;

	assert_int_equal(p[0], v);
	assert_int_equal(memcmp(p, p + 1, j->r.len - 1), 0);
}

/* ---- the device -------------------------------------------------------------------------- */

static void round_trip(void **state)
{
	static const uint32_t lens[] = { JDEV_BLOCK, 65536, 65536 + JDEV_BLOCK, MAX_LEN };
	struct fix *f = *state;
	uint64_t off = 2 * JDEV_BLOCK;
	struct jdev *second;
	struct job *j;

	j = job_new(f, JDEV_READ, 0, SIZE);
	assert_int_equal(run(j), 0);
	filled_with(j, 0);
	job_free(j);
	for (unsigned int i = 0; i < 4; i++) {
		j = job_new(f, JDEV_WRITE, off, lens[i]);
		j->r.prepare = prepare;
		j->fill = (uint8_t)(i + 1);
		j->again = 1;
		submit(j);
		assert_int_equal(wait_for(j, 2), 0);
		assert_int_equal(j->prepared, 2);
		assert_false(j->held_in_prepare);
		memset(j->r.buf, 0, j->r.len);
		j->r.op = JDEV_READ;
		j->r.prepare = NULL;
		assert_int_equal(run(j), 0);
		filled_with(j, (uint8_t)(i + 1));
		job_free(j);
		off += lens[i];
	}
	/* One owner at a time, and its bytes are there for the next one. */
	assert_int_equal(jdev_uring_open(&second, &f->core, f->path), -EBUSY);
	jdev_close(f->d);
	f->d = NULL;
	jdev_close(NULL);
	assert_int_equal(jdev_uring_open(&f->d, &f->core, f->path), 0);
	off = 2 * JDEV_BLOCK;
	for (unsigned int i = 0; i < 4; i++) {
		j = job_new(f, JDEV_READ, off, lens[i]);
		assert_int_equal(run(j), 0);
		filled_with(j, (uint8_t)(i + 1));
		job_free(j);
		off += lens[i];
	}
	for (int i = 0; i < 2; i++) {
		j = job_new(f, JDEV_READ, i ? off : 0, 2 * JDEV_BLOCK);
		assert_int_equal(run(j), 0);
		filled_with(j, 0);
		job_free(j);
	}
}

struct user {
	struct fix *f;
	pthread_t thread;
	unsigned int seed, nr;
};

/* Each has a quarter of the device; several of its requests are under way at once. */
static void *use(void *arg)
{
	struct user *u = arg;
	uint64_t quarter = SIZE / THREADS, base = u->nr * quarter;
	struct job *j[4];
	uint8_t v = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int nr = 1 + (unsigned int)rand_r(&u->seed) % 4;
		enum jdev_op op = JDEV_WRITE;

		for (unsigned int i = 0; i < nr; i++) {
			uint32_t len = rand_r(&u->seed) % 8 ? JDEV_BLOCK : 128 << 10;

			j[i] = job_new(u->f, op, base + i * (quarter / 4), len);
			j[i]->fill = ++v;
			j[i]->r.prepare = prepare;
		}
		for (int pass = 0; pass < 2; pass++) {
			for (unsigned int i = 0; i < nr; i++)
				submit(j[i]);
			for (unsigned int i = 0; i < nr; i++) {
				assert_int_equal(wait_for(j[i], (unsigned int)pass + 1), 0);
				filled_with(j[i], j[i]->fill);
				memset(j[i]->r.buf, 0, j[i]->r.len);
				j[i]->r.op = JDEV_READ;
				j[i]->r.prepare = NULL;
			}
		}
		for (unsigned int i = 0; i < nr; i++)
			job_free(j[i]);
	}
	return NULL;
}

static void many_at_once(void **state)
{
	struct user u[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		u[i] = (struct user){ .f = *state, .seed = i, .nr = i };
		assert_int_equal(pthread_create(&u[i].thread, NULL, use, &u[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(u[i].thread, NULL);
}

/* More than the ring takes, submitted under one hold of the lock. */
static void long_queue(void **state)
{
	struct fix *f = *state;
	struct job *j[500];

	core_lock(&f->core);
	for (unsigned int i = 0; i < 500; i++) {
		j[i] = job_new(f, JDEV_WRITE, (uint64_t)i * JDEV_BLOCK, JDEV_BLOCK);
		j[i]->r.prepare = prepare;
		j[i]->r.done = done;
		j[i]->fill = (uint8_t)i;
		j[i]->prepare_err = i % 50 == 7 ? -ENOMEM : 0;
		jdev_submit(f->d, &j[i]->r);
	}
	core_unlock(&f->core);
	for (unsigned int i = 0; i < 500; i++)
		assert_int_equal(wait_for(j[i], 1), i % 50 == 7 ? -ENOMEM : 0);
	for (unsigned int i = 0; i < 500; i++) {
		j[i]->r.op = JDEV_READ;
		j[i]->r.prepare = NULL;
		submit(j[i]);
	}
	for (unsigned int i = 0; i < 500; i++) {
		assert_int_equal(wait_for(j[i], 2), 0);
		/* What could not be prepared was not written. */
		filled_with(j[i], i % 50 == 7 ? 0 : (uint8_t)i);
		job_free(j[i]);
	}
}

/* A small request does not wait for the end of a large one that is under way. */
static void overtaking(void **state)
{
	struct fix *f = *state;
	struct job *large = job_new(f, JDEV_WRITE, JDEV_BLOCK, SIZE - JDEV_BLOCK);
	struct job *small = job_new(f, JDEV_READ, 0, JDEV_BLOCK);
	unsigned int before = 0, n = 0;

	/* Now and then a machine is too busy for it. */
	while (!before && n < 200) {
		n++;
		submit(large);
		usleep(n * 10); /* until the thread sleeps in the ring */
		submit(small);
		assert_int_equal(wait_for(small, n), 0);
		assert_int_equal(wait_for(large, n), 0);
		before += small->done_at < large->done_at;
	}
	assert_true(before);
	job_free(large);
	job_free(small);
}

static void lend(struct job *j)
{
	j->r.done = done;
	core_lock(&j->f->core);
	jdev_submit(j->f->d, &j->r);
	core_unlock_lend(&j->f->core);
}

static bool by_caller(const struct job *j)
{
	return pthread_equal(j->prepared_by, pthread_self());
}

/* How quick a device is it has forgotten when it is opened: nothing here asks for a quick disk. */
static void open_anew(struct fix *f)
{
	jdev_close(f->d);
	assert_int_equal(jdev_uring_open(&f->d, &f->core, f->path), 0);
}

/* A thread that lends itself carries out what it asked for, once, if that is small and alone. */
static void lent(void **state)
{
	struct fix *f = *state;
	struct job *j = job_new(f, JDEV_WRITE, 0, JDEV_BLOCK);
	struct job *large = job_new(f, JDEV_WRITE, JDEV_BLOCK, 128u << 10);
	struct job *other = job_new(f, JDEV_WRITE, SIZE - JDEV_BLOCK, JDEV_BLOCK);

	j->r.prepare = large->r.prepare = other->r.prepare = prepare;
	lend(j);
	assert_int_equal(j->done, 1);
	assert_true(by_caller(j));
	assert_false(j->held_in_prepare);
	open_anew(f);
	/* what done() asks for is not this thread's affair */
	j->again = 1;
	lend(j);
	assert_int_equal(wait_for(j, 3), 0);
	assert_false(by_caller(j));
	open_anew(f);
	lend(large);
	assert_int_equal(wait_for(large, 1), 0);
	assert_false(by_caller(large));
	/* that nobody took what was lent does not mean that the next unlock lends */
	submit(j);
	assert_int_equal(wait_for(j, 4), 0);
	assert_false(by_caller(j));
	open_anew(f);
	core_lock(&f->core);
	other->r.done = done;
	jdev_submit(f->d, &other->r);
	jdev_submit(f->d, &j->r);
	core_unlock_lend(&f->core);
	assert_int_equal(wait_for(other, 1), 0);
	assert_int_equal(wait_for(j, 5), 0);
	assert_false(by_caller(other) || by_caller(j));
	job_free(j);
	job_free(large);
	job_free(other);
}

/* Nor is a thread kept by a device that is slow; once it has become quick again, it is. */
static void lent_to_slow(void **state)
{
	struct fix *f = *state;
	struct job *j = job_new(f, JDEV_WRITE, 0, JDEV_BLOCK);

	j->r.prepare = prepare;
	j->prepare_us = 20000;
	lend(j);
	assert_true(by_caller(j));
	lend(j);
	assert_int_equal(wait_for(j, 2), 0);
	assert_false(by_caller(j));
	/* as if it were the disk: without an I/O that takes its own time */
	j->prepare_us = 0;
	j->prepare_err = -ENOMEM;
	for (unsigned int i = 3; i < 60; i++) {
		submit(j);
		assert_int_equal(wait_for(j, i), -ENOMEM);
	}
	lend(j);
	assert_int_equal(j->done, 60);
	assert_true(by_caller(j));
	job_free(j);
}

/* Requests fail one by one or in the ring (two at once); the device goes on. */
static void failing(void **state)
{
	struct fix *f = *state;
	struct job *a = job_new(f, JDEV_WRITE, SIZE / 2, JDEV_BLOCK);
	struct job *b = job_new(f, JDEV_WRITE, SIZE - MAX_LEN, MAX_LEN);
	struct job *c = job_new(f, JDEV_WRITE, 0, JDEV_BLOCK);
	struct rlimit old, low;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = SIZE / 4;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(run(a), -EFBIG);
	assert_int_equal(run(b), -EFBIG);
	assert_int_equal(run(c), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(run(a), 0);
	assert_int_equal(run(b), 0);

	/* Shorter than it was: what is beyond the end, or reaches beyond it. */
	assert_int_equal(truncate(f->path, SIZE - MAX_LEN / 2), 0);
	a->r.op = b->r.op = c->r.op = JDEV_READ;
	a->r.off = SIZE - JDEV_BLOCK;
	assert_int_equal(run(a), -EIO);
	assert_int_equal(run(b), -EIO);
	assert_int_equal(run(c), 0);
	filled_with(c, 0xee);
	job_free(a);
	job_free(b);
	job_free(c);
}

/* ---- opening and making ------------------------------------------------------------------ */

/* The flags of this process's descriptor of @path. */
static unsigned int flags_of(const char *path)
{
	char name[64], to[600], line[128];
	unsigned int flags = 0;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		ssize_t n;
		FILE *f;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = '\0';
		if (strcmp(to, path) != 0)
			continue;
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
		f = fopen(name, "re");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f))
			sscanf(line, "flags: %o", &flags);
		fclose(f);
	}
	return flags;
}

/*
 * What a WRITE that has ended means lies with the kernel; that it was asked for can be seen. (A
 * loss of power is played in a guest.)
 */
static void durable(void **state)
{
	struct fix *f = *state;
	char *real = realpath(f->path, NULL);
	unsigned int flags;

	assert_non_null(real);
	flags = flags_of(real);
	free(real);
	assert_int_equal(flags & O_DSYNC, O_DSYNC);
	assert_int_equal(flags & O_DIRECT, O_DIRECT);
	/* in the ring, -EAGAIN would be the answer where the kernel has to wait */
	assert_int_equal(flags & O_NONBLOCK, 0);
}

static int open_rc(struct fix *f, const char *path)
{
	struct jdev *d = NULL;
	int rc = jdev_uring_open(&d, &f->core, path);

	jdev_close(d);
	return rc;
}

static int create_rc(const char *path, uint64_t size)
{
	struct jdev_uring_new n = { .path = path, .size = size };

	return jdev_uring_create(&n);
}

static void refusals(void **state)
{
	struct fix *f = *state;
	struct statfs fs;
	char path[600];
	int fd;

	assert_int_equal(open_rc(f, f->path), -ENOENT);
	assert_int_equal(open_rc(f, f->dir), -EISDIR);
	assert_int_equal(open_rc(f, "/dev/null"), -ENOTBLK);
	snprintf(path, sizeof(path), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(open_rc(f, path), -ENOTBLK);
	assert_int_equal(create_rc(path, SIZE), -EEXIST);
	fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(open_rc(f, f->path), -ENODATA);
	assert_int_equal(ftruncate(fd, JDEV_BLOCK + 512), 0);
	assert_int_equal(open_rc(f, f->path), -EINVAL);
	assert_int_equal(ftruncate(fd, JDEV_BLOCK), 0);
	assert_int_equal(open_rc(f, f->path), 0);
	close(fd);
	assert_int_equal(create_rc(f->path, SIZE), -EEXIST);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(create_rc(f->path, SIZE + 512), -EINVAL);
	assert_int_equal(create_rc(f->path, 0), -EINVAL);
	snprintf(path, sizeof(path), "%s/not/there", f->dir);
	assert_int_equal(create_rc(path, SIZE), -ENOENT);
	assert_int_equal(access(f->path, F_OK), -1);
	/* No disk is behind /dev/shm. */
	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC)
		return;
	snprintf(path, sizeof(path), "/dev/shm/zerofs-jdev.%d", (int)getpid());
	assert_int_equal(create_rc(path, SIZE), -EOPNOTSUPP);
	assert_int_equal(access(path, F_OK), -1);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && !ftruncate(fd, JDEV_BLOCK));
	close(fd);
	assert_int_equal(open_rc(f, path), -EOPNOTSUPP);
	unlink(path);
}

struct watch {
	uint64_t last, stop;
	unsigned int calls;
};

static int progress(void *ctx, uint64_t at, uint64_t size)
{
	struct watch *w = ctx;

	assert_true(at > w->last && at <= size);
	w->last = at;
	w->calls++;
	return at >= w->stop;
}

static void created(void **state)
{
	struct watch w = { .stop = UINT64_MAX };
	struct fix *f = *state;
	struct jdev_uring_new n = {
		.path = f->path, .size = SIZE + JDEV_BLOCK, .progress = progress, .ctx = &w
	};
	struct fiemap *map = calloc(1, sizeof(*map) + 64 * sizeof(map->fm_extents[0]));
	struct rlimit old, low;
	struct stat st;
	int fd;

	assert_non_null(map);
	map->fm_length = ~0ull;
	map->fm_extent_count = 64;
	assert_int_equal(jdev_uring_create(&n), 0);
	assert_int_equal(w.last, SIZE + JDEV_BLOCK);
	assert_int_equal(w.calls, 9);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, SIZE + JDEV_BLOCK);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Written, not only set aside, where the file system says which. */
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (!ioctl(fd, FS_IOC_FIEMAP, map)) {
		assert_true(map->fm_mapped_extents > 0);
		for (uint32_t i = 0; i < map->fm_mapped_extents; i++)
			assert_false(map->fm_extents[i].fe_flags & FIEMAP_EXTENT_UNWRITTEN);
	}
	close(fd);
	free(map);
	unlink(f->path);

	w = (struct watch){ .stop = SIZE / 2 };
	assert_int_equal(jdev_uring_create(&n), -EINTR);
	assert_int_equal(access(f->path, F_OK), -1);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = SIZE / 4;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(create_rc(f->path, SIZE), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

/* ---- with a loop device, which needs root ------------------------------------------------- */

static bool sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return !system(cmd);
}

/* An image of @bytes as a loop device. False: not on this machine. */
static bool loop(const struct fix *f, char dev[64], unsigned int bytes)
{
	char cmd[700];
	FILE *p;

	if (!sh("head -c %u /dev/zero > %s/img", bytes, f->dir))
		return false;
	snprintf(cmd, sizeof(cmd), "losetup --find --show %s/img 2>/dev/null", f->dir);
	p = popen(cmd, "r");
	assert_non_null(p);
	if (!fgets(dev, 64, p))
		dev[0] = '\0';
	pclose(p);
	dev[strcspn(dev, "\n")] = '\0';
	return dev[0] && !access(dev, R_OK | W_OK);
}

static void full_disk(void **state)
{
	struct fix *f = *state;
	char dev[64], path[600];
	int rc, there;

	if (!loop(f, dev, SIZE))
		skip();
	if (!sh("mkdir %s/m && mkfs.ext4 -q %s && mount %s %s/m", f->dir, dev, dev, f->dir)) {
		sh("losetup -d %s", dev);
		skip();
	}
	snprintf(path, sizeof(path), "%s/m/journal", f->dir);
	rc = create_rc(path, 4 * SIZE);
	there = access(path, F_OK);
	/* Where the device is in use as a file system it is nobody's journal. */
	assert_int_equal(open_rc(f, dev), -EBUSY);
	sh("umount %s/m; losetup -d %s", f->dir, dev);
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(there, -1);
}

static void block_device(void **state)
{
	struct jdev_uring_new n = { 0 };
	struct fix *f = *state;
	struct jdev *d = NULL;
	char dev[64];
	int rc[6], busy;
	uint64_t size = 0;

	if (!loop(f, dev, SIZE + 512))
		skip();
	n.path = dev;
	rc[0] = jdev_uring_create(&n);
	rc[1] = sh("printf x | dd of=%s bs=1 seek=65535 conv=notrunc 2>/dev/null", dev) ? 0 : -1;
	rc[2] = jdev_uring_create(&n);
	n.force = true;
	n.size = SIZE + JDEV_BLOCK;
	rc[3] = jdev_uring_create(&n);
	n.size = 0;
	rc[4] = jdev_uring_create(&n);
	rc[5] = jdev_uring_open(&d, &f->core, dev);
	busy = open_rc(f, dev);
	if (d)
		size = d->size;
	jdev_close(d);
	sh("losetup -d %s", dev);
	assert_int_equal(rc[0], 0);
	assert_int_equal(rc[1], 0);
	assert_int_equal(rc[2], -EEXIST);
	assert_int_equal(rc[3], -ENOSPC);
	assert_int_equal(rc[4], 0);
	assert_int_equal(rc[5], 0);
	assert_int_equal(size, SIZE);
	assert_int_equal(busy, -EBUSY);
}

/* ---- figures ----------------------------------------------------------------------------- */

static int copy_in(struct jdev_req *r)
{
	memset(r->buf, 7, r->len);
	return 0;
}

/* With JDEV_BENCH=N: the same N small WRITEs one after the other by hand and by the device. */
static void figures(void **state)
{
	const char *env = getenv("JDEV_BENCH");
	unsigned int n = env ? (unsigned int)atoi(env) : 0;
	struct fix *f = *state;
	struct job *j = job_new(f, JDEV_WRITE, 0, JDEV_BLOCK);
	int fd = open(f->path, O_RDWR | O_DIRECT | O_CLOEXEC);

	assert_true(fd >= 0);
	j->r.prepare = copy_in;
	for (unsigned int pass = 0; n && pass < 6; pass++) {
		uint64_t t = clock_mono_us(clock_system());

		for (unsigned int i = 0; i < n; i++) {
			j->r.off = (uint64_t)(i % (SIZE / JDEV_BLOCK)) * JDEV_BLOCK;
			if (pass % 2)
				assert_int_equal(run(j), 0);
			else
				assert_true(pwrite(fd, j->r.buf, JDEV_BLOCK, (off_t)j->r.off) ==
						    JDEV_BLOCK &&
					    !fdatasync(fd));
		}
		t = clock_mono_us(clock_system()) - t;
		print_message("%s: %.1f us each\n", pass % 2 ? "jdev" : "pwrite, fdatasync",
			      (double)t / n);
	}
	close(fd);
	job_free(j);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(durable, make, end),
		cmocka_unit_test_setup_teardown(round_trip, make, end),
		cmocka_unit_test_setup_teardown(many_at_once, make, end),
		cmocka_unit_test_setup_teardown(long_queue, make, end),
		cmocka_unit_test_setup_teardown(overtaking, make, end),
		cmocka_unit_test_setup_teardown(lent, make, end),
		cmocka_unit_test_setup_teardown(lent_to_slow, make, end),
		cmocka_unit_test_setup_teardown(failing, make, end),
		cmocka_unit_test_setup_teardown(refusals, make_dir, end),
		cmocka_unit_test_setup_teardown(created, make_dir, end),
		cmocka_unit_test_setup_teardown(full_disk, make_dir, end),
		cmocka_unit_test_setup_teardown(block_device, make_dir, end),
		cmocka_unit_test_setup_teardown(figures, make, end),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
