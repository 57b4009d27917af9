// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * S1 to S5 of store.h and the order of LIST, each asked of the store itself. A table says in which
 * order. An answer that cannot be is a FAIL with what it was; so is a request that ends with an
 * error, in the store's words.
 *
 * -EEXIST may be due to an earlier try of the same PUT. So those who race for a name bring bytes of
 * their own, and the object, read back, decides: whoever was told "made" must be found there.
 */
#include "store/trial_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/trial_io.h"

#define RACERS	     8u
#define WRITES	     8u
#define RANGE_BYTES  100003u /* no multiple of anything */
#define PAGE	     7u
#define ENTS	     64u
#define FAILURES_MAX 3u
#define SKEW_WARN    60 /* seconds; beyond 15 minutes Amazon refuses requests */

static enum trial_result fail(char *text, const char *what)
{
	snprintf(text, TRIAL_TEXT, "%s", what);
	return TRIAL_FAIL;
}

static enum trial_result failed(struct trial *t, ssize_t err, const char *what, char *text)
{
	trial_io_why(t, err, what, text);
	return TRIAL_FAIL;
}

/* ---- there at all ------------------------------------------------------------------------ */

static enum trial_result check_reach(struct trial *t, char *text)
{
	struct trial_shot s = { 0 };
	struct store_entry ent;
	ssize_t n;

	trial_io_list(t, &s, "", "", &ent, 1);
	n = trial_io_do(&s);
	if (n < 0)
		return failed(t, n, "LIST", text);
	if (n)
		return fail(text, "LIST of a prefix that nobody has used names an object");
	snprintf(text, TRIAL_TEXT, "LIST answers");
	return TRIAL_PASS;
}

static enum trial_result check_write(struct trial *t, char *text)
{
	char name[TRIAL_IO_NAME];

	for (uint32_t i = 0; i < WRITES; i++) {
		snprintf(name, sizeof(name), "w/%u", i);
		if (trial_io_put_get(t, name, trial_io_id(t), TRIAL_IO_SMALL, text))
			return TRIAL_FAIL;
	}
	snprintf(text, TRIAL_TEXT, "%u of %u objects read back at once, every byte", WRITES,
		 WRITES);
	return TRIAL_PASS;
}

/* ---- creating twice ---------------------------------------------------------------------- */

/* Which of the bodies @id .. @id + @n - 1 the object is; -1: none of them; -errno below that. */
static ssize_t whose(struct trial *t, const char *name, uint64_t id, uint32_t n)
{
	uint8_t buf[TRIAL_IO_SMALL + 1];
	struct trial_shot s = { 0 };
	ssize_t got;

	trial_io_get(t, &s, name, 0, buf, sizeof(buf));
	got = trial_io_do(&s);
	if (got < 0)
		return got - 1;
	for (uint32_t i = 0; i < n && got == (ssize_t)TRIAL_IO_SMALL; i++)
		if (trial_io_is(t, id + i, 0, buf, TRIAL_IO_SMALL))
			return i;
	return -1;
}

static uint64_t ids(struct trial *t, uint32_t n)
{
	uint64_t first = trial_io_id(t);

	while (--n)
		trial_io_id(t);
	return first;
}

static enum trial_result check_create(struct trial *t, char *text)
{
	struct trial_shot s = { 0 };
	uint64_t id = ids(t, 2);
	ssize_t n;

	if (trial_io_put_get(t, "k", id, TRIAL_IO_SMALL, text))
		return TRIAL_FAIL;
	n = trial_io_put(t, &s, "k", id + 1, TRIAL_IO_SMALL, false);
	if (!n)
		n = trial_io_do(&s);
	if (n && n != -EEXIST)
		return failed(t, n, "PUT", text);
	if (n == -EEXIST) {
		if (whose(t, "k", id, 2))
			return fail(text, "a second create was refused, and yet it has changed the "
					  "object");
		snprintf(text, TRIAL_TEXT, "a name that is taken is refused");
		return TRIAL_PASS;
	}
	return fail(text, whose(t, "k", id, 2) == 1 ?
				  "a second create was accepted and has overwritten the first" :
				  "a second create was accepted, though nothing was written");
}

