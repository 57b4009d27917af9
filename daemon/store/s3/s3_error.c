// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -EEXIST and -ENOENT are answers that the volume builds on: a slot is taken, a slot is free. They
 * are given only where status and code both say so. A 409 says that somebody else is at it, not
 * that he got it; a bare 404 or 412 may come from anything on the way.
 */
#include "store/s3/s3_error.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define OP(op)	  (1u << (op))
#define ANY_OP	  (~0u)
#define CREATE_OP (1u << STORE_NR_OPS)
#define MOVED_OP  (2u << STORE_NR_OPS)

/* The first row that matches counts. Status 0: any. Code NULL: any or none; a '*' ends a prefix. */
static const struct row {
	unsigned int status;
	const char *code;
	unsigned int ops;
	enum s3_error_act act;
	int err;
} rows[] = {
	{ 412, "PreconditionFailed", CREATE_OP, S3_ERROR_ANSWER, -EEXIST },
	{ 404, "NoSuchKey", OP(STORE_GET), S3_ERROR_ANSWER, -ENOENT },
	{ 404, "NoSuchKey", OP(STORE_DELETE), S3_ERROR_ANSWER, 0 },
	{ 416, "InvalidRange", OP(STORE_GET), S3_ERROR_RANGE, -EIO },

	{ 0, "RequestTimeTooSkewed", ANY_OP, S3_ERROR_SKEWED, -EACCES },
	{ 0, "RequestExpired", ANY_OP, S3_ERROR_SKEWED, -EACCES },
	{ 0, "ExpiredToken*", ANY_OP, S3_ERROR_CREDS, -EACCES },
	{ 0, "InvalidToken", ANY_OP, S3_ERROR_CREDS, -EACCES },
	{ 0, "TokenRefreshRequired", ANY_OP, S3_ERROR_CREDS, -EACCES },
	{ 0, "InvalidAccessKeyId", ANY_OP, S3_ERROR_CREDS, -EACCES },
	/*
	 * A redirect that names no region is anybody's, a portal's too. S3's own that lasts is
	 * final.
	 */
	{ 400, "AuthorizationHeaderMalformed", MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 0, "PermanentRedirect", MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 0, "TemporaryRedirect", MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 301, NULL, MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 302, NULL, MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 307, NULL, MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 308, NULL, MOVED_OP, S3_ERROR_REGION, -EACCES },
	{ 0, "PermanentRedirect", ANY_OP, S3_ERROR_FAIL, -EACCES },
	{ 0, "TemporaryRedirect", ANY_OP, S3_ERROR_RETRY, -EIO },

	{ 0, "SlowDown*", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 0, "Throttl*", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 0, "RequestThrottl*", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 0, "TooManyRequests*", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 0, "RequestLimitExceeded", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 0, "BandwidthLimitExceeded", ANY_OP, S3_ERROR_THROTTLED, -EIO },
	{ 429, NULL, ANY_OP, S3_ERROR_THROTTLED, -EIO },

	{ 0, "QuotaExceeded", ANY_OP, S3_ERROR_FAIL, -ENOSPC },
	{ 0, "XMinioStorageFull", ANY_OP, S3_ERROR_FAIL, -ENOSPC },
	{ 507, NULL, ANY_OP, S3_ERROR_FAIL, -ENOSPC },

	{ 409, "ConditionalRequestConflict", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 409, "OperationAborted", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 409, "ConcurrentModification", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 0, "RequestTimeout*", ANY_OP, S3_ERROR_RETRY, -ETIMEDOUT },
	{ 0, "BadDigest", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 0, "IncompleteBody", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 0, "XAmzContentSHA256Mismatch", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 0, "XAmzContentChecksumMismatch", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 408, NULL, ANY_OP, S3_ERROR_RETRY, -ETIMEDOUT },
	{ 500, NULL, ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 502, NULL, ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 503, NULL, ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 504, NULL, ANY_OP, S3_ERROR_RETRY, -ETIMEDOUT },

	/* What no S3 store says so: something on the way did, and it may pass. */
	{ 404, "", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 409, "", ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 412, NULL, ANY_OP, S3_ERROR_RETRY, -EIO },
	{ 416, NULL, ANY_OP, S3_ERROR_RETRY, -EIO },
	/* Another code of the 4xx is a store that does not do what it is asked to. */
};

