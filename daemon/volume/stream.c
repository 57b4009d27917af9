// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Streams: see stream.h.
 *
 * Happy path: a READ begins where the last one ended; it is the third; windows are wanted ahead of
 * it. Failure modes: random READs come and go as candidates and cost a look at STREAM_NR places; a
 * stream that is given up in the middle wastes what is ahead of it, which lowers the windows of
 * those that follow.
 */
#include "volume/stream.h"

#include <string.h>

#define JUDGE  1024u /* blocks after which the windows are judged */
#define MEMORY 16384u /* blocks of a stream that count for what it leaves out */
#define IDLE   1024u /* READs of others after which a stream counts no more */

void stream_init(struct streams *s, uint64_t budget, uint32_t max_window)
{
	memset(s, 0, sizeof(*s));
	s->budget = budget;
	while (s->max_level < STREAM_LEVELS && STREAM_WINDOW_MIN << s->max_level <= max_window)
		s->max_level++;
	s->top = s->max_level;
}

bool stream_shadow(const struct streams *s)
{
	return !s->top;
}

static uint64_t ahead_of(const struct stream *st)
{
	return st->found && st->head > st->next ? st->head - st->next : 0;
}

static void judge(struct streams *s)
{
	if (s->passed < JUDGE)
		return;
	if (s->waste * 3 > s->passed)
		s->top -= s->top > 0;
	else if (s->waste * 10 < s->passed)
		s->top += s->top < s->max_level;
	s->passed = 0;
	s->waste = 0;
}

/* The stream is no more: what is ahead of it was for nothing. */
static void retire(struct streams *s, struct stream *st)
{
	if (!st->found)
		return;
	s->passed += ahead_of(st);
	s->waste += ahead_of(st);
	s->nr_found--;
	st->found = false;
	st->reads = 0;
	st->since = s->clock;
	judge(s);
}

static void begin(struct streams *s, struct stream *st, uint32_t dev, uint64_t lba, uint32_t n)
{
	*st = (struct stream){
		.dev = dev,
		.start = lba,
		.next = lba + n,
		.used = s->clock,
		.since = s->clock,
		.reads = 1,
	};
}

static struct stream *oldest(struct streams *s, bool found)
{
	struct stream *old = NULL;
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		if (s->s[i].found == found && (!old || s->s[i].used < old->used))
			old = &s->s[i];
	return old;
}

static void candidate(struct streams *s, uint32_t dev, uint64_t lba, uint32_t n)
{
	struct stream *st = s->nr < STREAM_NR ? &s->s[s->nr++] : oldest(s, false);

	begin(s, st, dev, lba, n);
}

/*
 * STREAM_MAX < STREAM_NR: there is always a candidate whose place can be taken. One that has been
 * read since @st is counted is not displaced: readers in turns would take each other's place, and
 * all that was read ahead would be for nothing.
 */
static void found(struct streams *s, struct stream *st)
{
	struct stream *old = s->nr_found == STREAM_MAX ? oldest(s, true) : NULL;

	if (old && old->used > st->since) {
		st->reads = 0;
		st->since = s->clock;
		return;
	}
	if (old)
		retire(s, old);
	st->found = true;
	st->level = 0;
	st->head = st->next;
	st->grown = st->next;
	s->nr_found++;
}

static bool near(const struct stream *st, uint32_t dev, uint64_t lba)
{
	return st->dev == dev && lba + STREAM_NEAR >= st->next && lba <= st->next + STREAM_NEAR;
}

/* The one whose end is nearest to @lba; of several the one that was read last. */
static struct stream *find(struct streams *s, uint32_t dev, uint64_t lba)
{
	struct stream *best = NULL, *st;
	uint64_t d, best_d = ~0ull;

	for (st = s->s; st < s->s + s->nr; st++) {
		if (!near(st, dev, lba))
			continue;
		d = lba > st->next ? lba - st->next : st->next - lba;
		if (d < best_d || (d == best_d && st->used > best->used)) {
			best = st;
			best_d = d;
		}
	}
	return best;
}

/* A READ of what was passed over: it came out of order. */
static void fill(struct streams *s, struct stream *st, uint64_t n)
{
	uint64_t filled = n < st->holes ? n : st->holes;

	st->holes -= filled;
	if (st->found)
		s->waste -= filled < s->waste ? filled : s->waste;
}

