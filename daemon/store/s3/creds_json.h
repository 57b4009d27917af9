/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys in JSON, as programs, container endpoints and the metadata service give them. */
#ifndef S3_CREDS_JSON_H
#define S3_CREDS_JSON_H

#include <stddef.h>
#include <stdint.h>

struct creds_ask;

enum creds_json_kind {
	CREDS_JSON_PROCESS,	/* Version 1, SessionToken; Expiration may be missing */
	CREDS_JSON_SERVICE,	/* Token, Expiration; "Code" is "Success" or missing */
};

/*
 * Fills a->ret from @text. @date: of the answer, as creds_ask_expiry() has it. @who: for the
 * sentence. As creds_ask.h says; -EBADMSG: that is not it.
 */
int creds_json_take(struct creds_ask *a, enum creds_json_kind kind, const char *text, size_t len,
		    int64_t date, const char *who);

#endif
