/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys of the role of a cloud's machine, from its metadata service (IMDSv2 alone). */
#ifndef S3_CREDS_IMDS_H
#define S3_CREDS_IMDS_H

#include <stdbool.h>

struct creds_ask;

/*
 * As creds_ask.h says: a token, the role's name, its keys; each request has 1 s to connect and 2 s
 * in all. @sure: there is such a service; else its silence is -ENOENT, as most machines have none.
 */
int creds_imds_get(struct creds_ask *a, bool sure);

#endif
