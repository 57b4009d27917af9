/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys that a program prints (credential_process). */
#ifndef S3_CREDS_PROCESS_H
#define S3_CREDS_PROCESS_H

struct creds_ask;

#define CREDS_PROCESS_S 15u

/*
 * Runs @command, split into words as the AWS CLI does it (blanks, quotes, backslashes; no shell),
 * with nothing to read, its standard error ours, in a process group of its own that is killed when
 * it takes longer than CREDS_PROCESS_S or prints more than 64 KiB. As creds_ask.h says.
 */
int creds_process_run(struct creds_ask *a, const char *command);

#endif
