/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tests of credentials have in common: a folder that is HOME, an environment without any AWS_
 * variable, a server, a clock that can be put forward. Asserts.
 */
#ifndef CREDWORLD_H
#define CREDWORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "lib/websrv.h"
#include "store/s3/creds.h"

struct credworld {
	char *dir;
	struct websrv *web;
	struct clock clock;
	atomic_ullong ahead_us; /* of the machine's */
	char err[512];
};

void credworld_init(struct credworld *w);
void credworld_destroy(struct credworld *w);

/* As at the beginning, but for the clock. */
void credworld_clear(struct credworld *w);

/* A file HOME/@name. */
void credworld_put(struct credworld *w, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Sets @variable to the server's address and @path. */
void credworld_point(struct credworld *w, const char *variable, const char *path);

/* "2026-01-02T03:04:05Z", so many seconds from now by the world's clock; a static buffer. */
const char *credworld_time(struct credworld *w, int seconds);

/* Keys in JSON as services (@token "Token") and programs ("SessionToken") give them. Static. */
const char *credworld_json(struct credworld *w, const char *name, const char *token, int seconds);

/* The same in XML, as STS gives them to @action. */
const char *credworld_xml(struct credworld *w, const char *name, const char *action, int seconds);

/* Opens with nothing in the options but @profile. The result, and w->err. */
int credworld_open(struct credworld *w, struct creds_chain **ret, const char *profile);

/* They are there, and are those of @name: AKID@name, SEKRET@name, T@name. */
void credworld_finds(struct credworld *w, const char *profile, const char *name);

/* There are none, and the sentence has @pattern, one line, and no secret. */
void credworld_refuses(struct credworld *w, const char *profile, const char *pattern);

/* Those who have keys cannot be asked now: @pattern as above. The chain is left to the caller. */
struct creds_chain *credworld_waits(struct credworld *w, const char *profile, const char *pattern);

/* Until those of @name are there, for ten seconds at most. */
void credworld_wait(struct creds_chain *c, const char *name);

#endif
