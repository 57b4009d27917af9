/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s3d: what its files share: objects (s3d_store.c), reading a request (s3d_http.c), making its
 * answer (s3d_answer.c); s3d.c has the connections and the time. One thread.
 */
#ifndef S3D_H
#define S3D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define S3D_HEAD_MAX 16384u
#define S3D_BODY_MAX (256u << 20)
#define S3D_KEY_ROOM 1024u
#define S3D_META_MAX 2048u /* as S3 */
#define S3D_ETAG_ROOM 40u

enum s3d_kind { S3D_PUT, S3D_GET, S3D_HEAD, S3D_LIST, S3D_DELETE, S3D_NR_KINDS };

/* How long what takes, and what connections carry. */
struct s3d_times {
	uint64_t get_us, put_us, bytes_per_s;
};

struct s3d_req {
	enum s3d_kind kind;
	bool control; /* one of /-/..., not S3 */
	bool create; /* If-None-Match */
	bool keep; /* the connection */
	bool expect; /* Expect: the client waits for a word before it sends the body */
	bool ranged;
	uint64_t from, to;
	char name[S3D_KEY_ROOM]; /* bucket/key, or bucket */
	char query[S3D_HEAD_MAX];
	char meta[S3D_META_MAX]; /* lines of x-amz-meta-*, with their ends */
	size_t meta_len;
	char md5[S3D_ETAG_ROOM]; /* Content-MD5 in hex, or "" */
	uint8_t *body;
	size_t body_len, body_got;
};

/* A head, and a body in memory of its own; then bytes of an object. */
struct s3d_answer {
	char *text;
	size_t text_len;
	struct s3d_obj *src; /* a reference */
	const uint8_t *data;
	size_t data_len;
};

/* Ends the program, with errno. */
_Noreturn void s3d_die(const char *what);

/* @p, which must not be NULL. */
void *s3d_need(void *p);

/* ---- objects, in the order of their names ------------------------------------------------ */

struct s3d_obj {
	char *name; /* bucket/key */
	uint8_t *data;
	size_t len;
	char *meta; /* lines of its x-amz-meta-* headers */
	char etag[S3D_ETAG_ROOM];
	uint64_t version;
	unsigned int refs;
};

size_t s3d_store_count(void);

/* The first whose name is not less than @name; up to s3d_store_count(). */
size_t s3d_store_at(const char *name);
struct s3d_obj *s3d_store_nth(size_t i);

struct s3d_obj *s3d_store_find(const char *name); /* NULL: none */

/*
 * Keeps @data, which becomes the store's, in place of what has that name. @etag "": a number.
 * Copies @meta.
 */
struct s3d_obj *s3d_store_keep(const char *name, uint8_t *data, size_t len, const char *meta,
			       const char *etag);
void s3d_store_delete(const char *name);
void s3d_store_put(struct s3d_obj *o); /* a reference; NULL is fine */

/* ---- requests ---------------------------------------------------------------------------- */

/*
 * Reads a head, which begins at @head and whose empty line begins at @end; both are written to.
 * False: not understood.
 */
bool s3d_http_parse(struct s3d_req *q, char *head, char *end);

/* The value of a parameter of the query, "" where there is none. False: not one we take. */
bool s3d_http_param(const struct s3d_req *q, const char *key, char *ret, size_t max);

/* ---- answers ----------------------------------------------------------------------------- */

/* Does what @q asks, and counts it. @t: what a control request may set. */
void s3d_answer(struct s3d_req *q, struct s3d_times *t, struct s3d_answer *a);

/* The answer to what was not understood. */
void s3d_answer_refuse(struct s3d_answer *a);

void s3d_answer_free(struct s3d_answer *a);

#endif
