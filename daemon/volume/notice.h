/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the core has to say: one line to env->notice. */
#ifndef VOLUME_NOTICE_H
#define VOLUME_NOTICE_H

struct volume_env;

/* As enum log_level. */
enum notice_level {
	NOTICE_ERR	= 0,
	NOTICE_WARN	= 1,
	NOTICE_INFO	= 2,
};

void notice_say(const struct volume_env *env, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* "No space left on device" for -ENOSPC. A constant string. */
const char *notice_errno(int err);

#endif
