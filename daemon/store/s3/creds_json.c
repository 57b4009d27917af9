// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_json.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "store/s3/creds_ask.h"

/* A text of @o into @to; NULL: it is not there, or null. The copy in @o is wiped. */
static int text_of(struct creds_ask *a, json_t *o, const char *name, char *to, size_t room,
		   const char *who)
{
	json_t *v = json_object_get(o, name);
	char *s;
	int rc = 0;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return creds_ask_fail(a, -EBADMSG, "%s: %s is no text", who, name);
	s = (char *)(uintptr_t)json_string_value(v);
	if (strlen(s) >= room)
		rc = creds_ask_fail(a, -EBADMSG, "%s: %s is too long", who, name);
	else
		strcpy(to, s);
	sodium_memzero(s, strlen(s));
	return rc;
}

static int check_kind(struct creds_ask *a, enum creds_json_kind kind, json_t *o, const char *who)
{
	const char *code = json_string_value(json_object_get(o, "Code"));

	if (!json_is_object(o))
		return creds_ask_fail(a, -EBADMSG, "%s: no object in JSON", who);
	if (kind == CREDS_JSON_PROCESS && json_integer_value(json_object_get(o, "Version")) != 1)
		return creds_ask_fail(a, -EBADMSG, "%s: Version is not 1", who);
	if (kind == CREDS_JSON_SERVICE && code && strcmp(code, "Success") != 0)
		return creds_ask_fail(a, -EACCES, "%s says %.60s", who, code);
	return 0;
}

int creds_json_take(struct creds_ask *a, enum creds_json_kind kind, const char *text, size_t len,
		    int64_t date, const char *who)
{
	const char *token = kind == CREDS_JSON_PROCESS ? "SessionToken" : "Token";
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	char expires[64] = "";
	int rc;

	/* what jansson says of a malformed text quotes it */
	if (!o)
		return creds_ask_fail(a, -EBADMSG, "%s: the answer is no JSON", who);
	rc = check_kind(a, kind, o, who);
	if (!rc)
		rc = text_of(a, o, "AccessKeyId", a->ret->access, sizeof(a->ret->access), who);
	if (!rc)
		rc = text_of(a, o, "SecretAccessKey", a->ret->secret, sizeof(a->ret->secret), who);
	if (!rc)
		rc = text_of(a, o, token, a->ret->token, sizeof(a->ret->token), who);
	if (!rc)
		rc = text_of(a, o, "Expiration", expires, sizeof(expires), who);
	json_decref(o);
	if (!rc)
		rc = creds_ask_check(a, who);
	if (!rc && !expires[0] && kind == CREDS_JSON_SERVICE && a->ret->token[0])
		rc = creds_ask_fail(a, -EBADMSG, "%s: there is no Expiration", who);
	if (!rc && expires[0])
		rc = creds_ask_expiry(a, expires, date, who);
	return rc;
}
