// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * credential_process: keys that a program prints.
 *
 * sleeps: 17 s
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/credworld.h"

#define HOUR 3600

static struct credworld w;

/* The profile "p" runs @command; every %s in it is the folder. */
static void use(const char *command)
{
	credworld_clear(&w);
	credworld_put(&w, ".aws/config", "[profile p]\ncredential_process = %s\n", command);
}

static const char *in_dir(const char *fmt)
{
	static char text[1200];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, w.dir, w.dir);
#pragma GCC diagnostic pop
	return text;
}

static void script(const char *text)
{
	char path[300];

	credworld_put(&w, "a program", "#!/bin/sh\n%s", text);
	snprintf(path, sizeof(path), "%s/a program", w.dir);
	assert_int_equal(chmod(path, 0700), 0);
	use(in_dir("\"%s/a program\" one"));
}

static bool there(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	return !access(path, F_OK);
}

static void good(void **state)
{
	struct creds_chain *c;
	struct creds got;

	(void)state;
	use(in_dir("cat %s/out"));
	credworld_put(&w, "out", "%s", credworld_json(&w, "1", "SessionToken", HOUR));
	credworld_finds(&w, "p", "1");
	credworld_put(&w, "out",
		      "{\"Version\":1,\"AccessKeyId\":\"AKID2\",\"SecretAccessKey\":\"SEKRET2\","
		      "\"SessionToken\":null}");
	assert_int_equal(credworld_open(&w, &c, "p"), 0);
	assert_int_equal(creds_get(c, &got), 0);
	assert_true(got.expires_us == ~0ull);
	assert_string_equal(got.token, "");
	creds_close(c);
	credworld_put(&w, "out",
		      "{\"Version\":1,\"AccessKeyId\":\"AKID3\",\"SecretAccessKey\":"
		      "\"SEKRET3\",\"Expiration\":\"2999-01-01T02:00:00.5+02:00\"}");
	assert_int_equal(credworld_open(&w, &c, "p"), 0);
	assert_int_equal(creds_get(c, &got), 0);
	assert_int_equal(got.expires_us / 1000000, 32472144000); /* 2999-01-01T00:00:00Z */
	creds_close(c);
}

/* As the AWS CLI splits it; no shell looks at it, nothing of ours is inherited. */
static void words(void **state)
{
	(void)state;
	script("[ $# = 5 ] && [ \"$1\" = one ] && [ \"$2\" = 'two 2' ] && "
	       "[ \"$3\" = '$(touch x)' ] && [ \"$4\" = 'a\"b' ] && [ \"$5\" = ';' ] && "
	       "[ ! -e /proc/self/fd/9 ] && ! read line && exec cat \"${0%/*}/out\"\nexit 3\n");
	use(in_dir("'%s/a program' one \"two 2\" '$(touch x)' a\\\"b  ;"));
	credworld_put(&w, "out", "%s", credworld_json(&w, "1", "SessionToken", HOUR));
	assert_int_equal(dup2(STDERR_FILENO, 9), 9);
	credworld_finds(&w, "p", "1");
	close(9);
	use("cat 'open");
	credworld_refuses(&w, "p", "a quote without another");
}

static void bad(void **state)
{
	static const char *const text[] = {
		"",
		"no",
		"{}",
		"[]",
		"{\"Version\": 2, \"AccessKeyId\": \"AKID1\"}",
		"{\"Version\": 1, \"AccessKeyId\": \"AKID1\"}",
		"{\"Version\": 1, \"AccessKeyId\": \"AKID1\", \"SecretAccessKey\": \"SEKRET 1\"}",
		/* a name twice */
		"{\"Version\":1,\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}",
	};

	(void)state;
	use(in_dir("cat %s/out"));
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		credworld_put(&w, "out", "%s", text[i]);
		credworld_refuses(&w, "p", "credential_process");
	}
	credworld_put(&w, "out", "%s", credworld_json(&w, "1", "SessionToken", -1));
	creds_close(credworld_waits(&w, "p", "keys that have expired"));
	use("/nonexistent/x y");
	credworld_refuses(&w, "p", "/nonexistent/x: No such file");
	use("false");
	credworld_refuses(&w, "p", "credential_process false failed with status 1");
	script("kill -9 $$\n");
	credworld_refuses(&w, "p", "died of signal 9");
	use("yes SEKRET");
	credworld_refuses(&w, "p", "prints more than 65536 bytes");
}

/* What it leaves behind with its output is not waited for. */
static void leaves(void **state)
{
	uint64_t t = clock_mono_us(clock_system());

	(void)state;
	script("sleep 3 &\nexec cat \"${0%/*}/out\"\n");
	credworld_put(&w, "out", "%s", credworld_json(&w, "1", "SessionToken", HOUR));
	credworld_finds(&w, "p", "1");
	assert_true(clock_mono_us(clock_system()) - t < 2500000);
}

static pid_t pid_in(const char *name)
{
	char path[300];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

/* It hangs while others have the old keys: they do not wait, nor does the end. */
static void hangs_later(void **state)
{
	struct creds_chain *c;
	struct creds got;
	uint64_t t;

	(void)state;
	script("[ -e \"${0%/*}/hang\" ] || exec cat \"${0%/*}/out\"\n"
	       "echo $$ > \"${0%/*}/pid.new\"\n"
	       "mv \"${0%/*}/pid.new\" \"${0%/*}/pid\"\nsleep 1000\n");
	credworld_put(&w, "out", "%s", credworld_json(&w, "1", "SessionToken", HOUR));
	assert_int_equal(credworld_open(&w, &c, "p"), 0);
	assert_int_equal(creds_get(c, &got), 0);
	credworld_put(&w, "hang", "x");
	creds_reject(c, got.gen);
	for (int i = 0; i < 10000 && !there("pid"); i++)
		usleep(1000);
	t = clock_mono_us(clock_system());
	assert_int_equal(creds_get(c, &got), 0);
	creds_reject(c, got.gen);
	creds_close(c);
	assert_true(clock_mono_us(clock_system()) - t < 1500000);
	assert_int_equal(kill(pid_in("pid"), 0), -1);
	assert_int_equal(errno, ESRCH);
}

/* From the start: killed when its time is up, with what it has started. */
static void hangs(void **state)
{
	uint64_t t = clock_mono_us(clock_system());
	pid_t pid;

	(void)state;
	script("sleep 1000 &\necho $! > \"${0%/*}/child\"\nwait\n");
	creds_close(credworld_waits(&w, "p", "no answer within 15 s"));
	assert_in_range(clock_mono_us(clock_system()) - t, 14900000, 19500000);
	pid = pid_in("child");
	for (int i = 0; i < 3000 && !kill(pid, 0); i++)
		usleep(1000);
	assert_int_equal(kill(pid, 0), -1);
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
		cmocka_unit_test(good),	  cmocka_unit_test(words),	 cmocka_unit_test(bad),
		cmocka_unit_test(leaves), cmocka_unit_test(hangs_later), cmocka_unit_test(hangs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
