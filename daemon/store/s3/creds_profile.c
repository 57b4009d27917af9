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
#include "store/s3/creds_chain.h"
#include "store/s3/creds_container.h"
#include "store/s3/creds_file.h"
#include "store/s3/creds_imds.h"
#include "store/s3/creds_process.h"
#include "store/s3/creds_sts.h"

#define PATH_LEN 4096
#define DEPTH	 5u /* profiles, one leading to the other */

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

struct lookup {
	struct creds_ask *a;
	const char *file; /* alone, or NULL */
	unsigned int depth;
	char seen[DEPTH][CREDS_FILE_NAME];
};

static int get(struct lookup *l, const char *profile);

static int from_named(struct creds_ask *a, const char *source, const char *profile)
{
	int rc;

	if (!strcmp(source, "Environment"))
		rc = creds_chain_env(a);
	else if (!strcmp(source, "EcsContainer"))
		rc = creds_container_get(a);
	else if (!strcmp(source, "Ec2InstanceMetadata"))
		rc = creds_imds_get(a, true);
	else
		return creds_ask_fail(a, -EINVAL,
				      "the profile '%s': credential_source is none of Environment, "
				      "EcsContainer and Ec2InstanceMetadata",
				      profile);
	return rc == -ENOENT ? -EACCES : rc;
}

static int from_other(struct lookup *l, const struct creds_file *f, const char *profile)
{
	const char *source = f->source_profile;
	int rc;

	/* with its own keys it takes its own role */
	if (!strcmp(source, profile) && (f->access[0] || f->secret[0]))
		return take_keys(l->a, f, profile);
	for (unsigned int i = 0; i < l->depth; i++)
		if (!strcmp(l->seen[i], source))
			return creds_ask_fail(
				l->a, -EINVAL,
				"the profile '%s': its source_profile '%s' leads back "
				"to it",
				profile, source);
	rc = get(l, source);
	if (rc == -ENOENT)
		return creds_ask_fail(l->a, -EINVAL,
				      "the profile '%s': its source_profile '%s' has no keys",
				      profile, source);
	return rc;
}

static int from_role(struct lookup *l, const struct creds_file *f, const char *profile)
{
	const struct creds_sts r = {
		.arn = f->role_arn,
		.session = f->role_session_name,
		.external_id = f->external_id,
		.duration = f->duration_seconds,
		.region = f->region,
	};
	struct creds_ask *a = l->a;
	int rc;

	if (f->mfa_serial[0])
		return creds_ask_fail(a, -EINVAL,
				      "the profile '%s' wants a code (mfa_serial), which nobody is "
				      "here to type",
				      profile);
	if (f->web_identity_token_file[0])
		return creds_sts_web(a, &r, f->web_identity_token_file);
	if (!f->source_profile[0] == !f->credential_source[0])
		return creds_ask_fail(a, -EINVAL,
				      "the profile '%s' has a role_arn and %s source_profile and "
				      "credential_source",
				      profile, f->source_profile[0] ? "both" : "neither");
	if (f->source_profile[0])
		rc = from_other(l, f, profile);
	else
		rc = from_named(a, f->credential_source, profile);
	return rc ? rc : creds_sts_role(a, &r);
}

static int resolve(struct lookup *l, const struct creds_file *f, const char *profile)
{
	if (f->role_arn[0])
		return from_role(l, f, profile);
	if (f->access[0] || f->secret[0])
		return take_keys(l->a, f, profile);
	if (f->credential_process[0])
		return creds_process_run(l->a, f->credential_process);
	if (f->sso_session[0] || f->sso_start_url[0])
		return creds_ask_fail(l->a, -EINVAL,
				      "the profile '%s' gets its keys by %s, which this version "
				      "cannot do",
				      profile, f->sso_session[0] ? "sso_session" : "sso_start_url");
	return -ENOENT; /* a region alone, say */
}

static int get(struct lookup *l, const char *profile)
{
	struct creds_file *f;
	int rc;

	if (l->depth == DEPTH || strlen(profile) >= CREDS_FILE_NAME)
		return creds_ask_fail(l->a, -EINVAL,
				      "the profile '%.60s': more than %u profiles, one leading to "
				      "the other, or too long a name",
				      profile, DEPTH);
	f = sodium_malloc(sizeof(*f));
	if (!f)
		return creds_ask_fail(l->a, -EAGAIN, "out of memory");
	strcpy(l->seen[l->depth++], profile);
	rc = load(l->a, f, profile, l->file);
	if (!rc)
		rc = resolve(l, f, profile);
	sodium_free(f);
	return rc;
}

int creds_profile_get(struct creds_ask *a, const char *profile, const char *file)
{
	struct lookup l = { .a = a, .file = file };

	return get(&l, profile);
}
