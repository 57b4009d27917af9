/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small HTTP server on a port of 127.0.0.1 that answers what a test says: for what stands around
 * a store (services that give credentials). One request a connection. Any thread; asserts.
 */
#ifndef WEBSRV_H
#define WEBSRV_H

#include <stddef.h>
#include <stdint.h>

struct websrv;

struct websrv *websrv_new(void);
void websrv_free(struct websrv *s);

unsigned int websrv_port(const struct websrv *s);

/*
 * Requests of @method whose path begins with @path and whose body has @body in it (NULL: any) get
 * @status and @text, which are copied; status 0: they get nothing until websrv_free(), or the
 * other side leaves. The longest path counts, then the newest rule; the same three anew change
 * that rule. Where no rule is: 404.
 */
void websrv_set(struct websrv *s, const char *method, const char *path, const char *body,
		unsigned int status, const char *text);
void websrv_clear(struct websrv *s);

/* Answers have a Date, of the machine's clock plus @seconds. Without it they have none. */
void websrv_set_date(struct websrv *s, int64_t seconds);

/* Requests of @method to paths that begin with @path so far. */
unsigned int websrv_count(struct websrv *s, const char *method, const char *path);

/* Request line, headers and body of the last request ("" = none). */
void websrv_last(struct websrv *s, char *out, size_t room);

#endif
