// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: questions, then figures, then everything is deleted. Failure modes: a FAIL ends the
 * trial before the figures, which cost most; whoever wants it to end is heard between two steps;
 * what was written is removed in any case, as far as the store lets us.
 */
#include "store/trial.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "store/trial_check.h"
#include "store/trial_io.h"
#include "store/trial_speed.h"

const char *trial_result_name(enum trial_result r)
{
	static const char *const names[] = {
		[TRIAL_NOTE] = "note",
		[TRIAL_PASS] = "pass",
		[TRIAL_WARN] = "warn",
		[TRIAL_FAIL] = "fail",
	};

	return names[r];
}

void trial_begin(struct trial_report *r)
{
	uint64_t n;

	memset(r, 0, sizeof(*r));
	randombytes_buf(&n, sizeof(n));
	snprintf(r->prefix, sizeof(r->prefix), "trial/%016llx/", (unsigned long long)n);
}

static enum trial_result worst(const struct trial_report *r)
{
	enum trial_result w = TRIAL_PASS;

	for (uint32_t i = 0; i < r->nr_rows; i++)
		if (r->rows[i].result > w)
			w = r->rows[i].result;
	return w;
}

static void clean(struct trial *t)
{
	struct trial_report *r = t->r;
	struct trial_row *row = &r->rows[r->nr_rows++];
	char why[TRIAL_TEXT] = "", prefix[TRIAL_PREFIX_LEN];

	strcpy(prefix, r->prefix);
	r->left = trial_io_clean(t, why);
	row->name = "clean-up";
	row->title = "clean-up";
	row->result = *why ? TRIAL_WARN : TRIAL_PASS;
	if (r->left)
		snprintf(row->text, sizeof(row->text),
			 "%u objects could not be removed from %s: %.300s", r->left, prefix, why);
	else if (*why)
		snprintf(row->text, sizeof(row->text), "all were deleted, but %.300s", why);
	else
		snprintf(row->text, sizeof(row->text), "%u objects written, none left",
			 t->nr_names);
}

int trial_run(struct trial_report *r, const struct trial_env *env, const struct trial_opts *o)
{
	struct trial t = { .env = env, .o = o, .r = r };
	int rc;

	assert(o->object_bytes >= TRIAL_OBJECT_MIN);
	assert(o->parallel && o->parallel <= TRIAL_PARALLEL_MAX);
	rc = trial_io_init(&t);
	if (rc)
		return rc;
	if (trial_check(&t) && worst(r) != TRIAL_FAIL)
		trial_speed(&t);
	r->stopped = trial_io_stopped(&t);
	if (t.nr_names)
		clean(&t);
	r->verdict = worst(r);
	trial_io_free(&t);
	return 0;
}
