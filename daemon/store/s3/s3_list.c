// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/s3_list.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "store/s3/s3_xml.h"

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

/*
 * One key. What is no name of ours was put there by somebody else and is left out, and so is what
 * there is no room for; a key that was not asked for, or not in order, is a store that cannot be
 * trusted with LIST.
 */
static int add(struct s3_list *l)
{
	const char *name = l->key + strlen(l->root);
	struct store_req *r = l->req;
	struct store_entry *e;

	if (!l->has_key || !l->has_size)
		return -EBADMSG;
	if (strncmp(l->key, l->root, strlen(l->root)) != 0 ||
	    strncmp(name, r->name, strlen(r->name)) != 0 ||
	    (r->after[0] && strcmp(name, r->after) <= 0) || strcmp(l->key, l->last) <= 0 ||
	    ++l->page_keys > s3_list_want(l))
		return -EBADMSG;
	strcpy(l->last, l->key);
	l->has_key = l->has_size = false;
	if (store_name_check(name) || l->n + l->page_n == r->max_ents)
		return 0;
	e = &r->ents[l->n + l->page_n++];
	strcpy(e->name, name);
	e->size = l->size;
	return 0;
}

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
			l->has_key = true;
			return copy(l->key, sizeof(l->key), text);
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
	if (!strcmp(name, "NextContinuationToken"))
		return copy(l->next, sizeof(l->next), text);
	return 0;
}

static int on_end(void *ctx, const char *name)
{
	return !strcmp(name, "Contents") ? add(ctx) : 0;
}

int s3_list_page_begin(struct s3_list *l)
{
	static const struct s3_xml_ops ops = { .exact = true, .leaf = on_leaf, .end = on_end };

	s3_list_drop(l);
	l->page_n = l->page_keys = 0;
	strcpy(l->last, l->passed);
	l->has_key = l->has_size = l->has_more = l->truncated = false;
	l->next[0] = '\0';
	l->xml = s3_xml_new(&ops, l, "ListBucketResult");
	return l->xml ? 0 : -ENOMEM;
}

int s3_list_feed(struct s3_list *l, const void *p, size_t len)
{
	return s3_xml_feed(l->xml, p, len);
}

int s3_list_page_end(struct s3_list *l)
{
	int rc = s3_xml_end(l->xml);

	s3_list_drop(l);
	if (rc || !l->has_more || (l->truncated && !l->next[0]))
		return -EBADMSG;
	l->empty = l->page_keys ? 0 : l->empty + 1;
	l->n += l->page_n;
	strcpy(l->passed, l->last);
	if (!l->truncated || l->n == l->req->max_ents)
		return 1;
	/* A store that goes round in circles. One whose keys go on cannot. */
	if (l->empty > S3_LIST_EMPTY_MAX || !strcmp(l->next, l->token))
		return -EBADMSG;
	strcpy(l->token, l->next);
	return 0;
}

void s3_list_drop(struct s3_list *l)
{
	s3_xml_free(l->xml);
	l->xml = NULL;
}
