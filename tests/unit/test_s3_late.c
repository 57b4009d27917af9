// SPDX-License-Identifier: GPL-2.0-or-later
/* The S3 store against a server or resolver that is late, under caps, and with keys that expire. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lib/fastclock.h"
#include "lib/s3world.h"
#include "lib/tempdir.h"

static struct s3world w;

static int begin(void **state)
{
	(void)state;
	s3world_begin(&w);
	return 0;
}

static int end(void **state)
{
	(void)state;
	s3world_end(&w);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* ---- what is late ------------------------------------------------------------------------ */

/* A GET that hangs, before its head or within its body, is asked again elsewhere. */
static void hangs(void **state)
{
	static const enum s3srv_act acts[] = { S3SRV_HANG, S3SRV_LATE_HANG };
	uint64_t t;
	char buf[64];

	(void)state;
	assert_int_equal(s3world_put(&w, "h", "0123456789abcdef"), 0);
	for (int i = 0; i < 2; i++) {
		struct s3srv_counts before = s3srv_counts(w.srv), after;

		s3srv_clear(w.srv);
		s3world_rule(&w, S3SRV_GET, 1, acts[i], 0, "");
		t = clock_mono_us(clock_system());
		assert_int_equal(s3world_get(&w, "h", 4, buf, 8), 8);
		assert_memory_equal(buf, "456789ab", 8);
		t = clock_mono_us(clock_system()) - t;
		assert_in_range(t, 250000, 1900000);
		after = s3srv_counts(w.srv);
		assert_int_equal(after.gets - before.gets, 2);
		assert_int_equal(after.connections - before.connections, 1);
	}
	/* both hang: cut after 2 s, and again */
	s3srv_clear(w.srv);
	s3world_rule(&w, S3SRV_GET, 2, S3SRV_HANG, 0, "");
	t = clock_mono_us(clock_system());
	assert_int_equal(s3world_get(&w, "h", 4, buf, 8), 8);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 1900000, 4500000);
}

/* ---- names that are not looked up -------------------------------------------------------- */

#define NAMED "name.test" /* is 127.0.0.1 */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int hang, hanging; /* look-ups that will, and that do */
	bool release;
} dns = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* In place of the C library's, for libcurl: a look-up hangs for 5 s at most. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **res)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct timespec until;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!node || strcmp(node, NAMED) != 0)
		return real(node, service, hints, res);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&dns.lock);
	if (dns.hang) {
		dns.hang--;
		dns.hanging++;
		while (!dns.release &&
		       pthread_cond_timedwait(&dns.changed, &dns.lock, &until) != ETIMEDOUT)
			;
		dns.hanging--;
		pthread_cond_broadcast(&dns.changed);
	}
	pthread_mutex_unlock(&dns.lock);
	return real("127.0.0.1", service, hints, res);
}

/* The second exchange has the answer; the end of the first does not wait for its look-up. */
static void hung_lookup(void **state)
{
	uint64_t t;
	char buf[64];

	(void)state;
	store_close(w.s);
	w.host = NAMED;
	s3world_open(&w, "/v", "");
	s3srv_plant(w.srv, "v/h", "0123456789abcdef");
	dns.hang = 1;
	dns.release = false;
	t = clock_mono_us(clock_system());
	assert_int_equal(s3world_get(&w, "h", 4, buf, 8), 8);
	t = clock_mono_us(clock_system()) - t;
	assert_memory_equal(buf, "456789ab", 8);
	/* and the thread goes on */
	for (int i = 0; i < 4; i++)
		assert_int_equal(s3world_get(&w, "h", 4, buf, 8), 8);
	pthread_mutex_lock(&dns.lock);
	assert_int_equal(dns.hanging, 1);
	dns.release = true;
	pthread_cond_broadcast(&dns.changed);
	while (dns.hanging)
		pthread_cond_wait(&dns.changed, &dns.lock);
	pthread_mutex_unlock(&dns.lock);
	assert_in_range(t, 250000, 1900000);
}

/* ---- caps and headers -------------------------------------------------------------------- */

