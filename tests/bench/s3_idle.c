// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an attached volume asks of its store while nobody does anything: requests of any kind in
 * five minutes, by a clock that this program turns, after writes and a FLUSH. The five minutes
 * begin when a minute has passed since the FLUSH, in which what writing left behind is put in
 * order; that is counted and said too. It has a lease, as a volume that is served has.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/bench.h"

#define REGION	  (256ull << 20)
#define RANDOM	  4096u /* writes of 4 KiB, after the whole region was written twice */
#define STEP_US	  200000ull /* of the clock, every millisecond at most */
#define SETTLE_US 60000000ull
#define IDLE_US	  300000000ull

static uint64_t now_us; /* atomic */

static uint64_t turned(struct clock *c)
{
	(void)c;
	return __atomic_load_n(&now_us, __ATOMIC_ACQUIRE);
}

static struct clock_ops clock_ops = { .mono_us = turned, .real_us = turned };
static struct clock clock_turned = { &clock_ops };

/* The clock goes on by @us; returns how many requests were sent meanwhile. */
static uint64_t turn(struct bench *b, uint64_t us)
{
	struct bench_cost from = bench_cost(b), to;

	for (uint64_t at = 0; at < us; at += STEP_US) {
		usleep(1000);
		core_lock(&b->host->core);
		__atomic_fetch_add(&now_us, STEP_US, __ATOMIC_RELEASE);
		if (volume_deadline_us(b->volume) <= turned(NULL))
			volume_tick(b->volume);
		core_unlock(&b->host->core);
	}
	to = bench_cost(b);
	bench_say("%llu s: %llu PUT, %llu GET, %llu LIST, %llu DELETE",
		  (unsigned long long)(us / 1000000), (unsigned long long)(to.put - from.put),
		  (unsigned long long)(to.get - from.get),
		  (unsigned long long)(to.list - from.list),
		  (unsigned long long)(to.delete - from.delete));
	return to.put - from.put + to.get - from.get + to.list - from.list + to.delete -
	       from.delete;
}

int main(void)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint8_t *data = bench_data(BENCH_RANDOM, 1u << 20);
	struct bench_place place;
	struct volume_opts o;
	uint64_t seed = 3, idle;
	struct bench b;

	bench_must(q);
	now_us = clock_real_us(clock_system());
	bench_make(&place, REGION);
	volume_opts_init(&o);
	o.host_id[0] = 1;
	strcpy(o.host, "bench");
	bench_start(&b, &place, (struct delay_conf){ 0 }, &o, &clock_turned);
	/* twice: so that there are dead segments to delete */
	for (uint64_t at = 0; at < 2 * REGION; at += 1u << 20)
		bench_io(&b, 0, q, IO_WRITE, at % REGION / BENCH_BLOCK, (1u << 20) / BENCH_BLOCK,
			 data);
	for (uint32_t i = 0; i < RANDOM; i++)
		bench_io(&b, 0, q, IO_WRITE, bench_rnd(&seed) % (REGION / BENCH_BLOCK), 1, data);
	bench_flush(&b);
	bench_say("after writes and a FLUSH, a minute and then five, by the volume's clock:");
	turn(&b, SETTLE_US);
	idle = turn(&b, IDLE_US);
	bench_figure("idle_requests_5min", (double)idle, "1", "lower");
	/* the lease at the least, or this measures nothing */
	bench_must(idle + turn(&b, IDLE_US));
	bench_stop(&b, true);
	bench_unmake(&place);
	bench_data_free(data, 1u << 20);
	free(q);
	return 0;
}
