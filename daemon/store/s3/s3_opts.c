// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_opts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/parse.h"

#define VALUE_MAX      512u
#define BUCKET_MIN     3u
#define DEFAULT_REGION "us-east-1"
#define CAP_MAX	       1000000u /* MB/s */

struct ctx {
	struct s3_opts *o;
	const char *url;
	char *err;
	size_t err_len;
};

__attribute__((format(printf, 2, 3))) static int bad(const struct ctx *c, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(c->err, c->err_len, "store URL '%.200s': %s", c->url, what);
	return -EINVAL;
}

/* Who tries to pass a key is not shown it again. */
static int bad_secret(const struct ctx *c)
{
	snprintf(c->err, c->err_len,
		 "store URL: no key or secret may stand in it; give credentials by the "
		 "environment, a profile or credentials=/FILE");
	return -EINVAL;
}

/* ---- pieces ------------------------------------------------------------------------------ */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				      -1;
}

/* Percent-decodes @n bytes into @out (@room with the NUL). False: malformed, control byte, long. */
static bool decode(const char *s, size_t n, char *out, size_t room)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '%') {
			if (i + 2 >= n || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
				return false;
			c = (unsigned char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || k + 1 >= room)
			return false;
		out[k++] = (char)c;
	}
	out[k] = '\0';
	return true;
}

static bool alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool printable(const char *s, const char *also)
{
	for (; *s; s++)
		if (!alnum(*s) && !(*s >= 'A' && *s <= 'Z') && !strchr(also, *s))
			return false;
	return true;
}

static bool bucket_ok(const char *s)
{
	size_t n = strlen(s);

	if (n < BUCKET_MIN || !alnum(s[0]) || !alnum(s[n - 1]) || strstr(s, ".."))
		return false;
	for (; *s; s++)
		if (!alnum(*s) && *s != '.' && *s != '-')
			return false;
	return true;
}

bool s3_opts_region_ok(const char *s)
{
	size_t n = strlen(s);

	if (!n || n >= sizeof(((struct s3_opts *)0)->region))
		return false;
	for (; *s; s++)
		if (!alnum(*s) && *s != '-' && *s != '_')
			return false;
	return true;
}

/* No empty component and none of dots alone: what a proxy would make something else of. */
static bool prefix_ok(const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "/");

		if (!n || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n + (s[n] == '/');
	}
	return true;
}

/* ---- parameters -------------------------------------------------------------------------- */

static int set_text(const struct ctx *c, const char *name, const char *v, char *out, size_t room,
		    const char *also)
{
	if (!*v || strlen(v) >= room || !printable(v, also))
		return bad(c, "%s=%.60s cannot be: %s", name, v,
			   *v ? "too long, or an odd character in it" : "it is empty");
	strcpy(out, v);
	return 0;
}

static int set_path(const struct ctx *c, const char *name, const char *v, char *out, size_t room)
{
	if (v[0] != '/' || strlen(v) >= room)
		return bad(c, "%s=%.60s is not the absolute path of a file", name, v);
	strcpy(out, v);
	return 0;
}

static int set_yes(const struct ctx *c, const char *name, const char *v, bool *out)
{
	if (strcmp(v, "yes") != 0 && strcmp(v, "no") != 0)
		return bad(c, "%s=%.60s is neither yes nor no", name, v);
	*out = v[0] == 'y';
	return 0;
}

/* MB/s with up to three digits behind the point. */
static int set_cap(const struct ctx *c, const char *name, const char *v, uint64_t *out)
{
	uint64_t whole, kb = 0, unit = 1000;
	const char *dot = strchrnul(v, '.');
	char num[16];

	if ((size_t)(dot - v) >= sizeof(num))
		goto no;
	memcpy(num, v, (size_t)(dot - v));
	num[dot - v] = '\0';
	if (parse_u64(num, 0, CAP_MAX, &whole) || (*dot && !dot[1]) || strlen(dot) > 4)
		goto no;
	for (v = dot; *v && *++v;) {
		if (*v < '0' || *v > '9')
			goto no;
		unit /= 10;
		kb += (uint64_t)(*v - '0') * unit;
	}
	*out = (whole * 1000 + kb) * 1000;
	if (*out)
		return 0;
no:
	return bad(c, "%s must be a number of MB/s from 0.001 to %u, as in %s=12.5", name, CAP_MAX,
		   name);
}

