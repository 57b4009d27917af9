// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: a form is posted to the region's endpoint, signed for AssumeRole; the answer is XML.
 * Failure modes: 5xx, throttling and silence pass (-EAGAIN); a wrong clock is corrected once by
 * the answer's Date; the rest is what the service says, in its words.
 */
#include "store/s3/creds_sts.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/s3/creds_ask.h"
#include "store/s3/creds_http.h"
#include "store/s3/s3_msg.h"
#include "store/s3/s3_opts.h"
#include "store/s3/s3_xml.h"
#include "store/s3/sigv4.h"

#define CONNECT_MS  3000L
#define TOTAL_MS    8000L
#define TOKEN_ROOM  20001u /* the service takes 20000 */
#define SKEW_S	    240
#define WHO	    "STS"
#define FORM	    "application/x-www-form-urlencoded"
#define ANY_REGION  "us-east-1" /* that the global endpoint is signed for */
#define GLOBAL_HOST "https://sts.amazonaws.com"

struct target {
	char url[600];
	char host[300];
	char region[33];
};

/* ---- where to ---------------------------------------------------------------------------- */

/* What AWS_STS_REGIONAL_ENDPOINTS=legacy sends to the global endpoint. */
static bool is_legacy(const char *region)
{
	static const char *const list[] = {
		"ap-northeast-1", "ap-south-1",	  "ap-southeast-1", "ap-southeast-2",
		"aws-global",	  "ca-central-1", "eu-central-1",   "eu-north-1",
		"eu-west-1",	  "eu-west-2",	  "eu-west-3",	    "sa-east-1",
		"us-east-1",	  "us-east-2",	  "us-west-1",	    "us-west-2",
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (!strcmp(list[i], region))
			return true;
	return false;
}

static const char *region_of(const struct creds_ask *a, const struct creds_sts *r)
{
	const char *const from[] = { a->o->region, a->env->v[CREDS_REGION],
				     a->env->v[CREDS_DEFAULT_REGION], r->region };

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		if (from[i] && *from[i])
			return s3_opts_region_ok(from[i]) ? from[i] : "";
	return "";
}

static int aim(struct creds_ask *a, const struct creds_sts *r, struct target *t)
{
	const char *given = a->env->v[CREDS_ENDPOINT_URL_STS], *region = region_of(a, r);
	const char *mode = a->env->v[CREDS_STS_REGIONAL_ENDPOINTS], *p;
	size_t n;

	if (!given)
		given = a->env->v[CREDS_ENDPOINT_URL];
	if (given) {
		n = strlen(given);
		while (n && given[n - 1] == '/')
			n--;
		if (n >= sizeof(t->url) - 1)
			return creds_ask_fail(a, -EINVAL, WHO ": AWS_ENDPOINT_URL is too long");
		snprintf(t->url, sizeof(t->url), "%.*s", (int)n, given);
	} else if (!*region || (mode && !strcmp(mode, "legacy") && is_legacy(region))) {
		strcpy(t->url, GLOBAL_HOST);
		region = ANY_REGION;
	} else {
		snprintf(t->url, sizeof(t->url), "https://sts.%s.amazonaws.com%s", region,
			 !strncmp(region, "cn-", 3) ? ".cn" : "");
	}
	p = !strncmp(t->url, "https://", 8) || !strncmp(t->url, "http://", 7) ?
		    strstr(t->url, "://") :
		    NULL;
	if (!p || strpbrk(p + 3, "/?#@ ") || strlen(p + 3) >= sizeof(t->host) || !p[3])
		return creds_ask_fail(a, -EINVAL,
				      WHO ": endpoint %.100s is not https://HOST[:PORT]", t->url);
	/* What is posted is as good as a key: over plain HTTP to this machine alone. */
	if (strncmp(t->url, "https://", 8) != 0 && !creds_http_loopback(t->url))
		return creds_ask_fail(a, -EINVAL,
				      WHO ": endpoint %.100s is neither https nor of this machine",
				      t->url);
	strcpy(t->host, p + 3);
	strcpy(t->region, *region ? region : ANY_REGION);
	strcat(t->url, "/");
	return 0;
}

/* ---- the request ------------------------------------------------------------------------- */

static void field(FILE *f, const char *name, const char *value, bool *ok)
{
	char *v = value && *value ? s3_msg_encode(value, true) : NULL;

	if (v)
		fprintf(f, "&%s=%s", name, v);
	else if (value && *value)
		*ok = false;
	if (v)
		sodium_memzero(v, strlen(v));
	free(v);
}

static void drop(char *s, size_t len)
{
	if (s)
		sodium_memzero(s, len);
	free(s);
}

/* malloc'ed; NULL: no memory. stdio's growing of it is what is not wiped: room is made at once. */
static char *form_of(struct creds_ask *a, const char *action, const struct creds_sts *r,
		     const char *token)
{
	size_t room = 3 * (strlen(token) + strlen(r->arn)) + 8192;
	char *text = malloc(room), session[48];
	FILE *f = text ? fmemopen(text, room, "w") : NULL;
	bool ok = f;

	if (f) {
		setvbuf(f, NULL, _IONBF, 0);
		snprintf(session, sizeof(session), "zerofs-%" PRIu64,
			 clock_real_us(a->clock) / 1000000);
		fprintf(f, "Action=%s&Version=2011-06-15", action);
		field(f, "RoleArn", r->arn, &ok);
		field(f, "RoleSessionName", r->session && *r->session ? r->session : session, &ok);
		field(f, "ExternalId", r->external_id, &ok);
		field(f, "DurationSeconds", r->duration, &ok);
		field(f, "WebIdentityToken", token, &ok);
		fputc('\0', f);
		ok = !ferror(f) && ok;
		ok = !fclose(f) && ok;
	}
	if (!ok) {
		drop(text, text ? room : 0);
		text = NULL;
	}
	return text;
}

static bool sign(struct curl_slist **list, const struct target *t, const struct creds *with,
		 const char *body, time_t now)
{
	char date[32], hex[65];
	unsigned char md[EVP_MAX_MD_SIZE];
	struct sigv4_header h[4] = { { "content-type", FORM },
				     { "host", t->host },
				     { "x-amz-date", date },
				     { "x-amz-security-token", with->token } };
	unsigned int n, nr = with->token[0] ? 4 : 3;
	char *auth = NULL;
	struct tm tm;
	bool ok;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	ok = EVP_Digest(body, strlen(body), md, &n, EVP_sha256(), NULL);
	if (ok) {
		sodium_bin2hex(hex, sizeof(hex), md, n);
		auth = sigv4_sign(&(struct sigv4){ "POST", "/", "", h, nr, hex, date, t->region,
						   "sts", with->access, with->secret });
	}
	ok = auth && creds_http_header(list, "Authorization", auth);
	for (unsigned int i = 0; i < nr && ok; i++)
		ok = i == 0 || creds_http_header(list, h[i].name, h[i].value);
	free(auth);
	return ok;
}

static int post(struct creds_ask *a, const struct target *t, const char *body,
		const struct creds *with, int64_t skew)
{
	time_t now = (time_t)((int64_t)(clock_real_us(a->clock) / 1000000) + skew);
	struct curl_slist *list = NULL;
	struct creds_http h = {
		.method = "POST",
		.url = t->url,
		.body = body,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS,
		.direct = creds_http_loopback(t->url),
	};
	bool ok = creds_http_header(&list, "Content-Type", FORM) &&
		  creds_http_header(&list, "Expect", "");
	int rc = -EAGAIN;

	if (ok && with)
		ok = sign(&list, t, with, body, now);
	h.headers = list;
	if (ok)
		rc = creds_http_do(a, &h, WHO);
	else
		creds_ask_fail(a, rc, WHO ": out of memory");
	creds_http_headers_free(list);
	return rc;
}

/* ---- the answer -------------------------------------------------------------------------- */

struct reply {
	struct creds_ask *a;
	char expires[64], code[64], message[200];
};

static int on_keys(void *ctx, const char *parent, const char *name, const char *text)
{
	struct reply *p = ctx;
	struct creds *c = p->a->ret;

	if (strcmp(parent, "Credentials") != 0)
		return 0;
	if (!strcmp(name, "AccessKeyId"))
		return creds_ask_set(p->a, c->access, sizeof(c->access), text, WHO ": a key");
	if (!strcmp(name, "SecretAccessKey"))
		return creds_ask_set(p->a, c->secret, sizeof(c->secret), text, WHO ": a key");
	if (!strcmp(name, "SessionToken"))
		return creds_ask_set(p->a, c->token, sizeof(c->token), text, WHO ": the token");
	if (!strcmp(name, "Expiration"))
		return creds_ask_set(p->a, p->expires, sizeof(p->expires), text, WHO ": a time");
	return 0;
}

static int on_error(void *ctx, const char *parent, const char *name, const char *text)
{
	struct reply *p = ctx;

	if (strcmp(parent, "Error") != 0)
		return 0;
	if (!strcmp(name, "Code"))
		snprintf(p->code, sizeof(p->code), "%s", text);
	else if (!strcmp(name, "Message"))
		snprintf(p->message, sizeof(p->message), "%s", text);
	return 0;
}

static int parse(struct creds_ask *a, const char *root,
		 int (*leaf)(void *, const char *, const char *, const char *), struct reply *p)
{
	const struct s3_xml_ops ops = { .leaf = leaf };
	struct s3_xml *x = s3_xml_new(&ops, p, root);
	int rc = x ? s3_xml_feed(x, a->answer->body, a->answer->len) : -ENOMEM;

	if (!rc)
		rc = s3_xml_end(x);
	s3_xml_free(x);
	return rc;
}

static bool passes(unsigned int status, const char *code)
{
	return status >= 500 || status == 429 || status == 408 || !strncmp(code, "Throttl", 7) ||
	       !strcmp(code, "RequestLimitExceeded") || !strcmp(code, "IDPCommunicationError");
}

static int take(struct creds_ask *a, const char *action, const char *arn)
{
	struct reply p = { .a = a };
	unsigned int status = a->answer->status;
	char root[64];
	int rc;

	if (status != 200) {
		/* a page of whoever stands between is no reason to print it */
		parse(a, "ErrorResponse", on_error, &p);
		return creds_ask_fail(a, passes(status, p.code) ? -EAGAIN : -EACCES,
				      WHO ": %s of %.100s: %u %s%s%s", action, arn, status, p.code,
				      p.message[0] ? ": " : "", p.message);
	}
	creds_ask_reset(a);
	snprintf(root, sizeof(root), "%sResponse", action);
	rc = parse(a, root, on_keys, &p);
	if (rc)
		return creds_ask_fail(a, -EBADMSG, WHO ": the answer is not the XML that is due");
	rc = creds_ask_check(a, WHO);
	if (!rc && !a->ret->token[0])
		rc = creds_ask_fail(a, -EBADMSG, WHO ": there is no SessionToken");
	return rc ? rc : creds_ask_expiry(a, p.expires, a->answer->date, WHO);
}

static int ask(struct creds_ask *a, const char *action, const struct creds_sts *r,
	       const char *token, const struct creds *with)
{
	char *body = form_of(a, action, r, token);
	int64_t now = (int64_t)(clock_real_us(a->clock) / 1000000), skew = 0;
	struct target t;
	int rc = aim(a, r, &t);

	if (!rc && !body)
		rc = creds_ask_fail(a, -EAGAIN, WHO ": out of memory");
	if (!rc)
		rc = post(a, &t, body, with, 0);
	if (!rc && with && a->answer->date)
		skew = a->answer->date - now;
	/* SignatureDoesNotMatch, says STS, of a request from too long ago */
	if (!rc && a->answer->status == 403 && (skew > SKEW_S || skew < -SKEW_S))
		rc = post(a, &t, body, with, skew);
	if (!rc)
		rc = take(a, action, r->arn);
	drop(body, body ? strlen(body) : 0);
	return rc;
}

int creds_sts_web(struct creds_ask *a, const struct creds_sts *r, const char *path)
{
	char *token = sodium_malloc(TOKEN_ROOM + 1);
	int rc = token ? creds_ask_slurp(path, token, TOKEN_ROOM) : -ENOMEM;

	if (rc) {
		rc = creds_ask_fail(a, rc == -ENOMEM ? -EAGAIN : -EACCES,
				    "the web identity token %.200s: %s", path, strerror(-rc));
	} else {
		token[strcspn(token, " \t\r\n")] = '\0';
		if (!token[0])
			rc = creds_ask_fail(a, -EACCES, "the web identity token %.200s is empty",
					    path);
	}
	if (!rc)
		rc = ask(a, "AssumeRoleWithWebIdentity", r, token, NULL);
	sodium_free(token);
	return rc;
}

int creds_sts_role(struct creds_ask *a, const struct creds_sts *r)
{
	struct creds *with = sodium_malloc(sizeof(*with));
	int rc;

	if (!with)
		return creds_ask_fail(a, -EAGAIN, WHO ": out of memory");
	*with = *a->ret;
	rc = ask(a, "AssumeRole", r, "", with);
	sodium_free(with);
	return rc;
}
