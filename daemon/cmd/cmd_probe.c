// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include "base/parse.h"
#include "cmd/bill.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "server/host.h"
#include "store/price.h"
#include "store/store.h"
#include "store/trial.h"
#include "store/url.h"
#include "volume/volume.h"

#define ROUNDS	    16u /* of the race */
#define SAMPLES_MAX 10000u
#define MS_MAX	    60000u

/* A month's bill, or why there is none. */
struct bill {
	struct bill_load load;
	struct volume_opts engine;
	struct price_book *book;
	const struct price *price; /* NULL: @why */
	struct price_use use;
	struct price_sums sums;
	char why[PRICE_ERR_LEN];
};

/* ---- signals ----------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;
static char last_words[160]; /* of a second signal */

static void on_signal(int sig)
{
	(void)sig;
	if (!stop) {
		stop = 1;
		return;
	}
	if (write(STDERR_FILENO, last_words, strlen(last_words)) < 0)
		_exit(CMD_FAILED + 1);
	_exit(CMD_FAILED);
}

static void catch_signals(const struct trial_report *r)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	snprintf(last_words, sizeof(last_words),
		 "zerofs: probe: ended at once; remove what it has left, all below %s\n",
		 r->prefix);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static bool stopped(void *ctx)
{
	(void)ctx;
	return stop;
}

/* Every request ends: the store sees to that. */
static void wait_done(void *ctx, const bool *done)
{
	struct host *h = ctx;

	while (!*done)
		core_wait(&h->core, UINT64_MAX);
}

/* ---- verdict ----------------------------------------------------------------------------- */

static const char *verdict_word(const struct trial_report *r)
{
	return r->stopped		? "interrupted" :
	       r->verdict == TRIAL_FAIL ? "NOT usable" :
	       r->verdict == TRIAL_WARN ? "usable, but" :
					  "usable";
}

/* What a row that decides the verdict means for a volume, or NULL. */
static const char *consequence(const struct trial_row *row)
{
	if (row->result == TRIAL_FAIL &&
	    (!strcmp(row->name, "create-only") || !strcmp(row->name, "race")))
		return "never use zerofs on it: two hosts would destroy a volume unnoticed";
	return NULL;
}

static void print_verdict(const struct trial_report *r)
{
	const char *sep = ": ";

	printf("\nverdict: %s", verdict_word(r));
	if (r->verdict == TRIAL_WARN && !r->stopped)
		sep = " ";
	for (uint32_t i = 0; i < r->nr_rows; i++) {
		const struct trial_row *row = &r->rows[i];
		const char *also = consequence(row);

		if (row->result < TRIAL_WARN || row->result != r->verdict)
			continue;
		printf("%s%s: %s%s%s", sep, row->title, row->text, also ? "; " : "",
		       also ? also : "");
		sep = "; ";
	}
	printf("\n");
}

/* ---- printing ---------------------------------------------------------------------------- */

/* What comes from a store must not draw on a terminal. */
static void print_plain(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < ' ' || *s == 0x7f ? ' ' : *s);
	putchar('\n');
}

static void print_table(const struct trial_report *r)
{
	printf("%-20s  %-4s  %s\n", "CHECK", "", "FOUND");
	for (uint32_t i = 0; i < r->nr_rows; i++) {
		const struct trial_row *row = &r->rows[i];
		char word[8];

		snprintf(word, sizeof(word), "%s",
			 row->result == TRIAL_NOTE ? "-" : trial_result_name(row->result));
		for (char *p = word; *p; p++)
			*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
		printf("%-20s  %-4s  ", row->title, word);
		print_plain(row->text);
	}
}

/* What the probe itself has cost. */
static char *own_cost(char *out, const struct trial_report *r, const struct price *p)
{
	const struct price_use use = {
		.requests = {
			[PRICE_PUT] = r->requests[STORE_PUT],
			[PRICE_GET] = r->requests[STORE_GET],
			[PRICE_LIST] = r->requests[STORE_LIST],
			[PRICE_DELETE] = r->requests[STORE_DELETE],
		},
		.egress = r->bytes_down,
		.us = PRICE_MONTH_US,
	};
	struct price_sums sums;

	price_estimate(p, &use, &sums);
	return price_str(out, sums.total, p->currency);
}

