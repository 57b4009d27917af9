// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is the file store's alone, beside the contract (test_store_contract.c): processes that race,
 * what they leave behind, files that are no objects, what cannot be opened, a full disk.
 */
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

#include "base/core.h"
#include "lib/tempdir.h"
#include "store/file.h"
#include "store/store.h"

struct fixture {
	struct core core;
	struct store *s;
	char *dir;
};

static void begin(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	x->dir = tempdir_make();
	assert_int_equal(core_init(&x->core, NULL, NULL), 0);
	assert_int_equal(file_open(&x->s, x->dir, 0, &x->core, 2), 0);
}

static void end(struct fixture *x)
{
	store_close(x->s);
	core_destroy(&x->core);
	if (x->dir)
		tempdir_remove(x->dir);
}

static void on_done(struct store_req *r)
{
	*(bool *)r->priv = true;
}

/* Also without cmocka: a child has none. */
static ssize_t carry_out(struct fixture *x, struct store_req *r, const char *name)
{
	bool done = false;

	snprintf(r->name, sizeof(r->name), "%s", name);
	r->done = on_done;
	r->priv = &done;
	core_lock(&x->core);
	store_submit(x->s, r);
	while (!done)
		core_wait(&x->core, UINT64_MAX);
	core_unlock(&x->core);
	return r->res;
}

static ssize_t put(struct fixture *x, const char *name, const void *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct store_req r = { .op = STORE_PUT, .iov = &iov, .niov = 1 };

	return carry_out(x, &r, name);
}

static ssize_t get(struct fixture *x, const char *name, void *p, size_t len)
{
	struct store_req r = { .op = STORE_GET, .buf = p, .len = len };

	return carry_out(x, &r, name);
}

static ssize_t list(struct fixture *x, const char *prefix, struct store_entry *e, uint32_t max)
{
	struct store_req r = { .op = STORE_LIST, .ents = e, .max_ents = max };

	return carry_out(x, &r, prefix);
}

static ssize_t del(struct fixture *x, const char *name)
{
	struct store_req r = { .op = STORE_DELETE };

	return carry_out(x, &r, name);
}

#define PROCESSES 6
#define NAMES	  40

/* What a child does: tries every name, writes which it won. */
static int child(const char *dir, int id, int go)
{
	struct fixture x = { 0 };
	char name[32], body[32], c;

	if (core_init(&x.core, NULL, NULL) || file_open(&x.s, dir, 0, &x.core, 2))
		return 1;
	if (read(go, &c, 1)) /* until the parent closes it: all at once */
		return 1;
	snprintf(body, sizeof(body), "process %d", id);
	for (int i = 0; i < NAMES; i++) {
		ssize_t rc;

		snprintf(name, sizeof(name), "p/%d/%d", i / 5, i);
		rc = put(&x, name, body, sizeof(body));
		if (!rc) {
			snprintf(name, sizeof(name), "won/%d/%d", i, id);
			rc = put(&x, name, body, sizeof(body));
			if (rc)
				return 2;
		} else if (rc != -EEXIST) {
			return 3;
		}
	}
	store_close(x.s);
	core_destroy(&x.core);
	return 0;
}

static void racing_processes(void **state)
{
	struct store_entry e[PROCESSES * NAMES];
	struct fixture x;
	pid_t pid[PROCESSES];
	int go[2];

	(void)state;
	memset(&x, 0, sizeof(x));
	x.dir = tempdir_make();
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < PROCESSES; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (!pid[i]) {
			close(go[1]);
			_exit(child(x.dir, i, go[0]));
		}
	}
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < PROCESSES; i++) {
		int status = -1;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(core_init(&x.core, NULL, NULL), 0);
	assert_int_equal(file_open(&x.s, x.dir, 0, &x.core, 2), 0);
	assert_int_equal(list(&x, "p/", e, PROCESSES * NAMES), NAMES);
	assert_int_equal(list(&x, "won/", e, PROCESSES * NAMES), NAMES);
	for (int i = 0; i < NAMES; i++) {
		char name[32], body[32], want[32];
		int n, id;

		assert_int_equal(sscanf(e[i].name, "won/%d/%d", &n, &id), 2);
		snprintf(name, sizeof(name), "p/%d/%d", n / 5, n);
		assert_int_equal(get(&x, name, body, sizeof(body)), sizeof(body));
		memset(want, 0, sizeof(want));
		snprintf(want, sizeof(want), "process %d", id);
		assert_string_equal(body, want);
	}
	end(&x);
}

