// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/tempdir.h"
#include "store/price.h"

#define SHIPPED "share/zerofs/prices.conf"

static char err[PRICE_ERR_LEN];
static struct price_book book;

static int parse(const char *text)
{
	return price_parse(&book, "p.conf", text, strlen(text), err);
}

static const struct price *choose(const struct price_book *b, const char *section, const char *host)
{
	const struct price *p = NULL;
	int rc = price_choose(b, section, host, &p, err);

	if (rc)
		fail_msg("%s", err);
	return p;
}

static void a_section(void **state)
{
	const struct price *p;

	(void)state;
	assert_int_equal(
		parse("# prices\r\n\n  [here/a_b-c.d] # ours\n match =  a.example *.b.example "
		      "\ncurrency=EUR\nas-of = 2026-11-28\nput-1000 = 0.005\nget-1000=0.0004 "
		      "# of 2026\nlist-1000 = 1\ndelete-1000 = 0.000000001\n"
		      "storage-gb-month = 1000000\negress-gb = 0.09\ngb = 1073741824\n"
		      "min-days = 90"),
		0);
	p = choose(&book, NULL, "X.b.example");
	assert_ptr_equal(p, choose(&book, "here/a_b-c.d", ""));
	assert_ptr_equal(p, choose(&book, NULL, "a.example"));
	assert_string_equal(p->currency, "EUR");
	assert_string_equal(p->as_of, "2026-11-28");
	assert_int_equal(p->nano[PRICE_PUT], 5000000);
	assert_int_equal(p->nano[PRICE_GET], 400000);
	assert_int_equal(p->nano[PRICE_LIST], 1000000000);
	assert_int_equal(p->nano[PRICE_DELETE], 1);
	assert_int_equal(p->nano[PRICE_STORAGE], 1000000000000000);
	assert_int_equal(p->nano[PRICE_EGRESS], 90000000);
	assert_int_equal(p->gb, 1 << 30);
	assert_int_equal(p->min_days, 90);
}

static void what_may_be_left_out(void **state)
{
	const struct price *p;

	(void)state;
	assert_int_equal(parse("[a]\ncurrency = USD\nput-1000 = 0.1\nget-1000 = 0\n"
			       "storage-gb-month = 0.02\n"),
			 0);
	p = choose(&book, "a", NULL);
	assert_int_equal(p->nano[PRICE_LIST], 100000000);
	assert_int_equal(p->nano[PRICE_DELETE], 0);
	assert_int_equal(p->nano[PRICE_EGRESS], 0);
	assert_int_equal(p->gb, 1000000000);
	assert_null(p->missing);
}

static void what_may_not(void **state)
{
	static const struct {
		const char *text, *missing;
	} t[] = {
		{ "[a]\n", "currency" },
		{ "[a]\nput-1000 = 1\nget-1000 = 1\nstorage-gb-month = 1", "currency" },
		{ "[a]\ncurrency = USD\nget-1000 = 1\nstorage-gb-month = 1", "put-1000" },
		{ "[a]\ncurrency = USD\nput-1000 = 1\nstorage-gb-month = 1", "get-1000" },
		{ "[a]\ncurrency = USD\nput-1000 = 1\nget-1000 = 1", "storage-gb-month" },
	};
	const struct price *p;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char want[200];

		assert_int_equal(parse(t[i].text), 0);
		assert_int_equal(price_choose(&book, "a", NULL, &p, err), -ENODATA);
		snprintf(want, sizeof(want), "p.conf: section a has no %s yet", t[i].missing);
		assert_string_equal(err, want);
	}
}

