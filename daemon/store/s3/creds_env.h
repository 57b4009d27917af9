/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the environment says about credentials, as it was at the start. */
#ifndef S3_CREDS_ENV_H
#define S3_CREDS_ENV_H

enum creds_var {
	CREDS_HOME,
	CREDS_ACCESS_KEY_ID,
	CREDS_SECRET_ACCESS_KEY,
	CREDS_SESSION_TOKEN,
	CREDS_PROFILE,
	CREDS_SHARED_CREDENTIALS_FILE,
	CREDS_CONFIG_FILE,
	CREDS_WEB_IDENTITY_TOKEN_FILE,
	CREDS_ROLE_ARN,
	CREDS_ROLE_SESSION_NAME,
	CREDS_REGION,
	CREDS_DEFAULT_REGION,
	CREDS_STS_REGIONAL_ENDPOINTS,
	CREDS_ENDPOINT_URL_STS,
	CREDS_ENDPOINT_URL,
	CREDS_CONTAINER_RELATIVE_URI,
	CREDS_CONTAINER_FULL_URI,
	CREDS_CONTAINER_TOKEN,
	CREDS_CONTAINER_TOKEN_FILE,
	CREDS_IMDS_DISABLED,
	CREDS_IMDS_ENDPOINT,
	CREDS_IMDS_ENDPOINT_MODE,
	CREDS_CA_BUNDLE,
	CREDS_NR_VARS,
};

struct creds_env {
	char *v[CREDS_NR_VARS]; /* NULL: not set, or empty */
};

/* 0 or -ENOMEM. One thread, before others could change the environment. */
int creds_env_read(struct creds_env *e);

const char *creds_env_name(enum creds_var v);

/* Wipes and frees. */
void creds_env_drop(struct creds_env *e);

#endif
