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
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "server/host.h"
#include "store/store.h"
#include "store/trial.h"
#include "store/url.h"
#include "volume/volume.h"

#define ROUNDS	    16u /* of the race */
#define SAMPLES_MAX 10000u
#define MS_MAX	    60000u

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

static void print_used(const struct trial_report *r)
{
	char up[PARSE_SIZE_STR], down[PARSE_SIZE_STR];

	printf("\nthis probe: %llu PUT, %llu GET, %llu LIST, %llu DELETE; %s up, %s down\n",
	       (unsigned long long)r->requests[STORE_PUT],
	       (unsigned long long)r->requests[STORE_GET],
	       (unsigned long long)r->requests[STORE_LIST],
	       (unsigned long long)r->requests[STORE_DELETE], parse_size_str(up, r->bytes_up),
	       parse_size_str(down, r->bytes_down));
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

static json_t *to_json(const char *url, const struct trial_report *r)
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
	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:i}", "url", url,
			 "verdict", verdict_word(r), "usable",
			 !r->stopped && r->verdict != TRIAL_FAIL, "checks", checks, "latency",
			 latency, "throughput", rate, "requests", requests, "bytes_up",
			 (json_int_t)r->bytes_up, "bytes_down", (json_int_t)r->bytes_down, "prefix",
			 r->prefix, "objects_left", (int)r->left);
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

static int tell(const char *url, const struct trial_report *r, bool json)
{
	/* It could not even be asked: that is an error, not a finding. */
	bool unreached = r->nr_rows == 1 && r->rows[0].result == TRIAL_FAIL;

	if (json) {
		json_t *j = to_json(url, r);

		json_dumpf(j, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(j);
	} else if (!unreached && r->nr_rows) {
		print_table(r);
		print_used(r);
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

int cmd_probe(const struct cmd *cmd, int argc, char **argv)
{
	const char *samples = "50", *seconds = "5";
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "samples", "N", "requests of each kind for the latencies, 0 = none (50)",
		  &samples, NULL },
		{ "seconds", "TIME",
		  "about how long the throughput is measured, each way, 0 = not (5)", &seconds,
		  NULL },
		{ "json", NULL, "print JSON", NULL, &json },
		{ 0 }
	};
	struct trial_opts o = { .rounds = ROUNDS, .parallel = VOLUME_PUTS };
	struct volume_opts v;
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
	volume_opts_init(&v);
	o.object_bytes = v.segment_bytes;
	if (host_new(&h, argv[1], 0, 1, err))
		return cmd_err("%s", err);
	rc = hold(h, &o, &r);
	host_stop_threads(h);
	host_free(h);
	if (rc)
		return cmd_err("out of memory");
	return tell(argv[1], &r, json);
}
