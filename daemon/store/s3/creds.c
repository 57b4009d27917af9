// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/s3/creds_file.h"

#define PATH_LEN 4096

struct creds_chain {
	struct creds_opts o;
	pthread_mutex_t lock;
	struct creds c; /* guarded by @lock */
	void (*fn)(void *);
	void *priv;
};

static const char *said(const char *s)
{
	return s && *s ? s : NULL;
}

/* 0, 1 if @name is not set, or -EINVAL. */
static int take(char *out, size_t room, const char *name, char *err, size_t err_len)
{
	const char *v = said(getenv(name));

	if (!v)
		return 1;
	if (strlen(v) >= room) {
		snprintf(err, err_len, "S3 credentials: %s is too long", name);
		return -EINVAL;
	}
	strcpy(out, v);
	return 0;
}

/* 0; -ENOENT: none there; -EINVAL. */
static int from_env(struct creds *c, char *err, size_t err_len)
{
	int id = take(c->access, sizeof(c->access), "AWS_ACCESS_KEY_ID", err, err_len), secret,
	    token;

	if (id < 0)
		return id;
	secret = take(c->secret, sizeof(c->secret), "AWS_SECRET_ACCESS_KEY", err, err_len);
	if (secret < 0)
		return secret;
	if (id && secret)
		return -ENOENT;
	if (id || secret) {
		snprintf(err, err_len,
			 "S3 credentials: only one of AWS_ACCESS_KEY_ID and "
			 "AWS_SECRET_ACCESS_KEY is set");
		return -EINVAL;
	}
	token = take(c->token, sizeof(c->token), "AWS_SESSION_TOKEN", err, err_len);
	return token < 0 ? token : 0;
}

static bool in_home(char out[PATH_LEN], const char *env, const char *name)
{
	const char *v = said(getenv(env)), *home = said(getenv("HOME"));
	struct passwd pw, *found = NULL;
	char text[2048];

	if (!home && !getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) && found)
		home = pw.pw_dir;
	if (v)
		return snprintf(out, PATH_LEN, "%s", v) < PATH_LEN;
	return home && snprintf(out, PATH_LEN, "%s/.aws/%s", home, name) < PATH_LEN;
}

static int from_profile(struct creds *c, const char *profile, char *err, size_t err_len)
{
	char path[PATH_LEN];
	int rc = -ENOENT;

	if (in_home(path, "AWS_SHARED_CREDENTIALS_FILE", "credentials"))
		rc = creds_file_read(c, path, profile, false, err, err_len);
	if (rc == -ENOENT && in_home(path, "AWS_CONFIG_FILE", "config"))
		rc = creds_file_read(c, path, profile, true, err, err_len);
	return rc;
}

static int none(const struct creds_opts *o, const char *profile, char *err, size_t err_len)
{
	if (said(o->file))
		snprintf(err, err_len, "S3 credentials: %.200s has no keys for the profile '%s'",
			 o->file, profile);
	else if (said(o->profile) || said(getenv("AWS_PROFILE")))
		snprintf(err, err_len,
			 "S3 credentials: the profile '%s' has no keys in ~/.aws/credentials or "
			 "~/.aws/config",
			 profile);
	else
		snprintf(err, err_len,
			 "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
			 "name a profile or a file (zerofs-s3(7))");
	return -EACCES;
}

/* What goes into a header's line must not begin another one. */
static int printable(const struct creds *c, char *err, size_t err_len)
{
	const char *const all[] = { c->access, c->secret, c->token };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (const char *p = all[i]; *p; p++) {
			if (*p > ' ' && *p <= '~')
				continue;
			snprintf(err, err_len,
				 "S3 credentials: a key or token has a blank or a "
				 "control character in it");
			return -EINVAL;
		}
	}
	return 0;
}

static int find(const struct creds_opts *o, struct creds *c, char *err, size_t err_len)
{
	const char *profile = said(o->profile);
	int rc;

	if (!profile)
		profile = said(getenv("AWS_PROFILE"));
	if (!profile)
		profile = "default";
	if (said(o->file)) {
		rc = creds_file_read(c, o->file, profile, false, err, err_len);
	} else {
		rc = said(o->profile) ? -ENOENT : from_env(c, err, err_len);
		if (rc == -ENOENT)
			rc = from_profile(c, profile, err, err_len);
	}
	if (rc == -ENOENT)
		return none(o, profile, err, err_len);
	return rc ? rc : printable(c, err, err_len);
}

int creds_open(struct creds_chain **ret, const struct creds_opts *o, struct clock *clock, char *err,
	       size_t err_len)
{
	struct creds_chain *c = calloc(1, sizeof(*c));
	int rc;

	(void)clock;
	if (!c) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	c->o = *o;
	c->c.expires_us = ~0ull;
	c->c.gen = 1;
	rc = find(o, &c->c, err, err_len);
	if (rc) {
		explicit_bzero(c, sizeof(*c));
		free(c);
		return rc;
	}
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

int creds_get(struct creds_chain *c, struct creds *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->c;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

void creds_reject(struct creds_chain *c, uint64_t gen)
{
	struct creds new = { .expires_us = ~0ull };
	bool changed = false;
	char err[256];

	pthread_mutex_lock(&c->lock);
	/* a file that is being written, or gone for a moment, leaves what we have */
	if (gen == c->c.gen && !find(&c->o, &new, err, sizeof(err)) &&
	    (strcmp(new.access, c->c.access) != 0 || strcmp(new.secret, c->c.secret) != 0 ||
	     strcmp(new.token, c->c.token) != 0)) {
		new.gen = gen + 1;
		c->c = new;
		changed = true;
	}
	pthread_mutex_unlock(&c->lock);
	explicit_bzero(&new, sizeof(new));
	if (changed && c->fn)
		c->fn(c->priv);
}

void creds_notify(struct creds_chain *c, void (*fn)(void *), void *priv)
{
	c->fn = fn;
	c->priv = priv;
}

void creds_close(struct creds_chain *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
}
