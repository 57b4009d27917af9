// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "store/price.h"

#define SHORT_US 3600000000u /* a start weighs much in less */

static const char *const spans[] = { "since_start", "last_hour" };

static uint64_t num(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

int cmd_cost_load(const struct cmd_cost_opts *o, struct price_book **ret, char *why)
{
	*ret = NULL;
	why[0] = '\0';
	if (!price_load(ret, o->file, why))
		return 0;
	return o->file || o->section ? cmd_err("%s", why) : 0;
}

static json_t *one_span(const struct price *p, const json_t *usage, const char *name)
{
	const json_t *u = json_object_get(usage, name);
	struct price_use use = { .us = num(u, "us"),
				 .egress = num(u, "bytes_down"),
				 .stored = num(usage, "stored_bytes") };
	struct price_sums sums;
	json_t *j = json_object();

	for (int i = 0; i < PRICE_STORAGE; i++)
		use.requests[i] = num(u, price_item_name((enum price_item)i));
	price_estimate(p, &use, &sums);
	for (int i = 0; i < PRICE_NR_ITEMS; i++)
		json_object_set_new(
			j, price_item_name((enum price_item)i),
			json_integer(
				(json_int_t)(sums.nano[i] > INT64_MAX ? INT64_MAX : sums.nano[i])));
	json_object_set_new(
		j, "total",
		json_integer((json_int_t)(sums.total > INT64_MAX ? INT64_MAX : sums.total)));
	return j;
}

static void none(json_t *stats, const char *why)
{
	json_object_set_new(stats, "cost", json_pack("{s:s}", "none", why));
}

int cmd_cost_add(json_t *stats, const struct cmd_cost_opts *o, const struct price_book *b,
		 const char *why)
{
	const json_t *usage = json_object_get(stats, "usage");
	const char *host = str(json_object_get(stats, "wire"), "host");
	char err[PRICE_ERR_LEN];
	const struct price *p;
	json_t *cost;

	if (!usage) {
		none(stats, "its daemon is of a version that does not count what is paid for");
		return 0;
	}
	if (!*host && !o->section) {
		none(stats, "no price: the store is not reached over a network; --price-section "
			    "says what it would cost elsewhere");
		return 0;
	}
	if (!b) {
		none(stats, why);
		return 0;
	}
	if (price_choose(b, o->section, host, &p, err)) {
		if (o->section)
			return cmd_err("%s", err);
		none(stats, err);
		return 0;
	}
	cost = json_pack("{s:s, s:s, s:s, s:s, s:s}", "section", p->section, "file", b->path,
			 "as_of", p->as_of, "currency", p->currency, "unit", "nano");
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
		json_object_set_new(cost, spans[i], one_span(p, usage, spans[i]));
	if (num(json_object_get(usage, "since_start"), "us") < SHORT_US)
		json_object_set_new(cost, "short", json_true());
	if (p->min_days)
		json_object_set_new(cost, "min_days", json_integer(p->min_days));
	json_object_set_new(stats, "cost", cost);
	return 0;
}

static void print_span(const json_t *cost, const char *name)
{
	const json_t *j = json_object_get(cost, name);
	char money[PRICE_STR], key[64];
	const char *item;
	json_t *v;

	json_object_foreach((json_t *)j, item, v) {
		snprintf(key, sizeof(key), "cost.%s.%s", name, item);
		printf("%-28s %s a month\n", key,
		       price_str(money, (uint64_t)json_integer_value(v), str(cost, "currency")));
	}
}

void cmd_cost_print(const json_t *cost)
{
	if (json_object_get(cost, "none")) {
		printf("%-28s %s\n", "cost.none", str(cost, "none"));
	} else if (cost) {
		printf("%-28s %s\n", "cost.section", str(cost, "section"));
		printf("%-28s %s\n", "cost.file", str(cost, "file"));
		printf("%-28s %s\n", "cost.as_of", str(cost, "as_of"));
		if (json_object_get(cost, "min_days"))
			printf("%-28s %d\n", "cost.min_days", (int)num(cost, "min_days"));
		for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
			print_span(cost, spans[i]);
		if (json_is_true(json_object_get(cost, "short")))
			printf("%-28s counted for less than an hour: what the start took is taken "
			       "for what a month takes\n",
			       "cost.note");
	}
}
