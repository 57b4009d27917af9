/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is asked for keys. The first of these that is set up gives them, or nobody does:
 *
 *   1. the file that the URL names (credentials=), of the form of ~/.aws/credentials
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   3. STS, with the token in AWS_WEB_IDENTITY_TOKEN_FILE, for AWS_ROLE_ARN
 *   4. the profile (the URL's, AWS_PROFILE, "default") of AWS_SHARED_CREDENTIALS_FILE or
 *      ~/.aws/credentials, and AWS_CONFIG_FILE or ~/.aws/config (creds_profile.h)
 *   5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (creds_container.h)
 *   6. the metadata service of a cloud's machine (creds_imds.h)
 *
 * Of a URL that names a profile, 4 alone. Where AWS_PROFILE names one, neither 5 nor 6.
 */
#ifndef S3_CREDS_CHAIN_H
#define S3_CREDS_CHAIN_H

struct creds_ask;

/* 0 = none so far. */
enum creds_source {
	CREDS_FROM_ANY,
	CREDS_FROM_FILE,
	CREDS_FROM_ENV,
	CREDS_FROM_WEB,
	CREDS_FROM_PROFILE,
	CREDS_FROM_CONTAINER,
	CREDS_FROM_IMDS,
	CREDS_FROM_NR,
};

/*
 * Asks for keys as creds_ask.h says. @source: who gave them before, and is alone asked again: a
 * file that is away for a moment must not make us somebody else. Set to who gave them. -EACCES:
 * there are none anywhere; the sentence names who was asked.
 */
int creds_chain_find(struct creds_ask *a, enum creds_source *source);

/* The keys of the environment alone (2), as creds_ask.h says. */
int creds_chain_env(struct creds_ask *a);

#endif
