// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the nbdkit plugin serves from, without nbdkit: threads that write, read and flush through
 * one volume in a folder, a clean end, another owner while requests are under way, a start that is
 * told to end, and being asked how it goes.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "lib/tempdir.h"
#include "nbd/served.h"
#include "server/control.h"
#include "server/host.h"
#include "server/settings.h"

#define THREADS 6u
#define ROUNDS	60u
#define SPAN	(4u << 20) /* of each thread */
#define PIECE	(3u << 19) /* more than the engine takes in one request */

static const unsigned char key[32] = "a key of the test, not a secret";
static const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
static char url[300], state[3][300], name[20];

int __wrap_mlockall(int flags);

/* Locked, a sanitizer's shadow of memory would be all of memory. */
int __wrap_mlockall(int flags)
{
	(void)flags;
	errno = EPERM;
	return -1;
}

int __wrap_pthread_setattr_default_np(const pthread_attr_t *attr);

/* Nor does what it keeps for a thread fit the stacks that are small because they are locked. */
int __wrap_pthread_setattr_default_np(const pthread_attr_t *attr)
{
	(void)attr;
	return 0;
}

static void no_wipe(void *ctx)
{
	(void)ctx;
}

static void make_volume(void)
{
	struct volume_format f = { .nr_devs = 1, .dev_size = 64u << 20 };
	char err[HOST_ERR_LEN];
	struct keyring *kr;
	struct host *h;

	assert_int_equal(host_new(&h, url, HOST_CREATE, 2, err), 0);
	assert_int_equal(host_open_state(h, state[2], err), 0);
	/* its socket is this machine's */
	snprintf(name, sizeof(name), "n%d", (int)getpid());
	strcpy(f.name, name);
	randombytes_buf(f.uuid, sizeof(f.uuid));
	core_lock(&h->core);
	assert_int_equal(keys_create(&kr, &h->env, f.uuid, f.name, &secret, KEYS_COST_MIN, ""), 0);
	assert_int_equal(volume_format(&h->env, kr, &f), 0);
	assert_int_equal(host_settle(h), 0);
	core_unlock(&h->core);
	host_stop_threads(h);
	keys_free(kr);
	host_free(h);
}

static void set_conf(struct served_conf *c, uint32_t which)
{
	const struct settings_texts t = { .memory = "160M" };
	char err[HOST_ERR_LEN];

	*c = (struct served_conf){
		.url = url, .secret = &secret, .wipe = no_wipe, .state_dir = state[which]
	};
	assert_int_equal(settings_take(&t, &c->volume, err), 0);
	c->volume.write_queues = 2;
}

static struct served *up(const struct served_conf *c)
{
	char err[HOST_ERR_LEN];
	struct served *s;
	int rc = 0;

	assert_int_equal(served_start(&s, c), 0);
	while (!served_ready(s, &rc, err))
		usleep(1000);
	if (rc)
		fail_msg("%s", err);
	return s;
}

static void down(struct served *s, int want)
{
	char err[HOST_ERR_LEN];

	assert_int_equal(served_stop(s, err), want);
}

struct client {
	struct served *s;
	uint32_t n;
	uint32_t bad;
	int ended; /* how: 0 or -errno */
	bool for_ever;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct client *c = arg;
	uint8_t *data = malloc(PIECE), *back = malloc(PIECE);
	uint64_t base = (uint64_t)c->n * SPAN;
	int rc = 0;

	for (uint32_t i = 0; !rc && (c->for_ever || i < ROUNDS); i++) {
		uint64_t off = base + (uint64_t)(i % 8) * IO_BLOCK_SIZE;
		uint64_t len = i % 5 ? 2 * IO_BLOCK_SIZE : PIECE;

		memset(data, (int)(c->n * 41 + i + 1), len);
		rc = served_io(c->s, 0, IO_WRITE, i % 7 ? 0 : IO_F_FUA, off, len, data);
		if (!rc)
			rc = served_io(c->s, 0, IO_READ, 0, off, len, back);
		c->bad += !rc && memcmp(data, back, len);
		if (!rc && i % 4 == 0)
			rc = served_io(c->s, 0, IO_FLUSH, 0, 0, 0, NULL);
	}
	c->ended = rc;
	free(data);
	free(back);
	return NULL;
}

static void run(struct client *c, struct served *s, bool for_ever)
{
	for (uint32_t i = 0; i < THREADS; i++) {
		c[i] = (struct client){ .s = s, .n = i, .for_ever = for_ever };
		assert_int_equal(pthread_create(&c[i].thread, NULL, work, &c[i]), 0);
	}
}

static void join(struct client *c, int want)
{
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(c[i].thread, NULL);
		assert_int_equal(c[i].bad, 0);
		assert_int_equal(c[i].ended, want);
	}
}

