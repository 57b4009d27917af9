// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon without its module: real core lock, worker threads, timer and file store, the real
 * volume, and client threads that take the kernel's part through transport/loop. The daemon is
 * killed with SIGKILL (it is a process of its own, this program run again), and the next one adopts
 * its arena, or has to do without.
 *
 * What a block may hold is known at all times, in memory that outlives the daemon: every write has
 * a stamp that only grows per block. A block holds a stamp between the last one acknowledged (or,
 * without adoption, the last one flushed) and the last one submitted.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "server/flush.h"
#include "server/host.h"
#include "server/region.h"
#include "transport/kdev.h"
#include "transport/loop.h"
#include "transport/sink.h"
#include "volume/keys.h"
#include "volume/volume.h"

#define NDEVS	   2u
#define BLOCKS	   1536u /* that are used, of each device */
#define CLIENTS	   4u
#define MAX_BLOCKS 32u /* of one request here */
#define MEMORY	   (160ull << 20)
#define TABLE_FD   200
#define ARENA_FD   201

/* What is known of a block. Stamps are odd for data, even for zeroes; 0 = never written. */
struct known {
	uint64_t submitted;
	uint64_t acked;
	uint64_t flushed;
	uint64_t zero_submitted; /* the last even stamp */
};

struct table {
	struct known block[NDEVS][BLOCKS];
	uint64_t ops;
	uint64_t flushes;
	uint64_t arena_total, arena_data_off;
};

static struct table *table;
static int table_fd = -1;
static char dir[64];
static char url[80];

struct world {
	struct host *host;
	struct keyring *keys;
	struct volume *volume;
	struct region region;
	struct loop *loop;
	struct sink sink;
	struct volume_recovery rec;
};

struct client {
	struct world *w;
	uint32_t n;
	uint64_t seed;
	uint32_t rounds; /* 0 = for ever */
	pthread_t thread;
};

#define must(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort(); \
		} \
	} while (0)

/* ---- the world --------------------------------------------------------------------------- */

static void sink_submit(void *ctx, struct io_req *io)
{
	volume_submit(((struct world *)ctx)->volume, io);
}

static void sink_release(void *ctx, struct io_req *io)
{
	volume_release(((struct world *)ctx)->volume, io);
}

static void sink_starved(void *ctx)
{
	volume_starved(((struct world *)ctx)->volume);
}

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	loop_post_buf(((struct world *)ctx)->loop, id, off, len);
}

static const unsigned char key[32] = "a key of the test, not a secret";

static struct keys_secret secret(void)
{
	return (struct keys_secret){ KEYS_KEYFILE, key, sizeof(key) };
}

static void open_host(struct world *w, unsigned int flags)
{
	char err[HOST_ERR_LEN] = "", path[80];

	*w = (struct world){ .region = REGION_NONE };
	if (host_new(&w->host, url, flags, 2, err)) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	snprintf(path, sizeof(path), "%s/state", dir);
	must(!host_open_state(w->host, path, err));
}

static void make_volume(void)
{
	struct keys_secret s = secret();
	struct volume_format f = { .name = "loop", .nr_devs = NDEVS, .dev_size = 1ull << 30 };
	struct world w;

	open_host(&w, HOST_CREATE);
	uuid_random(f.uuid);
	core_lock(&w.host->core);
	must(!keys_create(&w.keys, &w.host->env, f.uuid, f.name, &s, KEYS_COST_MIN, "test"));
	must(!volume_format(&w.host->env, w.keys, &f));
	core_unlock(&w.host->core);
	host_stop_threads(w.host);
	keys_free(w.keys);
	host_free(w.host);
}

/*
 * @arena_fd: an earlier one's, to be adopted; -1: a fresh one. Returns false if the arena was
 * refused.
 */
