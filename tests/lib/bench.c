// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/jdev_uring.h"
#include "base/uuid.h"
#include "format/fmt_journal.h"
#include "lib/plain.h"
#include "store/mem.h"
#include "volume/keys.h"

#define RSS_EVERY_US 5000u

void bench_failed(const char *file, int line, const char *what)
{
	fflush(stdout);
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	exit(1);
}

/* ---- a volume ---------------------------------------------------------------------------- */

static const unsigned char key[32] = "a key of the benchmark";

static struct keys_secret secret(void)
{
	return (struct keys_secret){ KEYS_KEYFILE, key, sizeof(key) };
}

static void sink_submit(void *ctx, struct io_req *io)
{
	volume_submit(((struct bench *)ctx)->volume, io);
}

static void sink_release(void *ctx, struct io_req *io)
{
	volume_release(((struct bench *)ctx)->volume, io);
}

static void sink_starved(void *ctx)
{
	volume_starved(((struct bench *)ctx)->volume);
}

static void post_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	loop_post_buf(((struct bench *)ctx)->loop, id, off, len);
}

static void open_host(struct bench *b, struct bench_place *p, struct delay_conf conf,
		      struct clock *clock)
{
	char err[HOST_ERR_LEN] = "", path[256];

	*b = (struct bench){ .region = REGION_NONE };
	snprintf(path, sizeof(path), "file://%s/store", p->dir);
	if (host_new(&b->host, path, HOST_CREATE, 0, err))
		bench_failed(__FILE__, __LINE__, err);
	if (clock)
		b->host->env.clock = clock;
	bench_must(!delay_new(&b->delay, p->mem, &b->host->core, conf));
	bench_must(!host_set_store(b->host, b->delay));
	snprintf(path, sizeof(path), "%s/state", p->dir);
	if (host_open_state(b->host, path, err))
		bench_failed(__FILE__, __LINE__, err);
}

void bench_make(struct bench_place *p, uint64_t dev_size)
{
	struct volume_format f = { .name = "bench", .nr_devs = 1, .dev_size = dev_size };
	char dir[] = "/tmp/zerofs-bench.XXXXXX";
	struct keys_secret s = secret();
	struct bench b;

	bench_must(sodium_init() >= 0);
	p->journal = NULL;
	bench_must(mkdtemp(dir) && (p->dir = strdup(dir)));
	bench_must(!mem_new(&p->mem));
	open_host(&b, p, (struct delay_conf){ 0 }, NULL);
	uuid_random(f.uuid);
	core_lock(&b.host->core);
	bench_must(!keys_create(&b.keys, &b.host->env, f.uuid, f.name, &s, KEYS_COST_MIN, "bench"));
	bench_must(!volume_format(&b.host->env, b.keys, &f));
	core_unlock(&b.host->core);
	host_stop_threads(b.host);
	keys_free(b.keys);
	host_free(b.host);
}

void bench_make_journal(struct bench_place *p, uint64_t size)
{
	struct fmt_journal_sb sb = { .generation = 1, .size = size, .host = "bench" };
	struct keys_secret s = secret();
	struct jdev_uring_new n = { .size = size };
	char path[PLAIN_PATH];
	struct bench b;
	uint8_t *out;
	int fd;

	plain_path(path, "journal");
	bench_must((p->journal = strdup(path)));
	n.path = p->journal;
	bench_must(!jdev_uring_create(&n));
	out = bench_data(BENCH_RANDOM, FMT_JOURNAL_SB_LEN);
	uuid_random(sb.journal);
	open_host(&b, p, (struct delay_conf){ 0 }, NULL);
	core_lock(&b.host->core);
	bench_must(!keys_open(&b.keys, &b.host->env, &s));
	core_unlock(&b.host->core);
	bench_must(
		!fmt_journal_sb_seal(out, &sb, keys_uuid(b.keys), keys_get(b.keys, KEYS_JOURNAL)));
	host_stop_threads(b.host);
	keys_free(b.keys);
	host_free(b.host);
	fd = open(p->journal, O_WRONLY | O_DSYNC | O_CLOEXEC);
	bench_must(fd >= 0 &&
		   pwrite(fd, out, FMT_JOURNAL_SB_LEN, 0) == (ssize_t)FMT_JOURNAL_SB_LEN);
	close(fd);
	bench_data_free(out, FMT_JOURNAL_SB_LEN);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void bench_unmake(struct bench_place *p)
{
	nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p->dir);
	if (p->journal)
		unlink(p->journal);
	free(p->journal);
	store_close(p->mem);
}

