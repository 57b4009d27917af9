// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store is away for ten minutes, by a clock that this program turns, while clients write as
 * much as they are let, and flush. Nothing may fail, and memory must stay under its cap. Once in
 * store mode; once with a journal larger than memory, so that what was written is parked there:
 * then clients also read it back.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/bench.h"

#define WRITERS	  3u
#define READERS	  2u
#define REGION	  (4ull << 30)
#define JOURNAL	  (2ull << 30)
#define MEMORY	  (256ull << 20)
#define SOURCE	  (16ull << 20)
#define OUTAGE_US (600ull * 1000000)
#define STEP_US	  100000ull /* of the clock, every millisecond, while the store is away */
#define NORMAL_US 2000000ull /* before and after */

static struct bench b;
static const uint8_t *data;
static uint64_t now_us; /* atomic */
static bool away; /* atomic: the store is, writers write to the upper half */
static bool read_enough, over; /* atomic: readers, all clients end */

static uint64_t turned(struct clock *c)
{
	(void)c;
	return __atomic_load_n(&now_us, __ATOMIC_ACQUIRE);
}

static struct clock_ops clock_ops = { .mono_us = turned, .real_us = turned };
static struct clock clock_turned = { &clock_ops };

/* Real milliseconds until the clock has gone on by @us, @step each. */
static void turn(uint64_t us, uint64_t step)
{
	for (uint64_t at = 0; at < us; at += step) {
		usleep(1000);
		core_lock(&b.host->core);
		__atomic_fetch_add(&now_us, step, __ATOMIC_RELEASE);
		if (volume_deadline_us(b.volume) <= turned(NULL))
			volume_tick(b.volume);
		core_unlock(&b.host->core);
	}
}

static bool is(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* Some place in the lower or upper half. */
static uint64_t place_in(bool upper, uint64_t *seed)
{
	return upper * (REGION / 2 / BENCH_BLOCK) +
	       bench_rnd(seed) % (REGION / 2 / BENCH_BLOCK - 16);
}

static void *writer(void *arg)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint32_t queue = (uint32_t)(uintptr_t)arg;
	uint64_t seed = queue + 1;

	bench_must(q);
	while (!is(&over))
		bench_io(&b, queue, q, IO_WRITE, place_in(is(&away), &seed),
			 1 + bench_rnd(&seed) % 16,
			 data + bench_rnd(&seed) % (SOURCE / BENCH_BLOCK - 16) * BENCH_BLOCK);
	free(q);
	return NULL;
}

/* What was written while the store is away, which nothing but memory and the journal has. */
static void *reader(void *arg)
{
	uint64_t seed = 100 + (uint64_t)(uintptr_t)arg, *count = calloc(1, sizeof(*count));
	struct loop_req *q = calloc(1, sizeof(*q));
	void *to = malloc(16 * BENCH_BLOCK);

	bench_must(q && to && count);
	for (; !is(&read_enough); ++*count)
		bench_io(&b, WRITERS, q, IO_READ, place_in(true, &seed), 1 + bench_rnd(&seed) % 16,
			 to);
	free(to);
	free(q);
	return count;
}

static void *flusher(void *arg)
{
	(void)arg;
	while (!is(&over))
		bench_flush(&b);
	return NULL;
}

/* The store goes away and comes back. *ret: as things are just before it does. How many READs. */
static uint64_t outage(bool readers, struct volume_stats *ret)
{
	pthread_t t[READERS];
	uint64_t reads = 0;
	void *count;

	turn(NORMAL_US, 1000);
	core_lock(&b.host->core);
	delay_fail(b.delay, -ETIMEDOUT);
	core_unlock(&b.host->core);
	set(&away, true);
	for (uint32_t i = 0; readers && i < READERS; i++)
		bench_must(!pthread_create(&t[i], NULL, reader, (void *)(uintptr_t)i));
	turn(OUTAGE_US, STEP_US);
	set(&read_enough, true);
	for (uint32_t i = 0; readers && i < READERS; i++) {
		pthread_join(t[i], &count);
		reads += *(uint64_t *)count;
		free(count);
	}
	*ret = bench_stats(&b);
	bench_must(ret->store_errno);
	core_lock(&b.host->core);
	delay_fail(b.delay, 0);
	core_unlock(&b.host->core);
	set(&over, true);
	turn(2 * NORMAL_US, 1000);
	return reads;
}

static void job(const char *name, bool journal)
{
	pthread_t t[WRITERS + 1];
	struct bench_place place;
	struct volume_stats st;
	struct volume_opts o;
	uint64_t reads;

	set(&away, false);
	set(&read_enough, false);
	set(&over, false);
	now_us = bench_now_us();
	bench_make(&place, REGION);
	if (journal)
		bench_make_journal(&place, JOURNAL);
	volume_opts_init(&o);
	o.memory = MEMORY;
	o.flush_local = journal;
	bench_rss_begin(place.mem);
	bench_start(&b, &place, DELAY_STANDARD, &o, &clock_turned);
	for (uint32_t i = 0; i < WRITERS; i++)
		bench_must(!pthread_create(&t[i], NULL, writer, (void *)(uintptr_t)i));
	bench_must(!pthread_create(&t[WRITERS], NULL, flusher, NULL));
	reads = outage(journal, &st);
	for (uint32_t i = 0; i <= WRITERS; i++)
		pthread_join(t[i], NULL);
	bench_say("%s, by the volume's clock: %llu MiB not stored at its end, %llu store errors, "
		  "none for a client; %llu batches parked, %llu reads",
		  name, (unsigned long long)(st.dirty_bytes >> 20),
		  (unsigned long long)st.store_errors, (unsigned long long)st.parked,
		  (unsigned long long)reads);
	/* more than memory can only be in the ring */
	bench_must(!journal || (st.journal_active && st.parked && st.dirty_bytes > MEMORY));
	bench_memory(name, bench_rss_end(&b), o.memory);
	bench_stop(&b, false);
	bench_unmake(&place);
}

int main(void)
{
	data = bench_data(BENCH_HALF, SOURCE);
	job("outage of 10 minutes", false);
	job("outage of 10 minutes with a journal", true);
	bench_data_free((void *)data, SOURCE);
	return 0;
}
