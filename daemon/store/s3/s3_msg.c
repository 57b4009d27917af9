// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/s3/sigv4.h"

#define FIELDS 16

/* Headers that are signed, sorted by name. */
struct fields {
	unsigned int nr;
	struct sigv4_header f[FIELDS];
};

static void add(struct fields *f, const char *name, const char *value)
{
	unsigned int i = f->nr++;

	for (; i && strcmp(f->f[i - 1].name, name) > 0; i--)
		f->f[i] = f->f[i - 1];
	f->f[i].name = name;
	f->f[i].value = value;
}

char *s3_msg_encode(const char *s, bool slashes)
{
	static const char keep[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *out = malloc(3 * strlen(s) + 1), *p = out;

	if (!out)
		return NULL;
	for (; *s; s++) {
		if (strchr(keep, *s) || (*s == '/' && !slashes))
			*p++ = *s;
		else
			p += sprintf(p, "%%%02X", (unsigned char)*s);
	}
	*p = '\0';
	return out;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct s3_msg_query *)a)->name,
		      ((const struct s3_msg_query *)b)->name);
}

/* "a=b&c=d", sorted and encoded; malloc'ed. */
static char *query_string(const struct s3_msg *m)
{
	struct s3_msg_query q[S3_MSG_QUERY];
	size_t room = 1;
	char *out;

	memcpy(q, m->query, sizeof(q));
	qsort(q, m->nr_query, sizeof(q[0]), by_name);
	for (unsigned int i = 0; i < m->nr_query; i++)
		room += strlen(q[i].name) + 3 * strlen(q[i].value) + 2;
	out = malloc(room);
	if (!out)
		return NULL;
	out[0] = '\0';
	for (unsigned int i = 0; i < m->nr_query; i++) {
		char *v = s3_msg_encode(q[i].value, true);

		if (!v) {
			free(out);
			return NULL;
		}
		sprintf(out + strlen(out), "%s%s=%s", i ? "&" : "", q[i].name, v);
		free(v);
	}
	return out;
}

static char *path_of(const struct s3_msg *m)
{
	char *key = s3_msg_encode(m->key ? m->key : "", false), *out = NULL;

	if (key && asprintf(&out, "/%s%s%s", m->o->path_style ? m->o->bucket : "",
			    m->o->path_style && m->key ? "/" : "", key) < 0)
		out = NULL;
	free(key);
	return out;
}

static void put_headers(const struct s3_msg *m, struct fields *f)
{
	if (m->create)
		add(f, "if-none-match", "*");
	if (m->crc32c)
		add(f, "x-amz-checksum-crc32c", m->crc32c);
	if (m->o->storage_class[0])
		add(f, "x-amz-storage-class", m->o->storage_class);
	if (m->o->sse[0])
		add(f, "x-amz-server-side-encryption", m->o->sse);
	if (m->o->sse_key[0])
		add(f, "x-amz-server-side-encryption-aws-kms-key-id", m->o->sse_key);
}

static int append(struct curl_slist **list, const char *name, const char *value)
{
	struct curl_slist *more = NULL;
	char *line = NULL;

	if (asprintf(&line, "%s:%s%s", name, *value ? " " : "", value) >= 0) {
		more = curl_slist_append(*list, line);
		explicit_bzero(line, strlen(line));
		free(line);
	}
	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

int s3_msg_build(const struct s3_msg *m, char **url, struct curl_slist **headers)
{
	time_t t = (time_t)(m->real_us / 1000000);
	struct curl_slist *list = NULL;
	char host[352], date[32], *path = path_of(m), *query = query_string(m), *auth = NULL;
	struct fields f = { 0 };
	bool tls = s3_opts_host(m->o, m->region, host, sizeof(host));
	struct tm tm;
	int rc = -ENOMEM;

	*url = NULL;
	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	add(&f, "host", host);
	add(&f, "x-amz-content-sha256", m->hash);
	add(&f, "x-amz-date", date);
	if (m->creds->token[0])
		add(&f, "x-amz-security-token", m->creds->token);
	if (m->o->requester_pays)
		add(&f, "x-amz-request-payer", "requester");
	if (m->range)
		add(&f, "range", m->range);
	if (m->put)
		put_headers(m, &f);
	if (!path || !query)
		goto out;
	auth = sigv4_sign(&(struct sigv4){ m->method, path, query, f.f, f.nr, m->hash, date,
					   m->region, "s3", m->creds->access, m->creds->secret });
	rc = auth ? append(&list, "Authorization", auth) : -ENOMEM;
	for (unsigned int i = 0; i < f.nr && !rc; i++)
		rc = append(&list, f.f[i].name, f.f[i].value);
	/* one round trip less; and nothing that was not signed for */
	if (!rc)
		rc = append(&list, "Expect", "");
	if (!rc && asprintf(url, "%s://%s%s%s%s", tls ? "https" : "http", host, path,
			    *query ? "?" : "", query) < 0) {
		*url = NULL;
		rc = -ENOMEM;
	}
out:
	if (rc)
		curl_slist_free_all(list);
	else
		*headers = list;
	free(auth);
	free(query);
	free(path);
	return rc;
}