void bench_start(struct bench *b, struct bench_place *p, struct delay_conf conf,
		 const struct volume_opts *o, struct clock *clock)
{
	struct keys_secret s = secret();
	uint64_t total, data_off, began;
	char err[HOST_ERR_LEN];
	int rc;

	open_host(b, p, conf, clock);
	if (p->journal && host_open_journal(b->host, p->journal, err))
		bench_failed(__FILE__, __LINE__, err);
	volume_arena_size(o, &total, &data_off);
	bench_must(!region_make(&b->region, total));
	b->sink = (struct sink){ sink_submit, sink_release, sink_starved, NULL, b };
	bench_must(!loop_new(&b->loop, &b->host->core, &b->sink, (char *)b->region.base + data_off,
			     total - data_off, BENCH_QUEUES));
	host_on_post_buf(b->host, post_buf, b);
	began = bench_now_us();
	core_lock(&b->host->core);
	bench_must(!keys_open(&b->keys, &b->host->env, &s));
	bench_must(!volume_new(&b->volume, &b->host->env, b->keys, o));
	bench_must(!volume_set_arena(b->volume, b->region.base, total, false));
	core_unlock(&b->host->core);
	if (!clock)
		bench_must(!host_start_timer(b->host, b->volume));
	core_lock(&b->host->core);
	rc = volume_recover(b->volume, &b->rec);
	b->attach_us = bench_now_us() - began;
	if (!rc)
		volume_start(b->volume);
	core_unlock(&b->host->core);
	if (rc)
		bench_failed(__FILE__, __LINE__, b->host->last_error);
}

void bench_stop(struct bench *b, bool clean)
{
	loop_stop(b->loop);
	core_lock(&b->host->core);
	if (clean)
		bench_must(!volume_detach(b->volume));
	bench_must(!host_settle(b->host));
	core_unlock(&b->host->core);
	b->puts = bench_puts(b);
	host_stop_threads(b->host);
	volume_free(b->volume);
	keys_free(b->keys);
	host_free(b->host);
	loop_free(b->loop);
	region_free(&b->region);
}

void bench_io(struct bench *b, uint32_t queue, struct loop_req *q, enum io_op op, uint64_t lba,
	      uint32_t nblocks, const void *data)
{
	q->op = op;
	q->flags = 0;
	q->dev = 0;
	q->lba = lba;
	q->nblocks = nblocks;
	q->data = (void *)data;
	bench_must(!loop_io(b->loop, queue, q));
}

uint64_t bench_flush(struct bench *b)
{
	struct loop_req *q = calloc(1, sizeof(*q));
	uint64_t at = bench_now_us();

	bench_must(q);
	bench_io(b, 0, q, IO_FLUSH, 0, 0, NULL);
	free(q);
	return bench_now_us() - at;
}

struct volume_stats bench_stats(struct bench *b)
{
	struct volume_stats st;

	core_lock(&b->host->core);
	volume_get_stats(b->volume, &st);
	core_unlock(&b->host->core);
	return st;
}

struct delay_count bench_puts(struct bench *b)
{
	struct delay_count sum = { 0 }, c;

	core_lock(&b->host->core);
	for (int i = 0; i < DELAY_NR_KINDS; i++) {
		c = delay_puts(b->delay, (enum delay_kind)i);
		sum.requests += c.requests;
		sum.bytes += c.bytes;
	}
	core_unlock(&b->host->core);
	return sum;
}

struct bench_cost bench_cost(struct bench *b)
{
	struct delay_count op[STORE_NR_OPS];

	core_lock(&b->host->core);
	for (int i = 0; i < STORE_NR_OPS; i++)
		op[i] = delay_ops(b->delay, (enum store_op)i);
	core_unlock(&b->host->core);
	return (struct bench_cost){ op[STORE_PUT].requests,  op[STORE_GET].requests,
				    op[STORE_LIST].requests, op[STORE_DELETE].requests,
				    op[STORE_PUT].bytes,     op[STORE_GET].bytes };
}

/* ---- bare requests ----------------------------------------------------------------------- */

struct upload {
	struct store *s;
	struct core *core;
	struct iovec iov;
	uint64_t left; /* bytes not yet asked for */
	uint32_t next, inflight;
};

struct way {
	struct store_req r;
	struct iovec iov;
	struct upload *u;
};

static void upload_next(struct way *w);

static void upload_done(struct store_req *r)
{
	struct way *w = r->priv;

	bench_must(!r->res);
	w->u->inflight--;
	upload_next(w);
}

static void upload_next(struct way *w)
{
	struct upload *u = w->u;

	if (!u->left)
		return;
	w->iov = u->iov;
	if (w->iov.iov_len > u->left)
		w->iov.iov_len = u->left;
	u->left -= w->iov.iov_len;
	u->inflight++;
	w->r = (struct store_req){ .op = STORE_PUT, .iov = &w->iov, .niov = 1, .priv = w };
	w->r.done = upload_done;
	snprintf(w->r.name, sizeof(w->r.name), "seg/%u", u->next++);
	store_submit(u->s, &w->r);
}

