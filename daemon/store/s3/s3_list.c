// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "store/s3/s3_xml.h"

struct s3_list_key {
	char *key;
	uint64_t size;
};

void s3_list_init(struct s3_list *l, struct store_req *r, const char *root)
{
	memset(l, 0, sizeof(*l));
	l->req = r;
	l->root = root;
}

uint32_t s3_list_want(const struct s3_list *l)
{
	uint32_t left = l->req->max_ents - l->n;

	if (left < S3_LIST_PAGE_MIN)
		return S3_LIST_PAGE_MIN;
	return left < S3_LIST_PAGE ? left : S3_LIST_PAGE;
}

void s3_list_from(const struct s3_list *l, char buf[S3_LIST_KEY_MAX], const char **after,
		  const char **token)
{
	*after = *token = NULL;
	if (l->token[0]) {
		*token = l->token;
	} else if (l->passed[0]) {
		*after = strcpy(buf, l->passed);
	} else if (l->req->after[0]) {
		sprintf(buf, "%s%s", l->root, l->req->after);
		*after = buf;
	}
}

/* ---- a page that has ended --------------------------------------------------------------- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				      -1;
}

/* What EncodingType=url is; some write a blank as '+'. -EBADMSG: it is not that. */
static int decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		char c = *s == '+' ? ' ' : *s;

		if (c == '%') {
			/* No key has a NUL in it. */
			if (hex(s[1]) < 0 || hex(s[2]) < 0 || (s[1] == '0' && s[2] == '0'))
				return -EBADMSG;
			c = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		}
		*out++ = c;
	}
	*out = '\0';
	return 0;
}

/*
 * One key. What is no name of ours was put there by somebody else and is left out, and so is what
 * there is no room for; a key that was not asked for, or not in order, is a store that cannot be
 * trusted with LIST.
 */
static int add(const struct s3_list *l, const struct s3_list_key *k, const char *last, uint32_t *n)
{
	const char *name = k->key + strlen(l->root);
	struct store_req *r = l->req;

	if (strlen(k->key) >= S3_LIST_KEY_MAX || strncmp(k->key, l->root, strlen(l->root)) != 0 ||
	    strncmp(name, r->name, strlen(r->name)) != 0 ||
	    (r->after[0] && strcmp(name, r->after) <= 0) || strcmp(k->key, last) <= 0)
		return -EBADMSG;
	if (store_name_check(name) || *n == r->max_ents)
		return 0;
	strcpy(r->ents[*n].name, name);
	r->ents[(*n)++].size = k->size;
	return 0;
}

static int take(struct s3_list *l)
{
	const char *last = l->passed;
	uint32_t n = l->n;
	int rc = 0;

	for (uint32_t i = 0; i < l->nr_keys && !rc; i++) {
		if (l->encoded)
			rc = decode(l->keys[i].key);
		if (!rc)
			rc = add(l, &l->keys[i], last, &n);
		last = l->keys[i].key;
	}
	if (rc)
		return rc;
	l->n = n;
	if (l->nr_keys)
		strcpy(l->passed, last);
	return 0;
}

/* ---- a page under way -------------------------------------------------------------------- */

static int copy(char *out, size_t room, const char *text)
{
	if (!*text || strlen(text) >= room)
		return -EBADMSG;
	strcpy(out, text);
	return 0;
}

static int on_leaf(void *ctx, const char *parent, const char *name, const char *text)
{
	struct s3_list *l = ctx;

	if (!strcmp(parent, "Contents")) {
		if (!strcmp(name, "Key")) {
			free(l->key);
			l->key = strdup(text);
			return l->key ? 0 : -ENOMEM;
		}
		if (!strcmp(name, "Size")) {
			l->has_size = true;
			return parse_u64(text, 0, INT64_MAX, &l->size) ? -EBADMSG : 0;
		}
		return 0;
	}
	if (strcmp(parent, "ListBucketResult") != 0)
		return 0;
	if (!strcmp(name, "IsTruncated")) {
		l->has_more = true;
		l->truncated = !strcmp(text, "true");
		return l->truncated || !strcmp(text, "false") ? 0 : -EBADMSG;
	}
	if (!strcmp(name, "EncodingType")) {
		l->encoded = !strcmp(text, "url");
		return 0;
	}
	if (!strcmp(name, "NextContinuationToken"))
		return copy(l->next, sizeof(l->next), text);
	return 0;
}

static int keep(struct s3_list *l)
{
	struct s3_list_key *more = l->keys;

	if (!l->key || !l->has_size || l->nr_keys == s3_list_want(l))
		return -EBADMSG;
	if (l->nr_keys == l->room) {
		l->room = l->room ? 2 * l->room : 32;
		more = realloc(l->keys, l->room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->keys = more;
	}
	l->keys[l->nr_keys++] = (struct s3_list_key){ l->key, l->size };
	l->key = NULL;
	l->has_size = false;
	return 0;
}

static int on_end(void *ctx, const char *name)
{
	return !strcmp(name, "Contents") ? keep(ctx) : 0;
}

int s3_list_page_begin(struct s3_list *l)
{
	static const struct s3_xml_ops ops = { .exact = true, .leaf = on_leaf, .end = on_end };

	s3_list_drop(l);
	l->has_size = l->has_more = l->truncated = l->encoded = false;
	l->next[0] = '\0';
	l->xml = s3_xml_new(&ops, l, "ListBucketResult");
	return l->xml ? 0 : -ENOMEM;
}

int s3_list_feed(struct s3_list *l, const void *p, size_t len)
{
	return s3_xml_feed(l->xml, p, len);
}

static int page_end(struct s3_list *l)
{
	if (s3_xml_end(l->xml) || !l->has_more || (l->truncated && !l->next[0]) || take(l))
		return -EBADMSG;
	l->empty = l->nr_keys ? 0 : l->empty + 1;
	if (!l->truncated || l->n == l->req->max_ents)
		return 1;
	/* Ceph's token is a key, and cannot be read if XML has no characters for it. */
	if (strstr(l->next, S3_XML_LOST)) {
		l->token[0] = '\0';
		return l->nr_keys ? 0 : -EBADMSG;
	}
	/* A store that goes round in circles. One whose keys go on cannot. */
	if (l->empty > S3_LIST_EMPTY_MAX || !strcmp(l->next, l->token))
		return -EBADMSG;
	strcpy(l->token, l->next);
	return 0;
}

int s3_list_page_end(struct s3_list *l)
{
	int rc = page_end(l);

	s3_list_drop(l);
	return rc;
}

void s3_list_drop(struct s3_list *l)
{
	s3_xml_free(l->xml);
	l->xml = NULL;
	for (uint32_t i = 0; i < l->nr_keys; i++)
		free(l->keys[i].key);
	free(l->keys);
	l->keys = NULL;
	l->nr_keys = l->room = 0;
	free(l->key);
	l->key = NULL;
}
