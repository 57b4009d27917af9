// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lib/tempdir.h"
#include "store/s3/creds.h"

static const char *const variables[] = {
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",	    "AWS_SESSION_TOKEN",
	"AWS_PROFILE",	     "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
};

static char *dir, err[512];

static void put(const char *name, const char *text)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A home without anything but @credentials and @config (NULL: no such file). */
static void home(const char *credentials, const char *config)
{
	char path[600];

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	snprintf(path, sizeof(path), "rm -rf %s/.aws && mkdir %s/.aws", dir, dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(setenv("HOME", dir, 1), 0);
	assert_int_equal(setenv("AWS_EC2_METADATA_DISABLED", "true", 1), 0);
	if (credentials)
		put(".aws/credentials", credentials);
	if (config)
		put(".aws/config", config);
}

static void finds(const char *file, const char *profile, const char *access, const char *secret,
		  const char *token)
{
	const struct creds_opts o = { .file = file, .profile = profile };
	struct creds_chain *c;
	struct creds got;

	assert_int_equal(creds_open(&c, &o, clock_system(), err, sizeof(err)), 0);
	assert_int_equal(creds_get(c, &got), 0);
	assert_string_equal(got.access, access);
	assert_string_equal(got.secret, secret);
	assert_string_equal(got.token, token);
	assert_true(got.expires_us == ~0ull);
	creds_close(c);
}

/* The line has @pattern, and no secret. */
static void refuses(const char *file, const char *profile, const char *pattern)
{
	const struct creds_opts o = { .file = file, .profile = profile };
	struct creds_chain *c;

	strcpy(err, "");
	assert_true(creds_open(&c, &o, clock_system(), err, sizeof(err)) < 0);
	if (!strstr(err, pattern))
		fail_msg("'%s' does not say '%s'", err, pattern);
	assert_null(strstr(err, "SEKRET"));
	assert_null(strchr(err, '\n'));
}

#define KEYS(n) "aws_access_key_id = A" n "\naws_secret_access_key=SEKRET" n "\n"

static void order(void **state)
{
	char path[600];

	(void)state;
	home("[default]\n" KEYS("1") "[p]\n" KEYS("2") "aws_session_token =  T2 \n",
	     "[default]\n" KEYS("3") "[profile q]\n" KEYS("4") "[r]\n" KEYS("5"));
	put("given", "[default]\n" KEYS("6") "[p]\n" KEYS("7"));
	snprintf(path, sizeof(path), "%s/given", dir);
	finds(NULL, NULL, "A1", "SEKRET1", "");
	finds("", "p", "A2", "SEKRET2", "T2");
	finds(NULL, "q", "A4", "SEKRET4", "");
	refuses(NULL, "r", "the profile 'r' has no keys"); /* not so headed in config */
	setenv("AWS_PROFILE", "p", 1);
	finds(NULL, NULL, "A2", "SEKRET2", "T2");
	setenv("AWS_PROFILE", "nobody", 1);
	refuses(NULL, NULL, "the profile 'nobody' has no keys");
	setenv("AWS_PROFILE", "", 1);
	setenv("AWS_ACCESS_KEY_ID", "AE", 1);
	refuses(NULL, NULL, "only one of AWS_ACCESS_KEY_ID");
	setenv("AWS_SECRET_ACCESS_KEY", "SEKRETE", 1);
	finds(NULL, NULL, "AE", "SEKRETE", "");
	setenv("AWS_SESSION_TOKEN", "TE", 1);
	finds(NULL, NULL, "AE", "SEKRETE", "TE");
	setenv("AWS_SESSION_TOKEN", "TE\r\nX-Evil: 1", 1);
	refuses(NULL, NULL, "a blank or a control character");
	finds(NULL, "p", "A2", "SEKRET2", "T2"); /* what the URL says goes before */
	finds(path, NULL, "A6", "SEKRET6", "");
	finds(path, "p", "A7", "SEKRET7", "");
	refuses(path, "q", "has no keys for the profile 'q'");
	home(NULL, "[default]\n" KEYS("3"));
	finds(NULL, NULL, "A3", "SEKRET3", "");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	finds(NULL, NULL, "A6", "SEKRET6", "");
	home(NULL, NULL);
	refuses(NULL, NULL, "no S3 credentials: set AWS_ACCESS_KEY_ID");
	refuses("/nonexistent/x", NULL, "/nonexistent/x has no keys");
}

static void form(void **state)
{
	char text[6000];

	(void)state;
	home("# about\n; it\n\n  [ default ]  \r\nregion = x\r\naws_access_key_id=A\r\n"
	     "s3 =\n  aws_access_key_id = nested\n"
	     "aws_secret_access_key = SEK=RET+/1\r\n[other]\naws_access_key_id = B\n",
	     NULL);
	finds(NULL, NULL, "A", "SEK=RET+/1", "");
	home("[default]\naws_access_key_id = A\n", NULL);
	refuses(NULL, NULL, "only one of aws_access_key_id");
	home("[default\n" KEYS("1"), NULL);
	refuses(NULL, NULL, "line 1: a [ without ]");
	home("[default]\naws_secret_access_key SEKRET\n", NULL);
	refuses(NULL, NULL, "line 2: neither");
	home("[default]\naws_access_key_id =\n", NULL);
	refuses(NULL, NULL, "line 2: a value that is empty");
	memset(text, 'x', sizeof(text));
	memcpy(text, "[default]\naws_session_token = ", 30);
	text[sizeof(text) - 1] = '\0';
	home(text, NULL);
	refuses(NULL, NULL, "line 2: a value that is empty or too long");
	/* what else they can say: test_creds_web.c, test_creds_process.c */
	home(NULL, "[profile p]\nregion = x\nrole_arn = arn:aws:iam::1:role/r\n");
	refuses(NULL, "p", "neither source_profile and credential_source");
	home(NULL, "[profile p]\ncredential_process = /bin/true\n");
	refuses(NULL, "p", "credential_process: the answer is no JSON");
	home(NULL, NULL);
	snprintf(text, sizeof(text), "mkdir %s/.aws/credentials", dir);
	assert_int_equal(system(text), 0);
	refuses(NULL, NULL, "credentials: Is a directory");
	home(NULL, NULL);
	snprintf(text, sizeof(text), "mkfifo %s/.aws/credentials", dir);
	assert_int_equal(system(text), 0);
	refuses(NULL, NULL, "credentials: Invalid argument");
}

static void count(void *priv)
{
	atomic_fetch_add((atomic_int *)priv, 1);
}

/* Until @told has come to @n, for five seconds at most. */
static void wait_told(atomic_int *told, int n)
{
	for (int i = 0; i < 5000 && atomic_load(told) < n; i++)
		usleep(1000);
	assert_int_equal(atomic_load(told), n);
}

static void wait_why(struct creds_chain *c, const char *pattern)
{
	char why[CREDS_WHY] = "";

	for (int i = 0; i < 5000 && !strstr(why, pattern); i++) {
		usleep(1000);
		creds_why(c, why, sizeof(why));
	}
	assert_non_null(strstr(why, pattern));
}

static void wait_gen(struct creds_chain *c, uint64_t gen, struct creds *got)
{
	for (int i = 0; i < 10000 && (creds_get(c, got) || got->gen != gen); i++)
		usleep(1000);
	assert_int_equal(got->gen, gen);
}

static void renewal(void **state)
{
	const struct creds_opts o = { .file = NULL };
	struct creds_chain *c;
	struct creds a, b;
	atomic_int told = 0;
	char why[CREDS_WHY];
	int n;

	(void)state;
	home("[default]\n" KEYS("1"), NULL);
	assert_int_equal(creds_open(&c, &o, clock_system(), err, sizeof(err)), 0);
	creds_notify(c, count, &told);
	creds_get(c, &a);
	assert_false(a.stale);
	creds_reject(c, a.gen); /* nobody has renewed them */
	wait_told(&told, 1);
	creds_get(c, &b);
	assert_int_equal(b.gen, a.gen);
	assert_true(b.stale);
	assert_false(b.constant);
	put(".aws/credentials", "[default]\naws_access_key_id = A2\n"); /* half written */
	wait_why(c, "only one of aws_access_key_id"); /* it is looked again by itself */
	assert_true(atomic_load(&told) >= 2);
	creds_get(c, &b);
	assert_string_equal(b.access, "A1");
	put(".aws/credentials", "[default]\n" KEYS("2") "aws_session_token = T\n");
	creds_reject(c, a.gen);
	wait_gen(c, a.gen + 1, &b);
	assert_string_equal(b.access, "A2");
	assert_string_equal(b.token, "T");
	assert_int_not_equal(b.gen, a.gen);
	assert_false(b.stale);
	creds_why(c, why, sizeof(why));
	assert_string_equal(why, "");
	usleep(10000);
	n = atomic_load(&told);
	put(".aws/credentials", "[default]\n" KEYS("3"));
	creds_reject(c, a.gen); /* of an earlier generation: somebody was first */
	usleep(100000);
	creds_get(c, &b);
	assert_string_equal(b.access, "A2");
	assert_int_equal(atomic_load(&told), n);
	creds_close(c);
}

/* The environment's do not change: nobody waits for others. */
static void constant(void **state)
{
	const struct creds_opts o = { .file = NULL };
	struct creds_chain *c;
	struct creds got;

	(void)state;
	home(NULL, NULL);
	setenv("AWS_ACCESS_KEY_ID", "AE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "SEKRETE", 1);
	assert_int_equal(creds_open(&c, &o, clock_system(), err, sizeof(err)), 0);
	assert_int_equal(creds_get(c, &got), 0);
	assert_false(got.stale);
	creds_reject(c, got.gen);
	assert_int_equal(creds_get(c, &got), 0);
	assert_true(got.stale && got.constant);
	creds_close(c);
}

/* A file that is gone for a moment does not make us somebody else. */
static void stays(void **state)
{
	const struct creds_opts o = { .file = NULL };
	struct creds_chain *c;
	struct creds got;
	atomic_int told = 0;

	(void)state;
	home("[default]\n" KEYS("1"), NULL);
	assert_int_equal(creds_open(&c, &o, clock_system(), err, sizeof(err)), 0);
	creds_notify(c, count, &told);
	creds_get(c, &got);
	home(NULL, NULL);
	creds_reject(c, got.gen);
	wait_told(&told, 1);
	assert_int_equal(creds_get(c, &got), 0);
	assert_string_equal(got.access, "A1");
	assert_false(got.stale);
	wait_why(c, "the profile 'default'");
	creds_close(c);
}

static int setup(void **state)
{
	(void)state;
	dir = tempdir_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tempdir_remove(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),    cmocka_unit_test(form),  cmocka_unit_test(renewal),
		cmocka_unit_test(constant), cmocka_unit_test(stays),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