static void print_used(const struct trial_report *r, const struct price *p)
{
	char up[PARSE_SIZE_STR], down[PARSE_SIZE_STR], cost[PRICE_STR];

	printf("\nthis probe: %llu PUT, %llu GET, %llu LIST, %llu DELETE; %s up, %s down%s%s\n",
	       (unsigned long long)r->requests[STORE_PUT],
	       (unsigned long long)r->requests[STORE_GET],
	       (unsigned long long)r->requests[STORE_LIST],
	       (unsigned long long)r->requests[STORE_DELETE], parse_size_str(up, r->bytes_up),
	       parse_size_str(down, r->bytes_down), p ? "; " : "", p ? own_cost(cost, r, p) : "");
}

static void print_bill(const struct bill *b)
{
	static const char *const what[PRICE_NR_ITEMS] = {
		[PRICE_PUT] = "PUT",	   [PRICE_LIST] = "LIST",      [PRICE_GET] = "GET",
		[PRICE_DELETE] = "DELETE", [PRICE_STORAGE] = "stored", [PRICE_EGRESS] = "read out",
	};
	char s[3][PARSE_SIZE_STR], money[PRICE_STR], assumed[BILL_ASSUMED_LEN];

	printf("\na month with %s stored, a day %s written within %u hours, %s read, %llu FLUSH:\n",
	       parse_size_str(s[0], b->load.size), parse_size_str(s[1], b->load.written),
	       b->load.hours, parse_size_str(s[2], b->load.read),
	       (unsigned long long)b->load.flushes);
	for (int i = 0; i < PRICE_NR_ITEMS; i++) {
		char n[24];

		if (i < PRICE_STORAGE)
			snprintf(n, sizeof(n), "%llu", (unsigned long long)b->use.requests[i]);
		else
			parse_size_str(n, i == PRICE_STORAGE ? b->use.stored : b->use.egress);
		printf("  %-8s  %12s  %20s\n", what[i], n,
		       b->price ? price_str(money, b->sums.nano[i], b->price->currency) : "");
	}
	if (b->price)
		printf("  %-8s  %12s  %20s  (prices: %s%s%s in %s)\n", "total", "",
		       price_str(money, b->sums.total, b->price->currency), b->price->section,
		       b->price->as_of[0] ? " of " : "", b->price->as_of, b->book->path);
	else
		printf("  no price: %s\n", b->why);
	printf("assumed: %s\n", bill_assumed(assumed, &b->engine));
}

static json_t *bill_json(const struct bill *b)
{
	json_t *j = json_object(), *use = json_object(), *sums = json_object();
	char assumed[BILL_ASSUMED_LEN];

	json_object_set_new(j, "workload",
			    json_pack("{s:I, s:I, s:i, s:I, s:I}", "size", (json_int_t)b->load.size,
				      "write_per_day", (json_int_t)b->load.written, "write_hours",
				      (int)b->load.hours, "read_per_day", (json_int_t)b->load.read,
				      "flush_per_day", (json_int_t)b->load.flushes));
	for (int i = 0; i < PRICE_NR_ITEMS; i++) {
		uint64_t n = i < PRICE_STORAGE	? b->use.requests[i] :
			     i == PRICE_STORAGE ? b->use.stored :
						  b->use.egress;

		json_object_set_new(use, price_item_name((enum price_item)i),
				    json_integer((json_int_t)n));
		if (b->price)
			json_object_set_new(sums, price_item_name((enum price_item)i),
					    json_real((double)b->sums.nano[i] / 1e9));
	}
	json_object_set_new(j, "use", use);
	json_object_set_new(j, "assumed", json_string(bill_assumed(assumed, &b->engine)));
	if (b->price) {
		json_object_set_new(sums, "total", json_real((double)b->sums.total / 1e9));
		json_object_set_new(j, "currency", json_string(b->price->currency));
		json_object_set_new(j, "section", json_string(b->price->section));
		json_object_set_new(j, "as_of", json_string(b->price->as_of));
		json_object_set_new(j, "file", json_string(b->book->path));
		json_object_set_new(j, "per_month", sums);
	} else {
		json_decref(sums);
		json_object_set_new(j, "no_price", json_string(b->why));
	}
	return j;
}

static json_t *latency_json(const struct trial_latency *l)
{
	return json_pack("{s:f, s:f, s:i, s:i}", "p50_ms", (double)l->p50_us / 1000, "p99_ms",
			 (double)l->p99_us / 1000, "samples", (int)l->samples, "failed",
			 (int)l->failed);
}