/* scheme://host[:port], the scheme's own port left out: it is not in the Host header either. */
static int set_endpoint(const struct ctx *c, const char *name, const char *v)
{
	const char *host = !strncasecmp(v, "https://", 8) ? v + 8 :
			   !strncasecmp(v, "http://", 7)  ? v + 7 :
							    NULL;
	bool tls = host == v + 8;
	uint64_t port = 0;
	const char *colon;
	size_t n;

	if (strchr(v, '@'))
		return bad_secret(c);
	if (!host)
		return bad(c, "%s=%.100s must begin with https:// or http://", name, v);
	n = strlen(host);
	if (n && host[n - 1] == '/')
		n--;
	colon = memrchr(host, ':', n);
	if (colon && memchr(colon, ']', n - (size_t)(colon - host)))
		colon = NULL;
	if (colon) {
		char num[8] = "";
		size_t k = n - (size_t)(colon - host) - 1;

		if (k < sizeof(num))
			memcpy(num, colon + 1, k);
		if (parse_u64(num, 1, 65535, &port))
			return bad(c, "%s=%.100s: the port is no number from 1 to 65535", name, v);
		n = (size_t)(colon - host);
	}
	if (!n || n > 255)
		return bad(c, "%s=%.100s names no host", name, v);
	for (size_t i = 0; i < n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:",
			    host[i]) ||
		    (host[i] == ':' && host[0] != '['))
			return bad(c, "%s=%.100s: a host and perhaps a port, nothing else", name,
				   v);
	if (port == (tls ? 443 : 80))
		port = 0;
	n = (size_t)snprintf(c->o->endpoint, sizeof(c->o->endpoint), "%s://%.*s",
			     tls ? "https" : "http", (int)n, host);
	for (char *p = c->o->endpoint; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	if (port)
		snprintf(c->o->endpoint + n, sizeof(c->o->endpoint) - n, ":%u", (unsigned int)port);
	return 0;
}

static int set_region(const struct ctx *c, const char *name, const char *v)
{
	if (!s3_opts_region_ok(v))
		return bad(c, "%s=%.60s is no region's name", name, v);
	strcpy(c->o->region, v);
	return 0;
}

static int set_style(const struct ctx *c, const char *v)
{
	if (strcmp(v, "path") != 0 && strcmp(v, "virtual") != 0)
		return bad(c, "style=%.60s is neither path nor virtual", v);
	c->o->path_style = v[0] == 'p';
	c->o->style_said = true;
	return 0;
}

static int set_sse(const struct ctx *c, const char *v)
{
	if (strcmp(v, "AES256") != 0 && strcmp(v, "aws:kms") != 0)
		return bad(c, "sse=%.60s is neither AES256 nor aws:kms", v);
	strcpy(c->o->sse, v);
	return 0;
}

enum param {
	P_ENDPOINT,
	P_REGION,
	P_STYLE,
	P_PLAIN_HTTP,
	P_CA,
	P_STORAGE_CLASS,
	P_SSE,
	P_SSE_KMS_KEY,
	P_REQUESTER_PAYS,
	P_PROFILE,
	P_CREDENTIALS,
	P_UP,
	P_DOWN,
	P_NR,
};

static const char *const params[P_NR] = {
	[P_ENDPOINT] = "endpoint",
	[P_REGION] = "region",
	[P_STYLE] = "style",
	[P_PLAIN_HTTP] = "plain-http",
	[P_CA] = "ca",
	[P_STORAGE_CLASS] = "storage-class",
	[P_SSE] = "sse",
	[P_SSE_KMS_KEY] = "sse-kms-key",
	[P_REQUESTER_PAYS] = "requester-pays",
	[P_PROFILE] = "profile",
	[P_CREDENTIALS] = "credentials",
	[P_UP] = "up",
	[P_DOWN] = "down",
};

static int set(const struct ctx *c, enum param p, const char *v)
{
	struct s3_opts *o = c->o;
	const char *name = params[p];

	switch (p) {
	case P_ENDPOINT:
		return set_endpoint(c, name, v);
	case P_REGION:
		return set_region(c, name, v);
	case P_STYLE:
		return set_style(c, v);
	case P_PLAIN_HTTP:
		return set_yes(c, name, v, &o->plain_http);
	case P_CA:
		return set_path(c, name, v, o->ca, sizeof(o->ca));
	case P_STORAGE_CLASS:
		return set_text(c, name, v, o->storage_class, sizeof(o->storage_class), "_-");
	case P_SSE:
		return set_sse(c, v);
	case P_SSE_KMS_KEY:
		return set_text(c, name, v, o->sse_key, sizeof(o->sse_key), ":/-_");
	case P_REQUESTER_PAYS:
		return set_yes(c, name, v, &o->requester_pays);
	case P_PROFILE:
		return set_text(c, name, v, o->profile, sizeof(o->profile), "_-.@+ ");
	case P_CREDENTIALS:
		return set_path(c, name, v, o->credentials, sizeof(o->credentials));
	case P_UP:
		return set_cap(c, name, v, &o->up_bps);
	default:
		return set_cap(c, name, v, &o->down_bps);
	}
}

static int unknown(const struct ctx *c, const char *name)
{
	const char *near = nearest_word(name, params, P_NR, sizeof(params[0]));

	if (strcasestr(name, "key") || strcasestr(name, "secret") || strcasestr(name, "token"))
		return bad_secret(c);
	if (near)
		return bad(c, "there is no parameter '%.40s'; did you mean '%s'?", name, near);
	return bad(c, "there is no parameter '%.40s'", name);
}

