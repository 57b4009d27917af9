// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_chain.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/s3/creds_ask.h"
#include "store/s3/creds_container.h"
#include "store/s3/creds_imds.h"
#include "store/s3/creds_profile.h"
#include "store/s3/creds_sts.h"

static const char *said(const char *s)
{
	return s && *s ? s : NULL;
}

static const char *profile_of(const struct creds_ask *a)
{
	const char *name = said(a->o->profile);

	if (!name)
		name = a->env->v[CREDS_PROFILE];
	return name ? name : "default";
}

static int from_file(struct creds_ask *a)
{
	int rc;

	if (!said(a->o->file))
		return -ENOENT;
	rc = creds_profile_get(a, profile_of(a), a->o->file);
	if (rc == -ENOENT)
		return creds_ask_fail(a, -EACCES, "%.200s has no keys for the profile '%s'",
				      a->o->file, profile_of(a));
	return rc;
}

int creds_chain_env(struct creds_ask *a)
{
	static const enum creds_var vars[] = { CREDS_ACCESS_KEY_ID, CREDS_SECRET_ACCESS_KEY,
					       CREDS_SESSION_TOKEN };
	char *const to[] = { a->ret->access, a->ret->secret, a->ret->token };
	const size_t room[] = { sizeof(a->ret->access), sizeof(a->ret->secret),
				sizeof(a->ret->token) };
	char *const *v = a->env->v;
	int rc = 0;

	if (!v[CREDS_ACCESS_KEY_ID] && !v[CREDS_SECRET_ACCESS_KEY])
		return creds_ask_fail(a, -ENOENT, "the environment: not set");
	if (!v[CREDS_ACCESS_KEY_ID] || !v[CREDS_SECRET_ACCESS_KEY])
		return creds_ask_fail(a, -EINVAL,
				      "only one of AWS_ACCESS_KEY_ID and "
				      "AWS_SECRET_ACCESS_KEY is set");
	for (int i = 0; i < 3 && !rc; i++)
		if (v[vars[i]])
			rc = creds_ask_set(a, to[i], room[i], v[vars[i]], creds_env_name(vars[i]));
	if (!rc)
		rc = creds_ask_check(a, "the environment");
	return rc;
}

static int from_env(struct creds_ask *a)
{
	int rc = said(a->o->profile) ? -ENOENT : creds_chain_env(a);

	a->ret->constant = !rc;
	return rc;
}

static int from_web(struct creds_ask *a)
{
	const char *token = a->env->v[CREDS_WEB_IDENTITY_TOKEN_FILE];
	const struct creds_sts r = {
		.arn = a->env->v[CREDS_ROLE_ARN],
		.session = a->env->v[CREDS_ROLE_SESSION_NAME],
	};

	if (said(a->o->profile) || !token)
		return creds_ask_fail(a, -ENOENT, "web identity: not set");
	if (!r.arn)
		return creds_ask_fail(a, -EINVAL,
				      "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
	return creds_sts_web(a, &r, token);
}

static int from_profile(struct creds_ask *a)
{
	const char *name = profile_of(a);
	int rc = creds_profile_get(a, name, NULL);

	if (rc != -ENOENT)
		return rc;
	if (said(a->o->profile) || a->env->v[CREDS_PROFILE])
		return creds_ask_fail(a, -EACCES,
				      "the profile '%s' has no keys in ~/.aws/credentials or "
				      "~/.aws/config",
				      name);
	return creds_ask_fail(a, -ENOENT, "the profile '%s': not there", name);
}

static int (*const ask[CREDS_FROM_NR])(struct creds_ask *a) = {
	[CREDS_FROM_FILE] = from_file,
	[CREDS_FROM_ENV] = from_env,
	[CREDS_FROM_WEB] = from_web,
	[CREDS_FROM_PROFILE] = from_profile,
	[CREDS_FROM_CONTAINER] = creds_container_get,
};

static int ask_one(struct creds_ask *a, enum creds_source s, bool sure)
{
	creds_ask_reset(a);
	a->why[0] = '\0';
	return s == CREDS_FROM_IMDS ? creds_imds_get(a, sure) : ask[s](a);
}

static int complete(struct creds_ask *a, int rc)
{
	char why[CREDS_WHY];

	memcpy(why, a->why, sizeof(why));
	return rc ? creds_ask_fail(a, rc, "S3 credentials: %s", why) : 0;
}

int creds_chain_find(struct creds_ask *a, enum creds_source *source)
{
	char tried[CREDS_WHY] = "";
	int rc;

	if (*source) {
		rc = ask_one(a, *source, true);
		return complete(a, rc == -ENOENT ? -EACCES : rc);
	}
	for (enum creds_source s = CREDS_FROM_FILE; s < CREDS_FROM_NR; s++) {
		size_t n = strlen(tried);

		rc = ask_one(a, s, false);
		if (!rc)
			*source = s;
		if (rc != -ENOENT)
			return complete(a, rc);
		if (a->why[0])
			snprintf(tried + n, sizeof(tried) - n, "%s%.150s", n ? "; " : "", a->why);
	}
	return creds_ask_fail(a, -EACCES,
			      "no S3 credentials: set AWS_ACCESS_KEY_ID and "
			      "AWS_SECRET_ACCESS_KEY, or name a profile or a file "
			      "(zerofs-s3(7)); asked were %s",
			      tried);
}