static bool start(struct world *w, int arena_fd, bool adopt)
{
	struct keys_secret s = secret();
	struct volume_opts o;
	uint64_t data_off;
	int rc;

	open_host(w, 0);
	volume_opts_init(&o);
	o.memory = MEMORY;
	o.segment_bytes = 1u << 20;
	o.segment_age_ms = 100;
	o.checkpoint_segments = 8;
	o.write_queues = CLIENTS;
	core_lock(&w->host->core);
	must(!keys_open(&w->keys, &w->host->env, &s));
	must(!volume_new(&w->volume, &w->host->env, w->keys, &o));
	if (adopt) {
		data_off = table->arena_data_off;
		must(!region_adopt(&w->region, dup(arena_fd), table->arena_total));
	} else {
		uint64_t total;

		volume_arena_size(&o, &total, &data_off);
		if (arena_fd >= 0) {
			must(!ftruncate(arena_fd, (off_t)total));
			must(!region_adopt(&w->region, dup(arena_fd), total));
		} else {
			must(!region_make(&w->region, total));
		}
		table->arena_total = total;
		table->arena_data_off = data_off;
	}
	rc = volume_set_arena(w->volume, w->region.base, w->region.total, adopt);
	core_unlock(&w->host->core);
	if (rc)
		return false;
	w->sink = (struct sink){ sink_submit, sink_release, sink_starved, NULL, w };
	must(!loop_new(&w->loop, &w->host->core, &w->sink, (char *)w->region.base + data_off,
		       w->region.total - data_off, CLIENTS));
	host_on_post_buf(w->host, post_buf, w);
	must(!host_start_timer(w->host, w->volume));
	core_lock(&w->host->core);
	rc = volume_recover(w->volume, &w->rec);
	if (!rc) {
		volume_resumed(w->volume);
		volume_start(w->volume);
	}
	core_unlock(&w->host->core);
	must(!rc);
	return true;
}

static void stop(struct world *w)
{
	int rc;

	loop_stop(w->loop);
	core_lock(&w->host->core);
	must(!loop_inflight(w->loop));
	rc = volume_detach(w->volume);
	must(!rc);
	must(!host_settle(w->host));
	core_unlock(&w->host->core);
	host_stop_threads(w->host);
	volume_free(w->volume);
	keys_free(w->keys);
	host_free(w->host);
	loop_free(w->loop);
	region_free(&w->region);
}

/* ---- clients ----------------------------------------------------------------------------- */

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* The first half of a block compresses, the second does not; both say what they are. */
static void fill(uint64_t *p, uint32_t dev, uint64_t lba, uint64_t stamp)
{
	uint64_t seed = (stamp * 0x9e3779b97f4a7c15ull) ^ (lba << 1) ^ dev ^ 1;

	for (uint32_t i = 0; i < 256; i += 4) {
		p[i] = stamp;
		p[i + 1] = lba;
		p[i + 2] = dev;
		p[i + 3] = 0;
	}
	for (uint32_t i = 256; i < 512; i++)
		p[i] = rnd(&seed);
}

/* Whether a block holds what it may: a stamp from @low on, but none that was never submitted. */
static bool plausible(const uint64_t *p, uint32_t dev, uint64_t lba, uint64_t low)
{
	const struct known *k = &table->block[dev][lba];
	uint64_t want[512];
	bool zero = true;

	for (uint32_t i = 0; i < 512 && zero; i++)
		zero = !p[i];
	if (zero && (!low || load(&k->zero_submitted) >= low))
		return true;
	if (!zero && p[0] >= low && p[0] <= load(&k->submitted) && (p[0] & 1)) {
		fill(want, dev, lba, p[0]);
		if (!memcmp(want, p, sizeof(want)))
			return true;
	}
	fprintf(stderr, "device %u block %llu: holds %llu (%s), may hold %llu to %llu, zero %llu\n",
		dev, (unsigned long long)lba, (unsigned long long)p[0], zero ? "zero" : "data",
		(unsigned long long)low, (unsigned long long)load(&k->submitted),
		(unsigned long long)load(&k->zero_submitted));
	return false;
}