static int parse_params(const struct ctx *c, const char *s)
{
	unsigned int seen = 0;

	while (*s) {
		size_t n = strcspn(s, "&"), k = 0;
		const char *eq = memchr(s, '=', n);
		char name[48], value[VALUE_MAX];
		enum param p;
		int rc;

		k = eq ? (size_t)(eq - s) : n;
		if (!decode(s, k, name, sizeof(name)) || !*name)
			return bad(c, "a parameter is written name=value, joined by '&'");
		for (p = 0; p < P_NR && strcmp(params[p], name) != 0; p++)
			;
		if (p == P_NR)
			return unknown(c, name);
		if (!eq)
			return bad(c, "parameter '%s' has no value", name);
		if (!decode(eq + 1, n - k - 1, value, sizeof(value)))
			return bad(c, "the value of '%s' is malformed or too long", name);
		if (seen & 1u << p)
			return bad(c, "parameter '%s' is there twice", name);
		seen |= 1u << p;
		rc = set(c, p, value);
		if (rc)
			return rc;
		s += n + (s[n] == '&');
	}
	return 0;
}

int s3_opts_parse(struct s3_opts *ret, const char *s, char *err, size_t err_len)
{
	struct s3_opts o = { 0 };
	const struct ctx c = { &o, s, err, err_len };
	const char *rest = s + 5, *query;
	size_t n = strcspn(rest, "/?"), k;
	int rc;

	/* key:secret@bucket; a secret may have a '/' in it. */
	if (memchr(rest, '@', n) || (memchr(rest, ':', n) && memchr(rest, '@', strcspn(rest, "?"))))
		return bad_secret(&c);
	if (n >= sizeof(o.bucket))
		return bad(&c, "the bucket's name is longer than 63 characters");
	memcpy(o.bucket, rest, n);
	if (!n)
		return bad(&c, "it names no bucket: write s3://bucket/prefix");
	if (!bucket_ok(o.bucket))
		return bad(&c,
			   "'%s' is no bucket's name: 3 to 63 of a-z, 0-9, '-' and '.', and no '-' "
			   "or '.' at either end",
			   o.bucket);
	rest += n;
	query = strchrnul(rest, '?');
	k = (size_t)(query - rest);
	while (k && rest[k - 1] == '/')
		k--;
	if (k && (rest++, k--, !decode(rest, k, o.prefix, sizeof(o.prefix))))
		return bad(&c, "the prefix is malformed or longer than %u bytes",
			   S3_OPTS_PREFIX_MAX);
	if (!prefix_ok(o.prefix))
		return bad(&c, "a component of the prefix is empty, '.' or '..'");
	rc = *query ? parse_params(&c, query + 1) : 0;
	if (!rc && o.sse_key[0] && strcmp(o.sse, "aws:kms") != 0)
		rc = bad(&c, "sse-kms-key goes with sse=aws:kms only");
	if (!rc)
		*ret = o;
	return rc;
}

/* ---- what the URL left open -------------------------------------------------------------- */

static const char *first(char *(*env)(const char *name), const char *a, const char *b)
{
	const char *v = env(a);

	if (v && *v)
		return v;
	v = b ? env(b) : NULL;
	return v && *v ? v : NULL;
}

int s3_opts_complete(struct s3_opts *o, char *(*env)(const char *name), char *err, size_t err_len)
{
	const struct ctx c = { o, "s3:", err, err_len };
	const char *v;
	int rc = 0;

	v = o->endpoint[0] ? NULL : first(env, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
	if (v)
		rc = set_endpoint(&c, "AWS_ENDPOINT_URL", v);
	v = o->region[0] ? NULL : first(env, "AWS_REGION", "AWS_DEFAULT_REGION");
	if (!rc && v)
		rc = set_region(&c, "AWS_REGION", v);
	if (!o->region[0])
		strcpy(o->region, DEFAULT_REGION);
	v = o->ca[0] ? NULL : first(env, "AWS_CA_BUNDLE", NULL);
	if (!rc && v)
		rc = set_path(&c, "AWS_CA_BUNDLE", v, o->ca, sizeof(o->ca));
	if (rc)
		return rc;
	if (!s3_opts_tls(o) && !o->plain_http) {
		snprintf(err, err_len,
			 "store s3://%s: endpoint %s is plain http, whose requests anybody on the "
			 "way can read and change; add plain-http=yes to the URL if that is meant",
			 o->bucket, o->endpoint);
		return -EINVAL;
	}
	/* A certificate for *.host does not cover a bucket with a dot in it. */
	if (!o->style_said)
		o->path_style = o->endpoint[0] || strchr(o->bucket, '.');
	return 0;
}

bool s3_opts_tls(const struct s3_opts *o)
{
	return strncmp(o->endpoint, "http://", 7) != 0;
}

bool s3_opts_host(const struct s3_opts *o, const char *region, char *host, size_t host_len)
{
	bool tls = s3_opts_tls(o);
	char base[272];

	if (o->endpoint[0])
		snprintf(base, sizeof(base), "%s", o->endpoint + (tls ? 8 : 7));
	else
		snprintf(base, sizeof(base), "s3.%s.amazonaws.com%s", region,
			 !strncmp(region, "cn-", 3) ? ".cn" : "");
	if (o->path_style)
		snprintf(host, host_len, "%s", base);
	else
		snprintf(host, host_len, "%s.%s", o->bucket, base);
	return tls;
}
