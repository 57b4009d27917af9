// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_imds.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "store/s3/creds_ask.h"
#include "store/s3/creds_http.h"
#include "store/s3/creds_json.h"

#define CONNECT_MS 1000L
#define TOTAL_MS   2000L
#define TRIES	   2
#define WHO	   "the machine's metadata (IMDS)"
#define TTL_S	   "300" /* the token serves one look-up */
#define ROLE_PATH  "/latest/meta-data/iam/security-credentials/"

struct imds {
	char base[300];
	char token[300];
};

static int base_of(struct creds_ask *a, struct imds *m)
{
	const char *off = a->env->v[CREDS_IMDS_DISABLED], *given = a->env->v[CREDS_IMDS_ENDPOINT];
	const char *mode = a->env->v[CREDS_IMDS_ENDPOINT_MODE];
	size_t n;

	if (off && !strcasecmp(off, "true"))
		return creds_ask_fail(a, -ENOENT, WHO ": disabled");
	if (!given)
		given = mode && !strcasecmp(mode, "ipv6") ? "http://[fd00:ec2::254]" :
							    "http://169.254.169.254";
	n = strlen(given);
	while (n && given[n - 1] == '/')
		n--;
	if (n >= sizeof(m->base) || (strncmp(given, "http://", 7) && strncmp(given, "https://", 8)))
		return creds_ask_fail(a, -EINVAL,
				      "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL of http or "
				      "https");
	snprintf(m->base, sizeof(m->base), "%.*s", (int)n, given);
	return 0;
}

/* 0: 200; -EAGAIN: none, or 5xx; else what the status says. */
static int request(struct creds_ask *a, struct imds *m, const char *method, const char *path)
{
	struct curl_slist *list = NULL;
	struct creds_http h = {
		.method = method,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.direct = true,
	};
	char url[1024];
	unsigned int status;
	int rc = -EAGAIN;

	snprintf(url, sizeof(url), "%s%s", m->base, path);
	h.url = url;
	if (m->token[0] ? creds_http_header(&list, "X-aws-ec2-metadata-token", m->token) :
			  creds_http_header(&list, "X-aws-ec2-metadata-token-ttl-seconds", TTL_S)) {
		h.headers = list;
		for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
			rc = creds_http_do(a, &h, WHO);
	}
	creds_http_headers_free(list);
	status = a->answer->status;
	if (rc || status == 200)
		return rc;
	return creds_ask_fail(a,
			      status >= 500 || status == 429 || status == 401 ? -EAGAIN : -EACCES,
			      WHO ": %s %.60s: %u", method, path, status);
}

/* The first line of the answer, of characters that a token or a name may have. */
static int line_of(struct creds_ask *a, char *out, size_t room, const char *what)
{
	const char *body = a->answer->body;
	size_t n = strcspn(body, "\r\n");

	if (!n || n >= room ||
	    strspn(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789+=,.@_-/") < n)
		return creds_ask_fail(a, -EBADMSG, WHO ": that is no %s", what);
	memcpy(out, body, n);
	out[n] = '\0';
	return 0;
}

int creds_imds_get(struct creds_ask *a, bool sure)
{
	struct imds m = { .token = "" };
	char role[200], path[300];
	int rc = base_of(a, &m);

	if (rc)
		return rc;
	rc = request(a, &m, "PUT", "/latest/api/token");
	/* In a container that is one hop too far the answer does not come. */
	if (rc == -EAGAIN && !sure && !a->answer->status)
		return -ENOENT;
	if (!rc)
		rc = line_of(a, m.token, sizeof(m.token), "token");
	if (!rc)
		rc = request(a, &m, "GET", ROLE_PATH);
	if (rc == -EACCES && a->answer->status == 404)
		return creds_ask_fail(a, sure ? -EACCES : -ENOENT, WHO ": no role is attached");
	if (!rc)
		rc = line_of(a, role, sizeof(role), "role's name");
	if (!rc && strchr(role, '/'))
		rc = creds_ask_fail(a, -EBADMSG, WHO ": that is no role's name");
	if (!rc) {
		snprintf(path, sizeof(path), ROLE_PATH "%s", role);
		rc = request(a, &m, "GET", path);
	}
	if (!rc)
		rc = creds_json_take(a, CREDS_JSON_SERVICE, a->answer->body, a->answer->len,
				     a->answer->date, WHO);
	explicit_bzero(&m, sizeof(m));
	return rc;
}
