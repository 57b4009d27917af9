// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose disk is full: the state folder's or the store's. Both are -ENOSPC to the volume, and a
 * person who makes room in the wrong place has not been helped. On a tmpfs of one page, in a mount
 * namespace of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/host.h"

static char dir[64], url[96], state[96], filler[96];
static char err[HOST_ERR_LEN];
static struct host *host;

static int setup(void **unused)
{
	(void)unused;
	snprintf(dir, sizeof(dir), "/tmp/zerofs-host.XXXXXX");
	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	snprintf(url, sizeof(url), "file://%s/store", dir);
	snprintf(state, sizeof(state), "%s/small", dir);
	snprintf(filler, sizeof(filler), "%s/small/filler", dir);
	if (mkdir(state, 0700) || mount("none", state, "tmpfs", 0, "size=4k"))
		return -1;
	snprintf(state, sizeof(state), "%s/small/state", dir);
	return host_new(&host, url, HOST_CREATE, 1, err);
}

static int teardown(void **unused)
{
	char cmd[192];

	(void)unused;
	host_stop_threads(host);
	host_free(host);
	snprintf(cmd, sizeof(cmd), "umount '%s/small' && rm -rf '%s'", dir, dir);
	return system(cmd);
}

static void fill(void)
{
	static const char page[4096];
	int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	close(fd);
}

static void says_state_folder_full(void)
{
	char want[192];

	snprintf(want, sizeof(want), "the state folder %s is full", state);
	assert_non_null(strstr(err, want));
	assert_non_null(strstr(err, "--state-dir"));
	assert_null(strstr(err, url));
}

static void test_full_at_open(void **unused)
{
	(void)unused;
	fill();
	assert_int_equal(host_open_state(host, state, err), -ENOSPC);
	says_state_folder_full();
}

static int save(const char *text)
{
	struct disk *d = host->env.disk;
	int rc;

	core_lock(&host->core);
	rc = d->ops->replace(d, "state", text, strlen(text));
	core_unlock(&host->core);
	return rc;
}

static void test_full_later(void **unused)
{
	char buf[8];

	(void)unused;
	/* The lock's process number takes the only page. */
	assert_int_equal(host_open_state(host, state, err), 0);
	assert_string_equal(host->env.disk->where, state);
	assert_int_equal(save("abc"), -ENOSPC);
	host_explain(host, -ENOSPC, err);
	says_state_folder_full();
	/* Another error, after it: not the state folder's. */
	host_explain(host, -EACCES, err);
	assert_non_null(strstr(err, url));

	*strrchr(filler, '/') = '\0';
	assert_int_equal(mount("none", filler, NULL, MS_REMOUNT, "size=64k"), 0);
	assert_int_equal(save("abc"), 0);
	core_lock(&host->core);
	assert_int_equal(host->env.disk->ops->read(host->env.disk, "state", buf, sizeof(buf)), 3);
	core_unlock(&host->core);
	host_explain(host, -ENOSPC, err);
	assert_non_null(strstr(err, url));
	assert_null(strstr(err, "state folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_full_at_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_later, setup, teardown),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