static void chosen(void **state)
{
	const char *full = "currency = USD\nput-1000 = 1\nget-1000 = 1\nstorage-gb-month = 1\n";
	const struct price *p;
	char text[500];

	(void)state;
	snprintf(text, sizeof(text), "[a]\nmatch = s3.*.org\n%s[b]\nmatch = *\n%s[c]\n%s", full,
		 full, full);
	assert_int_equal(parse(text), 0);
	assert_string_equal(choose(&book, NULL, "s3.x.org")->section, "a");
	assert_string_equal(choose(&book, NULL, "s3.x.net")->section, "b");
	assert_string_equal(choose(&book, "c", "s3.x.net")->section, "c");
	assert_int_equal(price_choose(&book, "d", "s3.x.net", &p, err), -ENOENT);
	assert_string_equal(err, "p.conf has no section d");
	assert_int_equal(parse("[a]\n"), 0);
	assert_int_equal(price_choose(&book, NULL, "h", &p, err), -ENOENT);
	assert_string_equal(err, "p.conf has no section for h; --price-section chooses one");
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *err;
	} t[] = {
		{ "put-1000 = 1", "p.conf:1: 'put-1000' before any [section]" },
		{ "[a]\n\nput = 1", "p.conf:3: there is no 'put'" },
		{ "[a", "p.conf:1: a [section] is not closed" },
		{ "[", "p.conf:1: a [section] is not closed" },
		{ "[]", "p.conf:1: a section's name is 1 to 63 of a-z A-Z 0-9 . _ / -" },
		{ "[a b]", "p.conf:1: a section's name is 1 to 63 of a-z A-Z 0-9 . _ / -" },
		{ "[0123456789012345678901234567890123456789012345678901234567890123]",
		  "p.conf:1: a section's name is 1 to 63 of a-z A-Z 0-9 . _ / -" },
		{ "[a]\n[b]\n[a]", "p.conf:3: section a a second time" },
		{ "[a]\nput-1000", "p.conf:2: neither [section] nor KEY = VALUE" },
		{ "[a]\n= 1", "p.conf:2: neither [section] nor KEY = VALUE" },
		{ "[a]\nput-1000 =", "p.conf:2: put-1000 has no value" },
		{ "[a]\nput-1000 = # 1", "p.conf:2: put-1000 has no value" },
		{ "[a]\nput-1000 = 1\nput-1000 = 1",
		  "p.conf:3: put-1000 a second time in section a" },
		{ "[a]\ncurrency = usd",
		  "p.conf:2: currency: 'usd' is not three capital letters such as USD" },
		{ "[a]\ngb = 1000", "p.conf:2: gb: '1000' is neither 1000000000 nor 1073741824" },
		{ "[a]\nmin-days = -1", "p.conf:2: min-days: '-1' is not a number from 0 to 3650" },
		{ "[a]\nas-of = 2026-11-28 about", "p.conf:2: as-of: longer than 15 characters" },
		{ "[a]\nas-of = 2\303\251", "p.conf:2: as-of: a character that is not ASCII" },
	};
	static const char *const prices[] = {
		"0,005",
		"-1",
		"+1",
		".5",
		"5.",
		"1e3",
		"0x1",
		"1.0000000001",
		"1000000.1",
		"1 2",
		"99999999999999999999999999999",
		"..",
		"1.2.3",
		"$1",
		"nan",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(parse(t[i].text), -EINVAL);
		assert_string_equal(err, t[i].err);
	}
	for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
		char text[100], want[200];

		snprintf(text, sizeof(text), "[a]\nget-1000 = %s\n", prices[i]);
		snprintf(want, sizeof(want),
			 "p.conf:2: get-1000: '%s' is not a price such as 0.005 (9 decimals and "
			 "1000000 at most)",
			 prices[i]);
		assert_int_equal(parse(text), -EINVAL);
		assert_string_equal(err, want);
	}
}

static void bounds(void **state)
{
	static char text[80000];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 65; i++)
		n += (size_t)sprintf(text + n, "[s%d]\n", i);
	assert_int_equal(price_parse(&book, "p.conf", text, n, err), -EINVAL);
	assert_string_equal(err, "p.conf:65: more than 64 sections");
	memset(text, ' ', 600);
	assert_int_equal(price_parse(&book, "p.conf", text, 600, err), -EINVAL);
	assert_string_equal(err, "p.conf:1: a line longer than 511 bytes");
	assert_int_equal(price_parse(&book, "p.conf", "[a]\nx\0y", 7, err), -EINVAL);
	assert_string_equal(err, "p.conf:2: a NUL byte: this is no text");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(price_parse(&book, text, "x", 1, err), -EINVAL);
}

/* Whatever a file holds, the parser ends, within its bounds. */
static void rubbish(void **state)
{
	static const char *const words[] = { "[",     "]",   "a", "put-1000", "=",   " ",
					     "\n",    "0.1", "#", "match",    "gb",  "currency",
					     "USD\n", ".",   "9", "\t",	      "\r\n" };
	char text[400];
	uint64_t r = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = 0;

		while (n < 300) {
			r = r * 6364136223846793005ull + 1442695040888963407ull;
			if (r >> 60 == 0)
				text[n++] = (char)(r >> 40);
			else
				n += (size_t)sprintf(
					text + n, "%s",
					words[(r >> 33) % (sizeof(words) / sizeof(words[0]))]);
		}
		err[0] = '\0';
		if (price_parse(&book, "p.conf", text, n, err))
			assert_memory_equal(err, "p.conf:", 7);
		assert_true(book.nr <= PRICE_SECTIONS);
	}
}

/* 40 PUTs, 10 LISTs, 400 GETs, 30 DELETEs and 1 GB out in an hour; 50 GB stored. */
static void a_month(void **state)
{
	const struct price_use use = { { 40, 10, 400, 30 }, 1000000000, 50000000000, 3600000000 };
	struct price_sums sums;

	(void)state;
	assert_int_equal(parse("[a]\ncurrency = USD\nput-1000 = 0.005\nget-1000 = 0.0004\n"
			       "list-1000 = 0.006\ndelete-1000 = 0.001\nstorage-gb-month = 0.023\n"
			       "egress-gb = 0.09\n"),
			 0);
	price_estimate(choose(&book, "a", ""), &use, &sums);
	assert_int_equal(sums.nano[PRICE_PUT], 146000000); /* 29200 at 5 millionths */
	assert_int_equal(sums.nano[PRICE_LIST], 43800000);
	assert_int_equal(sums.nano[PRICE_GET], 116800000);
	assert_int_equal(sums.nano[PRICE_DELETE], 21900000);
	assert_int_equal(sums.nano[PRICE_STORAGE], 1150000000);
	assert_int_equal(sums.nano[PRICE_EGRESS], 65700000000);
	assert_int_equal(sums.total, 67178500000);
}

