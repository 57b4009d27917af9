// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store is away for ten minutes, by a clock that this program turns, while clients write as
 * much as they are let, read and flush. Nothing may fail, and memory must stay under its cap.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/bench.h"

#define WRITERS	  3u
#define REGION	  (4ull << 30)
#define SOURCE	  (16ull << 20)
#define OUTAGE_US (600ull * 1000000)
#define STEP_US	  100000ull /* of the clock, every millisecond, while the store is away */
#define NORMAL_US 2000000ull /* before and after */

static struct bench b;
static const uint8_t *data;
static uint64_t now_us; /* atomic */
static bool over; /* atomic: clients end */

static uint64_t turned(struct clock *c)
{
	(void)c;
	return __atomic_load_n(&now_us, __ATOMIC_ACQUIRE);
}

static struct clock_ops clock_ops = { turned, turned };
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

static bool ended(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static void *writer(void *arg)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint32_t queue = (uint32_t)(uintptr_t)arg;
	uint64_t seed = queue + 1;

	bench_must(q);
	while (!ended())
		bench_io(&b, queue, q, IO_WRITE, bench_rnd(&seed) % (REGION / BENCH_BLOCK - 16),
			 1 + bench_rnd(&seed) % 16,
			 data + bench_rnd(&seed) % (SOURCE / BENCH_BLOCK - 16) * BENCH_BLOCK);
	free(q);
	return NULL;
}

static void *flusher(void *arg)
{
	(void)arg;
	while (!ended())
		bench_flush(&b);
	return NULL;
}

int main(void)
{
	pthread_t t[WRITERS + 1];
	struct bench_place place;
	struct volume_stats st;
	struct volume_opts o;
	uint64_t dirty, errors;

	data = bench_data(BENCH_HALF, SOURCE);
	now_us = bench_now_us();
	bench_make(&place, REGION);
	volume_opts_init(&o);
	o.memory = 256u << 20;
	bench_rss_begin(place.mem);
	bench_start(&b, &place, DELAY_STANDARD, &o, &clock_turned);
	for (uint32_t i = 0; i < WRITERS; i++)
		bench_must(!pthread_create(&t[i], NULL, writer, (void *)(uintptr_t)i));
	bench_must(!pthread_create(&t[WRITERS], NULL, flusher, NULL));
	turn(NORMAL_US, 1000);
	core_lock(&b.host->core);
	delay_fail(b.delay, -ETIMEDOUT);
	core_unlock(&b.host->core);
	turn(OUTAGE_US, STEP_US);
	st = bench_stats(&b);
	dirty = st.dirty_bytes;
	errors = st.store_errors;
	bench_must(st.store_errno);
	core_lock(&b.host->core);
	delay_fail(b.delay, 0);
	core_unlock(&b.host->core);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	turn(2 * NORMAL_US, 1000);
	for (uint32_t i = 0; i <= WRITERS; i++)
		pthread_join(t[i], NULL);
	bench_say(
		"outage of 10 minutes by the volume's clock: %llu MiB not stored at its end, %llu "
		"store errors, none for a client",
		(unsigned long long)(dirty >> 20), (unsigned long long)errors);
	bench_memory("outage of 10 minutes", bench_rss_end(&b), o.memory);
	bench_stop(&b, false);
	bench_unmake(&place);
	bench_data_free((void *)data, SOURCE);
	return 0;
}
