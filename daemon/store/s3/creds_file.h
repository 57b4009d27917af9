/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profiles in files of the form of ~/.aws/credentials and ~/.aws/config. */
#ifndef S3_CREDS_FILE_H
#define S3_CREDS_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct creds;

/*
 * The keys of @profile in the file at @path into @ret (its texts alone). @config: profiles but
 * "default" are headed [profile NAME] there. 0; -ENOENT: no such file or no such profile there;
 * -errno, with one sentence in @err: the file cannot be read, or the profile has no whole pair of
 * keys.
 */
int creds_file_read(struct creds *ret, const char *path, const char *profile, bool config,
		    char *err, size_t err_len);

#endif
