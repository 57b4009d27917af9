/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AWS Signature Version 4 of one request, from its parts in canonical form. Source: "Create a
 * signed AWS API request" in the IAM user guide, "Authenticating Requests (AWS Signature Version
 * 4)" in the S3 API reference.
 */
#ifndef S3_SIGV4_H
#define S3_SIGV4_H

struct sigv4_header {
	const char *name;	/* lower case */
	const char *value;	/* without blanks around it */
};

/**
 * struct sigv4 - what is signed, and with what
 * @path:	encoded, as it is sent
 * @query:	encoded and sorted, as it is sent, without the '?'; "" = none
 * @headers:	those that are signed, "host" among them, sorted by name
 * @hash:	SHA-256 of the body in hex, or UNSIGNED-PAYLOAD
 * @date:	as in x-amz-date: YYYYMMDDTHHMMSSZ
 */
struct sigv4 {
	const char *method, *path, *query;
	const struct sigv4_header *headers;
	unsigned int nr_headers;
	const char *hash, *date, *region, *service, *access, *secret;
};

/* The value of Authorization, malloc'ed; NULL: no memory. Any thread. */
char *sigv4_sign(const struct sigv4 *s);

#endif
