// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_profile.h"

#include <errno.h>
#include <pwd.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/s3/creds_ask.h"
#include "store/s3/creds_file.h"

#define PATH_LEN 4096

/* The user's file, which @var may name. False: he has no home. */
static bool path_of(const struct creds_ask *a, enum creds_var var, const char *name,
		    char out[PATH_LEN])
{
	const char *v = a->env->v[var], *home = a->env->v[CREDS_HOME];
	struct passwd pw, *found = NULL;
	char text[2048];

	if (v)
		return snprintf(out, PATH_LEN, "%s", v) < PATH_LEN;
	if (!home && !getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) && found)
		home = pw.pw_dir;
	return home && snprintf(out, PATH_LEN, "%s/.aws/%s", home, name) < PATH_LEN;
}

/* What @profile says, in one file or in both. */
static int load(struct creds_ask *a, struct creds_file *f, const char *profile, const char *file)
{
	char path[PATH_LEN];
	bool found = false;
	int rc = -ENOENT;

	memset(f, 0, sizeof(*f));
	if (file)
		return creds_file_read(a, f, file, profile, false);
	if (path_of(a, CREDS_SHARED_CREDENTIALS_FILE, "credentials", path))
		rc = creds_file_read(a, f, path, profile, false);
	if (rc && rc != -ENOENT)
		return rc;
	found = !rc;
	if (path_of(a, CREDS_CONFIG_FILE, "config", path))
		rc = creds_file_read(a, f, path, profile, true);
	return rc == -ENOENT && found ? 0 : rc;
}

static int take_keys(struct creds_ask *a, const struct creds_file *f, const char *profile)
{
	char who[CREDS_FILE_NAME + 16];

	if (!f->access[0] || !f->secret[0])
		return creds_ask_fail(a, -EINVAL,
				      "the profile '%s' has only one of aws_access_key_id and "
				      "aws_secret_access_key",
				      profile);
	strcpy(a->ret->access, f->access);
	strcpy(a->ret->secret, f->secret);
	strcpy(a->ret->token, f->token);
	snprintf(who, sizeof(who), "the profile '%s'", profile);
	return creds_ask_check(a, who);
}

/* How the profile gets its keys, if that is by something that cannot be done. */
static const char *beyond(const struct creds_file *f)
{
	return f->role_arn[0]		     ? "role_arn" :
	       f->credential_process[0]	     ? "credential_process" :
	       f->sso_session[0]	     ? "sso_session" :
	       f->sso_start_url[0]	     ? "sso_start_url" :
	       f->web_identity_token_file[0] ? "web_identity_token_file" :
					       NULL;
}

static int resolve(struct creds_ask *a, const struct creds_file *f, const char *profile)
{
	if (f->access[0] || f->secret[0])
		return take_keys(a, f, profile);
	if (beyond(f))
		return creds_ask_fail(a, -EINVAL,
				      "the profile '%s' gets its keys by %s, which this version "
				      "cannot do",
				      profile, beyond(f));
	return -ENOENT; /* a region alone, say */
}

int creds_profile_get(struct creds_ask *a, const char *profile, const char *file)
{
	struct creds_file *f = sodium_malloc(sizeof(*f));
	int rc;

	if (!f)
		return creds_ask_fail(a, -EAGAIN, "out of memory");
	rc = load(a, f, profile, file);
	if (!rc)
		rc = resolve(a, f, profile);
	sodium_free(f);
	return rc;
}
