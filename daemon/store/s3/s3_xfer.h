/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One HTTP exchange: from the request of a store's user to a verdict on the answer. Who drives the
 * multi handle calls back here. One thread.
 */
#ifndef S3_S3_XFER_H
#define S3_S3_XFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "store/s3/creds.h"
#include "store/s3/s3_answer.h"
#include "store/s3/s3_error.h"
#include "store/s3/s3_list.h"
#include "store/store.h"

struct s3_cap;
struct s3_shared;

/* What the tries of one request have in common. */
struct s3_xfer_job {
	struct store_req *req;
	struct s3_list *list; /* LIST */
	bool sizing; /* GET: the first byte, only to learn the object's size */
	bool hashed;
	uint64_t body_len; /* PUT, once hashed */
	char sha256[65]; /* of the body, or UNSIGNED-PAYLOAD */
	char crc32c[9]; /* base64 */
};

struct s3_xfer {
	struct list_head link;
	void *priv;
	struct s3_shared *shared;
	struct s3_xfer_job *job;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	char error[CURL_ERROR_SIZE];
	struct creds creds; /* signed with: generation and expiry count */
	char region[33];
	int64_t skew_us;

	int iov; /* PUT: where the body is */
	size_t iov_off;
	uint8_t *dst; /* GET: where to, and room for dst_len */
	uint64_t dst_len, got, expect, size;
	bool own; /* dst is ours */
	bool hedge; /* beside one that was late */
	bool checked; /* GET: the head is as it must be */
	const char *bad; /* what is wrong with the answer */
	struct s3_answer a;
	struct s3_cap *paused; /* by which cap; NULL: by none */
	/*
	 * monotonic; first_us: of the answer, 0 = none so far; moved_us: bytes, or may do so again
	 */
	uint64_t begun_us, first_us, moved_us;
};

/* What became of it: done, then @res and @size; or else @e. */
struct s3_xfer_verdict {
	bool done;
	bool more; /* LIST: done, and another page is wanted */
	ssize_t res;
	uint64_t size;
	struct s3_error e;
	enum wire_cause cause; /* of e */
};

#define S3_XFER_FRESH (1u << 0) /* on a new connection, with what DNS says now */
#define S3_XFER_OWN   (1u << 1) /* GET: into memory of its own: s3_xfer_take() brings it over */

/*
 * Makes an exchange ready for curl_multi_add_handle(), signed with @creds. -ENOMEM, -errno. @x is
 * zeroed memory of the caller's; CURLOPT_PRIVATE is @x.
 */
int s3_xfer_begin(struct s3_xfer *x, struct s3_shared *shared, struct s3_xfer_job *job,
		  const struct creds *creds, unsigned int flags);

/* Of an exchange that curl has ended with @code (or that was cut: CURLE_OPERATION_TIMEDOUT). */
void s3_xfer_judge(struct s3_xfer *x, int code, struct s3_xfer_verdict *ret);

/* With S3_XFER_OWN: the bytes to where they belong. */
void s3_xfer_take(struct s3_xfer *x);

/* Bytes of bodies that went, so far. */
void s3_xfer_bytes(const struct s3_xfer *x, uint64_t *ret_up, uint64_t *ret_down);

/* Not in a multi handle any more. */
void s3_xfer_end(struct s3_xfer *x);

#endif
