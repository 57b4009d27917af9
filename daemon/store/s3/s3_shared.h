/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the I/O threads of one S3 store share. Any thread. */
#ifndef S3_S3_SHARED_H
#define S3_S3_SHARED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/s3/s3_cap.h"
#include "store/s3/s3_opts.h"
#include "store/store.h"

struct clock;
struct core;
struct creds_chain;

#define S3_SHARED_WHY 400u

struct s3_shared {
	struct s3_opts o; /* complete, constant, as the pointers */
	struct core *core;
	struct clock *clock;
	struct creds_chain *creds;
	char root[S3_OPTS_PREFIX_MAX + 2]; /* what stands before names: "" or "prefix/" */
	struct s3_cap up, down;

	pthread_mutex_t lock; /* innermost; guards what follows */
	char region[33];
	int64_t skew_us; /* the store's clock minus ours */
	struct store_facts facts;
	struct s3_shared_why {
		char text[S3_SHARED_WHY]; /* "" = the last one went well */
		uint64_t at_us;
	} why[STORE_NR_OPS];
};

void s3_shared_init(struct s3_shared *s, const struct s3_opts *o, struct core *core,
		    struct clock *clock, struct creds_chain *creds);
void s3_shared_destroy(struct s3_shared *s);

/* Whether transfers are slowed down on purpose. */
bool s3_shared_capped(const struct s3_shared *s);

void s3_shared_region(struct s3_shared *s, char ret[33]);

/*
 * The store has answered a request signed for region @used that the bucket is in @region. False:
 * that is no news, or requests go to an endpoint that was given by name and another region's is
 * needed (@moved).
 */
bool s3_shared_set_region(struct s3_shared *s, const char *used, const char *region, bool moved);

/* Real time by the store's clock; @skew_us: what was added to ours. */
uint64_t s3_shared_real_us(struct s3_shared *s, int64_t *skew_us);

/*
 * The store has answered a request that was signed with @used_us that its clock says @date
 * (seconds). False: that is what was thought.
 */
bool s3_shared_set_date(struct s3_shared *s, int64_t used_us, int64_t date);

/*
 * A request was answered: the store's Date (seconds, 0: none), and of a PUT whether it confirmed
 * the checksum.
 */
void s3_shared_answered(struct s3_shared *s, enum store_op op, int64_t date, bool sum);
void s3_shared_facts(struct s3_shared *s, struct store_facts *ret);

/*
 * Keeps a sentence on the last failure of an @op, for whoever tells people, until an @op that began
 * later goes well.
 */
void s3_shared_say(struct s3_shared *s, enum store_op op, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void s3_shared_worked(struct s3_shared *s, enum store_op op, uint64_t begun_us);

/* The newest of those sentences, or "". */
void s3_shared_why(struct s3_shared *s, char *out, size_t len);

#endif
