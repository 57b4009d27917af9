// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/s3listing.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/s3objs.h"

#define DISGUISE "1+/="
#define ENCODED	 "<EncodingType>url</EncodingType>"

void s3listing_resume(struct s3listing *l, const char *token)
{
	snprintf(l->after, sizeof(l->after), "%s", token + strlen(DISGUISE));
}

static void xml_text(FILE *f, const char *s)
{
	for (; *s; s++)
		if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '<')
			fputs("&lt;", f);
		else if ((unsigned char)*s < ' ')
			fprintf(f, "&#x%02x;", *s);
		else
			fputc(*s, f);
}

static void key_text(FILE *f, const char *s, enum s3listing_keys how)
{
	if (how == S3LISTING_PLAIN) {
		xml_text(f, s);
		return;
	}
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || (how == S3LISTING_MINIO && *s == '/'))
			fputc(*s, f);
		else if (how == S3LISTING_MINIO && *s == ' ')
			fputc('+', f);
		else
			fprintf(f, "%%%02X", (unsigned char)*s);
}

char *s3listing_write(const struct s3listing *l, struct s3objs *objs, size_t *len)
{
	const char *last = l->after;
	unsigned long n = 0;
	char *body = NULL;
	FILE *f = open_memstream(&body, len);
	size_t i;

	assert(f);
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name>%s",
		l->bucket, l->keys == S3LISTING_CEPH ? ENCODED : "");
	for (i = s3objs_from(objs, l->prefix); i < objs->nr; i++) {
		const struct s3obj *o = &objs->o[i];

		if (strncmp(o->key, l->prefix, strlen(l->prefix)) != 0)
			break;
		if (strcmp(o->key, l->after) <= 0)
			continue;
		if (n == l->max)
			break;
		n++;
		fputs("<Contents><Key>", f);
		key_text(f, o->key, l->keys);
		fprintf(f, "</Key><Size>%zu</Size><Owner><ID>x</ID></Owner></Contents>\n", o->len);
		last = o->key;
	}
	if (n == l->max && i < objs->nr && !strncmp(objs->o[i].key, l->prefix, strlen(l->prefix))) {
		fputs("<IsTruncated>true</IsTruncated><NextContinuationToken>" DISGUISE, f);
		xml_text(f, last);
		fputs("</NextContinuationToken>", f);
	} else {
		fputs("<IsTruncated>false</IsTruncated>", f);
	}
	fprintf(f, "%s<KeyCount>%lu</KeyCount></ListBucketResult>",
		l->keys == S3LISTING_MINIO ? ENCODED : "", n);
	fclose(f);
	return body;
}