static void one_flush(struct client *c, struct loop_req *q)
{
	uint64_t(*seen)[BLOCKS] = calloc(NDEVS, sizeof(*seen));

	must(seen);
	for (uint32_t d = 0; d < NDEVS; d++)
		for (uint32_t b = 0; b < BLOCKS; b++)
			seen[d][b] = load(&table->block[d][b].acked);
	q->op = IO_FLUSH;
	q->dev = (uint32_t)(c->seed & 1);
	if (!loop_io(c->w->loop, c->n, q)) {
		must(q->dur > 0 || !q->wno);
		/* Another client's flush may have said more meanwhile. */
		for (uint32_t d = 0; d < NDEVS; d++)
			for (uint32_t b = 0; b < BLOCKS; b++) {
				uint64_t old = load(&table->block[d][b].flushed);

				while (old < seen[d][b] &&
				       !__atomic_compare_exchange_n(
					       &table->block[d][b].flushed, &old, seen[d][b], false,
					       __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
					;
			}
		__atomic_fetch_add(&table->flushes, 1, __ATOMIC_RELAXED);
	} else {
		must(q->res == -ESHUTDOWN);
	}
	free(seen);
}

/* A request on blocks that only this client writes: its share of each device. */
static void one_op(struct client *c, struct loop_req *q, uint64_t *buf)
{
	uint32_t share = BLOCKS / CLIENTS, dice = (uint32_t)(rnd(&c->seed) % 100);
	uint32_t nblocks = 1 + (uint32_t)(rnd(&c->seed) % MAX_BLOCKS);
	uint64_t lba = c->n * share + rnd(&c->seed) % (share - nblocks);
	uint32_t dev = (uint32_t)(rnd(&c->seed) % NDEVS);
	uint64_t low[MAX_BLOCKS];
	bool zero = dice >= 50 && dice < 60;

	q->flags = 0;
	if (dice >= 98) {
		one_flush(c, q);
		return;
	}
	q->dev = dev;
	q->lba = lba;
	q->nblocks = nblocks;
	q->data = buf;
	if (dice < 60) {
		q->op = !zero ? IO_WRITE : dice & 1 ? IO_DISCARD : IO_WRITE_ZEROES;
		q->flags = dice == 0 ? IO_F_FUA : 0;
		for (uint32_t i = 0; i < nblocks; i++) {
			struct known *k = &table->block[dev][lba + i];
			uint64_t stamp = ((k->submitted >> 1) + 1) << 1 | !zero;

			store(&k->submitted, stamp);
			if (zero)
				store(&k->zero_submitted, stamp);
			else
				fill(buf + i * 512, dev, lba + i, stamp);
		}
		if (!loop_io(c->w->loop, c->n, q)) {
			must(q->wno > 0);
			for (uint32_t i = 0; i < nblocks; i++) {
				struct known *k = &table->block[dev][lba + i];

				store(&k->acked, k->submitted);
			}
		} else {
			must(q->res == -ESHUTDOWN);
		}
	} else {
		q->op = IO_READ;
		for (uint32_t i = 0; i < nblocks; i++)
			low[i] = table->block[dev][lba + i].acked;
		if (loop_io(c->w->loop, c->n, q)) {
			must(q->res == -ESHUTDOWN);
			return;
		}
		for (uint32_t i = 0; i < nblocks; i++)
			must(plausible(buf + i * 512, dev, lba + i, low[i]));
	}
	__atomic_fetch_add(&table->ops, 1, __ATOMIC_RELAXED);
}

static void *client_thread(void *arg)
{
	struct client *c = arg;
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t *buf = malloc(MAX_BLOCKS * 4096);

	must(q && buf);
	for (uint32_t i = 0; !c->rounds || i < c->rounds; i++)
		one_op(c, q, buf);
	free(buf);
	free(q);
	return NULL;
}

static void run_clients(struct world *w, uint32_t rounds, uint64_t seed)
{
	struct client c[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++) {
		c[i] = (struct client){
			.w = w, .n = i, .seed = seed * 7919 + i * 104729 + 1, .rounds = rounds
		};
		must(!pthread_create(&c[i].thread, NULL, client_thread, &c[i]));
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		pthread_join(c[i].thread, NULL);
}

/* Reads everything. @flushed: only what was flushed has to be there. */
static bool check_all(struct world *w, bool flushed)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t *buf = malloc(MAX_BLOCKS * 4096);
	bool ok = true;

	must(q && buf);
	for (uint32_t d = 0; d < NDEVS; d++) {
		for (uint32_t b = 0; b < BLOCKS; b += MAX_BLOCKS) {
			q->op = IO_READ;
			q->dev = d;
			q->lba = b;
			q->nblocks = MAX_BLOCKS;
			q->data = buf;
			must(!loop_io(w->loop, 0, q));
			for (uint32_t i = 0; i < MAX_BLOCKS; i++) {
				const struct known *k = &table->block[d][b + i];

				ok = plausible(buf + i * 512, d, b + i,
					       flushed ? k->flushed : k->acked) &&
				     ok;
			}
		}
	}
	free(buf);
	free(q);
	return ok;
}

/*
 * After a death, what is read is what counts from now on: an unacknowledged write is there or not,
 * for good.
 */
static void settle(struct world *w)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t block[512];

	must(q);
	for (uint32_t d = 0; d < NDEVS; d++) {
		for (uint32_t b = 0; b < BLOCKS; b++) {
			struct known *k = &table->block[d][b];

			q->op = IO_READ;
			q->dev = d;
			q->lba = b;
			q->nblocks = 1;
			q->data = block;
			must(!loop_io(w->loop, 0, q));
			k->acked = block[0] ? block[0] : k->zero_submitted;
			if (k->flushed > k->acked)
				k->flushed = k->acked;
		}
	}
	free(q);
}

/* ---- tests ------------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/zerofs-loop.XXXXXX");
	must(mkdtemp(dir));
	snprintf(url, sizeof(url), "file://%s/store", dir);
	memset(table, 0, sizeof(*table));
	make_volume();
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static void test_clients_then_restart(void **state)
{
	struct world w;

	(void)state;
	assert_true(start(&w, -1, false));
	run_clients(&w, 400, 1);
	assert_true(check_all(&w, false));
	assert_true(table->flushes > 0);
	stop(&w);

	/* A clean end leaves everything in the store: another arena, the same bytes. */
	assert_true(start(&w, -1, false));
	assert_true(check_all(&w, false));
	run_clients(&w, 100, 2);
	stop(&w);
	assert_true(start(&w, -1, false));
	assert_true(check_all(&w, false));
	stop(&w);
}

