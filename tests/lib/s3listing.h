/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer to a ListObjectsV2, as several stores write it. Pure. */
#ifndef S3LISTING_H
#define S3LISTING_H

#include <stddef.h>

struct s3objs;

/* How keys are written that are asked for with encoding-type=url. */
enum s3listing_keys {
	S3LISTING_CEPH, /* all but letters and digits encoded; said before them */
	S3LISTING_MINIO, /* a blank is '+', a slash itself; said behind them */
	S3LISTING_PLAIN, /* as they are: it was not asked for, or the parameter is not known */
};

struct s3listing {
	const char *bucket;
	char prefix[2048], after[2048];
	unsigned long max;
	enum s3listing_keys keys;
};

/* Goes on where the page ended that had @token: the last key, a little disguised. */
void s3listing_resume(struct s3listing *l, const char *token);

/* The document, malloc'ed; asserts. */
char *s3listing_write(const struct s3listing *l, struct s3objs *objs, size_t *len);

#endif
