// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_msg.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELDS	  16
#define VALUE_MAX 4200

/* Headers that are signed, sorted by name. */
struct fields {
	unsigned int nr;
	struct {
		const char *name;
		const char *value;
	} f[FIELDS];
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

static void hex(char *out, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
}

/* The value of Authorization; malloc'ed. */
static char *sign(const struct s3_msg *m, const struct fields *f, const char *path,
		  const char *query, const char *date)
{
	char names[512] = "", h[65], scope[128], secret[160], *canon = NULL, *text = NULL,
	     *out = NULL;
	unsigned char k[32], md[EVP_MAX_MD_SIZE];
	const char *parts[4] = { NULL, m->region, "s3", "aws4_request" };
	char day[9];
	unsigned int n;
	size_t len;
	FILE *s = open_memstream(&canon, &len);

	if (!s)
		return NULL;
	fprintf(s, "%s\n%s\n%s\n", m->method, path, query);
	for (unsigned int i = 0; i < f->nr; i++) {
		fprintf(s, "%s:%s\n", f->f[i].name, f->f[i].value);
		sprintf(names + strlen(names), "%s%s", i ? ";" : "", f->f[i].name);
	}
	fprintf(s, "\n%s\n%s", names, m->hash);
	if (fclose(s) || !EVP_Digest(canon, len, md, &n, EVP_sha256(), NULL))
		goto out;
	hex(h, md, 32);
	snprintf(day, sizeof(day), "%.8s", date);
	snprintf(scope, sizeof(scope), "%s/%s/s3/aws4_request", day, m->region);
	if (asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, h) < 0) {
		text = NULL;
		goto out;
	}
	parts[0] = day;
	snprintf(secret, sizeof(secret), "AWS4%s", m->creds->secret);
	HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)day, 8, k, &n);
	for (int i = 1; i < 4; i++)
		HMAC(EVP_sha256(), k, 32, (const unsigned char *)parts[i], strlen(parts[i]), k, &n);
	HMAC(EVP_sha256(), k, 32, (const unsigned char *)text, strlen(text), md, &n);
	hex(h, md, 32);
	if (asprintf(&out, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		     m->creds->access, scope, names, h) < 0)
		out = NULL;
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(k, sizeof(k));
out:
	free(text);
	free(canon);
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
	auth = sign(m, &f, path, query, date);
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
