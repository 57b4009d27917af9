/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys by what a profile says, the first of these: a role, of a web identity, of another profile
 * (or this one's own keys) or of a credential_source; keys; a program.
 */
#ifndef S3_CREDS_PROFILE_H
#define S3_CREDS_PROFILE_H

struct creds_ask;

/*
 * The keys of @profile, as creds_ask.h says. @file: it alone is read; NULL: the user's two files.
 * -ENOENT: there is no such profile, or it says nothing of keys.
 */
int creds_profile_get(struct creds_ask *a, const char *profile, const char *file);

#endif