/* [next, to) is passed, of which the reader left out @gap blocks. */
static void pass(struct streams *s, struct stream *st, uint64_t to, uint64_t gap)
{
	uint64_t ahead = ahead_of(st);

	s->passed += to - st->next < ahead ? to - st->next : ahead;
	s->waste += gap < ahead ? gap : ahead;
	st->holes += gap;
	st->next = to;
	if (to - st->start > MEMORY) {
		st->start += (to - st->start) / 2;
		st->holes /= 2;
	}
	judge(s);
}

static uint32_t level_of(const struct streams *s, const struct stream *st)
{
	uint32_t top = s->top ? s->top - 1 : 0;

	return st->level < top ? st->level : top;
}

static uint32_t depth_of(uint32_t level)
{
	return level ? STREAM_DEPTH : 1;
}

struct stream *stream_read(struct streams *s, uint32_t dev, uint64_t lba, uint32_t n)
{
	struct stream *st;
	uint64_t end = lba + n, gap;

	if (!s->max_level)
		return NULL;
	s->clock++;
	st = find(s, dev, lba);
	if (!st) {
		candidate(s, dev, lba, n);
		return NULL;
	}
	st->used = s->clock;
	if (!st->found && lba < st->start) {
		begin(s, st, dev, lba, n);
		return NULL;
	}
	if (end <= st->next) {
		fill(s, st, n);
		return NULL;
	}
	gap = lba > st->next ? lba - st->next : 0;
	if ((st->holes + gap) * 3 > end - st->start) {
		retire(s, st);
		begin(s, st, dev, lba, n);
		return NULL;
	}
	if (lba < st->next)
		fill(s, st, st->next - lba);
	pass(s, st, end, gap);
	if (!st->found && ++st->reads == STREAM_READS)
		found(s, st);
	if (!st->found)
		return NULL;
	while (st->level + 1 < s->max_level && st->next - st->grown >= STREAM_WINDOW_MIN
									       << st->level)
		st->grown += STREAM_WINDOW_MIN << st->level++;
	return st;
}

/* Has it been read of late? Of others what is ahead is in the cache, as any other frame. */
static bool active(const struct streams *s, const struct stream *st)
{
	return st->found && s->clock - st->used < IDLE;
}

/* What one of the active streams may have ahead; @ret_left: what all of them together still may. */
static uint64_t share_of(const struct streams *s, uint64_t *ret_left)
{
	uint64_t ahead = 0;
	uint32_t i, nr = 0;

	for (i = 0; i < s->nr; i++) {
		if (!active(s, &s->s[i]))
			continue;
		nr++;
		ahead += ahead_of(&s->s[i]);
	}
	*ret_left = s->budget > ahead ? s->budget - ahead : 0;
	return nr ? s->budget / nr : 0;
}

/* The largest level at which all windows fit into the stream's share. */
static uint32_t fitting(const struct streams *s, const struct stream *st, uint64_t share)
{
	uint32_t level = level_of(s, st);

	while (level && (uint64_t)depth_of(level) * (STREAM_WINDOW_MIN << level) > share)
		level--;
	return level;
}

uint64_t stream_reach(const struct streams *s, const struct stream *st)
{
	uint64_t left;
	uint32_t level = fitting(s, st, share_of(s, &left));

	return (uint64_t)depth_of(level) * (STREAM_WINDOW_MIN << level);
}

bool stream_wants(const struct streams *s, const struct stream *st, uint64_t nblocks,
		  uint64_t *ret_lba, uint32_t *ret_n)
{
	uint64_t from = st->head > st->next ? st->head : st->next, left, share = share_of(s, &left);
	uint32_t level = fitting(s, st, share), window, piece;

	window = STREAM_WINDOW_MIN << level;
	piece = window < STREAM_PIECE ? window : STREAM_PIECE;
	if (window > share || piece > left || from >= nblocks ||
	    from + piece > st->next + (uint64_t)depth_of(level) * window)
		return false;
	*ret_lba = from;
	*ret_n = nblocks - from < piece ? nblocks - from : piece;
	return true;
}

void stream_ahead(struct stream *st, uint64_t to)
{
	st->head = to;
}
