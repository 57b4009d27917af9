// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd.h"

#include <stdarg.h>
#include <stdio.h>

#include "store/url.h"

static void say_line(const char *fmt, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), fmt, ap);
	for (char *p = line; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' '; /* what comes from a store must not draw on a terminal */
	}
	fprintf(stderr, "zerofs: %s\n", line);
}

int cmd_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(fmt, ap);
	va_end(ap);
	return CMD_FAILED;
}

int cmd_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(fmt, ap);
	va_end(ap);
	return CMD_USAGE;
}

int cmd_check_url(const char *url)
{
	struct url u;
	char err[512];

	return url_parse(&u, url, err, sizeof(err)) ? cmd_usage("%s", err) : 0;
}
