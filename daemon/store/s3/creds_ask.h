/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One look-up, as each provider is given it, and what providers have in common.
 *
 * A provider returns 0 and has filled the texts and the expiry of a->ret; or, with a sentence in
 * a->why that holds no secret, -ENOENT: it is not set up, the next one may be asked; -EAGAIN: it
 * cannot be asked just now; another -errno: it is set up, and wrong, or says no. Each has a limit
 * of time of its own. One thread.
 */
#ifndef S3_CREDS_ASK_H
#define S3_CREDS_ASK_H

#include <stddef.h>
#include <stdint.h>

#include "store/s3/creds.h"
#include "store/s3/creds_env.h"

struct creds_http_answer;

struct creds_ask {
	const struct creds_opts *o;
	const struct creds_env *env;
	struct clock *clock;
	int stop_fd; /* readable: all is to end */
	struct creds_http_answer *answer; /* room for one */
	struct creds *ret;
	char why[CREDS_WHY];
};

/* Puts the sentence into @a and returns @rc. */
int creds_ask_fail(struct creds_ask *a, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Begins anew: a->ret without keys. */
void creds_ask_reset(struct creds_ask *a);

/* Copies @value ("" too) to @to, of @room bytes. -EINVAL: too long; @what for the sentence. */
int creds_ask_set(struct creds_ask *a, char *to, size_t room, const char *value, const char *what);

/*
 * The keys are whole, and may stand in a header's line. -EINVAL otherwise; @who for the sentence.
 */
int creds_ask_check(struct creds_ask *a, const char *who);

/*
 * The expiry from @text (ISO 8601 with Z or an offset). @date: seconds, what the clock of who gave
 * the keys says, 0 = not said: the span counts, whatever ours says. -EINVAL: no such time, or over.
 */
int creds_ask_expiry(struct creds_ask *a, const char *text, int64_t date, const char *who);

/*
 * All of the file at @path into @buf of @room bytes, as a string. -errno; -EFBIG: it is longer;
 * -EINVAL: no file. Its contents are wiped by the caller.
 */
int creds_ask_slurp(const char *path, char *buf, size_t room);

#endif
