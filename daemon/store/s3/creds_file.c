// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/s3/creds.h"

#define BLANKS	  " \t\r\n"
#define FILE_ROOM (256u << 10)

struct reader {
	struct creds *c;
	const char *path, *profile;
	const char *other; /* how else the profile gets its keys, if it says so */
	bool config, within, found;
	unsigned int line;
	char *err;
	size_t err_len;
};

__attribute__((format(printf, 2, 3))) static int bad(struct reader *r, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(r->err, r->err_len, "S3 credentials: %.200s: %s", r->path, what);
	return -EINVAL;
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, BLANKS);
	end = s + strlen(s);
	while (end > s && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int heading(struct reader *r, char *s)
{
	char *end = strchr(s, ']');

	if (!end)
		return bad(r, "line %u: a [ without ]", r->line);
	*end = '\0';
	s = trim(s + 1);
	if (r->config && !strncmp(s, "profile", 7) && s[7] && strchr(BLANKS, s[7]))
		s = trim(s + 8);
	else if (r->config && strcmp(s, "default") != 0)
		s[0] = '\0'; /* [sso-session ...] and the like */
	r->within = *s && !strcmp(s, r->profile);
	r->found |= r->within;
	return 0;
}

static int set(struct reader *r, char *to, size_t room, const char *value)
{
	if (!*value || strlen(value) >= room)
		return bad(r, "line %u: a value that is empty or too long", r->line);
	strcpy(to, value);
	return 0;
}

static int setting(struct reader *r, const char *name, const char *value)
{
	static const char *const others[] = { "role_arn", "credential_process", "sso_session",
					      "sso_start_url", "web_identity_token_file" };

	if (!strcmp(name, "aws_access_key_id"))
		return set(r, r->c->access, sizeof(r->c->access), value);
	if (!strcmp(name, "aws_secret_access_key"))
		return set(r, r->c->secret, sizeof(r->c->secret), value);
	if (!strcmp(name, "aws_session_token"))
		return set(r, r->c->token, sizeof(r->c->token), value);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(name, others[i]))
			r->other = others[i];
	return 0;
}

static int take_line(struct reader *r, char *line)
{
	/* what is indented belongs to the setting above, as in "s3 =" */
	bool nested = *line && strchr(BLANKS, *line);
	char *s = trim(line), *eq;

	if (!*s || *s == '#' || *s == ';')
		return 0;
	if (*s == '[')
		return heading(r, s);
	if (!r->within || nested)
		return 0;
	eq = strchr(s, '=');
	if (!eq)
		return bad(r, "line %u: neither a [profile] nor name = value", r->line);
	*eq = '\0';
	return setting(r, trim(s), trim(eq + 1));
}

/* All of the file into @buf, as a string. -EFBIG: it is longer than any such file. */
static int slurp(const char *path, char buf[FILE_ROOM])
{
	/* an I/O thread reads it too: what is no file must not keep it */
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	while (len < FILE_ROOM) {
		ssize_t n = read(fd, buf + len, FILE_ROOM - len);

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

/* Where the keys of the profile stand once all lines were taken. */
static int conclude(struct reader *r)
{
	const struct creds *c = r->c;

	if (!r->found)
		return -ENOENT;
	if (c->access[0] && c->secret[0])
		return 0;
	if (c->access[0] || c->secret[0])
		return bad(r,
			   "profile '%s' has only one of aws_access_key_id and "
			   "aws_secret_access_key",
			   r->profile);
	if (r->other)
		return bad(r, "profile '%s' gets its keys by %s, which this version cannot do",
			   r->profile, r->other);
	return -ENOENT; /* a region alone, say: the keys may be in the other file */
}

int creds_file_read(struct creds *ret, const char *path, const char *profile, bool config,
		    char *err, size_t err_len)
{
	struct creds c = { .access = "" };
	struct reader r = {
		.c = &c,
		.path = path,
		.profile = profile,
		.config = config,
		.err = err,
		.err_len = err_len,
	};
	/* not by stdio, whose buffers nobody wipes */
	char *buf = malloc(FILE_ROOM), *at = buf, *line;
	int rc = buf ? slurp(path, buf) : -ENOMEM;

	if (rc == -ENOTDIR)
		rc = -ENOENT;
	if (rc && rc != -ENOENT)
		bad(&r, "%s", strerror(-rc));
	while (!rc && (line = strsep(&at, "\n")) != NULL) {
		r.line++;
		rc = take_line(&r, line);
	}
	if (buf)
		explicit_bzero(buf, FILE_ROOM);
	free(buf);
	if (!rc)
		rc = conclude(&r);
	if (!rc) {
		strcpy(ret->access, c.access);
		strcpy(ret->secret, c.secret);
		strcpy(ret->token, c.token);
	}
	explicit_bzero(&c, sizeof(c));
	return rc;
}