static bool code_matches(const char *pattern, const char *code)
{
	size_t n = strlen(pattern);

	if (n && pattern[n - 1] == '*')
		return !strncmp(pattern, code, n - 1);
	return !strcmp(pattern, code);
}

struct s3_error s3_error_http(enum store_op op, bool create, unsigned int status, const char *code,
			      bool elsewhere)
{
	unsigned int ops = OP(op) | (op == STORE_PUT && create ? CREATE_OP : 0) |
			   (elsewhere ? MOVED_OP : 0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (r->status && r->status != status)
			continue;
		if (r->code && !code_matches(r->code, code))
			continue;
		if (!(r->ops & ops))
			continue;
		return (struct s3_error){ r->act, r->err };
	}
	if (status >= 400 && status < 600 && status != 599)
		return (struct s3_error){ S3_ERROR_FAIL, -EACCES };
	return (struct s3_error){ S3_ERROR_RETRY, -EIO };
}

struct s3_error s3_error_curl(int curl_code)
{
	switch (curl_code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		return (struct s3_error){ S3_ERROR_FAIL, -EACCES };
	case CURLE_OUT_OF_MEMORY:
		return (struct s3_error){ S3_ERROR_RETRY, -ENOMEM };
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return (struct s3_error){ S3_ERROR_RETRY, -ETIMEDOUT };
	default:
		return (struct s3_error){ S3_ERROR_RETRY, -EIO };
	}
}

enum wire_cause s3_error_cause(int curl_code, unsigned int status, const struct s3_error *e)
{
	switch (curl_code) {
	case CURLE_OK:
		break;
	case CURLE_OPERATION_TIMEDOUT:
		return WIRE_TIMEOUT;
	case CURLE_WRITE_ERROR: /* we did not like what came */
	case CURLE_OUT_OF_MEMORY:
		return WIRE_OTHER;
	default:
		return WIRE_NETWORK;
	}
	if (status == 503 || status == 429 || e->act == S3_ERROR_THROTTLED)
		return WIRE_THROTTLED;
	if (status >= 500 && status < 600)
		return WIRE_SERVER;
	if (e->act == S3_ERROR_RETRY && e->err == -ETIMEDOUT)
		return WIRE_TIMEOUT;
	if (e->act == S3_ERROR_CREDS || e->act == S3_ERROR_SKEWED || status == 401 || status == 403)
		return WIRE_AUTH;
	return WIRE_OTHER;
}

const char *s3_error_advice(unsigned int status, const char *code)
{
	static const struct {
		const char *code, *text;
	} advice[] = {
		{ "AccessDenied", "allow these keys s3:GetObject, PutObject, DeleteObject and "
				  "ListBucket on the bucket" },
		{ "AllAccessDisabled", "the bucket's owner has to enable access" },
		{ "PermanentRedirect", "correct endpoint= or region= in the URL" },
		{ "NoSuchBucket", "make the bucket, or correct its name or the endpoint" },
		{ "InvalidAccessKeyId", "the store does not know this access key" },
		{ "SignatureDoesNotMatch", "the secret key is wrong, or something on the way "
					   "changes requests" },
		{ "RequestTimeTooSkewed", "set this machine's clock" },
		{ "NotImplemented", "the store does not do what is needed: create-only PUT" },
		{ "QuotaExceeded", "make room or raise the quota" },
		{ "XMinioStorageFull", "make room" },
		{ "InvalidStorageClass", "correct storage-class= in the URL" },
		{ "ExpiredToken", "renew the credentials" },
	};

	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		if (!strcmp(advice[i].code, code))
			return advice[i].text;
	return status == 401 || status == 403 ? advice[0].text : NULL;
}
