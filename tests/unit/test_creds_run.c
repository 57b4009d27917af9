// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A store in use whose keys live for seconds: they are renewed, and nobody notices.
 *
 * sleeps: 50 s
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/core.h"
#include "lib/credworld.h"
#include "lib/s3srv.h"
#include "store/store.h"
#include "store/url.h"

#define LIFE  4 /* seconds of keys */
#define BATCH 8
#define IAM   "/latest/meta-data/iam/security-credentials/"

static struct credworld w;
static struct core core;
static struct s3srv *srv;
static struct store *store;
static unsigned int serial;
static char token[64];

struct job {
	struct store_req r;
	struct iovec iov;
	char text[32], back[64];
	bool done;
};

static void on_done(struct store_req *r)
{
	((struct job *)r->priv)->done = true;
}

static void submit(struct job *j, enum store_op op, unsigned int n)
{
	memset(j, 0, sizeof(*j));
	snprintf(j->text, sizeof(j->text), "text %u", n);
	snprintf(j->r.name, sizeof(j->r.name), "o/%u", n);
	j->iov = (struct iovec){ j->text, strlen(j->text) };
	j->r.op = op;
	if (op == STORE_PUT) {
		j->r.iov = &j->iov;
		j->r.niov = 1;
	} else {
		j->r.buf = j->back;
		j->r.len = sizeof(j->back);
	}
	j->r.done = on_done;
	j->r.priv = j;
	store_submit(store, &j->r);
}

/* So many writes at once, then reads of what they wrote; no error. */
static void batch(void)
{
	static struct job jobs[BATCH];

	for (int op = 0; op < 2; op++) {
		core_lock(&core);
		for (unsigned int i = 0; i < BATCH; i++)
			submit(&jobs[i], op ? STORE_GET : STORE_PUT, serial + i);
		for (unsigned int i = 0; i < BATCH; i++)
			while (!jobs[i].done)
				core_wait(&core, UINT64_MAX);
		core_unlock(&core);
		for (unsigned int i = 0; i < BATCH; i++) {
			struct job *j = &jobs[i];

			assert_int_equal(j->r.res, op ? (ssize_t)strlen(j->text) : 0);
			if (op)
				assert_memory_equal(j->back, j->text, strlen(j->text));
		}
	}
	serial += BATCH;
}

/* What a service says now: keys for LIFE seconds, whose token says when they end. */
static const char *keys(const char *name)
{
	static char text[600];

	snprintf(text, sizeof(text),
		 "{\"Version\": 1, \"Code\": \"Success\", \"AccessKeyId\": \"" S3SRV_ACCESS "\", "
		 "\"SecretAccessKey\": \"" S3SRV_SECRET "\", \"%s\": \"%s\", "
		 "\"Expiration\": \"%s\"}\n",
		 name, token, credworld_time(&w, LIFE));
	return text;
}

static void offer_imds(void)
{
	websrv_set(w.web, "GET", IAM "r", NULL, 200, keys("Token"));
}

static void offer_process(void)
{
	char from[300], to[300];

	credworld_put(&w, "out.new", "%s", keys("SessionToken"));
	snprintf(from, sizeof(from), "%s/out.new", w.dir);
	snprintf(to, sizeof(to), "%s/out", w.dir);
	assert_int_equal(rename(from, to), 0);
}

static void withdraw_imds(void)
{
	websrv_set(w.web, "GET", IAM "r", NULL, 500, "");
}

static void withdraw_process(void)
{
	credworld_put(&w, "out", "no");
}

static void use_imds(void)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	credworld_point(&w, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 200, "tok");
	websrv_set(w.web, "GET", IAM, NULL, 200, "r");
}

static void use_process(void)
{
	credworld_put(&w, ".aws/config", "[default]\ncredential_process = cat %s/out\n", w.dir);
}

static void open_store(void)
{
	char text[300], err[256] = "";
	struct url u;

	snprintf(text, sizeof(text),
		 "s3://" S3SRV_BUCKET "/v?endpoint=http://127.0.0.1:%u&plain-http=yes",
		 s3srv_port(srv));
	assert_int_equal(url_parse(&u, text, err, sizeof(err)), 0);
	assert_int_equal(url_open(&store, &u, 0, &core, clock_system(), err, sizeof(err)), 0);
}

static void until_token(void)
{
	snprintf(token, sizeof(token), "until-%lld-x", (long long)time(NULL) + LIFE);
}

static void run(void (*use)(void), void (*offer)(void), void (*withdraw)(void))
{
	uint64_t t0, t;
	char last[8192];
	unsigned int n, requests;

	atomic_store(&w.ahead_us, 0);
	credworld_clear(&w);
	srv = s3srv_new();
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	use();
	until_token();
	offer();
	open_store();

	/* three lives long: always renewed before they end, so nothing is ever refused */
	t0 = clock_mono_us(clock_system());
	do {
		until_token();
		offer();
		batch();
		usleep(20000);
		t = clock_mono_us(clock_system()) - t0;
	} while (t < 3 * LIFE * 1000000ull);
	assert_int_equal(s3srv_counts(srv).refused, 0);
	assert_true(serial > 10 * BATCH);
	s3srv_last(srv, last, sizeof(last));
	assert_non_null(strstr(last, "x-amz-security-token: until-"));

	/* revoked early: refused, looked up, repeated */
	snprintf(token, sizeof(token), "another");
	offer();
	s3srv_set_token(srv, token);
	n = s3srv_counts(srv).refused;
	batch();
	requests = s3srv_counts(srv).refused - n;
	assert_in_range(requests, 1, BATCH);

	/* who gives them is away, until after their end: held, and goes on when he is there */
	s3srv_set_token(srv, "third");
	withdraw();
	usleep((LIFE + 1) * 1000000);
	snprintf(token, sizeof(token), "third");
	{
		static struct job j;

		core_lock(&core);
		submit(&j, STORE_PUT, 100000 + serial);
		core_unlock(&core);
		usleep(1500000);
		core_lock(&core);
		assert_false(j.done);
		core_unlock(&core);
		offer();
		core_lock(&core);
		while (!j.done)
			core_wait(&core, UINT64_MAX);
		core_unlock(&core);
		assert_int_equal(j.r.res, 0);
	}
	batch();
	store_close(store);
	s3srv_free(srv);
	core_destroy(&core);
}

static void by_imds(void **state)
{
	(void)state;
	run(use_imds, offer_imds, withdraw_imds);
}

static void by_process(void **state)
{
	(void)state;
	run(use_process, offer_process, withdraw_process);
}

/* Away for longer than a request waits: what the volume gets is an error that it repeats. */
static void away_for_long(void **state)
{
	static struct job j;
	char why[400];

	(void)state;
	credworld_clear(&w);
	srv = s3srv_new();
	assert_int_equal(core_init(&core, NULL, NULL), 0);
	use_imds();
	withdraw_imds();
	open_store(); /* the volume can wait for them as it does for the store */
	core_lock(&core);
	submit(&j, STORE_PUT, 1);
	while (!j.done)
		core_wait(&core, UINT64_MAX);
	store_why(store, why, sizeof(why));
	core_unlock(&core);
	assert_int_equal(j.r.res, -ETIMEDOUT);
	assert_non_null(strstr(why, "the machine's metadata (IMDS)"));
	assert_int_equal(s3srv_counts(srv).puts, 0);
	store_close(store);
	s3srv_free(srv);
	core_destroy(&core);
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
		cmocka_unit_test(by_imds),
		cmocka_unit_test(by_process),
		cmocka_unit_test(away_for_long),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
