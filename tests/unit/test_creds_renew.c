// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When keys are renewed, by a clock that the test sets; and a file server that hangs.
 *
 * sleeps: 24 s
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/credworld.h"
#include "store/s3/creds_ask.h"

#define HOUR 3600
#define BOX  "/box"

int __real_creds_ask_slurp(const char *path, char *buf, size_t room);
int __wrap_creds_ask_slurp(const char *path, char *buf, size_t room);

static struct credworld w;
static atomic_bool hung, within;

/* A read from a file server that is gone, which no signal ends. */
int __wrap_creds_ask_slurp(const char *path, char *buf, size_t room)
{
	while (atomic_load(&hung)) {
		atomic_store(&within, true);
		usleep(1000);
	}
	return __real_creds_ask_slurp(path, buf, room);
}

static void forward(unsigned int seconds)
{
	atomic_fetch_add(&w.ahead_us, seconds * 1000000ull);
}

static void use_box(const char *name, int seconds)
{
	credworld_clear(&w);
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", BOX);
	websrv_set(w.web, "GET", BOX, NULL, 200, credworld_json(&w, name, "Token", seconds));
}

static unsigned int asked(void)
{
	return websrv_count(w.web, "GET", BOX);
}

/* By who asks for keys, as I/O does; with time for the thread. */
static void poke(struct creds_chain *c)
{
	struct creds got;

	creds_get(c, &got);
	usleep(30000);
}

static void in_time(void **state)
{
	struct creds_chain *c;

	(void)state;
	use_box("1", HOUR);
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	credworld_wait(c, "1");
	forward(3230); /* six minutes before the end, and ten seconds */
	poke(c);
	poke(c);
	assert_int_equal(asked(), 1);
	websrv_set(w.web, "GET", BOX, NULL, 200, credworld_json(&w, "2", "Token", HOUR));
	forward(75); /* less than five */
	credworld_wait(c, "2");
	assert_int_equal(asked(), 2);
	creds_close(c);
	/* keys of two minutes: after one */
	use_box("3", 120);
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	forward(55);
	poke(c);
	assert_int_equal(asked(), 1);
	forward(10);
	for (int i = 0; i < 100 && asked() < 2; i++)
		poke(c);
	assert_int_equal(asked(), 2);
	creds_close(c);
}

static void count(void *priv)
{
	atomic_fetch_add((atomic_int *)priv, 1);
}

/* The service is away: the old keys work to their end, it is asked now and then; then I/O waits */
static void away(void **state)
{
	struct creds_chain *c;
	struct creds got;
	atomic_int told = 0;
	char why[CREDS_WHY];
	unsigned int n;

	(void)state;
	use_box("1", HOUR);
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	creds_notify(c, count, &told);
	websrv_set(w.web, "GET", BOX, NULL, 500, "");
	forward(3301);
	for (int i = 0; i < 28; i++) {
		assert_int_equal(creds_get(c, &got), 0);
		assert_string_equal(got.access, "AKID1");
		usleep(30000);
		forward(10);
	}
	n = asked() - 1;
	assert_in_range(n, 5, 16);
	assert_int_equal(atomic_load(&told), 0); /* nobody has had to wait */
	creds_why(c, why, sizeof(why));
	assert_non_null(strstr(why, "says 500"));
	forward(30);
	assert_int_equal(creds_get(c, &got), -EAGAIN);
	websrv_set(w.web, "GET", BOX, NULL, 200, credworld_json(&w, "2", "Token", HOUR));
	for (int i = 0; i < 50 && !atomic_load(&told); i++) {
		forward(1);
		poke(c);
	}
	credworld_wait(c, "2");
	assert_true(atomic_load(&told) >= 1);
	creds_why(c, why, sizeof(why));
	assert_string_equal(why, "");
	creds_close(c);
}

/* Asked too early a service gives the same again: no change, and no reason to ask at once. */
static void same_again(void **state)
{
	struct creds_chain *c;
	struct creds a, b;

	(void)state;
	use_box("1", HOUR);
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	assert_int_equal(creds_get(c, &a), 0);
	forward(3301);
	for (int i = 0; i < 100 && asked() < 2; i++)
		poke(c);
	for (int i = 0; i < 10; i++)
		poke(c);
	assert_in_range(asked(), 2, 3);
	assert_int_equal(creds_get(c, &b), 0);
	assert_int_equal(a.gen, b.gen);
	/* with a longer life they are the same keys, too */
	websrv_set(w.web, "GET", BOX, NULL, 200, credworld_json(&w, "1", "Token", HOUR));
	for (int i = 0; i < 100 && b.expires_us == a.expires_us; i++) {
		forward(1);
		poke(c);
		assert_int_equal(creds_get(c, &b), 0);
	}
	assert_int_equal(a.gen, b.gen);
	assert_true(b.expires_us > a.expires_us + 3000 * 1000000ull);
	creds_close(c);
}

/* Nobody waits for a read that hangs: not who has keys, not who ends. */
static void hung_file(void **state)
{
	struct creds_chain *c;
	struct creds got;
	uint64_t t;

	(void)state;
	credworld_clear(&w);
	credworld_put(&w, ".aws/credentials",
		      "[default]\naws_access_key_id = AKID1\naws_secret_access_key = SEKRET1\n");
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	assert_int_equal(creds_get(c, &got), 0);
	atomic_store(&within, false);
	atomic_store(&hung, true);
	creds_reject(c, got.gen);
	for (int i = 0; i < 5000 && !atomic_load(&within); i++)
		usleep(1000);
	assert_true(atomic_load(&within));
	t = clock_mono_us(clock_system());
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(creds_get(c, &got), 0);
		creds_reject(c, got.gen);
	}
	assert_true(clock_mono_us(clock_system()) - t < 1000000);
	creds_close(c);
	assert_in_range(clock_mono_us(clock_system()) - t, 1900000, 4000000);
	atomic_store(&hung, false);
	usleep(200000); /* what is left behind ends, and frees all */
}

static void hung_at_the_start(void **state)
{
	uint64_t t = clock_mono_us(clock_system());
	struct creds_chain *c;

	(void)state;
	credworld_clear(&w);
	credworld_put(&w, ".aws/credentials",
		      "[default]\naws_access_key_id = AKID1\naws_secret_access_key = SEKRET1\n");
	atomic_store(&hung, true);
	c = credworld_waits(&w, NULL, "has not answered within 20 s");
	assert_in_range(clock_mono_us(clock_system()) - t, 19900000, 25000000);
	atomic_store(&hung, false);
	credworld_wait(c, "1");
	creds_close(c);
}

static int setup(void **state)
{
	(void)state;
	credworld_init(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	credworld_destroy(&w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_time),	     cmocka_unit_test(away),
		cmocka_unit_test(same_again),	     cmocka_unit_test(hung_file),
		cmocka_unit_test(hung_at_the_start),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
