// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH	 8u
#define ELEM_MAX 48u
#define REF_MAX	 12u

struct s3_xml {
	XML_Parser p;
	const struct s3_xml_ops *ops;
	void *ctx;
	const char *root;
	bool bad;
	bool leaf; /* the innermost open element has no element in it so far */
	unsigned int depth;
	char name[DEPTH][ELEM_MAX];
	char ref[REF_MAX]; /* a character's number that has not ended, from its '&' on */
	size_t ref_len;
	size_t len;
	char text[S3_XML_TEXT + 1];
};

static void refuse(struct s3_xml *x)
{
	x->bad = true;
	XML_StopParser(x->p, XML_FALSE);
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **atts)
{
	struct s3_xml *x = ctx;

	(void)atts;
	if (x->bad)
		return;
	if (x->depth == DEPTH || strlen(name) >= ELEM_MAX ||
	    (!x->depth && strcmp(name, x->root) != 0)) {
		refuse(x);
		return;
	}
	strcpy(x->name[x->depth++], name);
	x->leaf = true;
	x->len = 0;
}

static const char *trim(struct s3_xml *x)
{
	const char *s = x->text;

	if (x->ops->exact) {
		x->text[x->len] = '\0';
		return s;
	}
	while (x->len && strchr(" \t\r\n", x->text[x->len - 1]))
		x->len--;
	x->text[x->len] = '\0';
	return s + strspn(s, " \t\r\n");
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct s3_xml *x = ctx;
	int rc = 0;

	if (x->bad)
		return;
	x->depth--;
	if (x->leaf)
		rc = x->ops->leaf(x->ctx, x->depth ? x->name[x->depth - 1] : "", name, trim(x));
	else if (x->ops->end)
		rc = x->ops->end(x->ctx, name);
	x->leaf = false;
	x->len = 0;
	if (rc)
		refuse(x);
}

static void XMLCALL on_text(void *ctx, const XML_Char *s, int len)
{
	struct s3_xml *x = ctx;

	if (x->bad || !x->leaf)
		return;
	if ((size_t)len > S3_XML_TEXT - x->len) {
		refuse(x);
		return;
	}
	memcpy(x->text + x->len, s, (size_t)len);
	x->len += (size_t)len;
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *sysid,
			       const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	refuse(ctx);
}

struct s3_xml *s3_xml_new(const struct s3_xml_ops *ops, void *ctx, const char *root)
{
	struct s3_xml *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->p = XML_ParserCreate(NULL);
	if (!x->p) {
		free(x);
		return NULL;
	}
	x->ops = ops;
	x->ctx = ctx;
	x->root = root;
	XML_SetUserData(x->p, x);
	XML_SetElementHandler(x->p, on_start, on_end);
	XML_SetCharacterDataHandler(x->p, on_text);
	XML_SetStartDoctypeDeclHandler(x->p, on_doctype);
	return x;
}

/* ---- what XML has no characters for -------------------------------------------------------- */

static bool control(unsigned long c)
{
	return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

static void parse(struct s3_xml *x, const char *p, size_t len)
{
	if (len && !x->bad && XML_Parse(x->p, p, (int)len, 0) != XML_STATUS_OK)
		x->bad = true;
}

/* "&#x1" of "&#x1;" is there: the number of a control character? */
static bool control_ref(const struct s3_xml *x)
{
	char num[REF_MAX + 1], *end;
	int base = 10;
	size_t at = 2;
	unsigned long c;

	if (x->ref_len < 3 || x->ref[1] != '#')
		return false;
	memcpy(num, x->ref, x->ref_len);
	num[x->ref_len] = '\0';
	if (num[2] == 'x') {
		base = 16;
		at = 3;
	}
	if (!strchr("0123456789abcdefABCDEF", num[at]) || !num[at])
		return false;
	c = strtoul(num + at, &end, base);
	return !*end && control(c);
}

static void end_ref(struct s3_xml *x, const char *p, size_t len)
{
	size_t n = x->ref_len;

	x->ref_len = 0;
	parse(x, p ? p : x->ref, p ? len : n);
}

/* Hands on what came, in runs between characters that are lost. */
static void filter(struct s3_xml *x, const char *p, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (x->ref_len && c == ';' && control_ref(x)) {
			end_ref(x, S3_XML_LOST, strlen(S3_XML_LOST));
			from = i + 1;
		} else if (x->ref_len && x->ref_len < REF_MAX && c != '&' && c != ';' &&
			   !control((unsigned char)c)) {
			x->ref[x->ref_len++] = c;
			from = i + 1;
			continue;
		} else if (x->ref_len) {
			end_ref(x, NULL, 0);
		}
		if (c == '&' || control((unsigned char)c)) {
			parse(x, p + from, i - from);
			from = i + 1;
		}
		if (c == '&')
			x->ref[x->ref_len++] = c;
		else if (control((unsigned char)c))
			parse(x, S3_XML_LOST, strlen(S3_XML_LOST));
	}
	parse(x, p + from, len - from);
}

int s3_xml_feed(struct s3_xml *x, const void *p, size_t len)
{
	if (len > INT_MAX)
		x->bad = true;
	filter(x, p, len);
	return x->bad ? -EBADMSG : 0;
}

int s3_xml_end(struct s3_xml *x)
{
	end_ref(x, NULL, 0);
	if (x->bad || XML_Parse(x->p, "", 0, 1) != XML_STATUS_OK)
		x->bad = true;
	return x->bad ? -EBADMSG : 0;
}

void s3_xml_free(struct s3_xml *x)
{
	if (!x)
		return;
	XML_ParserFree(x->p);
	free(x);
}
