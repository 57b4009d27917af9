// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

int creds_ask_fail(struct creds_ask *a, int rc, const char *fmt, ...)
{
	char text[sizeof(a->why)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* what services and files say goes to people's terminals */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	memcpy(a->why, text, sizeof(text));
	return rc;
}

void creds_ask_reset(struct creds_ask *a)
{
	sodium_memzero(a->ret, sizeof(*a->ret));
	a->ret->expires_us = ~0ull;
}

int creds_ask_set(struct creds_ask *a, char *to, size_t room, const char *value, const char *what)
{
	if (strlen(value) >= room)
		return creds_ask_fail(a, -EINVAL, "%s is too long", what);
	strcpy(to, value);
	return 0;
}

int creds_ask_check(struct creds_ask *a, const char *who)
{
	const char *const all[] = { a->ret->access, a->ret->secret, a->ret->token };

	if (!all[0][0] || !all[1][0])
		return creds_ask_fail(a, -EINVAL, "%s: no whole pair of keys", who);
	/* What goes into a header's line must not begin another one. */
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const char *p = all[i]; *p; p++)
			if (*p <= ' ' || *p > '~')
				return creds_ask_fail(a, -EINVAL,
						      "%s: a key or token has a blank or a "
						      "control character in it",
						      who);
	return 0;
}

/* Seconds since the epoch; false: no such time. */
static bool parse_time(const char *s, int64_t *ret)
{
	struct tm tm = { 0 };
	int hours, minutes, n = 0;
	int64_t off = 0;

	s = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!s)
		return false;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if ((*s == '+' || *s == '-') && sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &n) == 2 &&
	    n == 5) {
		off = (*s == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
		s += 6;
	} else if (*s == 'Z') {
		s++;
	} else {
		return false;
	}
	*ret = (int64_t)timegm(&tm) - off;
	return !*s;
}

int creds_ask_expiry(struct creds_ask *a, const char *text, int64_t date, const char *who)
{
	int64_t now = (int64_t)(clock_real_us(a->clock) / 1000000), t;

	if (!parse_time(text, &t))
		return creds_ask_fail(a, -EINVAL, "%s: '%.40s' is no time of expiry", who, text);
	if (date)
		t += now - date;
	/* Asked for again they would be so again: something is wrong. */
	if (t <= now)
		return creds_ask_fail(a, -EAGAIN,
				      "%s gives keys that have expired (%.40s); is this machine's "
				      "clock right?",
				      who, text);
	a->ret->expires_us = (uint64_t)t * 1000000;
	return 0;
}

int creds_ask_slurp(const char *path, char *buf, size_t room)
{
	/* what is no file must not keep us */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	while (len < room) {
		ssize_t n = read(fd, buf + len, room - len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n) {
			buf[len] = '\0';
			return 0;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	return -EFBIG;
}
