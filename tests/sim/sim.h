/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The simulator: hosts (each a kernel, a daemon's engine core, a state folder, perhaps a journal's
 * disk) before one store, everything that happens drawn from one seed, and what must hold checked
 * after each of it.
 *
 * world.c	time, what can happen next, fibers for what waits (attach, detach)
 * host.c	a host's lives: attach, detach, death, power cut; what its kernel is told
 * disk.c	a host's journal disk: its fate, what a person does with it, whom it may serve
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
#include "format/fmt.h"
#include "lib/model.h"
#include "lib/vol.h"
#include "sim/fiber.h"
#include "store/store.h"

#define SIM_HOSTS  2u
#define SIM_BLOCKS 1536u	/* of each device: a leaf and a half of the map */
#define SIM_RESENDS 16u
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

/*
 * A host's journal disk. The journal on it has *been left* once somebody's fence that does not name
 * it follows; it is *aside* if it alone has a flush of its host's by then.
 */
struct sim_disk {
	uint8_t uuid[16];		/* of the journal on it */
	uint32_t made;			/* journals, one after the other */
	bool there;			/* the host has one at all ... */
	bool plugged;			/* ... and its next daemon finds it */
	bool slow;
	uint32_t local;			/* it answered flushes up to this operation of its host's */
	bool answered;			/* it has, and the kernel has marked it */
	bool left, aside;
	uint64_t sum;			/* of what it held when that was certain; 0: not yet */
	bool strayed;			/* a head that does not name it is in the store */
	bool on_top;			/* the newest head names it */
	struct jdisk_copy *copy;
	uint32_t copy_local;
	bool rolled;			/* not as it was left, nobody has served with it since */
	/* what the person says at the next start */
	bool abandon, takeover;
	/* of this life of the daemon */
	bool used;			/* it was given this disk ... */
	bool strange;			/* ... with another's content; what it had is kept */
	struct jdisk_copy *kept;
	bool on_top_before, left_before;
	bool claimed;			/* it has made a head */
	bool may_lose;			/* arena and store do not have all, the rest is not here */
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
	uint64_t fenced_at;
	uint64_t committed;		/* as it was looked at last */
	bool made_head;			/* ... and has not seen yet that it is the newest */
	uint32_t looks, sweeps;		/* how often it has; and begun to delete */
	/* LISTs of what may be deleted that failed */
	const struct store_req *resend[SIM_RESENDS];
	uint32_t next_resend;
	struct sim_disk disk;
	struct list_head reads;
	bool noisy;			/* its store had faults or an outage in this attach */
	uint64_t outage_end;
};

/* A request, longer than vol_io: struct vol frees it by the vol_io. */
struct sim_io {
	struct vol_io v;
	struct list_head link;		/* READ: in host.reads */
	uint64_t acked;			/* FLUSH: the kernel's mark when it came */
	uint32_t place;			/* READ: of the newest operation that was taken then */
};

struct scenario {
	uint32_t nr_devs, nr_hosts, turns;
	uint32_t refuse_pm, lose_pm, hold_pm, late_pm, ghost_pm, twice_pm;
	/* per mille of turns */
	uint32_t die_pm, power_pm, freeze_pm, attach_pm, detach_pm, outage_pm;
	uint32_t jfail_pm, jslow_pm, starve_pm;
	uint32_t local_pm;		/* who has flushes in its journal alone dies */
	uint32_t jlose_pc;		/* per cent of deaths */
	uint32_t journals;		/* a bit for each host that has one */
	uint32_t max_pending;
	uint32_t patience;		/* what is held or late stays so for some so many steps */
	bool hurry;			/* who has adopted dies again soon */
	bool hold_segs;			/* segments may wait while all else goes on */
	bool lose_state;		/* a death may take the state folder along */
};

struct sim_stats {
	uint64_t seeds, steps, ops, flushes, reads;
	uint64_t kills, kills_attach, kills_detach, power_cuts, takeovers, points;
	uint64_t attaches, adopted, intact, lost, detaches, superseded;
	uint64_t mutations, checked, ghosts;
	uint64_t deleted, deleted_seeds;
	/* of journals */
	uint64_t local, replayed, replayed_ops, parked, refused, lost_disks, copies, failed;
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
	uint8_t head_nonce[FMT_NONCE_LEN];	/* of who made the newest head */
	uint64_t *wnos;			/* of operations, by number; 0: not known */
	uint32_t cap_wnos;
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

/* ---- disk.c ------------------------------------------------------------------------------ */

void disk_init(struct host *h);
void disk_end(struct host *h);
/* Before an attach: what becomes of the disk, what the person says; sets the daemon's options. */
void disk_attach(struct host *h);
/* An attach failed with @err: for the journal's sake, and with a cause? */
bool disk_refused(struct host *h, int err);
void disk_serving(struct host *h);
/* The least that an attach must find for the journal's sake: an operation's number. */
uint32_t disk_least(const struct host *h);
void disk_died(struct host *h);		/* the daemon is gone */
/* A head that names @journal is in the store; a fence. */
void disk_head(struct host *h, const uint8_t *journal);
void disk_fence(struct host *h, const uint8_t *journal);
/* A FLUSH of operation @op that the store does not cover was answered. */
void disk_promised(struct host *h, uint32_t op);
void disk_turn(struct host *h);		/* the disk's own faults */
void disk_calm(struct host *h);		/* none any more */
void disk_check(const struct host *h);	/* a journal that is aside is as it was */

/* ---- load.c ------------------------------------------------------------------------------ */

void load_op(struct host *h);
void load_flush(struct host *h);
void load_reads(struct host *h);	/* checks and releases those that have ended */
void load_drop(struct host *h);		/* forgets them */
void load_answered(struct vol_io *x);
void load_committed(struct host *h);	/* what its commit point has passed */

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
/* What becomes of a request (net.fate). */
void oracle_request(struct host *h, const struct store_req *r, const char *what);

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
