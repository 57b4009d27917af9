// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the file store has made durable when it answers a PUT. A power cut takes what was not
 * fsync'ed; here the system calls that change files and folders are watched, and the inodes they
 * leave unsynced are kept account of.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core.h"
#include "lib/tempdir.h"
#include "store/file.h"
#include "store/store.h"

#define MANY 64u

/* ---- the account ------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	ino_t dirty[MANY]; /* written, or with a name that is new in them */
	unsigned int nr;
	unsigned int file_syncs, dir_syncs, fs_syncs;
	unsigned int early; /* names given to files that were not synced */
	bool fail_file, fail_dir; /* the next fsync of one fails */
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static ino_t inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static unsigned int find(ino_t ino)
{
	unsigned int i;

	for (i = 0; i < seen.nr && seen.dirty[i] != ino; i++)
		;
	return i;
}

static void taint(int fd)
{
	ino_t ino = inode(fd);

	pthread_mutex_lock(&seen.lock);
	if (find(ino) == seen.nr && seen.nr < MANY)
		seen.dirty[seen.nr++] = ino;
	pthread_mutex_unlock(&seen.lock);
}

static bool fails(bool *once)
{
	bool now = *once;

	*once = false;
	return now;
}

int fsync(int fd)
{
	ino_t ino = inode(fd);
	struct stat st;
	unsigned int i;
	bool fail, dir;

	dir = !fstat(fd, &st) && S_ISDIR(st.st_mode);
	pthread_mutex_lock(&seen.lock);
	fail = fails(dir ? &seen.fail_dir : &seen.fail_file);
	if (!fail) {
		*(dir ? &seen.dir_syncs : &seen.file_syncs) += 1;
		i = find(ino);
		if (i < seen.nr)
			seen.dirty[i] = seen.dirty[--seen.nr];
	}
	pthread_mutex_unlock(&seen.lock);
	if (fail)
		errno = EIO;
	return fail ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	pthread_mutex_lock(&seen.lock);
	seen.fs_syncs++;
	seen.nr = 0;
	pthread_mutex_unlock(&seen.lock);
	return (int)syscall(SYS_syncfs, fd);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	taint(fd);
	return syscall(SYS_writev, fd, iov, n);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, fd, path, mode);

	if (!rc)
		taint(fd);
	return rc;
}

int linkat(int from, const char *old, int to, const char *name, int flags)
{
	struct stat st;

	if (!fstatat(from, old, &st, AT_SYMLINK_NOFOLLOW)) {
		pthread_mutex_lock(&seen.lock);
		seen.early += find(st.st_ino) < seen.nr;
		pthread_mutex_unlock(&seen.lock);
	}
	/* if the name is there, whoever gave it may not have got as far as to sync the folder */
	taint(to);
	return (int)syscall(SYS_linkat, from, old, to, name, flags);
}

static void forget(void)
{
	seen.nr = 0;
	seen.file_syncs = seen.dir_syncs = seen.fs_syncs = seen.early = 0;
}

/* ---- a store ----------------------------------------------------------------------------- */

struct fixture {
	struct core core;
	struct store *s;
	char *dir;
};

static void begin(struct fixture *x)
{
	assert_int_equal(core_init(&x->core, NULL, NULL), 0);
	x->dir = tempdir_make();
	assert_int_equal(file_open(&x->s, x->dir, 0, &x->core, 1), 0);
	forget();
}

static void end(struct fixture *x)
{
	store_close(x->s);
	core_destroy(&x->core);
	tempdir_remove(x->dir);
}

static void on_done(struct store_req *r)
{
	*(bool *)r->priv = true;
}

static ssize_t call(struct fixture *x, struct store_req *r)
{
	bool done = false;

	r->done = on_done;
	r->priv = &done;
	core_lock(&x->core);
	store_submit(x->s, r);
	while (!done)
		core_wait(&x->core, UINT64_MAX);
	core_unlock(&x->core);
	return r->res;
}

static ssize_t put(struct fixture *x, const char *name)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t) "body", .iov_len = 4 };
	struct store_req r = { .op = STORE_PUT, .iov = &iov, .niov = 1 };

	strcpy(r.name, name);
	return call(x, &r);
}

static ssize_t get(struct fixture *x, const char *name)
{
	struct store_req r = { .op = STORE_GET };

	strcpy(r.name, name);
	return call(x, &r);
}

/* ---- the tests --------------------------------------------------------------------------- */

/* The bytes before they get their name, then the name, and the folders on its path. */
static void answered_is_durable(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x);
	assert_int_equal(put(&x, "a/b/one"), 0);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(seen.early, 0);
	assert_int_equal(seen.file_syncs, 1);
	assert_int_equal(seen.dir_syncs, 3); /* the store's own for a, a for b, b for one */
	forget();
	assert_int_equal(put(&x, "a/b/two"), 0);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(seen.early, 0);
	assert_int_equal(seen.file_syncs, 1);
	assert_int_equal(seen.dir_syncs, 1); /* what is known to be there is not synced again */
	forget();
	assert_int_equal(put(&x, "top"), 0);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(seen.dir_syncs, 1);
	end(&x);
}

/* Who is told that an object is there builds on it. */
static void taken_is_durable(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x);
	assert_int_equal(put(&x, "a/one"), 0);
	forget();
	assert_int_equal(put(&x, "a/one"), -EEXIST);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(seen.dir_syncs, 1);
	end(&x);
}

/* Folders and names that others made, before we opened the store and while we have it open. */
static void made_by_others(void **state)
{
	struct fixture x;
	int fd;

	(void)state;
	begin(&x);
	fd = open(x.dir, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(mkdirat(fd, "b", 0700), 0);
	assert_int_equal(seen.nr, 1);
	assert_int_equal(put(&x, "b/one"), 0);
	assert_int_equal(seen.nr, 0);

	store_close(x.s);
	assert_int_equal(mkdirat(fd, "c", 0700), 0);
	forget();
	assert_int_equal(file_open(&x.s, x.dir, 0, &x.core, 1), 0);
	assert_int_equal(seen.fs_syncs, 1);
	close(fd);
	end(&x);
}

/* A sync that fails is a PUT that fails; bytes that were not synced get no name. */
static void failed_sync(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x);
	seen.fail_file = true;
	assert_int_equal(put(&x, "one"), -EIO);
	assert_int_equal(get(&x, "one"), -ENOENT);
	seen.fail_dir = true;
	assert_int_equal(put(&x, "one"), -EIO);
	seen.fail_dir = true;
	assert_int_equal(put(&x, "a/one"), -EIO);
	assert_false(seen.fail_dir);
	forget();
	assert_int_equal(put(&x, "a/one"), 0);
	assert_int_equal(seen.nr, 0);
	assert_int_equal(seen.dir_syncs, 2); /* the folder that could not be synced is not known */
	end(&x);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answered_is_durable),
		cmocka_unit_test(taken_is_durable),
		cmocka_unit_test(made_by_others),
		cmocka_unit_test(failed_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
