/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XML that comes in pieces: calls back with each leaf's text. A document type (and with it every
 * entity of its own) is refused, as are texts above S3_XML_TEXT and nesting above a few levels.
 * Control characters, which XML 1.0 has no way to write, are written by stores all the same where
 * a key has one: each becomes S3_XML_LOST.
 */
#ifndef S3_S3_XML_H
#define S3_S3_XML_H

#include <stdbool.h>
#include <stddef.h>

/* a key of 1024 bytes, percent-encoded; a session token */
#define S3_XML_TEXT 4096u
#define S3_XML_LOST "\xef\xbf\xbd" /* U+FFFD */

struct s3_xml;

/*
 * @parent: the element that holds it, or "" for the root. @text without the blanks around it,
 * unless @exact: a key may begin or end with one.
 */
struct s3_xml_ops {
	bool exact;
	int (*leaf)(void *ctx, const char *parent, const char *name, const char *text);
	/* an element with others inside has ended; optional */
	int (*end)(void *ctx, const char *name);
};

/* @root: what the root element must be called. NULL without memory. */
struct s3_xml *s3_xml_new(const struct s3_xml_ops *ops, void *ctx, const char *root);

/* 0, or -EBADMSG: not such a document, or a callback said no. */
int s3_xml_feed(struct s3_xml *x, const void *p, size_t len);

/* The same at the end: it must be whole. */
int s3_xml_end(struct s3_xml *x);

void s3_xml_free(struct s3_xml *x); /* NULL does nothing */

#endif