uint64_t bench_upload(struct delay_conf conf, uint64_t total, uint64_t object, uint32_t ways)
{
	struct upload u = { .left = total };
	struct way *w = calloc(ways, sizeof(*w));
	struct store *mem;
	struct core core;
	uint64_t at;

	bench_must(w && !core_init(&core, NULL, NULL) && !mem_new(&mem));
	bench_must(!delay_new(&u.s, mem, &core, conf));
	u.iov = (struct iovec){ bench_data(BENCH_RANDOM, object), object };
	at = bench_now_us();
	core_lock(&core);
	for (uint32_t i = 0; i < ways; i++) {
		w[i].u = &u;
		upload_next(&w[i]);
	}
	while (u.inflight)
		core_wait(&core, UINT64_MAX);
	core_unlock(&core);
	at = bench_now_us() - at;
	store_close(u.s);
	store_close(mem);
	core_destroy(&core);
	bench_data_free(u.iov.iov_base, object);
	free(w);
	return at;
}

/* ---- data -------------------------------------------------------------------------------- */

void *bench_data(enum bench_data kind, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	bench_must(p != MAP_FAILED);
	randombytes_buf(p, len);
	for (size_t at = 0; kind == BENCH_HALF && at < len; at += BENCH_BLOCK)
		memset((char *)p + at + BENCH_BLOCK / 2, 0, BENCH_BLOCK / 2);
	return p;
}

void bench_data_free(void *p, size_t len)
{
	munmap(p, len);
}

uint64_t bench_rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* ---- time and memory --------------------------------------------------------------------- */

uint64_t bench_now_us(void)
{
	return clock_mono_us(clock_system());
}

uint64_t bench_cpu_us(void)
{
	struct rusage r;

	bench_must(!getrusage(RUSAGE_SELF, &r));
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static struct {
	pthread_t thread;
	struct store *mem;
	bool stop; /* atomic */
	uint64_t peak;
} rss;

static uint64_t own_memory(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kib, sum = 0;
	char line[128];

	bench_must(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "RssAnon: %llu", &kib) == 1 ||
		    sscanf(line, "RssFile: %llu", &kib) == 1)
			sum += kib << 10;
	}
	fclose(f);
	return sum;
}

static void *rss_thread(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&rss.stop, __ATOMIC_ACQUIRE)) {
		/* Without a lock: a sample that is a PUT off does no harm. */
		uint64_t objects = mem_bytes(rss.mem), now = own_memory();

		now = now > objects ? now - objects : 0;
		if (now > rss.peak)
			rss.peak = now;
		usleep(RSS_EVERY_US);
	}
	return NULL;
}

void bench_rss_begin(struct store *mem)
{
	rss.mem = mem;
	rss.stop = false;
	rss.peak = 0;
	bench_must(!pthread_create(&rss.thread, NULL, rss_thread, NULL));
}

uint64_t bench_rss_end(struct bench *b)
{
	__atomic_store_n(&rss.stop, true, __ATOMIC_RELEASE);
	pthread_join(rss.thread, NULL);
	return rss.peak + b->region.total;
}

/* ---- results ----------------------------------------------------------------------------- */

static int by_value(const void *x, const void *y)
{
	const double *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

double bench_median(double *v, uint32_t n)
{
	bench_must(n);
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

void bench_figure(const char *name, double value, const char *unit, const char *better)
{
	printf("figure\t%s\t%.6g\t%s\t%s\n", name, value, unit, better);
	fflush(stdout);
}

void bench_memory(const char *job, uint64_t peak, uint64_t cap)
{
	printf("memory\t%s\t%llu\t%llu\n", job, (unsigned long long)peak, (unsigned long long)cap);
	fflush(stdout);
}

void bench_job(const char *job, uint64_t ops, uint32_t bytes, uint64_t us, struct bench_cost from,
	       struct bench_cost to)
{
	/* as of all systems; ours sends no HEAD */
	printf("job\t%s\tengine\t%llu\t%.6g\t%.6g\t%llu\t%llu\t0\t%llu\t%llu\t%llu\t%llu\n", job,
	       (unsigned long long)ops, (double)ops * 1e6 / (double)us,
	       (double)ops * bytes / (double)us, (unsigned long long)(to.put - from.put),
	       (unsigned long long)(to.get - from.get), (unsigned long long)(to.list - from.list),
	       (unsigned long long)(to.delete - from.delete), (unsigned long long)(to.up - from.up),
	       (unsigned long long)(to.down - from.down));
	fflush(stdout);
}

void bench_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("say\t");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
}
