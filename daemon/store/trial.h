/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store on trial: does it do what store.h says, and how fast? For a store that nobody relies on
 * yet. All it writes has names below a prefix of its own, trial/ and a random number, which nothing
 * of a volume has and no LIST of a volume asks for, and is deleted at the end.
 *
 * Threads: core lock.
 */
#ifndef STORE_TRIAL_H
#define STORE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct clock;

#define TRIAL_TEXT	 440u
#define TRIAL_ROWS	 24u
#define TRIAL_PREFIX_LEN 32u

/*
 * NOTE: a figure, good or bad to whom it concerns. WARN: a volume works, with what is said. FAIL:
 * no volume is safe there, or none works.
 */
enum trial_result {
	TRIAL_NOTE,
	TRIAL_PASS,
	TRIAL_WARN,
	TRIAL_FAIL,
};

/* One question and its answer. @name: a word, for programs; @title: for people. Both constant. */
struct trial_row {
	const char *name;
	const char *title;
	enum trial_result result;
	char text[TRIAL_TEXT];
};

struct trial_latency {
	uint32_t samples;
	uint32_t failed;
	uint64_t p50_us, p99_us;	/* of those that were answered, exactly */
};

struct trial_rate {
	uint64_t bytes, us;
	uint32_t parallel;
};

/**
 * struct trial_env - where it happens
 * @wait:	lets go of the core lock until *@done, however long that takes
 * @stopped:	somebody wants it to end: nothing new is asked but what removes what was written
 */
struct trial_env {
	struct store *store;
	struct clock *clock;
	void (*wait)(void *ctx, const bool *done);
	bool (*stopped)(void *ctx);
	void *ctx;
};

/**
 * struct trial_opts
 * @samples:	requests of each kind for the latencies, one after the other; 0 = none
 * @ms:	about how long each direction's throughput is measured; 0 = not at all
 * @rounds:	of the race
 * @object_bytes: of an object of the throughput, TRIAL_OBJECT_MIN at least
 * @parallel:	how many of them are under way at once, TRIAL_PARALLEL_MAX at most
 */
struct trial_opts {
	uint32_t samples;
	uint32_t ms;
	uint32_t rounds;
	uint32_t object_bytes;
	uint32_t parallel;
};

#define TRIAL_OBJECT_MIN   4096u
#define TRIAL_PARALLEL_MAX 64u
#define TRIAL_BYTES_MAX	   (2ull << 30)	/* that the throughput moves, each way */

/**
 * struct trial_report - what was found
 * @prefix:	of the names that were written, with its slash
 * @verdict:	the worst of @rows
 * @stopped:	it did not come to its end: what @rows say is true, what is missing was not asked
 * @left:	objects that are still there, as far as is known
 * @requests:	by enum store_op, those that removed things included
 */
struct trial_report {
	char prefix[TRIAL_PREFIX_LEN];
	struct trial_row rows[TRIAL_ROWS];
	uint32_t nr_rows;
	enum trial_result verdict;
	bool stopped;
	uint32_t left;
	struct trial_latency latency[STORE_NR_OPS];
	struct trial_rate up, down;
	uint64_t requests[STORE_NR_OPS];
	uint64_t bytes_up, bytes_down;
};

/* Draws the prefix of a trial that is to come. */
void trial_begin(struct trial_report *r);

/*
 * Holds the trial that trial_begin() has begun; what it finds is the result, errors of the store
 * included. Nothing is under way when it returns. 0, or -ENOMEM: nothing was written. [waits]
 */
int trial_run(struct trial_report *r, const struct trial_env *env, const struct trial_opts *o);

const char *trial_result_name(enum trial_result r);	/* "note", "pass", "warn", "fail" */

#endif
