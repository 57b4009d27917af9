// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A daemon's start before it has a volume: what this host remembers of where a volume was served
 * from, and the wait for the keys while the store is away.
 */
#include <errno.h>
#include <fcntl.h>
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

#include "base/disk_dir.h"
#include "base/uuid.h"
#include "lib/tempdir.h"
#include "server/host.h"
#include "server/known.h"
#include "server/unlock.h"
#include "store/fault.h"
#include "volume/keys.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = tempdir_make();
	return dir ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tempdir_remove(dir);
	return 0;
}

/* ---- origin ------------------------------------------------------------------------------ */

static const uint8_t uuid[16] = { 0xab, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15 };

static void put(const char *text, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/origin", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void test_origin(void **state)
{
	struct disk_dir *d;
	struct known k;

	(void)state;
	assert_int_equal(known_read(dir, "file:///s", &k), -ENOENT);
	assert_int_equal(known_read("/nonexistent", "file:///s", &k), -ENOENT);
	assert_int_equal(disk_dir_open(&d, dir), 0);
	assert_int_equal(known_save(disk_dir_disk(d), "file:///s", uuid, "vol"), 0);
	assert_int_equal(known_read(dir, "file:///s", &k), 0);
	assert_memory_equal(k.uuid, uuid, sizeof(uuid));
	assert_string_equal(k.name, "vol");
	assert_string_equal(k.dir, dir);
	assert_int_equal(known_read(dir, "file:///t", &k), -ENOENT);
	assert_int_equal(known_read(dir, "file:///", &k), -ENOENT);
	assert_int_equal(known_save(disk_dir_disk(d), "file:///s\n", uuid, "vol"), -EINVAL);
	disk_dir_close(d);
}

/* What is not what known_save() writes is as good as nothing. */
static void test_origin_damaged(void **state)
{
	static const char good[] = "file:///s\n01234567-89ab-4def-8123-456789abcdef\nvol\n";
	char text[512];
	struct known k;
	size_t n = sizeof(good) - 1;

	(void)state;
	put(good, n);
	assert_int_equal(known_read(dir, "file:///s", &k), 0);
	for (size_t i = 0; i < n; i++) {
		put(good, i);
		assert_int_equal(known_read(dir, "file:///s", &k), -ENOENT);
	}
	memcpy(text, good, n);
	text[n] = 'x';
	put(text, n + 1);
	assert_int_equal(known_read(dir, "file:///s", &k), -ENOENT);
	text[n - 3] = '\0';
	put(text, n);
	assert_int_equal(known_read(dir, "file:///s", &k), -ENOENT);
	/* a name that would not fit */
	memset(text, 'v', sizeof(text));
	memcpy(text, good, n - 2);
	text[300] = '\n';
	put(text, 301);
	assert_int_equal(known_read(dir, "file:///s", &k), -ENOENT);
}

/* ---- the keys ---------------------------------------------------------------------------- */

struct start {
	struct host *h;
	struct store *fault;
	pthread_cond_t event;
	pthread_t net;
	bool end; /* core lock, as all below */
	uint64_t heal_after; /* the store works after so many refusals; 0 = never */
	uint64_t stop_after; /* the daemon is told to stop after so many */
	bool told; /* at a refusal, why and since when was known */
	int store_errno;
	uint64_t since_us;
	struct keyring *kr;
};

/* The store's answers, and the one who looks at `status` meanwhile. */
static void *net_thread(void *arg)
{
	struct start *s = arg;
	bool end;

	do {
		core_lock(&s->h->core);
		fault_run(s->fault);
		if (s->heal_after && fault_hits(s->fault) >= s->heal_after)
			fault_clear(s->fault);
		if (s->store_errno == EIO && s->since_us)
			s->told = true;
		if (s->stop_after && fault_hits(s->fault) >= s->stop_after) {
			host_interrupt(s->h);
			pthread_cond_signal(&s->event);
		}
		end = s->end;
		core_unlock(&s->h->core);
		usleep(1000);
	} while (!end);
	return NULL;
}

static const uint8_t key[32] = "a key of the test, not a secret", other[32] = "another one";

static void begin(struct start *s, unsigned int ops, int err)
{
	struct fault_rule rule = { .kind = FAULT_ERROR, .ops = ops, .err = err };
	struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };
	char url[256], text[HOST_ERR_LEN];

	memset(s, 0, sizeof(*s));
	snprintf(url, sizeof(url), "file://%s/store", dir);
	assert_int_equal(host_new(&s->h, url, HOST_CREATE, 1, text), 0);
	assert_int_equal(core_cond_init(&s->event), 0);
	core_lock(&s->h->core);
	assert_int_equal(keys_create(&s->kr, &s->h->env, uuid, "vol", &secret, KEYS_COST_MIN, "t"),
			 0);
	keys_free(s->kr);
	s->kr = NULL;
	assert_int_equal(fault_new(&s->fault, s->h->store), 0);
	s->h->env.store = s->fault;
	if (err)
		assert_int_equal(fault_add(s->fault, &rule), 0);
	core_unlock(&s->h->core);
	assert_int_equal(pthread_create(&s->net, NULL, net_thread, s), 0);
}

