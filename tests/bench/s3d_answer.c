// SPDX-License-Identifier: GPL-2.0-or-later
/* Carrying out a request and answering it: see s3d.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/s3d.h"

static struct {
	uint64_t requests, bytes;
} counts[S3D_NR_KINDS];
static uint64_t refused; /* creates of a name that was taken */

static void answer(struct s3d_answer *a, const struct s3d_req *q, int status, const char *headers,
		   const char *type, const char *body)
{
	size_t len = strlen(body) + a->data_len;
	bool head_only = q && q->kind == S3D_HEAD;
	int n;

	if (status == 204)
		n = asprintf(&a->text, "HTTP/1.1 204 No Content\r\n%s\r\n", headers);
	else
		n = asprintf(&a->text,
			     "HTTP/1.1 %d %s\r\nServer: s3d\r\n%sContent-Type: %s\r\n"
			     "Content-Length: %zu\r\n\r\n%s",
			     status, status < 300 ? "OK" : "Refused", headers, type, len,
			     head_only ? "" : body);
	if (n < 0)
		s3d_die("s3d: memory");
	a->text_len = (size_t)n;
	if (head_only)
		a->data_len = 0;
}

static void error(struct s3d_answer *a, const struct s3d_req *q, int status, const char *code)
{
	char xml[256];

	snprintf(xml, sizeof(xml),
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code></Error>",
		 code);
	answer(a, q, status, "", "application/xml", xml);
}

static void put(struct s3d_req *q, struct s3d_answer *a)
{
	char etag[64];
	struct s3d_obj *o;

	counts[S3D_PUT].bytes += q->body_len;
	if (q->create && s3d_store_find(q->name)) {
		refused++;
		error(a, q, 412, "PreconditionFailed");
		return;
	}
	o = s3d_store_keep(q->name, q->body, q->body_len, q->meta, q->md5);
	q->body = NULL;
	snprintf(etag, sizeof(etag), "ETag: \"%s\"\r\n", o->etag);
	answer(a, q, 200, etag, "text/plain", "");
}

static void get(struct s3d_req *q, struct s3d_answer *a)
{
	struct s3d_obj *o = s3d_store_find(q->name);
	char headers[S3D_META_MAX + 192];
	size_t n;

	if (!o) {
		error(a, q, 404, "NoSuchKey");
		return;
	}
	if (q->ranged && q->from >= o->len) {
		error(a, q, 416, "InvalidRange");
		return;
	}
	if (!q->ranged) {
		q->from = 0;
		q->to = UINT64_MAX;
	}
	a->data_len = q->to - q->from < o->len - q->from ? (size_t)(q->to - q->from) + 1 :
							   (size_t)(o->len - q->from);
	a->data = o->data + q->from;
	a->src = o;
	o->refs++;
	n = (size_t)snprintf(headers, sizeof(headers), "ETag: \"%s\"\r\n%s", o->etag, o->meta);
	if (q->ranged)
		snprintf(headers + n, sizeof(headers) - n,
			 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%zu\r\n", q->from,
			 q->from + a->data_len - 1, o->len);
	if (q->kind == S3D_GET)
		counts[S3D_GET].bytes += a->data_len;
	answer(a, q, q->ranged ? 206 : 200, headers, "application/octet-stream", "");
}

