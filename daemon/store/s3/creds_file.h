/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profiles in files of the form of ~/.aws/credentials and ~/.aws/config. */
#ifndef S3_CREDS_FILE_H
#define S3_CREDS_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct creds_ask;

#define CREDS_FILE_NAME 129u
#define CREDS_FILE_PATH 1024u

/* What a profile says of keys; "" = nothing. */
struct creds_file {
	char access[129], secret[129], token[4097];
	char region[33];
	char role_arn[2049], role_session_name[65], external_id[1225], duration_seconds[12];
	char source_profile[CREDS_FILE_NAME], credential_source[33];
	char credential_process[CREDS_FILE_PATH];
	char web_identity_token_file[CREDS_FILE_PATH];
	char mfa_serial[257], sso_session[129], sso_start_url[513];
};

/*
 * Adds to @ret what @profile says in the file at @path and @ret does not say so far; keys only as
 * a pair. @config: profiles but "default" are headed [profile NAME] there. 0; -ENOENT: no such file
 * or no such profile there; -errno, with a sentence in a->why: the file cannot be read.
 */
int creds_file_read(struct creds_ask *a, struct creds_file *ret, const char *path,
		    const char *profile, bool config);

#endif
