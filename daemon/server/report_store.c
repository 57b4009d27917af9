// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/report_store.h"

#include "base/hist.h"
#include "store/stat.h"
#include "store/store.h"
#include "store/wire.h"

static void set_u64(json_t *j, const char *key, uint64_t v)
{
	json_object_set_new(j, key, json_integer((json_int_t)v));
}

/* us_buckets: pairs of the first value beyond and how many are below it and in no one before. */
static void set_hist(json_t *j, const struct hist *h)
{
	json_t *list = json_array();

	set_u64(j, "us_sum", h->sum);
	set_u64(j, "us_p50", hist_quantile(h, 500));
	set_u64(j, "us_p99", hist_quantile(h, 990));
	set_u64(j, "us_p999", hist_quantile(h, 999));
	set_u64(j, "us_max", h->max);
	for (unsigned int b = 0; b < HIST_BUCKETS; b++)
		if (h->count[b])
			json_array_append_new(list, json_pack("[I, I]", (json_int_t)hist_upper(b),
							      (json_int_t)h->count[b]));
	json_object_set_new(j, "us_buckets", list);
}

json_t *report_store(struct store *s)
{
	const struct stat_counters *c = stat_get(s);
	json_t *j = json_object();

	for (int i = 0; i < STORE_NR_OPS; i++) {
		const struct stat_op *o = &c->op[i];
		json_t *op = json_object();

		set_u64(op, "requests", o->requests);
		set_u64(op, "errors", o->errors);
		set_u64(op, "answers", o->answers);
		set_u64(op, "bytes", o->bytes);
		set_u64(op, "inflight", o->inflight);
		set_u64(op, "inflight_max", o->inflight_max);
		set_hist(op, &o->us);
		json_object_set_new(j, stat_op_name((enum store_op)i), op);
	}
	return j;
}

static json_t *by_cause(const uint64_t *v)
{
	json_t *j = json_object();

	for (int i = 0; i < WIRE_NR_CAUSES; i++)
		set_u64(j, wire_cause_name((enum wire_cause)i), v[i]);
	return j;
}

json_t *report_store_wire(struct store *s)
{
	struct wire w;
	json_t *j;

	if (!store_wire(s, &w))
		return json_null();
	j = json_pack("{s:s}", "host", w.host);
	for (int i = 0; i < STORE_NR_OPS; i++) {
		const struct wire_op *o = &w.op[i];
		json_t *op = json_object();

		set_u64(op, "attempts", o->attempts);
		json_object_set_new(op, "retried", by_cause(o->retried));
		json_object_set_new(op, "errors", by_cause(o->errors));
		set_u64(op, "hedges", o->hedges);
		set_u64(op, "hedges_won", o->hedges_won);
		set_u64(op, "bytes_up", o->bytes_up);
		set_u64(op, "bytes_down", o->bytes_down);
		set_hist(op, &o->us);
		json_object_set_new(j, stat_op_name((enum store_op)i), op);
	}
	return j;
}

static uint64_t per_hour(uint64_t n, uint64_t us)
{
	return us ? (uint64_t)(((unsigned __int128)n * 3600000000u + us / 2) / us) : 0;
}

static json_t *span(const struct stat_usage *u)
{
	json_t *j = json_object(), *rate = json_object();

	set_u64(j, "us", u->us);
	for (int i = 0; i < STORE_NR_OPS; i++)
		set_u64(j, stat_op_name((enum store_op)i), u->requests[i]);
	set_u64(j, "bytes_up", u->bytes_up);
	set_u64(j, "bytes_down", u->bytes_down);
	for (int i = 0; i < STORE_NR_OPS; i++)
		set_u64(rate, stat_op_name((enum store_op)i), per_hour(u->requests[i], u->us));
	set_u64(rate, "bytes_up", per_hour(u->bytes_up, u->us));
	set_u64(rate, "bytes_down", per_hour(u->bytes_down, u->us));
	json_object_set_new(j, "per_hour", rate);
	return j;
}

json_t *report_store_usage(struct store *s, uint64_t stored)
{
	struct stat_usage all, hour;
	json_t *j = json_object();

	stat_usage(s, &all, &hour);
	json_object_set_new(j, "counted", json_string(all.wire ? "wire" : "store"));
	set_u64(j, "stored_bytes", stored);
	json_object_set_new(j, "since_start", span(&all));
	json_object_set_new(j, "last_hour", span(&hour));
	return j;
}