/* As serve does when it is replaced: everything is in the store, and no manifest is written. */
static void let_go(struct world *w)
{
	struct volume_stats before, after;

	loop_stop(w->loop);
	core_lock(&w->host->core);
	must(!loop_inflight(w->loop));
	volume_get_stats(w->volume, &before);
	must(!volume_drain(w->volume));
	volume_get_stats(w->volume, &after);
	must(after.committed_wno == after.wno);
	must(before.heads == after.heads || before.manifests != after.manifests);
	must(!host_settle(w->host));
	core_unlock(&w->host->core);
	host_stop_threads(w->host);
	volume_free(w->volume);
	keys_free(w->keys);
	host_free(w->host);
	loop_free(w->loop);
	region_free(&w->region);
}

static void test_replaced(void **state)
{
	int fd = memfd_create("test-arena", 0);
	struct world w;

	(void)state;
	must(fd >= 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(start(&w, fd, i > 0));
		assert_true(!i || w.rec.adopted);
		assert_int_equal(w.rec.adopted_entries, 0);
		assert_true(check_all(&w, false));
		run_clients(&w, 60, 20 + i);
		let_go(&w);
	}
	/* and from the store alone */
	assert_true(start(&w, -1, false));
	assert_true(check_all(&w, false));
	stop(&w);
	close(fd);
}

/* A flush that has something to wait for: what the clients wrote may be in the store already. */
static int flush_dirty(struct world *w, pthread_cond_t *event, const bool *halt, uint64_t limit)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < 50 && !rc; i++) {
		run_clients(w, 20, 6 + i);
		rc = flush_volume(w->host, w->volume, 0, event, halt, limit);
	}
	return rc;
}

static void test_own_flush(void **state)
{
	pthread_cond_t event;
	bool halt = false;
	struct world w;

	(void)state;
	assert_true(start(&w, -1, false));
	must(!core_cond_init(&event));
	run_clients(&w, 20, 5);
	assert_int_equal(flush_volume(w.host, w.volume, 0, &event, &halt, UINT64_MAX), 0);
	run_clients(&w, 20, 6);
	/* A limit that is over, and a stop: the volume goes on with the request. */
	assert_int_equal(flush_dirty(&w, &event, &halt, 1), -ETIMEDOUT);
	halt = true;
	assert_int_equal(flush_dirty(&w, &event, &halt, UINT64_MAX), -EINTR);
	halt = false;
	assert_int_equal(flush_volume(w.host, w.volume, 0, &event, &halt, UINT64_MAX), 0);
	assert_true(check_all(&w, false));
	stop(&w);
	pthread_cond_destroy(&event);
}

