// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/disk_dir.h"
#include "base/log.h"
#include "lib/tempdir.h"

static void files(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "a b", "\n" };
	char *dir = tempdir_make(), path[256], buf[16];
	struct disk_dir *dd = NULL;
	struct disk *d;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/var/lib/x", dir);
	assert_int_equal(disk_dir_open(&dd, path), 0);
	d = disk_dir_disk(dd);
	assert_int_equal(d->ops->read(d, "state", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(d->ops->replace(d, "state", "hello", 5), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(d->ops->read(d, "state", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	/* Shorter room: the whole length is told. */
	assert_int_equal(d->ops->read(d, "state", buf, 2), 5);
	assert_int_equal(d->ops->replace(d, "state", "x", 1), 0);
	assert_int_equal(d->ops->read(d, "state", buf, sizeof(buf)), 1);
	assert_int_equal(d->ops->replace(d, "empty", NULL, 0), 0);
	assert_int_equal(d->ops->read(d, "empty", buf, sizeof(buf)), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(d->ops->replace(d, bad[i], "x", 1), -EINVAL);
		assert_int_equal(d->ops->read(d, bad[i], buf, 1), -EINVAL);
	}
	/* No temporary stays behind, and nobody else may read what we keep. */
	snprintf(path, sizeof(path), "%s/var/lib/x/.state.tmp", dir);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/var/lib/x/state", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	disk_dir_close(dd);
	disk_dir_close(NULL);
	tempdir_remove(dir);
}

/* A replacement that fails leaves the old content. */
static void failed_replace(void **state)
{
	char *dir = tempdir_make(), path[256], buf[16] = "";
	struct disk_dir *dd = NULL;
	struct disk *d;

	(void)state;
	assert_int_equal(disk_dir_open(&dd, dir), 0);
	d = disk_dir_disk(dd);
	assert_int_equal(d->ops->replace(d, "state", "old", 3), 0);
	snprintf(path, sizeof(path), "%s/.state.tmp", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(d->ops->replace(d, "state", "new", 3), -EISDIR);
	assert_int_equal(d->ops->read(d, "state", buf, sizeof(buf)), 3);
	assert_string_equal(buf, "old");
	disk_dir_close(dd);
	tempdir_remove(dir);
}

static void one_owner(void **state)
{
	char *dir = tempdir_make();
	struct disk_dir *a = NULL, *b = NULL;
	int pid = 0, status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(disk_dir_open(&a, dir), 0);
	assert_int_equal(disk_dir_lock(a, NULL), 0);
	assert_int_equal(disk_dir_lock(a, NULL), 0);
	assert_int_equal(disk_dir_open(&b, dir), 0);
	assert_int_equal(disk_dir_lock(b, &pid), -EBUSY);
	assert_int_equal(pid, getpid());
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(disk_dir_lock(b, &pid) == -EBUSY && pid == getppid() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	disk_dir_close(a);
	assert_int_equal(disk_dir_lock(b, &pid), 0);
	disk_dir_close(b);
	tempdir_remove(dir);
}

static void not_a_folder(void **state)
{
	char *dir = tempdir_make(), path[256];
	struct disk_dir *dd = NULL;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(disk_dir_open(&dd, path), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/file/below", dir);
	assert_int_equal(disk_dir_open(&dd, path), -ENOTDIR);
	tempdir_remove(dir);
}

/* ---- the log ----------------------------------------------------------------------------- */

static char hooked[2048];
static int hooked_level;

static void hook(void *ctx, int level, const char *line)
{
	(void)ctx;
	hooked_level = level;
	snprintf(hooked, sizeof(hooked), "%s", line);
}

/* What one log call writes to standard error. */
static size_t captured(char *out, size_t room, int level, const char *text)
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	log_msg(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	n = read(fds[0], out, room - 1);
	close(fds[0]);
	assert_true(n >= 0);
	out[n] = '\0';
	return (size_t)n;
}

static void log_lines(void **state)
{
	char out[4096], big[3000];

	(void)state;
	log_set_hook(hook, NULL);
	log_set_stamp(1);
	captured(out, sizeof(out), LOG_LEVEL_WARN, "two\nlines");
	assert_non_null(strstr(out, "Z warning: two lines\n"));
	assert_string_equal(hooked, "two lines");
	assert_int_equal(hooked_level, LOG_LEVEL_WARN);
	assert_int_equal(captured(out, sizeof(out), LOG_LEVEL_DEBUG, "quiet"), 0);
	assert_string_equal(hooked, "two lines");
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_stamp(0);
	captured(out, sizeof(out), LOG_LEVEL_DEBUG, "loud");
	assert_string_equal(out, "<6>loud\n");
	captured(out, sizeof(out), LOG_LEVEL_ERR, "bad");
	assert_string_equal(out, "<3>bad\n");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(captured(out, sizeof(out), LOG_LEVEL_INFO, big), 3 + 1000 + 1);
	log_set_hook(NULL, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),     cmocka_unit_test(failed_replace),
		cmocka_unit_test(one_owner), cmocka_unit_test(not_a_folder),
		cmocka_unit_test(log_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
