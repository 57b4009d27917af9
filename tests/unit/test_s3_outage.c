// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store is away for five minutes, by a clock that volume, timer and S3 store go by and that
 * runs a hundred times as fast meanwhile: engine and S3 store as the daemon has them, over a server
 * of our own that cuts every connection. I/O is held and not failed, what is in memory is served,
 * no FLUSH is answered; afterwards everything gets to the store.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fastclock.h"
#include "lib/model.h"
#include "lib/s3srv.h"
#include "lib/tempdir.h"
#include "lib/urlvol.h"

#define BLOCK	  4096u
#define BLOCKS	  (64u << 10)
#define MOST	  64u /* blocks in a request */
#define HOT	  0u /* where what is read meanwhile begins ... */
#define COLD	  1024u /* ... and what no daemon has in memory */
#define NEW	  2048u /* written meanwhile, from here on */
#define OUTAGE_US 300000000ull
#define SPEED	  100u
#define READS	  200u /* so many are served meanwhile, or more */
#define TRIES	  20u /* so many requests come to the server */
#define TRIES_MAX 60u /* ... and no more than that a second */

static struct fastclock clk;
static struct s3srv *srv;
static struct urlvol u;
static struct model model;
static char url[200], *dir;

/* Atomic. */
static bool over; /* the outage is, and clients are to end */
static unsigned int reads, writes, flushes, cold_reads;

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static unsigned int count(const unsigned int *n)
{
	return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static void add(unsigned int *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELEASE);
}

static void attach(const char *name, struct clock *clock)
{
	struct volume_opts o;
	char state[300];

	volume_opts_init(&o);
	o.memory = 128ull << 20;
	o.segment_bytes = 1u << 20;
	snprintf(state, sizeof(state), "%s/%s", dir, name);
	if (urlvol_attach(&u, url, state, &o, clock))
		fail_msg("%s", u.err);
}

static void put(uint32_t queue, uint32_t lba, uint8_t *buf)
{
	uint32_t op = model_op(&model, 0, lba, MOST, true);

	for (uint32_t i = 0; i < MOST; i++)
		model_fill(buf + i * BLOCK, 2 * op + 1, 0, lba + i);
	assert_int_equal(urlvol_io(&u, queue, IO_WRITE, 0, lba, MOST, buf), 0);
}

static void look(uint32_t queue, uint32_t lba, uint8_t *buf)
{
	assert_int_equal(urlvol_io(&u, queue, IO_READ, 0, lba, MOST, buf), 0);
	for (uint32_t i = 0; i < MOST; i++) {
		uint32_t op = model_now(&model, 0, lba + i);

		assert_int_equal(model_stamp(buf + i * BLOCK, 0, lba + i), op ? 2 * op + 1 : 0);
	}
}

/* ---- clients, each on a queue of its own ------------------------------------------------- */

static void *writer(void *arg)
{
	uint8_t *buf = calloc(MOST, BLOCK);

	(void)arg;
	assert_non_null(buf);
	for (uint32_t lba = NEW; !is_over() && lba < BLOCKS; lba += MOST) {
		put(0, lba, buf);
		add(&writes);
	}
	free(buf);
	return NULL;
}

static void *reader(void *arg)
{
	uint8_t *buf = calloc(MOST, BLOCK);

	(void)arg;
	assert_non_null(buf);
	while (!is_over()) {
		look(1, HOT, buf);
		add(&reads);
	}
	free(buf);
	return NULL;
}

static void *cold_reader(void *arg)
{
	uint8_t *buf = calloc(MOST, BLOCK);

	(void)arg;
	assert_non_null(buf);
	look(2, COLD, buf);
	add(&cold_reads);
	free(buf);
	return NULL;
}

static void *flusher(void *arg)
{
	(void)arg;
	assert_int_equal(urlvol_io(&u, 3, IO_FLUSH, 0, 0, 0, NULL), 0);
	add(&flushes);
	return NULL;
}

/* ---- the test ---------------------------------------------------------------------------- */

static void prepare(uint8_t *buf)
{
	attach("host", &clk.clock);
	put(0, HOT, buf);
	put(0, COLD, buf);
	assert_int_equal(urlvol_end(&u, true), 0);
	attach("host", &clk.clock);
	look(0, HOT, buf);
	put(0, NEW - MOST,
	    buf); /* so that a FLUSH has something to wait for from the first moment */
}

static uint64_t now_us(void)
{
	return clock_mono_us(&clk.clock);
}

static unsigned int requests(void)
{
	struct s3srv_counts c = s3srv_counts(srv);

	return c.puts + c.gets + c.lists + c.deletes;
}

/* How fast this machine is decides how long it takes, not how it ends. */
static void stay_away(struct volume_stats *st)
{
	unsigned int before = requests();

	fastclock_set_speed(&clk, SPEED);
	do {
		usleep(10000);
		*st = urlvol_stats(&u);
	} while (st->store_outage_us < OUTAGE_US || requests() - before < TRIES ||
		 count(&reads) < READS || count(&writes) < 2);
	assert_int_equal(count(&flushes), 0);
	assert_int_equal(count(&cold_reads), 0);
}

static void come_back(void)
{
	s3srv_clear(srv);
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
}

static void check_all(uint8_t *buf)
{
	for (uint32_t lba = 0; lba < BLOCKS; lba += MOST)
		look(0, lba, buf);
}

static void outage(void **state)
{
	static void *(*const clients[])(void *) = { writer, reader, cold_reader, flusher };
	uint8_t *buf = calloc(MOST, BLOCK);
	struct volume_stats st;
	unsigned int tried;
	pthread_t t[4];
	uint64_t began;

	(void)state;
	assert_non_null(buf);
	prepare(buf);
	tried = requests();
	s3srv_rule(srv, &(struct s3srv_rule){ .ops = S3SRV_ANY, .act = S3SRV_RESET });
	began = now_us();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, clients[i], NULL), 0);
	stay_away(&st);
	tried = requests() - tried;
	began = (now_us() - began) / 1000000;
	come_back();
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(urlvol_end(&u, true), 0);

	printf("%llu s without the store, %llu of them known; %u requests tried; "
	       "%u writes (%llu MiB not stored), %u reads meanwhile\n",
	       (unsigned long long)began, (unsigned long long)st.store_outage_us / 1000000, tried,
	       count(&writes), (unsigned long long)st.dirty_bytes >> 20, count(&reads));
	assert_in_range(tried, TRIES, began * TRIES_MAX);
	assert_int_equal(count(&flushes), 1);
	assert_int_equal(count(&cold_reads), 1);

	attach("another", NULL);
	check_all(buf);
	assert_int_equal(urlvol_end(&u, true), 0);
	free(buf);
}

static int begin(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", S3SRV_ACCESS, 1);
	setenv("AWS_SECRET_ACCESS_KEY", S3SRV_SECRET, 1);
	srv = s3srv_new();
	dir = tempdir_make();
	fastclock_init(&clk);
	model_init(&model, 1, BLOCKS);
	snprintf(url, sizeof(url),
		 "s3://" S3SRV_BUCKET "/vol?endpoint=http://127.0.0.1:%u&plain-http=yes",
		 s3srv_port(srv));
	urlvol_format(url, (uint64_t)BLOCKS * BLOCK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	model_free(&model);
	fastclock_destroy(&clk);
	tempdir_remove(dir);
	s3srv_free(srv);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(outage, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
