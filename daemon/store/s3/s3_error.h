/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an S3 store's refusal means and what to do about it: a table, nothing else. */
#ifndef S3_S3_ERROR_H
#define S3_S3_ERROR_H

#include <stdbool.h>

#include "store/store.h"
#include "store/wire.h"

/**
 * enum s3_error_act - what to do
 * @S3_ERROR_ANSWER:	none: the result is the answer (-EEXIST, -ENOENT)
 * @S3_ERROR_RETRY:	again, after a short pause
 * @S3_ERROR_THROTTLED:	again, after a long one
 * @S3_ERROR_SKEWED:	our clock is wrong by the store's: sign anew by its Date
 * @S3_ERROR_CREDS:	the credentials have expired or are gone: again with newer ones
 * @S3_ERROR_REGION:	the bucket is in another region: sign for that one
 * @S3_ERROR_RANGE:	a GET began beyond the object's end
 * @S3_ERROR_FAIL:	nothing here mends it: told, and held by the caller
 */
enum s3_error_act {
	S3_ERROR_ANSWER,
	S3_ERROR_RETRY,
	S3_ERROR_THROTTLED,
	S3_ERROR_SKEWED,
	S3_ERROR_CREDS,
	S3_ERROR_REGION,
	S3_ERROR_RANGE,
	S3_ERROR_FAIL,
};

/* @err: -errno of the request if @act does not help. */
struct s3_error {
	enum s3_error_act act;
	int err;
};

/*
 * Of an answer other than 2xx. @create: a PUT that must not replace. @code: the <Code> of the body,
 * "" if it had none, or was no XML. @elsewhere: head or body names another region of the bucket
 * than what was signed for.
 */
struct s3_error s3_error_http(enum store_op op, bool create, unsigned int status, const char *code,
			      bool elsewhere);

/* Of a transfer that did not come to an answer: a CURLcode. */
struct s3_error s3_error_curl(int curl_code);

/* Why the attempt failed that @e is the verdict on: CURLcode (0: an answer came) and its status. */
enum wire_cause s3_error_cause(int curl_code, unsigned int status, const struct s3_error *e);

/* A sentence on what somebody should do about @code, or NULL. */
const char *s3_error_advice(unsigned int status, const char *code);

#endif
