// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_prom.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bounds of buckets, as powers of 2 microseconds: 256 us to 134 s. The same at every scrape. */
#define FIRST_LE 8
#define LAST_LE	 27

struct prom {
	const char *volume;
};

static json_int_t num(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static void type(const char *name, const char *kind)
{
	printf("# TYPE zerofs_%s %s\n", name, kind);
}

/* One value; @label, @value: one more label, NULL: none. */
static void one(const struct prom *p, const char *name, const char *op, const char *label,
		const char *value, json_int_t v)
{
	printf("zerofs_%s{volume=\"%s\"", name, p->volume);
	if (op)
		printf(",op=\"%s\"", op);
	if (label)
		printf(",%s=\"%s\"", label, value);
	printf("} %" JSON_INTEGER_FORMAT "\n", v);
}

/* @key of each kind of request in @ops. */
static void by_op(const struct prom *p, const char *name, const json_t *ops, const char *key)
{
	const char *op;
	json_t *o;

	type(name, "counter");
	json_object_foreach((json_t *)ops, op, o)
		if (json_is_object(o))
			one(p, name, op, NULL, NULL, num(o, key));
}

static void by_cause(const struct prom *p, const char *name, const json_t *ops, const char *key)
{
	const char *op, *cause;
	json_t *o, *v;

	type(name, "counter");
	json_object_foreach((json_t *)ops, op, o)
		json_object_foreach(json_object_get(o, key), cause, v)
			one(p, name, op, "cause", cause, json_integer_value(v));
}

static void histogram(const struct prom *p, const char *name, const char *op, const json_t *o)
{
	const json_t *list = json_object_get(o, "us_buckets");
	json_int_t n = 0, us = num(o, "us_sum");
	size_t i = 0;

	for (int b = FIRST_LE; b <= LAST_LE; b++) {
		for (; i < json_array_size(list); i++) {
			const json_t *pair = json_array_get(list, i);

			if (json_integer_value(json_array_get(pair, 0)) > (json_int_t)1 << b)
				break;
			n += json_integer_value(json_array_get(pair, 1));
		}
		printf("zerofs_%s_bucket{volume=\"%s\",op=\"%s\",le=\"%.6f\"} %" JSON_INTEGER_FORMAT
		       "\n",
		       name, p->volume, op, (double)(1 << b) / 1e6, n);
	}
	for (; i < json_array_size(list); i++)
		n += json_integer_value(json_array_get(json_array_get(list, i), 1));
	printf("zerofs_%s_bucket{volume=\"%s\",op=\"%s\",le=\"+Inf\"} %" JSON_INTEGER_FORMAT "\n",
	       name, p->volume, op, n);
	printf("zerofs_%s_sum{volume=\"%s\",op=\"%s\"} %" JSON_INTEGER_FORMAT
	       ".%06" JSON_INTEGER_FORMAT "\n",
	       name, p->volume, op, us / 1000000, us % 1000000);
	printf("zerofs_%s_count{volume=\"%s\",op=\"%s\"} %" JSON_INTEGER_FORMAT "\n", name,
	       p->volume, op, n);
}

static void histograms(const struct prom *p, const char *name, const json_t *ops)
{
	const char *op;
	json_t *o;

	type(name, "histogram");
	json_object_foreach((json_t *)ops, op, o)
		if (json_is_object(o))
			histogram(p, name, op, o);
}

static void costs(const struct prom *p, const json_t *cost)
{
	static const char *const spans[] = { "since_start", "last_hour" };
	const char *currency = json_string_value(json_object_get(cost, "currency")), *item;
	json_t *v;

	if (!currency)
		return;
	type("cost_per_month", "gauge");
	for (int i = 0; i < 2; i++)
		json_object_foreach(json_object_get(cost, spans[i]), item, v) {
			json_int_t nano = json_integer_value(v);

			printf("zerofs_cost_per_month{volume=\"%s\",item=\"%s\",span=\"%s\","
			       "currency=\"%s\"} %" JSON_INTEGER_FORMAT ".%09" JSON_INTEGER_FORMAT
			       "\n",
			       p->volume, item, spans[i], currency, nano / 1000000000,
			       nano % 1000000000);
		}
}

void cmd_prom_print(const json_t *stats)
{
	const json_t *store = json_object_get(stats, "store"),
		     *wire = json_object_get(stats, "wire");
	/* a volume's name needs no quoting: letters, digits, '.', '_', '-' */
	struct prom p = { json_string_value(json_object_get(stats, "name")) };
	const char *key;
	json_t *v;

	if (!p.volume)
		p.volume = "";
	/* Which of them can only grow stands in zerofs-stats(8); their names are as there. */
	json_object_foreach((json_t *)stats, key, v) {
		if (!json_is_integer(v))
			continue;
		type(key, "untyped");
		one(&p, key, NULL, NULL, NULL, json_integer_value(v));
	}
	by_op(&p, "store_requests_total", store, "requests");
	by_op(&p, "store_errors_total", store, "errors");
	by_op(&p, "store_bytes_total", store, "bytes");
	histograms(&p, "store_seconds", store);
	if (json_is_object(wire)) {
		by_op(&p, "wire_attempts_total", wire, "attempts");
		by_cause(&p, "wire_retried_total", wire, "retried");
		by_cause(&p, "wire_errors_total", wire, "errors");
		by_op(&p, "wire_hedges_total", wire, "hedges");
		by_op(&p, "wire_hedges_won_total", wire, "hedges_won");
		by_op(&p, "wire_sent_bytes_total", wire, "bytes_up");
		by_op(&p, "wire_received_bytes_total", wire, "bytes_down");
		histograms(&p, "wire_seconds", wire);
	}
	costs(&p, json_object_get(stats, "cost"));
}