/* One round: "" or what is wrong. */
static const char *race(struct trial *t, struct trial_shot *s, const char *name, char *text)
{
	uint64_t id = ids(t, RACERS);
	ssize_t winner = -1, there, n;
	uint32_t made = 0, i;

	for (i = 0; i < RACERS; i++)
		if (trial_io_put(t, &s[i], name, id + i, TRIAL_IO_SMALL, false))
			return trial_io_why(t, -ENOMEM, "PUT", text);
	for (i = 0; i < RACERS; i++)
		trial_io_start(&s[i]);
	trial_io_wait(t);
	for (i = 0; i < RACERS; i++) {
		n = s[i].req.res;
		if (n && n != -EEXIST)
			return trial_io_why(t, n, "PUT", text);
		if (!n) {
			winner = i;
			made++;
		}
	}
	if (made > 1)
		return "two that raced for a name were both told that they had made it";
	/* Twice, since nothing may change any more. */
	for (i = 0; i < 2; i++) {
		there = whose(t, name, id, RACERS);
		if (there < -1)
			return trial_io_why(t, there + 1, "GET", text);
		if (there < 0)
			return "the object is of none of those that raced for its name";
		if (winner >= 0 && there != winner)
			return "one was told that it had made the object, and it is another's";
		winner = there;
	}
	return "";
}

static enum trial_result check_race(struct trial *t, char *text)
{
	struct trial_shot *s = calloc(RACERS, sizeof(*s));
	const char *bad = s ? "" : "out of memory";
	char name[TRIAL_IO_NAME], why[TRIAL_TEXT];

	for (uint32_t i = 0; i < t->o->rounds && !*bad && !trial_io_stopped(t); i++) {
		snprintf(name, sizeof(name), "r/%u", i);
		bad = race(t, s, name, why);
	}
	free(s);
	if (*bad)
		return fail(text, bad);
	snprintf(text, TRIAL_TEXT, "one winner in each of %u rounds of %u creates", t->o->rounds,
		 RACERS);
	return TRIAL_PASS;
}

/* ---- LIST -------------------------------------------------------------------------------- */

static enum trial_result check_list_after(struct trial *t, char *text)
{
	struct store_entry ents[WRITES + 1];
	struct trial_shot s = { 0 };
	char name[TRIAL_IO_NAME];
	ssize_t n;

	for (uint32_t i = 0; i < WRITES; i++) {
		snprintf(name, sizeof(name), "l/%u", i);
		n = trial_io_put(t, &s, name, trial_io_id(t), TRIAL_IO_SMALL + i, false);
		if (!n)
			n = trial_io_do(&s);
		if (n && n != -EEXIST)
			return failed(t, n, "PUT", text);
		trial_io_list(t, &s, "l/", "", ents, WRITES + 1);
		n = trial_io_do(&s);
		if (n < 0)
			return failed(t, n, "LIST", text);
		if (n != (ssize_t)i + 1)
			return fail(text, "LIST does not show what was written before it");
		for (uint32_t j = 0; j <= i; j++)
			if (ents[j].size != TRIAL_IO_SMALL + j)
				return fail(text,
					    "LIST shows names or sizes that were not written");
	}
	snprintf(text, TRIAL_TEXT, "%u of %u new names are listed at once", WRITES, WRITES);
	return TRIAL_PASS;
}

/*
 * In byte order. Another order would be found with: case and language aside, '/' counts for nothing
 * in a dictionary and ends a name in a tree; numbers have a value; in EBCDIC letters come first.
 */
static const char *const sorted[] = {
	"o/0",	    "o/00",  "o/000/1", "o/0a", "o/1",	 "o/10", "o/100", "o/1a/0",
	"o/1a/b/2", "o/1a0", "o/1aa",	"o/2",	"o/9",	 "o/a",	 "o/a0",  "o/aa",
	"o/b/9",    "o/b/a", "o/b0",	"o/ba", "o/z/0", "o/z0", "o/zz",
};

#define NR_SORTED (sizeof(sorted) / sizeof(sorted[0]))

static bool is_entry(const struct trial *t, const struct store_entry *e, size_t i)
{
	return i < NR_SORTED && e->size == TRIAL_IO_TAG &&
	       !strcmp(e->name + strlen(t->r->prefix), sorted[i]);
}

static enum trial_result write_sorted(struct trial *t, char *text)
{
	struct trial_shot *s = calloc(NR_SORTED, sizeof(*s));
	ssize_t err = s ? 0 : -ENOMEM;
	size_t n;

	/* At once, the last one first: not the order of LIST by chance. */
	for (n = 0; n < NR_SORTED && !err; n++) {
		err = trial_io_put(t, &s[n], sorted[NR_SORTED - 1 - n], trial_io_id(t),
				   TRIAL_IO_TAG, false);
		if (!err)
			trial_io_start(&s[n]);
	}
	trial_io_wait(t);
	for (size_t i = 0; i < n && !err; i++)
		if (s[i].req.res != -EEXIST)
			err = s[i].req.res;
	free(s);
	return err ? failed(t, err, "PUT", text) : TRIAL_PASS;
}