static void the_ends(void **state)
{
	struct price_use use = { { 5, 5, 5, 5 }, 1 << 30, 3ull << 29, 0 };
	const struct price *p;
	struct price_sums sums;

	(void)state;
	assert_int_equal(parse("[a]\ncurrency = USD\nput-1000 = 1000000\nget-1000 = 1000000\n"
			       "storage-gb-month = 2\negress-gb = 1000000\ngb = 1073741824\n"),
			 0);
	p = choose(&book, "a", "");
	/* no time has passed: only what is stored is known */
	price_estimate(p, &use, &sums);
	assert_int_equal(sums.total, 3000000000);
	assert_int_equal(sums.nano[PRICE_STORAGE], 3000000000);
	/* as for a month that is over */
	use.us = PRICE_MONTH_US;
	price_estimate(p, &use, &sums);
	assert_int_equal(sums.nano[PRICE_PUT], 5000000000000);
	assert_int_equal(sums.nano[PRICE_LIST], 5000000000000);
	assert_int_equal(sums.nano[PRICE_EGRESS], 1000000000000000);
	/* too much is the most there is, not little */
	use = (struct price_use){
		{ UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX }, UINT64_MAX, UINT64_MAX, 1
	};
	price_estimate(p, &use, &sums);
	assert_true(sums.nano[PRICE_GET] == UINT64_MAX);
	assert_true(sums.nano[PRICE_EGRESS] == UINT64_MAX);
	assert_true(sums.total == UINT64_MAX);
}

static void money(void **state)
{
	static const struct {
		uint64_t nano;
		const char *s;
	} t[] = {
		{ 0, "0.0000 USD" },
		{ 1, "<0.0001 USD" },
		{ 49999, "<0.0001 USD" },
		{ 50000, "0.0001 USD" },
		{ 1234567890, "1.2346 USD" },
		{ 999999999, "1.0000 USD" },
		{ 1000000000000, "1000.0000 USD" },
		{ UINT64_MAX, "18446744073.7096 USD" },
	};
	char s[PRICE_STR];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(price_str(s, t[i].nano, "USD"), t[i].s);
}

/* What is installed. */
static void shipped(void **state)
{
	struct price_book *b;
	const struct price *p;

	(void)state;
	if (price_load(&b, SHIPPED, err))
		fail_msg("%s", err);
	for (unsigned int i = 0; i < b->nr; i++) {
		bool custom = !strcmp(b->price[i].section, "custom");

		assert_true(custom == !!b->price[i].missing);
		assert_true(custom || b->price[i].as_of[0]);
	}
	assert_string_equal(choose(b, NULL, "s3.eu-central-1.amazonaws.com")->section,
			    "aws/eu-central-1");
	assert_string_equal(choose(b, NULL, "s3.amazonaws.com")->section, "aws/us-east-1");
	assert_string_equal(choose(b, NULL, "abc.r2.cloudflarestorage.com")->section,
			    "cloudflare/r2");
	assert_int_equal(choose(b, "aws/us-east-1", "")->nano[PRICE_PUT], 5000000);
	assert_int_equal(choose(b, "aws/us-east-1/inside", "")->nano[PRICE_EGRESS], 0);
	assert_int_equal(price_choose(b, "custom", "", &p, err), -ENODATA);
	free(b);
}

static void files(void **state)
{
	struct price_book *b = NULL;
	char *dir = tempdir_make(), path[400];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/prices.conf", dir);
	assert_int_equal(price_load(&b, path, err), -ENOENT);
	assert_non_null(strstr(err, path));
	assert_int_equal(price_load(&b, dir, err), -EISDIR);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 70000; i++)
		fputc('\n', f);
	fclose(f);
	assert_int_equal(price_load(&b, path, err), -EINVAL);
	assert_non_null(strstr(err, "larger than 65536 bytes"));
	f = fopen(path, "w");
	fputs("[a]\nx = 1\n", f);
	fclose(f);
	assert_int_equal(price_load(&b, path, err), -EINVAL);
	assert_non_null(strstr(err, "prices.conf:2: there is no 'x'"));
	assert_null(b);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section),	cmocka_unit_test(what_may_be_left_out),
		cmocka_unit_test(what_may_not), cmocka_unit_test(chosen),
		cmocka_unit_test(bad_files),	cmocka_unit_test(bounds),
		cmocka_unit_test(rubbish),	cmocka_unit_test(a_month),
		cmocka_unit_test(the_ends),	cmocka_unit_test(money),
		cmocka_unit_test(shipped),	cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
