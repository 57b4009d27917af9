// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_env.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[CREDS_NR_VARS] = {
	[CREDS_HOME] = "HOME",
	[CREDS_ACCESS_KEY_ID] = "AWS_ACCESS_KEY_ID",
	[CREDS_SECRET_ACCESS_KEY] = "AWS_SECRET_ACCESS_KEY",
	[CREDS_SESSION_TOKEN] = "AWS_SESSION_TOKEN",
	[CREDS_PROFILE] = "AWS_PROFILE",
	[CREDS_SHARED_CREDENTIALS_FILE] = "AWS_SHARED_CREDENTIALS_FILE",
	[CREDS_CONFIG_FILE] = "AWS_CONFIG_FILE",
	[CREDS_WEB_IDENTITY_TOKEN_FILE] = "AWS_WEB_IDENTITY_TOKEN_FILE",
	[CREDS_ROLE_ARN] = "AWS_ROLE_ARN",
	[CREDS_ROLE_SESSION_NAME] = "AWS_ROLE_SESSION_NAME",
	[CREDS_REGION] = "AWS_REGION",
	[CREDS_DEFAULT_REGION] = "AWS_DEFAULT_REGION",
	[CREDS_STS_REGIONAL_ENDPOINTS] = "AWS_STS_REGIONAL_ENDPOINTS",
	[CREDS_ENDPOINT_URL_STS] = "AWS_ENDPOINT_URL_STS",
	[CREDS_ENDPOINT_URL] = "AWS_ENDPOINT_URL",
	[CREDS_CONTAINER_RELATIVE_URI] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	[CREDS_CONTAINER_FULL_URI] = "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	[CREDS_CONTAINER_TOKEN] = "AWS_CONTAINER_AUTHORIZATION_TOKEN",
	[CREDS_CONTAINER_TOKEN_FILE] = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	[CREDS_IMDS_DISABLED] = "AWS_EC2_METADATA_DISABLED",
	[CREDS_IMDS_ENDPOINT] = "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	[CREDS_IMDS_ENDPOINT_MODE] = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
	[CREDS_CA_BUNDLE] = "AWS_CA_BUNDLE",
};

const char *creds_env_name(enum creds_var v)
{
	return names[v];
}

int creds_env_read(struct creds_env *e)
{
	memset(e, 0, sizeof(*e));
	for (int i = 0; i < CREDS_NR_VARS; i++) {
		const char *v = getenv(names[i]);

		if (!v || !*v)
			continue;
		e->v[i] = strdup(v);
		if (!e->v[i]) {
			creds_env_drop(e);
			return -ENOMEM;
		}
	}
	return 0;
}

void creds_env_drop(struct creds_env *e)
{
	for (int i = 0; i < CREDS_NR_VARS; i++) {
		if (e->v[i])
			sodium_memzero(e->v[i], strlen(e->v[i]));
		free(e->v[i]);
		e->v[i] = NULL;
	}
}