static enum trial_result check_order(struct trial *t, char *text)
{
	struct store_entry ents[ENTS];
	struct trial_shot s = { 0 };
	ssize_t n;

	if (write_sorted(t, text) == TRIAL_FAIL)
		return TRIAL_FAIL;
	trial_io_list(t, &s, "o/", "", ents, ENTS);
	n = trial_io_do(&s);
	if (n < 0)
		return failed(t, n, "LIST", text);
	if (n != (ssize_t)NR_SORTED)
		return fail(text, "LIST leaves names out, or shows some that are not there");
	for (ssize_t i = 0; i < n; i++)
		if (!is_entry(t, &ents[i], (size_t)i))
			return fail(text, "LIST is not in the order of bytes");
	snprintf(text, TRIAL_TEXT, "%zu names in the order of bytes", NR_SORTED);
	return TRIAL_PASS;
}

static enum trial_result check_pages(struct trial *t, char *text)
{
	const char *after = "";
	struct store_entry ents[PAGE];
	struct trial_shot s = { 0 };
	size_t i = 0, pages = 0;
	ssize_t n;

	do {
		trial_io_list(t, &s, "o/", after, ents, PAGE);
		n = trial_io_do(&s);
		if (n < 0)
			return failed(t, n, "LIST", text);
		pages++;
		for (ssize_t k = 0; k < n; k++, i++)
			if (!is_entry(t, &ents[k], i))
				return fail(text,
					    "a LIST that goes on behind a name repeats some, or "
					    "leaves some out");
		after = i ? sorted[i - 1] : "";
	} while (n == (ssize_t)PAGE);
	if (i != NR_SORTED)
		return fail(text, "a LIST that goes on behind a name ends too early");
	/* Behind a name that is not there. */
	trial_io_list(t, &s, "o/", "o/b1", ents, 1);
	n = trial_io_do(&s);
	if (n < 0)
		return failed(t, n, "LIST", text);
	if (n != 1 || strcmp(ents[0].name + strlen(t->r->prefix), "o/ba") != 0)
		return fail(text, "a LIST behind a name that is not there begins at a wrong one");
	snprintf(text, TRIAL_TEXT, "the same in %zu pages, each behind the last", pages);
	return TRIAL_PASS;
}

/* ---- GET --------------------------------------------------------------------------------- */

static enum trial_result check_range(struct trial *t, char *text)
{
	static const struct {
		uint32_t off, len;
	} ranges[] = {
		{ 0, 1 },
		{ 0, TRIAL_IO_SMALL },
		{ RANGE_BYTES / 2, TRIAL_IO_SMALL },
		{ RANGE_BYTES - 1, 1 },
		{ RANGE_BYTES - 9, TRIAL_IO_SMALL },
		{ RANGE_BYTES, TRIAL_IO_SMALL },
		{ RANGE_BYTES + 77, 1 },
		{ 0, RANGE_BYTES },
	};
	const uint32_t nr = sizeof(ranges) / sizeof(ranges[0]);
	uint8_t *buf = malloc(RANGE_BYTES);
	struct trial_shot s = { 0 };
	uint64_t id = trial_io_id(t);
	enum trial_result r = TRIAL_PASS;

	if (!buf)
		return failed(t, -ENOMEM, "GET", text);
	if (trial_io_put_get(t, "g", id, RANGE_BYTES, text))
		r = TRIAL_FAIL;
	for (uint32_t i = 0; i < nr && r == TRIAL_PASS; i++) {
		uint32_t off = ranges[i].off, want = ranges[i].len;
		ssize_t n;

		if (off >= RANGE_BYTES)
			want = 0;
		else if (want > RANGE_BYTES - off)
			want = RANGE_BYTES - off;
		trial_io_get(t, &s, "g", off, buf, ranges[i].len);
		n = trial_io_do(&s);
		if (n < 0)
			r = failed(t, n, "GET", text);
		else if (n != (ssize_t)want || s.req.size != RANGE_BYTES ||
			 !trial_io_is(t, id, off, buf, (size_t)n))
			r = fail(text,
				 "a GET of a range brings other bytes, or too few or too many");
	}
	free(buf);
	if (r == TRIAL_PASS)
		snprintf(text, TRIAL_TEXT,
			 "%u ranges: first, middle, last, across the end, beyond it", nr);
	return r;
}

/* ---- DELETE, replacing ------------------------------------------------------------------- */

static enum trial_result check_delete(struct trial *t, char *text)
{
	struct trial_shot s = { 0 };
	struct store_entry ent;
	uint8_t buf[16];
	ssize_t n;

