// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Happy path: half of the extents, or more, are free or wait in the kernel, and writers never wait.
 * Beyond that each further one is posted when the kernel has none left, and not before the time has
 * passed in which, of late, one became free. Failure modes: nothing becomes free any more: the time
 * gets longer, until the kernel has all of them.
 */
#include "volume/pace.h"

#include "base/clock.h"
#include "volume/batch.h"
#include "volume/journal.h"
#include "volume/vol.h"

#define ROOM_SHARE    4u /* so much sooner while there could be more uploads */
#define UNKNOWN_SHARE 6u /* of the time that nothing has become free for: one more extent */

void pace_start(struct volume *v)
{
	v->pace.base = v->arena.nr_free;
	v->pace.freed = v->arena.nr_free;
}

void pace_busy(struct volume *v)
{
	if (!v->pace.since_us)
		v->pace.since_us = clock_mono_us(v->env.clock);
}

void pace_idle(struct volume *v)
{
	struct pace *p = &v->pace;

	if (p->since_us)
		p->busy_us += clock_mono_us(v->env.clock) - p->since_us;
	p->since_us = 0;
}

static uint64_t busy_time(const struct pace *p, uint64_t now)
{
	return p->busy_us + (p->since_us ? now - p->since_us : 0);
}

/* Those that have become free since the last look. */
static void note_freed(struct volume *v, uint64_t now)
{
	uint64_t freed = v->pace.posted + v->arena.nr_free;
	struct pace *p = &v->pace;

	while (p->freed < freed)
		p->at[p->freed++ % PACE_EXTENTS] = busy_time(p, now);
}

/*
 * From one extent that becomes free to the next, on average. Over as many as may do so at once: the
 * uploads under way share a line, and often end together.
 */
static uint64_t freed_gap(const struct volume *v, uint64_t now)
{
	uint64_t known = v->pace.freed - v->pace.base, busy = busy_time(&v->pace, now);
	uint32_t n = v->arena.nr_exts * 2 < PACE_EXTENTS ? v->arena.nr_exts * 2 : PACE_EXTENTS;

	if (!known)
		return busy / UNKNOWN_SHARE;
	if (known < n)
		return busy / known;
	return (busy - v->pace.at[(v->pace.freed - n) % PACE_EXTENTS]) / n;
}

/* Are there as many uploads as there can be? Else what is written next is one more of them. */
static bool all_uploads(const struct volume *v)
{
	const struct batch *b;
	uint32_t puts = 0;

	list_for_each_entry(b, &v->batches, link) {
		if (b->state == BATCH_CUT || b->state == BATCH_READY)
			return true;
		puts += b->state == BATCH_PUT;
	}
	return puts >= VOL_PUTS;
}

/*
 * From one post to the next: shorter than that while there are more free ones than a quarter of
 * all, longer when there are fewer, so that a quarter is what it comes to. While there could be
 * more uploads the store may take more than it did.
 */
static uint64_t gap(const struct volume *v, uint64_t now)
{
	uint64_t half = v->arena.nr_exts / 2, used = half - v->arena.nr_free, g;

	if (v->arena.nr_free >= half)
		return 0;
	g = 2 * freed_gap(v, now) * used / half;
	return all_uploads(v) ? g : g / ROOM_SHARE;
}

/* A journal makes room as fast as its disk takes it. */
static bool applies(const struct volume *v)
{
	return v->arena.nr_free * 2 < v->arena.nr_exts &&
	       !(v->journal && v->journal->state == JOURNAL_ACTIVE);
}

bool pace_may_post(struct volume *v)
{
	struct pace *p = &v->pace;
	uint64_t now;

	if (!v->arena.nr_free)
		return true;
	now = clock_mono_us(v->env.clock);
	note_freed(v, now);
	if (!applies(v))
		return true;
	if (p->next_us > now + gap(v, now))
		p->next_us = now + gap(v, now);
	return p->wanted && now >= p->next_us;
}

void pace_posted(struct volume *v)
{
	uint64_t now = clock_mono_us(v->env.clock), g = gap(v, now);
	struct pace *p = &v->pace;

	p->posted++;
	p->wanted = false;
	/* who comes a little late is not later still the next time */
	p->next_us = (p->next_us + g > now ? p->next_us : now) + g;
}

bool pace_starved(struct volume *v)
{
	v->pace.wanted = true;
	return v->started && v->arena.nr_free && applies(v);
}

uint64_t pace_deadline(const struct volume *v)
{
	return v->started && v->pace.wanted && v->arena.nr_free && applies(v) ? v->pace.next_us :
										~0ull;
}
