/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An S3 server in memory, on a port of 127.0.0.1, plain HTTP, path style, with a thread per
 * connection: PUT (atomic If-None-Match), ranged GET, LIST V2, DELETE. It checks what a real one
 * checks: body hash, CRC32C, the date against its own clock, the region, key and token; and it does
 * what a network and a service in trouble do, by rules.
 */
#ifndef S3SRV_H
#define S3SRV_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/s3listing.h"

#define S3SRV_BUCKET "vault"
#define S3SRV_ACCESS "AKIDEXAMPLE"
#define S3SRV_SECRET "not/a+secret"

enum s3srv_op {
	S3SRV_PUT = 1,
	S3SRV_GET = 2,
	S3SRV_LIST = 4,
	S3SRV_DELETE = 8,
	S3SRV_ANY = 15,
};

enum s3srv_act {
	S3SRV_STATUS,	/* answers @status with @code; nothing is done */
	S3SRV_LATE_STATUS, /* ... after it has been done */
	S3SRV_RESET,	/* cuts the connection; nothing is done */
	S3SRV_LATE_RESET, /* ... after it has been done */
	S3SRV_HTML,	/* answers @status with a page of HTML */
	S3SRV_PAGE,	/* ... with the same, and does not say that it is one */
	S3SRV_SHORT,	/* sends half of what Content-Length says, and closes */
	S3SRV_LESS,	/* GET: a whole, consistent answer of less than the range */
	S3SRV_SHIFTED,	/* GET: the right number of bytes of the wrong range */
	S3SRV_MORE,	/* GET: more body than the range asked for, without Content-Length */
	S3SRV_HANG,	/* says nothing until s3srv_release() or the other side leaves */
	S3SRV_LATE_HANG, /* GET: the head and half the body, then the same */
	S3SRV_DELAY,	/* waits @ms first, then does as always */
};

struct s3srv_rule {
	unsigned int ops;	/* of s3srv_op */
	const char *name;	/* stands in the key or prefix; NULL = any */
	unsigned int skip, times; /* let so many pass; then so often (0 = always) */
	enum s3srv_act act;
	unsigned int status;
	const char *code;	/* "" = no body */
	const char *header;	/* one more header line, or NULL */
	unsigned int ms;
};

struct s3srv_counts {
	unsigned int puts, gets, lists, deletes; /* requests that came */
	unsigned int connections;
	unsigned int refused;	/* for a hash, a date, a region, a key or token */
	uint64_t bytes_in, bytes_out;	/* of bodies */
};

struct s3srv;

struct s3srv *s3srv_new(void); /* asserts */
void s3srv_free(struct s3srv *s);

unsigned int s3srv_port(const struct s3srv *s);

void s3srv_rule(struct s3srv *s, const struct s3srv_rule *r);
void s3srv_clear(struct s3srv *s);
void s3srv_release(struct s3srv *s);

/* Its clock minus the machine's. */
void s3srv_set_skew(struct s3srv *s, int64_t seconds);

/* The region of the bucket (us-east-1); a request signed for another is refused with its name. */
void s3srv_set_region(struct s3srv *s, const char *region);

/*
 * The only session token that is taken; another has expired. "" = any, but for until-SECONDS once
 * these have come.
 */
void s3srv_set_token(struct s3srv *s, const char *token);

/* A page of LIST has no more entries than this (1000). */
void s3srv_set_page(struct s3srv *s, unsigned int n);

/* How keys are written in a LIST that asks for encoding-type=url (S3LISTING_CEPH). */
void s3srv_set_keys(struct s3srv *s, enum s3listing_keys how);

/* 416 without Content-Range, as Ceph's gateway has it. */
void s3srv_set_bare_416(struct s3srv *s, bool bare);

/* Puts an object of somebody else's into the bucket, whatever its key. */
void s3srv_plant(struct s3srv *s, const char *key, const char *text);
void s3srv_unplant(struct s3srv *s, const char *key);

struct s3srv_counts s3srv_counts(struct s3srv *s);

/* The headers of the last request that came with method @method, as one string. Asserts. */
void s3srv_last(struct s3srv *s, char *out, unsigned int len);

#endif