	if (trial_io_put_get(t, "d/1", trial_io_id(t), TRIAL_IO_SMALL, text))
		return TRIAL_FAIL;
	for (int i = 0; i < 2; i++) {
		trial_io_delete(t, &s, "d/1");
		n = trial_io_do(&s);
		if (n)
			return failed(t, n, i ? "DELETE of what is not there" : "DELETE", text);
		trial_io_get(t, &s, "d/1", 0, buf, sizeof(buf));
		n = trial_io_do(&s);
		if (n >= 0)
			return fail(text, "an object is still there after its DELETE has ended");
		if (n != -ENOENT)
			return failed(t, n, "GET of what is not there", text);
	}
	trial_io_list(t, &s, "d/", "", &ent, 1);
	n = trial_io_do(&s);
	if (n < 0)
		return failed(t, n, "LIST", text);
	if (n)
		return fail(text, "LIST shows an object that was deleted");
	snprintf(text, TRIAL_TEXT, "gone at once; again is no error");
	return TRIAL_PASS;
}

/* Only the lease is replaced, which says who serves a volume. */
static enum trial_result check_replace(struct trial *t, char *text)
{
	struct trial_shot s = { 0 };
	uint64_t id = ids(t, 2);
	ssize_t n;

	if (trial_io_put_get(t, "p", id, TRIAL_IO_SMALL, text))
		return TRIAL_FAIL;
	n = trial_io_put(t, &s, "p", id + 1, TRIAL_IO_SMALL, true);
	if (!n)
		n = trial_io_do(&s);
	if (n) {
		failed(t, n, "PUT", text);
		return TRIAL_WARN;
	}
	if (whose(t, "p", id, 2) != 1) {
		fail(text, "an object that was to be replaced has not been");
		return TRIAL_WARN;
	}
	snprintf(text, TRIAL_TEXT, "a plain PUT replaces");
	return TRIAL_PASS;
}

/* ---- what it tells of itself ------------------------------------------------------------- */

static enum trial_result check_clock(struct trial *t, char *text)
{
	struct store_facts f;
	long long s;

	store_facts(t->env->store, &f);
	if (!f.has_clock) {
		snprintf(text, TRIAL_TEXT, "the store does not tell the time");
		return TRIAL_NOTE;
	}
	/* The store has whole seconds, and half a round trip passes. */
	s = (f.skew_us < 0 ? -f.skew_us : f.skew_us) / 1000000;
	if (s <= 1)
		snprintf(text, TRIAL_TEXT, "the store's and this machine's agree");
	else
		snprintf(text, TRIAL_TEXT, "this machine's is %lld s %s the store's", s,
			 f.skew_us < 0 ? "ahead of" : "behind");
	return s > SKEW_WARN ? TRIAL_WARN : TRIAL_PASS;
}

static enum trial_result check_sums(struct trial *t, char *text)
{
	struct store_facts f;

	store_facts(t->env->store, &f);
	if (!f.has_sums) {
		snprintf(text, TRIAL_TEXT, "not asked for");
		return TRIAL_NOTE;
	}
	snprintf(text, TRIAL_TEXT,
		 f.sums ? "the store confirms the CRC32C of a PUT" :
			  "the store does not confirm the CRC32C of a PUT");
	return f.sums ? TRIAL_PASS : TRIAL_NOTE;
}

/* ---- all of it --------------------------------------------------------------------------- */

static const struct question {
	const char *name, *title;
	enum trial_result (*ask)(struct trial *t, char *text);
	bool must; /* what follows makes no sense without */
} questions[] = {
	{ "reach", "bucket, credentials", check_reach, true },
	{ "read-after-write", "read after write", check_write, true },
	{ "create-only", "create-only PUT", check_create, false },
	{ "race", "race of creates", check_race, false },
	{ "list-after-write", "LIST after write", check_list_after, false },
	{ "ranged-get", "ranged GET", check_range, false },
	{ "list-order", "LIST order", check_order, false },
	{ "list-pages", "LIST in pages", check_pages, false },
	{ "delete", "DELETE", check_delete, false },
	{ "replace", "replacing PUT", check_replace, false },
	{ "clock", "clock", check_clock, false },
	{ "checksums", "checksums", check_sums, false },
};

bool trial_check(struct trial *t)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		const struct question *q = &questions[i];
		struct trial_row *row = &t->r->rows[t->r->nr_rows];

		if (trial_io_stopped(t))
			return false;
		row->name = q->name;
		row->title = q->title;
		row->result = q->ask(t, row->text);
		t->r->nr_rows++;
		if (row->result == TRIAL_FAIL && (q->must || t->failures >= FAILURES_MAX))
			return false;
	}
	return !trial_io_stopped(t);
}
