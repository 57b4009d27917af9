// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/url.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/file.h"
#include "store/mem.h"
#include "store/s3/s3.h"

#define FILE_THREADS 8u

__attribute__((format(printf, 3, 4))) static int bad(char *err, size_t err_len, const char *fmt,
						     ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_file(struct url *u, const char *s, const char *path, char *err, size_t err_len)
{
	size_t n = strlen(path);

	if (path[0] != '/')
		return bad(err, err_len, "store URL '%s': a file store is file:///absolute/folder",
			   s);
	if (n >= sizeof(u->path))
		return bad(err, err_len, "store URL '%.40s...': the path is too long", s);
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 1)
		return bad(err, err_len, "store URL '%s': the root folder cannot be a store", s);
	u->kind = URL_FILE;
	memcpy(u->path, path, n);
	u->path[n] = '\0';
	return 0;
}

static int parse_s3(struct url *u, const char *s, char *err, size_t err_len)
{
	int rc = s3_opts_parse(&u->s3, s, err, err_len);

	u->kind = URL_S3;
	return rc ? rc : s3_opts_complete(&u->s3, getenv, err, err_len);
}

int url_parse(struct url *ret, const char *s, char *err, size_t err_len)
{
	struct url u;
	int rc = 0;

	memset(&u, 0, sizeof(u));
	if (!strncmp(s, "s3://", 5))
		rc = parse_s3(&u, s, err, err_len);
	else if (!strncmp(s, "file://", 7))
		rc = parse_file(&u, s, s + 7, err, err_len);
	else if (!strcmp(s, "mem:"))
		u.kind = URL_MEM;
	else if (!strstr(s, ":"))
		rc = bad(err, err_len,
			 "store URL '%s' has no kind: write file:///folder or s3://bucket", s);
	else
		rc = bad(
			err, err_len,
			"store URL '%s': unknown store kind; this version knows file:///folder and "
			"s3://bucket/prefix",
			s);
	if (!rc)
		*ret = u;
	return rc;
}

static const char *explain(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "there is no such folder";
	case -ENOTDIR:
		return "it is not a folder";
	case -EACCES:
		return "no permission";
	case -EROFS:
		return "the file system is read-only";
	case -ENOSPC:
		return "the disk is full";
	default:
		return strerror(-rc);
	}
}

int url_open(struct store **ret, const struct url *u, unsigned int flags, struct core *core,
	     struct clock *clock, char *err, size_t err_len)
{
	int rc;

	if (u->kind == URL_MEM)
		return mem_new(ret);
	if (u->kind == URL_S3)
		return s3_open(ret, &u->s3, core, clock, err, err_len);
	rc = file_open(ret, u->path, flags & URL_CREATE ? FILE_CREATE : 0, core, FILE_THREADS);
	if (rc)
		snprintf(err, err_len, "store folder %.200s: %s", u->path, explain(rc));
	return rc;
}