static json_t *rate_json(const struct trial_rate *x)
{
	return json_pack("{s:f, s:I, s:I, s:i}", "mb_per_s",
			 x->us ? (double)x->bytes / (double)x->us : 0, "bytes",
			 (json_int_t)x->bytes, "us", (json_int_t)x->us, "parallel",
			 (int)x->parallel);
}

static json_t *to_json(const char *url, const struct trial_report *r, const struct bill *b)
{
	json_t *checks = json_array(), *latency = json_object(), *rate = json_object();
	static const char *const ops[] = { "put", "get", "list", "delete" };
	json_t *requests = json_object();
	char text[TRIAL_TEXT];

	for (uint32_t i = 0; i < r->nr_rows; i++) {
		const struct trial_row *row = &r->rows[i];
		size_t n = 0;

		/* Printable ASCII: what a store says may be no UTF-8. */
		for (const char *p = row->text; *p; p++)
			text[n++] = *p >= ' ' && *p <= '~' ? *p : '?';
		text[n] = '\0';
		json_array_append_new(checks,
				      json_pack("{s:s, s:s, s:s}", "name", row->name, "result",
						trial_result_name(row->result), "found", text));
	}
	for (int op = 0; op < STORE_NR_OPS; op++) {
		json_object_set_new(requests, ops[op], json_integer((json_int_t)r->requests[op]));
		if (r->latency[op].samples || r->latency[op].failed)
			json_object_set_new(latency, ops[op], latency_json(&r->latency[op]));
	}
	if (r->up.us)
		json_object_set_new(rate, "put", rate_json(&r->up));
	if (r->down.us)
		json_object_set_new(rate, "get", rate_json(&r->down));
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:i, s:o}", "url", url,
			 "verdict", verdict_word(r), "usable",
			 !r->stopped && r->verdict != TRIAL_FAIL, "checks", checks, "latency",
			 latency, "throughput", rate, "requests", requests, "bytes_up",
			 (json_int_t)r->bytes_up, "bytes_down", (json_int_t)r->bytes_down, "prefix",
			 r->prefix, "objects_left", (int)r->left, "bill", bill_json(b));
}

/* ---- the command ------------------------------------------------------------------------- */

static int hold(struct host *h, const struct trial_opts *o, struct trial_report *r)
{
	const struct trial_env env = {
		.store = h->store,
		.clock = h->env.clock,
		.wait = wait_done,
		.stopped = stopped,
		.ctx = h,
	};
	int rc;

	trial_begin(r);
	catch_signals(r);
	core_lock(&h->core);
	rc = trial_run(r, &env, o);
	host_settle(h);
	core_unlock(&h->core);
	return rc;
}

