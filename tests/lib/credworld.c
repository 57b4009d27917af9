// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/credworld.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "lib/tempdir.h"
#include "store/s3/creds_env.h"

static uint64_t mono(struct clock *c)
{
	struct credworld *w = container_of(c, struct credworld, clock);

	return clock_mono_us(clock_system()) + atomic_load(&w->ahead_us);
}

static uint64_t real(struct clock *c)
{
	struct credworld *w = container_of(c, struct credworld, clock);

	return clock_real_us(clock_system()) + atomic_load(&w->ahead_us);
}

void credworld_init(struct credworld *w)
{
	static const struct clock_ops ops = { .mono_us = mono, .real_us = real };

	memset(w, 0, sizeof(*w));
	w->clock.ops = &ops;
	w->web = websrv_new();
	w->dir = tempdir_make();
	credworld_clear(w);
}

void credworld_destroy(struct credworld *w)
{
	websrv_free(w->web);
	tempdir_remove(w->dir);
}

void credworld_clear(struct credworld *w)
{
	char cmd[600];

	websrv_clear(w->web);
	for (enum creds_var v = 0; v < CREDS_NR_VARS; v++)
		unsetenv(creds_env_name(v));
	snprintf(cmd, sizeof(cmd), "rm -rf %s/.aws && mkdir %s/.aws", w->dir, w->dir);
	assert_int_equal(system(cmd), 0);
	setenv("HOME", w->dir, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

void credworld_put(struct credworld *w, const char *name, const char *fmt, ...)
{
	char path[600];
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	va_start(ap, fmt);
	assert_true(vfprintf(f, fmt, ap) >= 0);
	va_end(ap);
	assert_int_equal(fclose(f), 0);
}

void credworld_point(struct credworld *w, const char *variable, const char *path)
{
	char url[300];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", websrv_port(w->web), path);
	setenv(variable, url, 1);
}

const char *credworld_time(struct credworld *w, int seconds)
{
	time_t t = (time_t)(clock_real_us(&w->clock) / 1000000) + seconds;
	static char text[40];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return text;
}

const char *credworld_json(struct credworld *w, const char *name, const char *token, int seconds)
{
	static char text[1000];

	snprintf(text, sizeof(text),
		 "{\"Version\": 1, \"Code\": \"Success\", \"AccessKeyId\": \"AKID%s\", "
		 "\"SecretAccessKey\": \"SEKRET%s\", \"%s\": \"T%s\", \"Expiration\": \"%s\"}\n",
		 name, name, token, name, credworld_time(w, seconds));
	return text;
}

const char *credworld_xml(struct credworld *w, const char *name, const char *action, int seconds)
{
	static char text[1500];

	snprintf(text, sizeof(text),
		 "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<%sResult>"
		 "<AssumedRoleUser><Arn>arn:x</Arn></AssumedRoleUser><Credentials>\n"
		 "<AccessKeyId>AKID%s</AccessKeyId><SecretAccessKey>SEKRET%s</SecretAccessKey>\n"
		 "<SessionToken>T%s</SessionToken><Expiration>%s</Expiration></Credentials>"
		 "</%sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
		 "</%sResponse>\n",
		 action, action, name, name, name, credworld_time(w, seconds), action, action);
	return text;
}

int credworld_open(struct credworld *w, struct creds_chain **ret, const char *profile)
{
	const struct creds_opts o = { .profile = profile };

	w->err[0] = '\0';
	return creds_open(ret, &o, &w->clock, w->err, sizeof(w->err));
}

static bool is(const struct creds *c, const char *name)
{
	return !strncmp(c->access, "AKID", 4) && !strcmp(c->access + 4, name) &&
	       !strncmp(c->secret, "SEKRET", 6) && !strcmp(c->secret + 6, name) &&
	       (!c->token[0] || (c->token[0] == 'T' && !strcmp(c->token + 1, name)));
}

void credworld_finds(struct credworld *w, const char *profile, const char *name)
{
	struct creds_chain *c;
	struct creds got;

	if (credworld_open(w, &c, profile) || creds_get(c, &got))
		fail_msg("no keys, where those of %s are due: %s", name, w->err);
	if (!is(&got, name))
		fail_msg("found are the keys %s, not those of %s", got.access, name);
	creds_close(c);
}

static void check_sentence(struct credworld *w, const char *pattern)
{
	if (!strstr(w->err, pattern))
		fail_msg("'%s' does not say '%s'", w->err, pattern);
	assert_null(strstr(w->err, "SEKRET"));
	assert_null(strchr(w->err, '\n'));
}

void credworld_refuses(struct credworld *w, const char *profile, const char *pattern)
{
	struct creds_chain *c;

	if (!credworld_open(w, &c, profile))
		fail_msg("opened ('%s'), where '%s' is due", w->err, pattern);
	check_sentence(w, pattern);
}

struct creds_chain *credworld_waits(struct credworld *w, const char *profile, const char *pattern)
{
	struct creds_chain *c;
	struct creds got;

	if (credworld_open(w, &c, profile))
		fail_msg("ended (%s), where waiting is due", w->err);
	check_sentence(w, pattern);
	assert_int_equal(creds_get(c, &got), -EAGAIN);
	return c;
}

void credworld_wait(struct creds_chain *c, const char *name)
{
	struct creds got = { .gen = 0 };

	for (int i = 0; i < 10000; i++) {
		if (!creds_get(c, &got) && is(&got, name))
			return;
		usleep(1000);
	}
	fail_msg("the keys of %s have not come; there are %s", name, got.access);
}
