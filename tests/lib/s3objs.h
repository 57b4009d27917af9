/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a bucket holds, in memory, sorted by key. The caller locks. Zero to begin. */
#ifndef S3OBJS_H
#define S3OBJS_H

#include <stddef.h>

struct s3obj {
	char *key;
	char *data;
	size_t len;
};

struct s3objs {
	struct s3obj *o;
	size_t nr, room;
};

/* The first that is not below @key, perhaps nr. */
size_t s3objs_from(struct s3objs *s, const char *key);

struct s3obj *s3objs_find(struct s3objs *s, const char *key); /* or NULL */

/* Puts a copy there, whether the key is new or not; asserts. */
void s3objs_put(struct s3objs *s, const char *key, const char *data, size_t len);

void s3objs_delete(struct s3objs *s, const char *key);

void s3objs_free(struct s3objs *s);

#endif