static void threads_and_a_clean_end(void **unused)
{
	struct served_conf conf;
	struct client c[THREADS];
	uint8_t *back = malloc(PIECE);
	struct served *s;

	(void)unused;
	set_conf(&conf, 0);
	s = up(&conf);
	assert_int_equal(served_io(s, 0, IO_READ, 0, 512, 4096, back), -EINVAL);
	assert_int_equal(served_io(s, 0, IO_FLUSH, 0, 0, 4096, NULL), -EINVAL);
	assert_int_equal(served_io(s, 0, IO_WRITE, 0, 0, 0, back), -EINVAL);
	run(c, s, false);
	join(c, 0);
	down(s, 0);
	s = up(&conf);
	for (uint32_t n = 0; n < THREADS; n++) {
		/* the last long one is round 55, the last of its place 59 */
		assert_int_equal(served_io(s, 0, IO_READ, 0, (uint64_t)n * SPAN, PIECE, back), 0);
		assert_int_equal(back[7 * IO_BLOCK_SIZE + PIECE / 2], (uint8_t)(n * 41 + 56));
		assert_int_equal(back[3 * IO_BLOCK_SIZE], (uint8_t)(n * 41 + 60));
	}
	down(s, 0);
	free(back);
}

static void another_owner(void **unused)
{
	struct served_conf first, second;
	struct client c[THREADS];
	struct served *a, *b;

	(void)unused;
	set_conf(&first, 0);
	set_conf(&second, 1);
	second.volume.takeover = true;
	a = up(&first);
	run(c, a, true);
	usleep(100000);
	b = up(&second);
	join(c, -ESHUTDOWN);
	assert_int_equal(served_io(a, 0, IO_FLUSH, 0, 0, 0, NULL), -ESHUTDOWN);
	down(a, -ESTALE);
	assert_int_equal(served_io(b, 0, IO_FLUSH, 0, 0, 0, NULL), 0);
	down(b, 0);
}

static void refused(void **unused)
{
	static const struct keys_secret other = { KEYS_KEYFILE, key + 1, sizeof(key) - 1 };
	char err[HOST_ERR_LEN] = "";
	struct served_conf conf;
	struct served *s, *t;
	int rc = 0;

	(void)unused;
	set_conf(&conf, 0);
	s = up(&conf);
	assert_int_equal(served_start(&t, &conf), 0);
	while (!served_ready(t, &rc, err))
		usleep(1000);
	assert_int_equal(rc, -EBUSY);
	assert_non_null(strstr(err, "already served on this host"));
	down(t, -EBUSY);
	down(s, 0);
	conf.secret = &other;
	assert_int_equal(served_start(&t, &conf), 0);
	while (!served_ready(t, &rc, err))
		usleep(1000);
	assert_int_equal(rc, -EKEYREJECTED);
	down(t, -EKEYREJECTED);
}

/* The answer to "@op", the caller's; NULL: nobody is there. */
static json_t *ask(const char *op)
{
	json_t *answer = NULL;
	int rc = control_ask(CONTROL_DIR_NBD, name, json_pack("{s:s}", "op", op), 10000, NULL, NULL,
			     &answer);

	assert_true(rc == 0 || rc == -ENOENT);
	return answer;
}

static json_int_t num(const json_t *j, const char *a, const char *b)
{
	return json_integer_value(json_object_get(json_object_get(j, a), b));
}

static const char *text(const json_t *j, const char *member)
{
	const char *s = json_string_value(json_object_get(j, member));

	return s ? s : "";
}

static void asked(void **unused)
{
	struct served_conf conf;
	struct client c[THREADS];
	json_int_t last = -1;
	struct served *s;
	json_t *j;

	(void)unused;
	if (geteuid())
		skip(); /* the socket is root's */
	set_conf(&conf, 0);
	s = up(&conf);
	j = ask("status");
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_string_equal(text(j, "name"), name);
	assert_string_equal(text(j, "phase"), "serving");
	json_decref(j);
	/* What would change something is refused, and changes nothing. */
	j = ask("detach");
	assert_false(json_is_true(json_object_get(j, "ok")));
	assert_non_null(strstr(text(j, "error"), "nbdkit serves this volume"));
	json_decref(j);
	run(c, s, false);
	for (int i = 0; i < 50; i++) {
		json_int_t n;

		j = ask(i % 2 ? "stats" : "status");
		assert_true(json_is_true(json_object_get(j, "ok")));
		n = num(j, "requests", "write");
		assert_true(i % 2 == 0 || n >= last);
		if (i % 2)
			last = n;
		json_decref(j);
	}
	join(c, 0);
	j = ask("stats");
	assert_true(num(j, "requests", "write") >= (json_int_t)(THREADS * ROUNDS));
	assert_true(num(json_object_get(j, "store"), "put", "requests") > 0);
	assert_true(json_is_null(json_object_get(j, "wire")));
	assert_string_equal(text(j, "served_by"), "nbd");
	json_decref(j);
	down(s, 0);
	assert_null(ask("status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_and_a_clean_end),
		cmocka_unit_test(another_owner),
		cmocka_unit_test(refused),
		cmocka_unit_test(asked),
	};
	char *top;
	int rc;

	if (sodium_init() < 0)
		return 1;
	top = tempdir_make();
	snprintf(url, sizeof(url), "file://%s/store", top);
	for (uint32_t i = 0; i < 3; i++)
		snprintf(state[i], sizeof(state[i]), "%s/state%u", top, i);
	make_volume();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	tempdir_remove(top);
	return rc;
}
