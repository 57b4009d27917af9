// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_answer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "store/s3/s3_opts.h"
#include "store/s3/s3_xml.h"

#define BODY_MAX   65536u
#define HEADER_MAX 512u

void s3_answer_init(struct s3_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->length = -1;
}

void s3_answer_free(struct s3_answer *a)
{
	s3_xml_free(a->xml);
	a->xml = NULL;
}

static void copy_printable(char *out, size_t room, const char *s)
{
	size_t k = 0;

	for (; *s && k + 1 < room; s++)
		out[k++] = *s >= ' ' && *s <= '~' ? *s : '?';
	out[k] = '\0';
}

/* ---- the head ---------------------------------------------------------------------------- */

static void content_range(struct s3_answer *a, char *v)
{
	char *dash, *slash;

	a->range_bad = true;
	if (a->ranged || a->sized || strncmp(v, "bytes ", 6) != 0)
		return;
	v += 6;
	slash = strchr(v, '/');
	if (!slash)
		return;
	*slash++ = '\0';
	if (parse_u64(slash, 0, INT64_MAX, &a->total))
		return;
	if (!strcmp(v, "*")) {
		a->sized = true;
		a->range_bad = false;
		return;
	}
	dash = strchr(v, '-');
	if (!dash)
		return;
	*dash++ = '\0';
	if (parse_u64(v, 0, INT64_MAX, &a->from) || parse_u64(dash, 0, INT64_MAX, &a->to) ||
	    a->from > a->to || a->to >= a->total)
		return;
	a->ranged = true;
	a->range_bad = false;
}

/* A path and a query may have secrets in them, and what stands before an '@'. */
static void location(struct s3_answer *a, const char *v)
{
	size_t scheme, host;

	copy_printable(a->place, sizeof(a->place), v);
	scheme = strspn(a->place, "htps");
	host = strncmp(a->place + scheme, "://", 3) != 0 ?
		       0 :
		       scheme + 3 + strcspn(a->place + scheme + 3, "/?#@");
	a->place[a->place[host] == '@' ? 0 : host] = '\0';
}

static void field(struct s3_answer *a, const char *name, char *v)
{
	uint64_t n;

	a->amz = a->amz || !strncasecmp(name, "x-amz-", 6);
	if (!strcasecmp(name, "content-length")) {
		a->length = parse_u64(v, 0, INT64_MAX, &n) ? -1 : (int64_t)n;
	} else if (!strcasecmp(name, "content-range")) {
		content_range(a, v);
	} else if (!strcasecmp(name, "etag")) {
		a->etag = *v;
	} else if (!strcasecmp(name, "content-type")) {
		a->html = !strncasecmp(v, "text/html", 9) ||
			  !strncasecmp(v, "application/xhtml", 17);
	} else if (!strcasecmp(name, "x-amz-checksum-crc32c")) {
		copy_printable(a->crc32c, sizeof(a->crc32c), v);
	} else if (!strcasecmp(name, "date")) {
		time_t t = curl_getdate(v, NULL);

		a->date = t > 0 ? (int64_t)t : 0;
	} else if (!strcasecmp(name, "location")) {
		location(a, v);
	} else if (!strcasecmp(name, "x-amz-bucket-region")) {
		if (s3_opts_region_ok(v))
			strcpy(a->region, v);
	} else if (!strcasecmp(name, "x-amz-retry-after")) {
		if (!parse_u64(v, 0, 1000000, &n))
			a->after_us = n * 1000;
	} else if (!strcasecmp(name, "retry-after")) {
		if (!a->after_us && !parse_u64(v, 0, 1000, &n))
			a->after_us = n * 1000000;
	}
}

void s3_answer_header(struct s3_answer *a, const char *line, size_t len)
{
	char buf[HEADER_MAX];
	unsigned int status;
	char *colon, *v;

	if (len >= sizeof(buf))
		return;
	memcpy(buf, line, len);
	buf[len] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	if (!strncmp(buf, "HTTP/", 5)) {
		s3_answer_free(a);
		s3_answer_init(a);
		if (sscanf(buf, "HTTP/%*s %3u", &status) == 1)
			a->status = status;
		return;
	}
	colon = strchr(buf, ':');
	if (!colon)
		return;
	*colon = '\0';
	v = colon + 1 + strspn(colon + 1, " \t");
	for (size_t n = strlen(v); n && (v[n - 1] == ' ' || v[n - 1] == '\t'); n--)
		v[n - 1] = '\0';
	field(a, buf, v);
}

/* ---- an error's body --------------------------------------------------------------------- */

static int on_leaf(void *ctx, const char *parent, const char *name, const char *text)
{
	struct s3_answer *a = ctx;

	if (strcmp(parent, "Error") != 0)
		return 0;
	if (!strcmp(name, "Code"))
		copy_printable(a->code, sizeof(a->code), text);
	else if (!strcmp(name, "Message"))
		copy_printable(a->message, sizeof(a->message), text);
	else if (!strcmp(name, "Endpoint"))
		copy_printable(a->place, sizeof(a->place), text);
	else if (!strcmp(name, "Region") && s3_opts_region_ok(text))
		strcpy(a->region, text);
	return 0;
}

void s3_answer_body(struct s3_answer *a, const void *p, size_t len)
{
	static const struct s3_xml_ops ops = { .leaf = on_leaf };

	a->body += len;
	if (!a->xml && !a->body_bad)
		a->xml = s3_xml_new(&ops, a, "Error");
	if (!a->xml || a->body > BODY_MAX || s3_xml_feed(a->xml, p, len))
		a->body_bad = true;
}

void s3_answer_end(struct s3_answer *a)
{
	if (!a->xml || a->body_bad || s3_xml_end(a->xml)) {
		a->code[0] = '\0';
		a->message[0] = '\0';
	}
}

/* ---- GET --------------------------------------------------------------------------------- */

int s3_answer_get(const struct s3_answer *a, uint64_t off, uint64_t len, uint64_t *expect,
		  uint64_t *size)
{
	uint64_t end;

	if (a->range_bad || a->sized || a->html)
		return -EBADMSG;
	if (a->status == 200 && !a->ranged) {
		/*
		 * The range was not looked at; that is all the same if it was the whole object.
		 * Web servers send ETags too: without a header that S3 alone has it is somebody's
		 * page.
		 */
		if (!a->etag || !a->amz || off || a->length < 0 || (uint64_t)a->length > len)
			return -EBADMSG;
		*expect = *size = (uint64_t)a->length;
		return 0;
	}
	if (a->status != 206 || !a->ranged || a->from != off)
		return -EBADMSG;
	end = len > a->total - off ? a->total : off + len;
	if (a->to + 1 != end || (a->length >= 0 && (uint64_t)a->length != end - off))
		return -EBADMSG;
	*expect = end - off;
	*size = a->total;
	return 0;
}