/* Runs this program again as a daemon with clients, and kills it after @ms. */
static void daemon_dies(int arena_fd, bool adopt, unsigned int ms, unsigned int seed)
{
	char arg[3][32];
	int status, pipefd[2];
	char c;
	pid_t pid;

	snprintf(arg[0], sizeof(arg[0]), "%d", adopt);
	snprintf(arg[1], sizeof(arg[1]), "%u", seed);
	must(!pipe(pipefd));
	pid = fork();
	must(pid >= 0);
	if (!pid) {
		must(dup2(table_fd, TABLE_FD) == TABLE_FD);
		must(dup2(arena_fd, ARENA_FD) == ARENA_FD);
		must(dup2(pipefd[1], 1) == 1);
		execl("/proc/self/exe", "test_server_loop", "--daemon", dir, arg[0], arg[1],
		      (char *)NULL);
		_exit(127);
	}
	close(pipefd[1]);
	must(read(pipefd[0], &c, 1) == 1); /* it has recovered and checked what it found */
	close(pipefd[0]);
	usleep(ms * 1000);
	must(waitpid(pid, &status, WNOHANG) == 0);
	kill(pid, SIGKILL);
	must(waitpid(pid, &status, 0) == pid);
	must(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int daemon_main(char **argv)
{
	struct world w;

	snprintf(dir, sizeof(dir), "%s", argv[2]);
	snprintf(url, sizeof(url), "file://%s/store", dir);
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, TABLE_FD, 0);
	must(table != MAP_FAILED);
	must(start(&w, ARENA_FD, atoi(argv[3])));
	must(!atoi(argv[3]) || w.rec.adopted);
	must(check_all(&w, false));
	settle(&w);
	must(write(1, "!", 1) == 1);
	run_clients(&w, 0, (uint64_t)atoi(argv[4]));
	return 1;
}

static int memfd(void)
{
	int fd = memfd_create("test-arena", 0);

	must(fd >= 0);
	return fd;
}

static void test_killed_and_adopted(void **state)
{
	int fd = memfd();
	struct world w;
	uint64_t before;

	(void)state;
	for (unsigned int round = 0; round < 5; round++) {
		before = table->ops;
		daemon_dies(fd, round > 0, 150 + 130 * round, round + 10);
		assert_true(table->ops > before);
	}
	assert_true(start(&w, fd, true));
	assert_true(w.rec.adopted);
	assert_true(check_all(&w, false));
	settle(&w);
	run_clients(&w, 50, 99);
	assert_true(check_all(&w, false));
	stop(&w);
	assert_true(start(&w, -1, false));
	assert_true(check_all(&w, false));
	stop(&w);
	close(fd);
}

/* The arena is gone: everything flushed is there, and nothing that was never written. */
static void test_killed_without_arena(void **state)
{
	int fd = memfd();
	struct world w;

	(void)state;
	daemon_dies(fd, false, 700, 5);
	close(fd);
	assert_true(table->flushes > 0);
	assert_true(start(&w, -1, false));
	assert_false(w.rec.adopted);
	assert_true(check_all(&w, true));
	stop(&w);
}

/* An arena of another volume, or no arena at all, is refused and nothing is touched. */
static void test_foreign_arena(void **state)
{
	int fd = memfd();
	struct world w;

	(void)state;
	assert_true(start(&w, fd, false));
	run_clients(&w, 20, 3);
	stop(&w);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, (off_t)table->arena_total), 0);
	assert_false(start(&w, fd, true));
	host_stop_threads(w.host);
	volume_free(w.volume);
	keys_free(w.keys);
	host_free(w.host);
	region_free(&w.region);
	close(fd);
	assert_true(start(&w, -1, false));
	assert_true(check_all(&w, false));
	stop(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_clients_then_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_and_adopted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_without_arena, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_arena, setup, teardown),
	};

	must(sodium_init() >= 0);
	if (argc == 5 && !strcmp(argv[1], "--daemon"))
		return daemon_main(argv);
	table_fd = memfd_create("test-table", 0);
	must(table_fd >= 0 && !ftruncate(table_fd, sizeof(*table)));
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
	must(table != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
