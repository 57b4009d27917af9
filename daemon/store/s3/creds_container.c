// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_container.h"

#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/s3/creds_ask.h"
#include "store/s3/creds_http.h"
#include "store/s3/creds_json.h"

#define CONNECT_MS 1000L
#define TOTAL_MS   5000L
#define TOKEN_ROOM 16384u
#define WHO	   "the container's endpoint"
#define ECS	   "http://169.254.170.2"

static bool is_link_local(const char *url)
{
	char host[256];

	return creds_http_host(url, host, sizeof(host)) &&
	       (!strcmp(host, "169.254.170.2") || !strcmp(host, "169.254.170.23") ||
		!strcmp(host, "fd00:ec2::23"));
}

static int url_of(struct creds_ask *a, char out[1024])
{
	const char *relative = a->env->v[CREDS_CONTAINER_RELATIVE_URI];
	const char *full = a->env->v[CREDS_CONTAINER_FULL_URI];

	if (!relative && !full)
		return creds_ask_fail(a, -ENOENT, WHO ": not set");
	if (relative ? relative[0] != '/' :
		       strncmp(full, "https://", 8) != 0 && strncmp(full, "http://", 7) != 0)
		return creds_ask_fail(a, -EINVAL, "%s is no %s",
				      creds_env_name(relative ? CREDS_CONTAINER_RELATIVE_URI :
								CREDS_CONTAINER_FULL_URI),
				      relative ? "path" : "URL of http or https");
	if (snprintf(out, 1024, "%s%s", relative ? ECS : "", relative ? relative : full) >= 1024)
		return creds_ask_fail(a, -EINVAL, WHO ": the URL is too long");
	if (strncmp(out, "https://", 8) != 0 && !creds_http_loopback(out) && !is_link_local(out))
		return creds_ask_fail(a, -EINVAL,
				      "AWS_CONTAINER_CREDENTIALS_FULL_URI is plain http to neither "
				      "this machine nor 169.254.170.2, 169.254.170.23 or "
				      "fd00:ec2::23");
	return 0;
}

/* The header's value into @token; it changes in its file while we run. */
static int token_of(struct creds_ask *a, char *token)
{
	const char *path = a->env->v[CREDS_CONTAINER_TOKEN_FILE];
	const char *given = a->env->v[CREDS_CONTAINER_TOKEN];
	int rc = 0;

	token[0] = '\0';
	if (path)
		rc = creds_ask_slurp(path, token, TOKEN_ROOM);
	else if (given)
		rc = creds_ask_set(a, token, TOKEN_ROOM, given,
				   creds_env_name(CREDS_CONTAINER_TOKEN));
	if (rc && path)
		return creds_ask_fail(a, -EACCES, "the container's token %.200s: %s", path,
				      strerror(-rc));
	if (rc)
		return rc;
	if (path) {
		size_t n = strlen(token);

		while (n && strchr(" \t\r\n", token[n - 1]))
			token[--n] = '\0';
	}
	for (const char *p = token; *p; p++)
		if (*p < ' ' || *p > '~')
			return creds_ask_fail(
				a, -EINVAL, "the container's token has a control character in it");
	return 0;
}

static int ask(struct creds_ask *a, const char *url, const char *token)
{
	struct curl_slist *list = NULL;
	struct creds_http h = {
		.method = "GET",
		.url = url,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.direct = creds_http_loopback(url) || is_link_local(url),
	};
	bool ok = creds_http_header(&list, "Accept", "application/json") &&
		  (!token[0] || creds_http_header(&list, "Authorization", token));
	unsigned int status;
	int rc;

	h.headers = list;
	rc = ok ? creds_http_do(a, &h, WHO) : creds_ask_fail(a, -EAGAIN, WHO ": out of memory");
	creds_http_headers_free(list);
	status = a->answer->status;
	if (!rc && status != 200)
		rc = creds_ask_fail(a, status >= 500 || status == 429 ? -EAGAIN : -EACCES,
				    WHO " says %u", status);
	if (!rc)
		rc = creds_json_take(a, CREDS_JSON_SERVICE, a->answer->body, a->answer->len,
				     a->answer->date, WHO);
	return rc;
}

int creds_container_get(struct creds_ask *a)
{
	char url[1024], *token = sodium_malloc(TOKEN_ROOM);
	int rc = url_of(a, url);

	if (!rc)
		rc = token ? token_of(a, token) : creds_ask_fail(a, -EAGAIN, WHO ": out of memory");
	if (!rc)
		rc = ask(a, url, token);
	sodium_free(token);
	return rc;
}
