/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The request line and the headers of one S3 request, signed. Pure. */
#ifndef S3_S3_MSG_H
#define S3_S3_MSG_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/s3/creds.h"
#include "store/s3/s3_opts.h"

#define S3_MSG_QUERY 6

struct s3_msg_query {
	const char *name;
	const char *value; /* not encoded */
};

/**
 * struct s3_msg - what is to be asked
 * @key:	the whole key, or NULL: the bucket itself
 * @hash:	of the body: hex SHA-256 or UNSIGNED-PAYLOAD
 * @crc32c:	base64, or NULL
 * @range:	as in "bytes=0-99", or NULL
 * @put:	the headers of a new object go with it
 * @create:	... which must not be there
 */
struct s3_msg {
	const struct s3_opts *o;
	const char *region;
	const struct creds *creds;
	uint64_t real_us;
	const char *method;
	const char *key;
	struct s3_msg_query query[S3_MSG_QUERY];
	unsigned int nr_query;
	const char *hash;
	const char *crc32c;
	const char *range;
	bool put, create;
};

/* *@url is malloc'ed, *@headers a list; both the caller's. -ENOMEM, -EINVAL. */
int s3_msg_build(const struct s3_msg *m, char **url, struct curl_slist **headers);

/* Percent-encodes all but unreserved characters and, with @slashes, '/'. malloc'ed or NULL. */
char *s3_msg_encode(const char *s, bool slashes);

#endif