static void capped(void **state)
{
	size_t n = 1500000;
	char *text = malloc(n + 1), *back = malloc(n + 16);
	uint64_t t;

	(void)state;
	assert_non_null(text);
	assert_non_null(back);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i * 7 % 26);
	text[n] = '\0';
	store_close(w.s);
	s3world_open(&w, "/v", "&up=3&down=2");
	t = clock_mono_us(clock_system());
	assert_int_equal(s3world_put(&w, "cap", text), 0);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 400000, 1500000);
	t = clock_mono_us(clock_system());
	assert_int_equal(s3world_get(&w, "cap", 0, back, n), n);
	t = clock_mono_us(clock_system()) - t;
	assert_in_range(t, 400000, 2500000);
	assert_memory_equal(text, back, n);
	free(text);
	free(back);
}

/* Under a cap curl cannot tell slow from stuck: an answer that never comes, and one that stops. */
static void capped_and_stuck(void **state)
{
	size_t n = 600000; /* no small GET, which would be asked twice */
	char *text = malloc(n + 1), *back = malloc(n + 16);
	uint64_t t;

	(void)state;
	assert_non_null(text);
	assert_non_null(back);
	memset(text, 'x', n);
	text[n] = '\0';
	store_close(w.s);
	fastclock_set_speed(&w.fast, 200);
	s3world_open(&w, "/v", "&up=100&down=100");
	assert_int_equal(s3world_put(&w, "long", text), 0);
	s3world_rule(&w, S3SRV_PUT, 1, S3SRV_HANG, 0, "");
	s3world_rule(&w, S3SRV_GET, 1, S3SRV_LATE_HANG, 0, "");
	t = clock_mono_us(&w.fast.clock);
	assert_int_equal(s3world_put(&w, "stuck", "0123456789"), 0);
	assert_in_range(clock_mono_us(&w.fast.clock) - t, 60000000, 900000000);
	t = clock_mono_us(&w.fast.clock);
	assert_int_equal(s3world_get(&w, "long", 0, back, n), n);
	assert_in_range(clock_mono_us(&w.fast.clock) - t, 60000000, 900000000);
	assert_memory_equal(text, back, n);
	assert_int_equal(s3srv_counts(w.srv).puts, 3);
	assert_int_equal(s3srv_counts(w.srv).gets, 2);
	free(text);
	free(back);
}

static void headers(void **state)
{
	char head[8192];

	(void)state;
	store_close(w.s);
	s3world_open(&w, "/v",
		     "&storage-class=GLACIER_IR&sse=aws:kms&sse-kms-key=arn:k&requester-pays=yes");
	assert_int_equal(s3world_put(&w, "x", "x"), 0);
	s3srv_last(w.srv, head, sizeof(head));
	assert_non_null(strstr(head, "x-amz-storage-class: GLACIER_IR"));
	assert_non_null(strstr(head, "x-amz-server-side-encryption: aws:kms"));
	assert_non_null(strstr(head, "x-amz-server-side-encryption-aws-kms-key-id: arn:k"));
	assert_non_null(strstr(head, "x-amz-request-payer: requester"));
	assert_non_null(strstr(head, "if-none-match: *"));
	assert_null(strstr(head, "Expect"));
	assert_int_equal(s3world_del(&w, "x"), 0);
	s3srv_last(w.srv, head, sizeof(head));
	assert_null(strstr(head, "storage-class"));
	assert_null(strstr(head, "if-none-match"));
	assert_non_null(strstr(head, "x-amz-request-payer: requester"));
}

/* ---- keys -------------------------------------------------------------------------------- */

static void write_keys(const char *path, const char *token)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fprintf(f,
			    "[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n"
			    "aws_session_token=%s\n",
			    S3SRV_ACCESS, S3SRV_SECRET, token) > 0);
	assert_int_equal(fclose(f), 0);
}

