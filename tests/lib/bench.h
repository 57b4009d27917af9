/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench: what the engine's benchmarks share: a volume as the daemon runs it (core lock, workers,
 * timer) over a delay store, with clients in the process; data; time; figures. All functions end
 * the program, with a line that says where, when something fails that must not.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/delay.h"
#include "server/host.h"
#include "server/region.h"
#include "transport/loop.h"
#include "transport/sink.h"
#include "volume/volume.h"

#define BENCH_QUEUES 4u
#define BENCH_BLOCK  4096u

#define bench_must(x) \
	do { \
		if (!(x)) \
			bench_failed(__FILE__, __LINE__, #x); \
	} while (0)

_Noreturn void bench_failed(const char *file, int line, const char *what);

/* ---- a volume ---------------------------------------------------------------------------- */

struct bench {
	struct host *host;
	struct keyring *keys;
	struct volume *volume;
	struct region region;
	struct loop *loop;
	struct sink sink;
	struct store *delay;
	struct volume_recovery rec;
	uint64_t attach_us; /* how long it took from the keys to RESUME */
	struct delay_count puts; /* of all its life; set by bench_stop() */
};

/* Objects, state folder and journal of one volume: its life goes on when a daemon's has ended. */
struct bench_place {
	struct store *mem;
	char *dir;
	char *journal; /* path; NULL: there is none */
};

/* Makes a volume with one device of @dev_size bytes, without any delay. */
void bench_make(struct bench_place *p, uint64_t dev_size);
void bench_unmake(struct bench_place *p);

/*
 * Makes the volume's journal, @size bytes on the disk of plain.h, as `zerofs journal create` does.
 * bench_start() opens it; volume_opts.flush_local is the caller's.
 */
void bench_make_journal(struct bench_place *p, uint64_t size);

/* Attaches. @clock: NULL is the system's; else time is the caller's, who calls volume_tick(). */
void bench_start(struct bench *b, struct bench_place *p, struct delay_conf conf,
		 const struct volume_opts *o, struct clock *clock);

/* The daemon detaches (@clean), or dies: what it has not stored is lost. */
void bench_stop(struct bench *b, bool clean);

/* One request, waited for. @data: see loop.h; @q is the caller's memory for it. */
void bench_io(struct bench *b, uint32_t queue, struct loop_req *q, enum io_op op, uint64_t lba,
	      uint32_t nblocks, const void *data);

/* A FLUSH; returns how long it took, in us. */
uint64_t bench_flush(struct bench *b);

struct volume_stats bench_stats(struct bench *b);
struct delay_count bench_puts(struct bench *b); /* of all kinds of objects */

/* Requests that the store was sent, and bytes, since bench_start(). */
struct bench_cost {
	uint64_t put, get, list, delete, up, down;
};
struct bench_cost bench_cost(struct bench *b);

/* ---- bare requests ----------------------------------------------------------------------- */

/*
 * Uploads @total bytes in objects of @object bytes, up to @ways at once, to a delay store of its
 * own; returns how long it took, in us.
 */
uint64_t bench_upload(struct delay_conf conf, uint64_t total, uint64_t object, uint32_t ways);

/* ---- data -------------------------------------------------------------------------------- */

/*
 * Shared memory (so that bench_rss_end() does not count it) of @len bytes, whole blocks.
 * BENCH_HALF: of each block the first half is random and the other zero, as fio's
 * buffer_compress_percentage=50 makes them: 2:1.
 */
enum bench_data {
	BENCH_HALF,
	BENCH_RANDOM,
};
void *bench_data(enum bench_data kind, size_t len);
void bench_data_free(void *p, size_t len);

uint64_t bench_rnd(uint64_t *seed);

/* ---- time and memory --------------------------------------------------------------------- */

uint64_t bench_now_us(void);
uint64_t bench_cpu_us(void); /* of the process, user and system */

/*
 * Watches the process's own memory (anonymous and of files, not shared) from here until
 * bench_rss_end(), which returns its peak and the whole of the arena. What @mem holds is not
 * counted.
 */
void bench_rss_begin(struct store *mem);
uint64_t bench_rss_end(struct bench *b);

/* ---- results ----------------------------------------------------------------------------- */

double bench_median(double *v, uint32_t n); /* sorts */

/* A figure, for engine.py. @better: "higher" or "lower". */
void bench_figure(const char *name, double value, const char *unit, const char *better);

/* What the engine took at most in a job, and what it was allowed. */
void bench_memory(const char *job, uint64_t peak, uint64_t cap);

/*
 * What a job of @ops requests of @bytes each did in @us, and what the store was asked for that:
 * between @from and @to.
 */
void bench_job(const char *job, uint64_t ops, uint32_t bytes, uint64_t us, struct bench_cost from,
	       struct bench_cost to);

/* What was done, for people, with the next figures. */
void bench_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