static int tell(const char *url, const struct trial_report *r, const struct bill *b, bool json)
{
	/* It could not even be asked: that is an error, not a finding. */
	bool unreached = r->nr_rows == 1 && r->rows[0].result == TRIAL_FAIL;

	if (json) {
		json_t *j = to_json(url, r, b);

		json_dumpf(j, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(j);
	} else if (!unreached && r->nr_rows) {
		print_table(r);
		print_used(r, b->price);
		if (!r->stopped && r->verdict != TRIAL_FAIL)
			print_bill(b);
		print_verdict(r);
	}
	if (r->stopped && r->left)
		return cmd_err("probe: interrupted; %u objects could not be removed from %s",
			       r->left, r->prefix);
	if (r->stopped)
		return cmd_err("probe: interrupted; everything that was written has been removed");
	if (unreached)
		return cmd_err("the store cannot be used: %s", r->rows[0].text);
	return r->verdict == TRIAL_FAIL ? CMD_FAILED : CMD_OK;
}

struct texts {
	const char *size, *written, *hours, *read, *flushes, *prices, *section;
};

static int take_bytes(const char *opt, const char *text, uint64_t *ret)
{
	if (parse_size(text, ret) || *ret > BILL_BYTES_MAX)
		return cmd_usage("--%s: '%s' is not a size; as in 512M, 100G, 4T", opt, text);
	return 0;
}

static int take_load(const struct texts *t, struct bill_load *l)
{
	unsigned long hours, flushes;
	int rc = take_bytes("size", t->size, &l->size);

	if (!rc)
		rc = take_bytes("write-per-day", t->written, &l->written);
	if (!rc)
		rc = take_bytes("read-per-day", t->read, &l->read);
	if (!rc)
		rc = cmd_opt_number("write-hours", t->hours, 1, 24, &hours);
	if (!rc)
		rc = cmd_opt_number("flush-per-day", t->flushes, 0, BILL_FLUSHES_MAX, &flushes);
	if (rc)
		return rc;
	l->hours = (uint32_t)hours;
	l->flushes = flushes;
	return 0;
}

/* The endpoint's host, without bucket and port; "" of a folder. */
static void host_of(const struct url *u, char *host, size_t len)
{
	struct s3_opts o = u->s3;
	char *port;

	host[0] = '\0';
	if (u->kind != URL_S3)
		return;
	o.path_style = true;
	s3_opts_host(&o, o.region, host, len);
	port = strrchr(host, ':');
	if (port && !strchr(port, ']'))
		*port = '\0';
}

/* What was asked for by name must be there; without, there is just no sum. */
static int take_prices(const struct texts *t, const struct url *u, struct bill *b)
{
	char host[320];
	int rc;

	bill_use(&b->use, &b->load, &b->engine);
	host_of(u, host, sizeof(host));
	if (!*host && !t->section && !t->prices) {
		snprintf(b->why, sizeof(b->why),
			 "a folder has none; --price-section chooses one of a file of prices");
		return 0;
	}
	rc = price_load(&b->book, t->prices, b->why);
	if (!rc)
		rc = price_choose(b->book, t->section, *host ? host : "a folder", &b->price,
				  b->why);
	if (rc == -EINVAL || (rc && (t->section || t->prices)))
		return cmd_err("%s", b->why);
	if (!rc)
		price_estimate(b->price, &b->use, &b->sums);
	return 0;
}

int cmd_probe(const struct cmd *cmd, int argc, char **argv)
{
	struct texts t = {
		.size = "100G", .written = "10G", .hours = "8", .read = "1G", .flushes = "0"
	};
	const char *samples = "50", *seconds = "5";
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "samples", "N", "requests of each kind for the latencies, 0 = none (50)",
		  &samples, NULL },
		{ "seconds", "TIME",
		  "about how long the throughput is measured, each way, 0 = not (5)", &seconds,
		  NULL },
		{ "size", "BYTES", "for the bill: kept in the store, after compression (100G)",
		  &t.size, NULL },
		{ "write-per-day", "BYTES", "... written a day, after compression (10G)",
		  &t.written, NULL },
		{ "write-hours", "N", "... in so many hours of it (8)", &t.hours, NULL },
		{ "read-per-day", "BYTES", "... read from the store a day (1G)", &t.read, NULL },
		{ "flush-per-day", "N", "... with so many FLUSHes that wait for the store (0)",
		  &t.flushes, NULL },
		{ "prices", "FILE", "prices (/etc/zerofs/prices.conf, or what was installed)",
		  &t.prices, NULL },
		{ "price-section", "NAME", "which of its sections (the one for the endpoint)",
		  &t.section, NULL },
		{ "json", NULL, "print JSON", NULL, &json },
		{ 0 }
	};
	struct trial_opts o = { .rounds = ROUNDS, .parallel = VOLUME_PUTS };
	struct bill b = { 0 };
	struct trial_report r;
	char err[HOST_ERR_LEN];
	unsigned long n;
	uint64_t ms;
	struct host *h;
	struct url u;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	if (url_parse(&u, argv[1], err, sizeof(err)))
		return cmd_usage("%s", err);
	rc = cmd_opt_number("samples", samples, 0, SAMPLES_MAX, &n);
	if (rc)
		return rc;
	o.samples = (uint32_t)n;
	if (parse_ms(seconds, &ms) || ms > MS_MAX)
		return cmd_usage("--seconds: '%s' is not a time from 0 to 60s", seconds);
	o.ms = (uint32_t)ms;
	volume_opts_init(&b.engine);
	o.object_bytes = b.engine.segment_bytes;
	rc = take_load(&t, &b.load);
	if (!rc)
		rc = take_prices(&t, &u, &b);
	if (!rc && host_new(&h, argv[1], 0, 1, err))
		rc = cmd_err("%s", err);
	if (rc)
		goto out;
	rc = hold(h, &o, &r);
	host_stop_threads(h);
	host_free(h);
	rc = rc ? cmd_err("out of memory") : tell(argv[1], &r, &b, json);
out:
	free(b.book);
	return rc;
}
