// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading a request: see s3d.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/s3d.h"

#define MD5_LEN 16u

static int unhex(char ch)
{
	const char *digits = "0123456789abcdef", *p = ch ? strchr(digits, ch | 0x20) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* False: not one of the names that need no escaping in XML either, or too long. */
static bool decode(const char *s, size_t n, char *ret, size_t max)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int ch = (unsigned char)s[i];

		if (ch == '%') {
			if (i + 2 >= n || unhex(s[i + 1]) < 0 || unhex(s[i + 2]) < 0)
				return false;
			ch = unhex(s[i + 1]) * 16 + unhex(s[i + 2]);
			i += 2;
		}
		if (!ch || ch > 126 || strchr(" <>&\"'", ch) || len + 1 >= max)
			return false;
		ret[len++] = (char)ch;
	}
	ret[len] = 0;
	return true;
}

bool s3d_http_param(const struct s3d_req *q, const char *key, char *ret, size_t max)
{
	const char *p = q->query;
	size_t k = strlen(key);

	ret[0] = 0;
	while (*p) {
		size_t n = strcspn(p, "&");

		if (n > k && !strncmp(p, key, k) && p[k] == '=')
			return decode(p + k + 1, n - k - 1, ret, max);
		p += n + (p[n] == '&');
	}
	return true;
}

/* Base64 of an MD5 as hex. */
static bool read_md5(struct s3d_req *q, const char *v)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0, have = 0, n = 0;

	for (; *v && *v != '='; v++) {
		const char *p = strchr(digits, *v);

		if (!p || n == MD5_LEN)
			return false;
		bits = bits << 6 | (uint32_t)(p - digits);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		snprintf(q->md5 + 2 * n++, 3, "%02x", bits >> have & 0xff);
	}
	return n == MD5_LEN;
}

static bool read_meta(struct s3d_req *q, const char *line)
{
	int n = snprintf(q->meta + q->meta_len, sizeof(q->meta) - q->meta_len, "%s\r\n", line);

	if ((size_t)n >= sizeof(q->meta) - q->meta_len)
		return false;
	q->meta_len += (size_t)n;
	return true;
}

static bool read_range(struct s3d_req *q, const char *v)
{
	int r = sscanf(v, "bytes=%" SCNu64 "-%" SCNu64, &q->from, &q->to);

	if (r == 1)
		q->to = UINT64_MAX;
	q->ranged = true;
	return r >= 1 && q->from <= q->to;
}

/* One "Name: value" line, whose end was made a NUL. False: refused. */
static bool header(struct s3d_req *q, const char *line)
{
	const char *v = strchr(line, ':');
	size_t n;

	if (!v)
		return false;
	n = (size_t)(v - line);
	v += 1 + strspn(v + 1, " \t");
#define IS(s) (n == strlen(s) && !strncasecmp(line, s, n))
	if (IS("content-length")) {
		q->body_len = strtoull(v, NULL, 10);
		return q->body_len <= S3D_BODY_MAX;
	}
	if (IS("range"))
		return read_range(q, v);
	if (IS("content-md5"))
		return read_md5(q, v);
	if (!strncasecmp(line, "x-amz-meta-", 11))
		return read_meta(q, line);
	if (IS("if-none-match"))
		q->create = true;
	else if (IS("connection"))
		q->keep = strcasecmp(v, "close") != 0;
	else if (IS("transfer-encoding"))
		return false;
	else if (IS("expect"))
		q->expect = true;
	return true;
#undef IS
}

static bool read_kind(struct s3d_req *q, const char *method)
{
	if (!strcmp(method, "PUT"))
		q->kind = S3D_PUT;
	else if (!strcmp(method, "DELETE"))
		q->kind = S3D_DELETE;
	else if (!strcmp(method, "GET"))
		q->kind = strchr(q->name, '/') ? S3D_GET : S3D_LIST;
	else if (!strcmp(method, "HEAD"))
		q->kind = S3D_HEAD;
	else
		return false;
	return true;
}

bool s3d_http_parse(struct s3d_req *q, char *head, char *end)
{
	char *line = head, *next, *target, *p;

	*q = (struct s3d_req){ .keep = true };
	end[2] = 0;
	next = strstr(line, "\r\n");
	*next = 0;
	target = strchr(line, ' ');
	if (!target || !(p = strchr(target + 1, ' ')))
		return false;
	*target++ = 0;
	*p = 0;
	p = target + strcspn(target, "?");
	snprintf(q->query, sizeof(q->query), "%s", *p ? p + 1 : "");
	if (*target != '/' ||
	    !decode(target + 1, (size_t)(p - target - 1), q->name, sizeof(q->name)))
		return false;
	/* "/bucket/" is the bucket too */
	p = strchr(q->name, '/');
	if (p && !p[1])
		*p = 0;
	q->control = !strncmp(q->name, "-/", 2);
	if (!read_kind(q, line))
		return false;
	for (line = next + 2; *line; line = next + 2) {
		next = strstr(line, "\r\n");
		*next = 0;
		if (!header(q, line))
			return false;
	}
	return true;
}