static unsigned int count_files(const char *dir)
{
	char cmd[600];
	unsigned int n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "find '%s' -type f | wc -l", dir);
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void touch(const char *dir, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* Temporaries go when their owner has died, and only then. */
static void leftovers(void **state)
{
	struct fixture x, y;
	char tmp[300];

	(void)state;
	begin(&x);
	snprintf(tmp, sizeof(tmp), "%s/.tmp", x.dir);
	assert_int_equal(put(&x, "a", "1", 1), 0);
	assert_int_equal(put(&x, "a", "1", 1), -EEXIST);
	assert_int_equal(count_files(tmp), 0);
	touch(tmp, "123.abc");
	/* Another one who opens the store finds us here, and leaves it. */
	memset(&y, 0, sizeof(y));
	assert_int_equal(core_init(&y.core, NULL, NULL), 0);
	assert_int_equal(file_open(&y.s, x.dir, 0, &y.core, 1), 0);
	assert_int_equal(count_files(tmp), 1);
	store_close(y.s);
	store_close(x.s);
	assert_int_equal(file_open(&x.s, x.dir, 0, &x.core, 1), 0);
	assert_int_equal(count_files(tmp), 0);
	assert_int_equal(get(&x, "a", NULL, 0), 0);
	core_destroy(&y.core);
	end(&x);
}

/* What is no object is neither listed nor followed. */
static void strangers(void **state)
{
	struct store_entry e[4];
	char path[300], buf[4];
	struct fixture x;

	(void)state;
	begin(&x);
	assert_int_equal(put(&x, "d/a", "1", 1), 0);
	touch(x.dir, "README.txt");
	touch(x.dir, "d/Upper");
	touch(x.dir, "d/.hidden");
	snprintf(path, sizeof(path), "%s/d/link", x.dir);
	assert_int_equal(symlink("a", path), 0);
	snprintf(path, sizeof(path), "%s/d/fifo", x.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(list(&x, "", e, 4), 1);
	assert_string_equal(e[0].name, "d/a");
	assert_int_equal(get(&x, "d/link", buf, 4), -ENOENT);
	assert_int_equal(get(&x, "d/fifo", buf, 4), -ENOENT);
	end(&x);
}

static void cannot_open(void **state)
{
	char *dir = tempdir_make(), path[300];
	struct store *s = NULL;
	struct core core;

	(void)state;
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(file_open(&s, path, 0, &core, 1), -ENOENT);
	assert_int_equal(file_open(&s, "relative", 0, &core, 1), -EINVAL);
	assert_int_equal(file_open(&s, path, FILE_CREATE, &core, 1), 0);
	store_close(s);
	assert_int_equal(file_open(&s, path, FILE_CREATE, &core, 1), 0);
	store_close(s);
	snprintf(path, sizeof(path), "%s/none/below/it", dir);
	assert_int_equal(file_open(&s, path, FILE_CREATE, &core, 1), -ENOENT);
	touch(dir, "file");
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(file_open(&s, path, 0, &core, 1), -ENOTDIR);
	core_destroy(&core);
	tempdir_remove(dir);
}

/* A full disk: -ENOSPC, no object, nothing left, and all is well once there is room. */
static void disk_full(void **state)
{
	size_t len = 3 << 20;
	char *dir, cmd[400];
	struct fixture x;
	void *body;

	(void)state;
	dir = tempdir_make();
	snprintf(cmd, sizeof(cmd),
		 "mount -t tmpfs -o size=4m,mode=700 zerofs-test '%s' 2>/dev/null", dir);
	if (geteuid() || system(cmd)) {
		tempdir_remove(dir);
		skip();
	}
	memset(&x, 0, sizeof(x));
	body = calloc(1, len);
	assert_non_null(body);
	assert_int_equal(core_init(&x.core, NULL, NULL), 0);
	assert_int_equal(file_open(&x.s, dir, 0, &x.core, 2), 0);
	assert_int_equal(put(&x, "a", body, len), 0);
	assert_int_equal(put(&x, "b", body, len), -ENOSPC);
	assert_int_equal(get(&x, "b", NULL, 0), -ENOENT);
	assert_int_equal(count_files(dir), 1);
	assert_int_equal(del(&x, "a"), 0);
	assert_int_equal(put(&x, "b", body, len), 0);
	snprintf(cmd, sizeof(cmd), "mount -o remount,ro '%s'", dir);
	if (!system(cmd)) {
		assert_int_equal(put(&x, "c", body, 1), -EROFS);
		assert_int_equal(del(&x, "b"), -EROFS);
		assert_int_equal(get(&x, "b", NULL, 0), 0);
	}
	end(&x);
	free(body);
	snprintf(cmd, sizeof(cmd), "umount '%s'", dir);
	assert_int_equal(system(cmd), 0);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first: it forks, and no thread is there yet */
		cmocka_unit_test(racing_processes), cmocka_unit_test(leftovers),
		cmocka_unit_test(strangers),	    cmocka_unit_test(cannot_open),
		cmocka_unit_test(disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
