// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/sigv4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST	 32u
#define HEX	 (2 * DIGEST + 1)
#define DAY	 8 /* characters of @date */
#define KEY_ROOM 160

static void hex(char out[HEX], const unsigned char p[DIGEST])
{
	for (unsigned int i = 0; i < DIGEST; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
}

static bool mac(const void *key, size_t key_len, const char *text, size_t len,
		unsigned char out[DIGEST])
{
	unsigned int n;

	return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, len, out, &n);
}

static char *join_names(const struct sigv4 *s)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return NULL;
	for (unsigned int i = 0; i < s->nr_headers; i++)
		fprintf(f, "%s%s", i ? ";" : "", s->headers[i].name);
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

/* The hash of the canonical request. */
static bool hash_request(const struct sigv4 *s, const char *names, char out[HEX])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool ok;

	if (!f)
		return false;
	fprintf(f, "%s\n%s\n%s\n", s->method, s->path, s->query);
	for (unsigned int i = 0; i < s->nr_headers; i++)
		fprintf(f, "%s:%s\n", s->headers[i].name, s->headers[i].value);
	fprintf(f, "\n%s\n%s", names, s->hash);
	ok = !fclose(f) && EVP_Digest(text, len, md, NULL, EVP_sha256(), NULL);
	if (ok)
		hex(out, md);
	free(text);
	return ok;
}

/* The key of the day, region and service. */
static bool derive(const struct sigv4 *s, unsigned char out[DIGEST])
{
	char secret[KEY_ROOM];
	int n = snprintf(secret, sizeof(secret), "AWS4%s", s->secret);
	bool ok = n < (int)sizeof(secret) && mac(secret, (size_t)n, s->date, DAY, out) &&
		  mac(out, DIGEST, s->region, strlen(s->region), out) &&
		  mac(out, DIGEST, s->service, strlen(s->service), out) &&
		  mac(out, DIGEST, "aws4_request", strlen("aws4_request"), out);

	explicit_bzero(secret, sizeof(secret));
	return ok;
}

char *sigv4_sign(const struct sigv4 *s)
{
	char hash[HEX], scope[128], text[256], *names = join_names(s), *out = NULL;
	unsigned char key[DIGEST], md[DIGEST];

	snprintf(scope, sizeof(scope), "%.*s/%s/%s/aws4_request", DAY, s->date, s->region,
		 s->service);
	if (!names || !hash_request(s, names, hash) || !derive(s, key))
		goto out;
	snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->date, scope, hash);
	if (!mac(key, DIGEST, text, strlen(text), md))
		goto out;
	hex(hash, md);
	if (asprintf(&out, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		     s->access, scope, names, hash) < 0)
		out = NULL;
out:
	explicit_bzero(key, sizeof(key));
	free(names);
	return out;
}