static void list(struct s3d_req *q, struct s3d_answer *a)
{
	char prefix[S3D_KEY_ROOM], after[S3D_KEY_ROOM], token[S3D_KEY_ROOM], max[32];
	char full[2 * S3D_KEY_ROOM];
	size_t bucket = strcspn(q->name, "/"), len = 0, i, nr = 0, limit, plen;
	const struct s3d_obj *o;
	bool more = false;
	char *xml;
	FILE *f;

	if (!s3d_http_param(q, "prefix", prefix, sizeof(prefix)) ||
	    !s3d_http_param(q, "start-after", after, sizeof(after)) ||
	    !s3d_http_param(q, "continuation-token", token, sizeof(token)) ||
	    !s3d_http_param(q, "max-keys", max, sizeof(max))) {
		error(a, q, 400, "InvalidArgument");
		return;
	}
	limit = max[0] ? strtoul(max, NULL, 10) : 1000;
	if (limit > 1000)
		limit = 1000;
	if (strcmp(token, after) > 0)
		strcpy(after, token);
	f = s3d_need(open_memstream(&xml, &len));
	fprintf(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	plen = (size_t)snprintf(full, sizeof(full), "%.*s/%s", (int)bucket, q->name, prefix);
	for (i = s3d_store_at(full); i < s3d_store_count(); i++) {
		const char *key;

		o = s3d_store_nth(i);
		if (strncmp(o->name, full, plen))
			break;
		key = o->name + bucket + 1;
		if (after[0] && strcmp(key, after) <= 0)
			continue;
		if (nr == limit) {
			more = true;
			break;
		}
		fprintf(f,
			"<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z"
			"</LastModified><ETag>&quot;%s&quot;</ETag><Size>%zu</Size>"
			"<StorageClass>STANDARD</StorageClass></Contents>",
			key, o->etag, o->len);
		nr++;
		snprintf(token, sizeof(token), "%s", key);
	}
	fprintf(f, "<KeyCount>%zu</KeyCount><MaxKeys>%zu</MaxKeys>", nr, limit);
	if (more && nr)
		fprintf(f, "<NextContinuationToken>%s</NextContinuationToken>", token);
	fprintf(f, "<IsTruncated>%s</IsTruncated></ListBucketResult>", more ? "true" : "false");
	if (fclose(f))
		s3d_die("s3d: memory");
	counts[S3D_LIST].bytes += len;
	answer(a, q, 200, "", "application/xml", xml);
	free(xml);
}

static void say_counts(struct s3d_req *q, struct s3d_answer *a)
{
	static const char *const names[S3D_NR_KINDS] = { "put", "get", "head", "list", "delete" };
	char json[1024];
	size_t n = 0;

	for (int k = 0; k < S3D_NR_KINDS; k++)
		n += (size_t)snprintf(json + n, sizeof(json) - n,
				      "%s\"%s\": {\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
				      "}",
				      k ? ", " : "{", names[k], counts[k].requests,
				      counts[k].bytes);
	snprintf(json + n, sizeof(json) - n, ", \"refused\": %" PRIu64 ", \"objects\": %zu}\n",
		 refused, s3d_store_count());
	answer(a, q, 200, "", "application/json", json);
}

/* PUT /-/times?get=MS&put=MS. What it leaves out stays. */
static void set_times(struct s3d_req *q, struct s3d_times *t, struct s3d_answer *a)
{
	char get_ms[32], put_ms[32];

	if (!s3d_http_param(q, "get", get_ms, sizeof(get_ms)) ||
	    !s3d_http_param(q, "put", put_ms, sizeof(put_ms))) {
		error(a, q, 400, "InvalidArgument");
		return;
	}
	if (*get_ms)
		t->get_us = strtoull(get_ms, NULL, 10) * 1000;
	if (*put_ms)
		t->put_us = strtoull(put_ms, NULL, 10) * 1000;
	answer(a, q, 200, "", "text/plain", "");
}

static void control(struct s3d_req *q, struct s3d_times *t, struct s3d_answer *a)
{
	if (q->kind == S3D_GET && !strcmp(q->name, "-/counts"))
		say_counts(q, a);
	else if (q->kind == S3D_PUT && !strcmp(q->name, "-/times"))
		set_times(q, t, a);
	else
		error(a, q, 404, "NoSuchKey");
}

void s3d_answer(struct s3d_req *q, struct s3d_times *t, struct s3d_answer *a)
{
	bool bucket = !strchr(q->name, '/');

	*a = (struct s3d_answer){ 0 };
	if (q->control) {
		control(q, t, a);
		return;
	}
	counts[q->kind].requests++;
	if (q->kind == S3D_PUT && bucket) {
		answer(a, q, 200, "", "text/plain", "");
	} else if (q->kind == S3D_PUT) {
		put(q, a);
	} else if (q->kind == S3D_GET || (q->kind == S3D_HEAD && !bucket)) {
		get(q, a);
	} else if (q->kind == S3D_HEAD) {
		answer(a, q, 200, "", "text/plain", "");
	} else if (q->kind == S3D_LIST) {
		list(q, a);
	} else {
		s3d_store_delete(q->name);
		answer(a, q, 204, "", "", "");
	}
}

void s3d_answer_refuse(struct s3d_answer *a)
{
	*a = (struct s3d_answer){ 0 };
	error(a, NULL, 400, "InvalidRequest");
}

void s3d_answer_free(struct s3d_answer *a)
{
	free(a->text);
	s3d_store_put(a->src);
	*a = (struct s3d_answer){ 0 };
}
