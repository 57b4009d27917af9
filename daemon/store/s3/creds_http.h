/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One HTTP request of the thread that looks for credentials: bounded in time and size. */
#ifndef S3_CREDS_HTTP_H
#define S3_CREDS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct creds_ask;
struct curl_slist;

#define CREDS_HTTP_MAX 32768u /* bytes of a body */

/**
 * struct creds_http - what is asked
 * @body:	of a POST; NULL: @method without one
 * @headers:	or NULL; the caller's
 * @connect_ms, @total_ms: limits
 * @direct:	no proxy, whatever the environment says: the answer comes from this machine or link
 */
struct creds_http {
	const char *method, *url, *body;
	struct curl_slist *headers;
	long connect_ms, total_ms;
	bool direct;
};

/* Its body holds secrets: each request wipes what the one before left. */
struct creds_http_answer {
	unsigned int status;
	int64_t date; /* of the head, seconds; 0 = none */
	size_t len;
	char body[CREDS_HTTP_MAX + 1]; /* a string, whatever it holds */
};

/*
 * Into a->answer. 0: there is an answer, of any status; -EAGAIN: none; -EBADMSG: it is too large.
 * @who: for the sentence. No redirect is followed.
 */
int creds_http_do(struct creds_ask *a, const struct creds_http *h, const char *who);

/* Appends "name: value". False: no memory; *@list is as it was. */
bool creds_http_header(struct curl_slist **list, const char *name, const char *value);

/* Wipes and frees what creds_http_header() made. */
void creds_http_headers_free(struct curl_slist *list);

/* Whether @url is of this machine: its host is a loopback address or "localhost". */
bool creds_http_loopback(const char *url);

/* The host of @url, in lower case, without brackets or port. False: there is none, or too long. */
bool creds_http_host(const char *url, char *out, size_t room);

#endif