/* Who renews the keys in their file need not tell us: nothing fails, nothing is started anew. */
static void expired(void **state)
{
	char *dir = tempdir_make(), path[256], more[300];
	struct s3srv_counts before;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	store_close(w.s);
	write_keys(path, "one");
	s3srv_set_token(w.srv, "one");
	s3world_open(&w, "/v", more);
	assert_int_equal(s3world_put(&w, "a", "first"), 0);
	s3srv_set_token(w.srv, "two");
	write_keys(path, "two");
	before = s3srv_counts(w.srv);
	assert_int_equal(s3world_put(&w, "b", "second"), 0);
	assert_int_equal(s3srv_counts(w.srv).refused - before.refused, 1);
	/* each thread has them now */
	for (int i = 0; i < 8; i++)
		assert_int_equal(s3world_put(&w, "b", "again"), -EEXIST);
	assert_int_equal(s3srv_counts(w.srv).refused - before.refused, 1);
	tempdir_remove(dir);
}

static void on_late(struct store_req *r)
{
	*(bool *)r->priv = true;
}

/* One that was under way when another's refusal renewed the keys does not wait for newer ones. */
static void expired_together(void **state)
{
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };
	struct store_req late = { .op = STORE_PUT, .name = "late", .iov = &iov, .niov = 1 };
	char *dir = tempdir_make(), path[256], more[300];
	bool done = false;
	uint64_t t;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	store_close(w.s);
	write_keys(path, "one");
	s3world_open(&w, "/v", more);
	s3srv_set_token(w.srv, "two");
	write_keys(path, "two");
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_PUT,
						.name = "late",
						.times = 1,
						.act = S3SRV_DELAY,
						.ms = 400 });
	t = clock_mono_us(clock_system());
	late.done = on_late;
	late.priv = &done;
	core_lock(&w.core);
	store_submit(w.s, &late);
	core_unlock(&w.core);
	assert_int_equal(s3world_put(&w, "soon", "x"), 0);
	core_lock(&w.core);
	while (!done)
		core_wait(&w.core, UINT64_MAX);
	core_unlock(&w.core);
	assert_int_equal(late.res, 0);
	assert_in_range(clock_mono_us(clock_system()) - t, 400000, 3000000);
	tempdir_remove(dir);
}

/* Another access key in the file is a newer one, also when the old one is not known any more. */
static void replaced(void **state)
{
	char *dir = tempdir_make(), path[256], more[300];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs("[default]\naws_access_key_id=AKIDOLD\naws_secret_access_key=old\n", f) >=
		    0);
	assert_int_equal(fclose(f), 0);
	store_close(w.s);
	s3world_open(&w, "/v", more);
	write_keys(path, "any");
	assert_int_equal(s3world_put(&w, "a", "x"), 0);
	tempdir_remove(dir);
}

/*
 * A store that only says AccessDenied of keys that it does not know any more (Ceph's, with STS):
 * the request ends, and those that come later have the new keys.
 */
static void denied(void **state)
{
	char *dir = tempdir_make(), path[256], more[300], head[8192];
	ssize_t rc = -EACCES;

	(void)state;
	snprintf(path, sizeof(path), "%s/keys", dir);
	snprintf(more, sizeof(more), "&credentials=%s", path);
	store_close(w.s);
	write_keys(path, "one");
	s3world_open(&w, "/v", more);
	assert_int_equal(s3world_put(&w, "a", "x"), 0);
	write_keys(path, "two");
	s3srv_rule(w.srv, &(struct s3srv_rule){ .ops = S3SRV_PUT,
						.name = "b",
						.times = 1,
						.act = S3SRV_STATUS,
						.status = 403,
						.code = "AccessDenied" });
	assert_int_equal(s3world_put(&w, "b", "x"), -EACCES);
	for (int i = 0; i < 500; i++) {
		rc = s3world_put(&w, "b", "x");
		s3srv_last(w.srv, head, sizeof(head));
		if (strstr(head, "x-amz-security-token: two"))
			break;
		usleep(10000);
	}
	assert_true(!rc || rc == -EEXIST);
	assert_non_null(strstr(head, "x-amz-security-token: two"));
	tempdir_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(hangs),   T(hung_lookup),	 T(capped),   T(capped_and_stuck), T(headers),
		T(expired), T(expired_together), T(replaced), T(denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
