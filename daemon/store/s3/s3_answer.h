/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The head of an HTTP answer, and the body of one that is an error. Nothing in it is trusted. */
#ifndef S3_S3_ANSWER_H
#define S3_S3_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_xml;

struct s3_answer {
	unsigned int status;
	int64_t length;		/* Content-Length, or -1 */
	bool ranged;		/* Content-Range: bytes from-to/total */
	bool sized;		/* Content-Range: bytes *<slash>total */
	bool range_bad;		/* it was there and is neither */
	uint64_t from, to, total;
	bool etag;
	bool amz;		/* x-amz-request-id, or another header of S3's own */
	bool html;		/* Content-Type: no object of ours, and no answer of S3 */
	int64_t date;		/* seconds since the epoch, 0 = none */
	char crc32c[12]; /* of the body, as the store has it; "" = not said */
	uint64_t after_us;	/* how long the store wants to be left alone, 0 = not said */
	char region[33];	/* the bucket's, "" = not said */
	char place[100];	/* where a redirect leads: scheme and host, "" = not said */
	char code[64];		/* of an error's body, "" = it had none */
	char message[200];	/* printable ASCII */
	struct s3_xml *xml;
	uint64_t body;		/* bytes of an error's body */
	bool body_bad;
};

void s3_answer_init(struct s3_answer *a);
void s3_answer_free(struct s3_answer *a);

/* One line of the head, as it came. A status line begins anew. */
void s3_answer_header(struct s3_answer *a, const char *line, size_t len);

/* A piece of an error's body; at its end, s3_answer_end(). What is no XML leaves code "". */
void s3_answer_body(struct s3_answer *a, const void *p, size_t len);
void s3_answer_end(struct s3_answer *a);

/*
 * Whether the head of a 2xx answers a GET of @len bytes from @off: 0, then *@expect bytes of body
 * are due and *@size is the object's length; or -EBADMSG.
 */
int s3_answer_get(const struct s3_answer *a, uint64_t off, uint64_t len, uint64_t *expect,
		  uint64_t *size);

#endif