/* For the thread, which is looking already. */
static void set(struct start *s, uint64_t *what, uint64_t n)
{
	core_lock(&s->h->core);
	*what = n;
	core_unlock(&s->h->core);
}

static int unlock(struct start *s, const uint8_t *k)
{
	struct keys_secret secret = { KEYS_KEYFILE, k, 32 };
	const struct unlock u = { &s->event, &s->store_errno, &s->since_us };
	int rc;

	core_lock(&s->h->core);
	rc = unlock_keys(s->h, &secret, &u, &s->kr);
	s->end = true;
	core_unlock(&s->h->core);
	pthread_join(s->net, NULL);
	return rc;
}

static void end(struct start *s)
{
	keys_free(s->kr);
	core_lock(&s->h->core);
	s->h->stop = false;
	host_settle(s->h);
	core_unlock(&s->h->core);
	host_stop_threads(s->h);
	store_close(s->fault);
	host_free(s->h);
	pthread_cond_destroy(&s->event);
}

static unsigned int notices(const struct start *s)
{
	return s->h->nr_notices;
}

static void test_keys_when_the_store_is_back(void **state)
{
	struct start s;

	(void)state;
	begin(&s, ~0u, -EIO);
	set(&s, &s.heal_after, 3);
	assert_int_equal(unlock(&s, key), 0);
	assert_string_equal(keys_name(s.kr), "vol");
	assert_true(s.told);
	assert_int_equal(s.store_errno, 0);
	assert_int_equal(notices(&s), 2); /* it is away; it is back */
	assert_true(s.h->notices[0].said); /* though the daemon is not up yet */
	end(&s);
}

static void test_keys_of_a_store_that_refuses(void **state)
{
	static const int final[] = { -EACCES, -EROFS };
	struct start s;

	(void)state;
	for (int i = 0; i < 4; i++) {
		tempdir_remove(dir);
		dir = tempdir_make();
		begin(&s, 1u << (i < 2 ? STORE_LIST : STORE_GET), final[i & 1]);
		assert_int_equal(unlock(&s, key), final[i & 1]);
		assert_int_equal(fault_hits(s.fault), 1);
		assert_int_equal(notices(&s), 0);
		end(&s);
	}
}

static void test_wrong_key_ends_at_once(void **state)
{
	struct start s;

	(void)state;
	begin(&s, ~0u, -EIO);
	set(&s, &s.heal_after, 1);
	assert_int_equal(unlock(&s, other), -EKEYREJECTED);
	end(&s);
}

static void test_wait_can_be_stopped(void **state)
{
	struct start s;

	(void)state;
	begin(&s, ~0u, -EIO);
	set(&s, &s.stop_after, 2);
	assert_int_equal(unlock(&s, key), -EINTR);
	assert_null(s.kr);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_origin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_origin_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_when_the_store_is_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_of_a_store_that_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_key_ends_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_can_be_stopped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
