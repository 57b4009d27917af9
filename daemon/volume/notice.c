// SPDX-License-Identifier: GPL-2.0-or-later
#include "volume/notice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "volume/volume.h"

void notice_say(const struct volume_env *env, int level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!env->notice)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	env->notice(env->ctx, level, line);
}

const char *notice_errno(int err)
{
	const char *s = strerrordesc_np(err < 0 ? -err : err);

	return s ? s : "unknown error";
}
