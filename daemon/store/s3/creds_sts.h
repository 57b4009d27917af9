/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys of a role, from the Security Token Service. */
#ifndef S3_CREDS_STS_H
#define S3_CREDS_STS_H

struct creds;
struct creds_ask;

/* NULL or "": not said; but @arn. */
struct creds_sts {
	const char *arn, *session, *external_id, *duration;
	const char *region; /* what the profile says */
};

/*
 * AssumeRoleWithWebIdentity with the token that the file at @path holds now. Not signed. As
 * creds_ask.h says.
 */
int creds_sts_web(struct creds_ask *a, const struct creds_sts *r, const char *path);

/* AssumeRole, signed with the keys in a->ret, which then holds the role's. */
int creds_sts_role(struct creds_ask *a, const struct creds_sts *r);

#endif
