/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is asked for keys. The first of these that is set up gives them, or nobody does:
 *
 *   1. the file that the URL names (credentials=), of the form of ~/.aws/credentials
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   3. the profile (the URL's, AWS_PROFILE, "default") of AWS_SHARED_CREDENTIALS_FILE or
 *      ~/.aws/credentials, and AWS_CONFIG_FILE or ~/.aws/config
 *
 * Of a URL that names a profile, 3 alone.
 */
#ifndef S3_CREDS_CHAIN_H
#define S3_CREDS_CHAIN_H

struct creds_ask;

/* 0 = none so far. */
enum creds_source {
	CREDS_FROM_ANY,
	CREDS_FROM_FILE,
	CREDS_FROM_ENV,
	CREDS_FROM_PROFILE,
	CREDS_FROM_NR,
};

/*
 * Asks for keys as creds_ask.h says. @source: who gave them before, and is alone asked again: a
 * file that is away for a moment must not make us somebody else. Set to who gave them. -EACCES:
 * there are none anywhere; the sentence names who was asked.
 */
int creds_chain_find(struct creds_ask *a, enum creds_source *source);

#endif
