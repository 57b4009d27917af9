/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pages of a LIST (ListObjectsV2): what is asked for next, and what has come. Nothing of a page
 * counts before s3_list_page_end() has said that it was whole and in order.
 */
#ifndef S3_S3_LIST_H
#define S3_S3_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct s3_list_key;
struct s3_xml;

#define S3_LIST_KEY_MAX	  1025u
#define S3_LIST_TOKEN_MAX 2048u
#define S3_LIST_PAGE	  1000u /* the most that a page may hold */
#define S3_LIST_PAGE_MIN  100u /* asked for at least: keys of others may stand before ours */
#define S3_LIST_EMPTY_MAX 64u /* pages one after the other without any key */

struct s3_list {
	struct store_req *req;
	const char *root; /* what stands before each name in the store: "" or "prefix/" */
	uint32_t n; /* of req->ents, by pages that ended well */
	char token[S3_LIST_TOKEN_MAX + 1]; /* "" = there is none */
	char passed[S3_LIST_KEY_MAX]; /* the last key of those pages, whoever's; "" = none */
	uint32_t empty;

	/* the page under way */
	struct s3_xml *xml;
	struct s3_list_key *keys; /* as they came: how they are written may be said behind them */
	uint32_t nr_keys, room;
	char *key; /* the one being read */
	bool has_size, has_more;
	uint64_t size;
	bool truncated, encoded;
	char next[S3_LIST_TOKEN_MAX + 1];
};

void s3_list_init(struct s3_list *l, struct store_req *r, const char *root);

/* How many keys the next page is to hold. */
uint32_t s3_list_want(const struct s3_list *l);

/*
 * Where the next page begins: behind the key *@after of the store (root and all), or at *@token;
 * both NULL: at the beginning. @buf: room for a key.
 */
void s3_list_from(const struct s3_list *l, char buf[S3_LIST_KEY_MAX], const char **after,
		  const char **token);

/* A page begins, perhaps again. 0 or -ENOMEM. */
int s3_list_page_begin(struct s3_list *l);

/* -EBADMSG: no such document, or more than was asked for. */
int s3_list_feed(struct s3_list *l, const void *p, size_t len);

/*
 * 0: more pages are wanted; 1: that was all, or all that there is room for; -EBADMSG: not whole, or
 * an order or a key that cannot be.
 */
int s3_list_page_end(struct s3_list *l);

/* Gives back what a page that did not end holds. */
void s3_list_drop(struct s3_list *l);

#endif
