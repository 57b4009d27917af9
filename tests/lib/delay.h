/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * delay: a store for benchmarks: each request takes a fixed time and that of its bytes over a
 * connection, whatever the machine does. A thread of its own waits; objects lie in a store_mem.
 * Counts requests and bytes by kind of object and of request, and remembers when the last ones
 * began and ended. What a request's owner does in done() runs on that thread too.
 */
#ifndef DELAY_H
#define DELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct core;

struct delay_conf {
	uint32_t put_us;
	uint32_t get_us; /* GET, LIST and DELETE */
	uint64_t bytes_per_s; /* of one connection; 0: no limit */
	/*
	 * Segments are not kept: they exist, and are empty. So a store costs neither memory nor the
	 * time of a copy.
	 */
	bool drop_segments;
};

/* PUT 60 ms, GET 30 ms, 90 MB/s per connection, any number of connections. */
#define DELAY_STANDARD ((struct delay_conf){ 60000, 30000, 90000000, true })

enum delay_kind {
	DELAY_SEG,
	DELAY_RUN,
	DELAY_MANIFEST,
	DELAY_HEAD,
	DELAY_OTHER,
	DELAY_NR_KINDS,
};

struct delay_count {
	uint64_t requests;
	uint64_t bytes;
};

/* When a PUT was under way; clock_system()'s time. */
struct delay_span {
	uint64_t begin, end;
};

#define DELAY_SPANS 4096u

/*
 * A store over @mem (mem.h), which stays the caller's and which nobody else may use meanwhile. 0 or
 * -errno.
 */
int delay_new(struct store **ret, struct store *mem, struct core *core, struct delay_conf conf);

/* Every request that ends from here on ends with @err; 0: no more. Core lock held. */
void delay_fail(struct store *s, int err);

/* PUTs that ended well. Core lock held. */
struct delay_count delay_puts(const struct store *s, enum delay_kind kind);

/*
 * Requests of one kind: how many were submitted, and the bytes of their bodies: a PUT's that ended
 * well, or what a GET brought. Core lock held.
 */
struct delay_count delay_ops(const struct store *s, enum store_op op);

/* The last PUTs that ended, up to DELAY_SPANS, oldest first; returns how many. Core lock held. */
uint32_t delay_spans(const struct store *s, struct delay_span *ret);

#endif
