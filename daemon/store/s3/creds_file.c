// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_file.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "store/s3/creds_ask.h"

#define BLANKS	  " \t\r\n"
#define FILE_ROOM (256u << 10)

struct reader {
	struct creds_ask *a;
	struct creds_file *f;
	const char *path, *profile;
	bool config, within, found;
	unsigned int line;
};

static const struct setting {
	const char *name;
	size_t at, room;
} settings[] = {
#define TEXT(member) offsetof(struct creds_file, member), sizeof(((struct creds_file *)0)->member)
	{ "aws_access_key_id", TEXT(access) },
	{ "aws_secret_access_key", TEXT(secret) },
	{ "aws_session_token", TEXT(token) },
	{ "region", TEXT(region) },
	{ "role_arn", TEXT(role_arn) },
	{ "role_session_name", TEXT(role_session_name) },
	{ "external_id", TEXT(external_id) },
	{ "duration_seconds", TEXT(duration_seconds) },
	{ "source_profile", TEXT(source_profile) },
	{ "credential_source", TEXT(credential_source) },
	{ "credential_process", TEXT(credential_process) },
	{ "web_identity_token_file", TEXT(web_identity_token_file) },
	{ "mfa_serial", TEXT(mfa_serial) },
	{ "sso_session", TEXT(sso_session) },
	{ "sso_start_url", TEXT(sso_start_url) },
#undef TEXT
};

#define NR_SETTINGS (sizeof(settings) / sizeof(settings[0]))
#define NR_KEYS	    3 /* the first ones, which go together */

__attribute__((format(printf, 2, 3))) static int bad(struct reader *r, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return creds_ask_fail(r->a, -EINVAL, "%.200s: %s", r->path, what);
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, BLANKS);
	end = s + strlen(s);
	while (end > s && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int heading(struct reader *r, char *s)
{
	char *end = strchr(s, ']');

	if (!end)
		return bad(r, "line %u: a [ without ]", r->line);
	*end = '\0';
	s = trim(s + 1);
	if (r->config && !strncmp(s, "profile", 7) && s[7] && strchr(BLANKS, s[7]))
		s = trim(s + 8);
	else if (r->config && strcmp(s, "default") != 0)
		s[0] = '\0'; /* [sso-session ...] and the like */
	r->within = *s && !strcmp(s, r->profile);
	r->found |= r->within;
	return 0;
}

static int setting(struct reader *r, const char *name, const char *value)
{
	for (size_t i = 0; i < NR_SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(name, s->name) != 0)
			continue;
		if (!*value || strlen(value) >= s->room)
			return bad(r, "line %u: a value that is empty or too long", r->line);
		strcpy((char *)r->f + s->at, value);
	}
	return 0;
}

static int take_line(struct reader *r, char *line)
{
	/* what is indented belongs to the setting above, as in "s3 =" */
	bool nested = *line && strchr(BLANKS, *line);
	char *s = trim(line), *eq;

	if (!*s || *s == '#' || *s == ';')
		return 0;
	if (*s == '[')
		return heading(r, s);
	if (!r->within || nested)
		return 0;
	eq = strchr(s, '=');
	if (!eq)
		return bad(r, "line %u: neither a [profile] nor name = value", r->line);
	*eq = '\0';
	return setting(r, trim(s), trim(eq + 1));
}

static void merge(struct creds_file *to, const struct creds_file *from)
{
	bool keys = to->access[0] || to->secret[0];

	for (size_t i = keys ? NR_KEYS : 0; i < NR_SETTINGS; i++) {
		char *have = (char *)to + settings[i].at;

		if (!*have)
			strcpy(have, (const char *)from + settings[i].at);
	}
}

int creds_file_read(struct creds_ask *a, struct creds_file *ret, const char *path,
		    const char *profile, bool config)
{
	/* not by stdio, whose buffers nobody wipes */
	char *buf = sodium_malloc(FILE_ROOM), *at = buf, *line;
	struct creds_file *f = sodium_malloc(sizeof(*f));
	struct reader r = { .a = a, .f = f, .path = path, .profile = profile, .config = config };
	int rc = buf && f ? creds_ask_slurp(path, buf, FILE_ROOM) : -ENOMEM;

	if (rc == -ENOTDIR)
		rc = -ENOENT;
	if (rc && rc != -ENOENT)
		bad(&r, "%s", strerror(-rc));
	if (!rc)
		memset(f, 0, sizeof(*f));
	while (!rc && (line = strsep(&at, "\n")) != NULL) {
		r.line++;
		rc = take_line(&r, line);
	}
	if (!rc && !r.found)
		rc = -ENOENT;
	if (!rc)
		merge(ret, f);
	sodium_free(f);
	sodium_free(buf);
	return rc;
}
