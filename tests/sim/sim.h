/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulator: hosts (each a kernel, a daemon's engine core, a state folder) before one store,
 * everything that happens drawn from one seed, and what must hold checked after each of it.
 *
 * world.c	time, what can happen next, fibers for what waits (attach, detach)
 * host.c	a host's lives: attach, detach, death, power cut; what its kernel is told
 * load.c	requests, and what their answers promise
 * oracle.c	branches of history; what the store alone must hold
 * seed.c	a seed's scenario and its turns
 * sim.c	many seeds, each in a process of its own; the command line
 * fail.c	a failed assertion ends the seed and says how to replay it
 */
#ifndef SIM_H
#define SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "lib/model.h"
#include "lib/vol.h"
#include "sim/fiber.h"

#define SIM_HOSTS  2u
#define SIM_BLOCKS 1536u	/* of each device: a leaf and a half of the map */
#define SIM_STEPS  3000000u	/* of a seed: more is a deadlock */

/* ---- branches ---------------------------------------------------------------------------- */

/*
 * A history of operations. Histories fork when a host goes on without what another acknowledged
 * and did not flush; each operation's number is unique over all of them and ascends along each, so
 * no block of one is taken for another's.
 */
struct branch {
	struct model m;			/* operations by their place: 1, 2, ... */
	uint32_t *ids;			/* ... their numbers, from ids[1] on */
	uint32_t cap;
};

struct sim;
struct host;

void branch_init(struct branch *b, uint32_t nr_devs);
void branch_free(struct branch *b);
void branch_copy(struct branch *to, const struct branch *from);	/* @to is freed before */
void branch_cut(struct branch *b, uint32_t place);
uint32_t branch_op(struct sim *s, struct branch *b, uint32_t dev, uint64_t lba, uint32_t n,
		   bool data);				/* its number */
uint32_t branch_place(const struct branch *b, uint32_t id);	/* ~0: not of this branch */
uint32_t branch_last(const struct branch *b);		/* the last one's number, 0: empty */
/* As model_prefix(), @stamps being numbers. */
uint32_t branch_prefix(const struct branch *b, const uint32_t *stamps, uint32_t min, uint32_t max);
/* May the block hold @id's bytes at some place of [@from, @to]? */
bool branch_held(const struct branch *b, uint32_t dev, uint64_t lba, uint32_t id, uint32_t from,
		 uint32_t to);

/* ---- hosts ------------------------------------------------------------------------------- */

enum host_state {
	HOST_DOWN,
	HOST_ATTACHING,
	HOST_SERVING,
	HOST_DETACHING,
};

struct host {
	struct vol w;
	struct sim *s;
	unsigned int no;
	enum host_state state;
	bool frozen;			/* gets no time, answers nothing, its requests travel on */
	bool dying;
	uint32_t life;			/* numbers the attaches of all hosts */
	struct fiber fiber;
	/* what its kernel knows, while it has the volume's devices */
	bool session;
	uint64_t acked, flushed;	/* its marks, in wno */
	struct branch br;		/* the history it saw last; has_br */
	bool has_br;
	bool passed;			/* another owned the volume since the kernel was told */
	/* of this life of the daemon */
	bool fence_down;		/* its fence is in the store ... */
	struct branch found;		/* ... and what was there then */
	bool fenced;			/* somebody else's fence followed: */
	uint32_t fork;			/* nothing of ours beyond this number will ever count */
	uint64_t others;		/* sim.by_others[] when it began */
	struct list_head reads;
	bool noisy;			/* its store had faults or an outage in this attach */
	uint64_t outage_end;
};

/* A request, longer than vol_io: struct vol frees it by the vol_io. */
struct sim_io {
	struct vol_io v;
	struct list_head link;		/* READ: in host.reads */
	uint64_t acked;			/* FLUSH: the kernel's mark when it came */
	uint32_t place;			/* READ: of the newest operation then */
};

struct scenario {
	uint32_t nr_devs, nr_hosts, turns;
	uint32_t refuse_pm, lose_pm, hold_pm, late_pm, ghost_pm, twice_pm;
	/* per mille of turns */
	uint32_t die_pm, power_pm, freeze_pm, attach_pm, detach_pm, outage_pm;
	uint32_t max_pending;
	uint32_t patience;		/* what is held or late stays so for some so many steps */
	bool hurry;			/* who has adopted dies again soon */
	bool lose_state;		/* a power cut may take the state folder along */
};

struct sim_stats {
	uint64_t seeds, steps, ops, flushes, reads;
	uint64_t kills, kills_attach, kills_detach, power_cuts, takeovers, points;
	uint64_t attaches, adopted, intact, lost, detaches, superseded;
	uint64_t mutations, checked, ghosts;
	uint64_t deleted, deleted_seeds;
	uint64_t sim_us, real_us;
};

struct sim {
	uint64_t seed;
	struct scenario sc;
	struct host h[SIM_HOSTS];
	struct host *owner;		/* serves, and the last fence is its own */
	/* without an owner: what the store may hold */
	struct branch orphan;
	uint32_t durable;		/* of the log: the highest that was flushed */
	uint32_t next_id, next_life;
	uint64_t now;
	uint8_t *slots;			/* what was there first, 0: nothing: FMT_SEG_* */
	uint64_t nr_slots;
	uint64_t deleted;		/* segments */
	uint64_t by_others[SIM_HOSTS];	/* changes of the store that are not this host's life's */
	bool oracle;			/* look at the store after each change of it */
	bool calm;			/* the end: no faults any more */
	uint64_t point;			/* die at this step; 0 = never */
	uint64_t step;
	struct sim_stats *st;
	void *spare;			/* memory for the arena of who looks at the store */
	uint64_t spare_len;
};

/* ---- world.c ----------------------------------------------------------------------------- */

/* One thing that can happen happens. False: nothing will ever happen. */
bool world_step(struct sim *s);
void world_wait(struct sim *s, const bool *done);	/* fails when it takes for ever */
int world_fiber_wait(void *ctx, const bool *done);	/* volume_env.wait of a host */
bool world_quiet_step(struct vol *w);	/* work and GETs of one host alone, without faults */

/* ---- host.c ------------------------------------------------------------------------------ */

void host_init(struct host *h, struct sim *s, unsigned int no, struct vol *share);
void host_end(struct host *h);
void host_faults(struct host *h, bool on);
void host_attach(struct host *h);	/* begins */
void host_detach(struct host *h);	/* begins */
void host_resume(struct host *h);	/* its fiber goes on */
void host_die(struct host *h, bool power);
/* As oracle_stamps(), without anything else's going on. */
uint32_t *host_stamps(struct host *h);
/* After each step: superseded without reason? */
void host_check(struct host *h);

/* ---- load.c ------------------------------------------------------------------------------ */

void load_op(struct host *h);
void load_flush(struct host *h);
void load_reads(struct host *h);	/* checks and releases those that have ended */
void load_drop(struct host *h);		/* forgets them */
void load_answered(struct vol_io *x);

/* ---- oracle.c ---------------------------------------------------------------------------- */

struct branch *oracle_log(struct sim *s);
/* net.mutated of a host */
void oracle_mutated(void *ctx);
/*
 * The numbers of the operations that all blocks of @w's devices come from (malloc'ed). NULL: it
 * turned out that it was superseded.
 */
uint32_t *oracle_stamps(struct vol *w, uint32_t nr_devs);
/*
 * What another host would find in the store, its place in the log's branch: checked. No object that
 * it needs is missing.
 */
uint32_t oracle_store(struct sim *s);

/* ---- seed.c, fail.c ---------------------------------------------------------------------- */

/* Runs a seed in this process. False: it ended before @point. */
bool seed_run(uint64_t seed, uint64_t point, uint64_t stride, struct sim_stats *st);

extern struct sim *sim_now;		/* for messages */
extern bool sim_tracing;
uint64_t sim_digest(void);		/* of all that was traced, printed or not */
void sim_trace(const struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#define sim_must(cond, ...)                    \
	do {                                   \
		if (!(cond))                   \
			sim_fail(__VA_ARGS__); \
	} while (0)

#endif
