/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a store costs: a file of prices that people change (zerofs-prices(5)), and what so many
 * requests and bytes come to in a month. Money is in billionths of the currency ("nano"), whole
 * numbers throughout.
 */
#ifndef STORE_PRICE_H
#define STORE_PRICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRICE_SECTIONS	  64u /* in a file, at most */
#define PRICE_SECTION_MAX 64u /* with the NUL, as the next two */
#define PRICE_MATCH_MAX	  256u
#define PRICE_PATH_MAX	  512u
#define PRICE_FILE_MAX	  65536u /* bytes */
#define PRICE_ERR_LEN	  800u
#define PRICE_MONTH_US	  (730ull * 3600 * 1000000) /* a month is 730 hours */

enum price_item {
	PRICE_PUT,
	PRICE_LIST,
	PRICE_GET, /* and HEAD */
	PRICE_DELETE,
	PRICE_STORAGE,
	PRICE_EGRESS,
	PRICE_NR_ITEMS,
};

/**
 * struct price - a section of the file
 * @section:	its name
 * @match:	patterns of hosts that it is for, blanks between; "" = none
 * @nano:	price of: 1000 requests; of a GB kept for a month, of a GB read out
 * @gb:		bytes of a GB
 * @min_days:	how long what is deleted earlier is paid for; for people, no sum counts it
 * @missing:	what the section must have and has not, NULL = it is complete
 */
struct price {
	char section[PRICE_SECTION_MAX];
	char match[PRICE_MATCH_MAX];
	char currency[4];
	char as_of[16];
	uint64_t nano[PRICE_NR_ITEMS];
	uint64_t gb;
	uint32_t min_days;
	const char *missing;
	uint32_t seen; /* the parser's: which keys it had */
};

struct price_book {
	char path[PRICE_PATH_MAX];
	unsigned int nr;
	struct price price[PRICE_SECTIONS];
};

/* What was used in @us microseconds: requests, and bytes read out; @stored is kept all the time. */
struct price_use {
	uint64_t requests[PRICE_STORAGE]; /* by enum price_item */
	uint64_t egress, stored; /* bytes */
	uint64_t us;
};

/* A month's, in nano; UINT64_MAX: that or more. */
struct price_sums {
	uint64_t nano[PRICE_NR_ITEMS];
	uint64_t total;
};

/*
 * Reads @text (@len bytes, of a file @path that only messages name) into @ret. -EINVAL: @err
 * (PRICE_ERR_LEN bytes) says "PATH:LINE: what is wrong".
 */
int price_parse(struct price_book *ret, const char *path, const char *text, size_t len, char *err);

/*
 * Reads file @path, or without one (NULL) the first that there is of /etc/zerofs/prices.conf and
 * what the installation brought. *@ret is the caller's, to be freed with free(). -ENOENT, -EINVAL,
 * -ENOMEM, -errno; @err says why.
 */
int price_load(struct price_book **ret, const char *path, char *err);

/*
 * The section called @section, or without one (NULL) the first whose patterns match @host. -ENOENT:
 * there is none; -ENODATA: it is not complete; @err says so.
 */
int price_choose(const struct price_book *b, const char *section, const char *host,
		 const struct price **ret, char *err);

/* What @use comes to in a month if it goes on like that. @use->us = 0: no requests, no egress. */
void price_estimate(const struct price *p, const struct price_use *use, struct price_sums *ret);

const char *price_item_name(enum price_item i); /* "put", "storage" */

/* "12.3456 USD", to four places; less than half of the last one, but not 0: "<0.0001 USD". */
#define PRICE_STR 40
char *price_str(char out[PRICE_STR], uint64_t nano, const char *currency);

#endif
