/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * queue: one hardware queue: the tag table, issue, reap, requeue, abort.
 *
 * A slot belongs to its tag's request from issue to reap or abort. It is filled under the submit
 * lock and emptied under the completion lock, and it alone says whether an answer is welcome: the
 * request is never looked up by tag in blk-mq, where a flush shares the tag of the write it
 * belongs to.
 *
 * Locks: done_lock (mutex; answers, teardown) outside issue_lock (spinlock; ->queue_rq).
 */
#ifndef _ZEROFS_QUEUE_H
#define _ZEROFS_QUEUE_H

#include <linux/atomic.h>
#include <linux/blk_types.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "arena.h"
#include "ring.h"

struct request;

/* What a queue does with requests. */
enum zerofs_gate {
	ZEROFS_GATE_HOLD,	/* keep them in the block layer */
	ZEROFS_GATE_PASS,	/* hand them to the daemon */
	ZEROFS_GATE_FAIL,	/* end them with an error */
};

/* The session's promises so far. */
struct zerofs_marks {
	atomic64_t acked;	/* highest wno acknowledged */
	atomic64_t flushed;	/* highest wno declared durable */
};

/* How a queue speaks to what is above it. */
struct zerofs_queue_ops {
	/* The BUF ring is broken: end that attach. Called in atomic context. */
	void (*broken)(void *owner, u64 attach_gen);
};

struct zerofs_slot {
	struct request *rq;
	u32 gen;
	u32 bytes;		/* of data */
	u64 acked;		/* FLUSH: marks.acked when it was issued */
	u8 op;
	bool fua;
	bool busy;		/* delivered, not answered; set last, cleared first */
};

/* Per queue; each under the lock named. */
struct zerofs_issue_stats {
	u64 issued;		/* requests handed out, reissues too */
	u64 reissued;
	u64 copied;		/* bytes of writes copied to the arena, reissues too */
	u64 copied_again;	/* of these, for reissues */
	u64 starved;		/* times a write found no BUF */
	u64 wakeups;		/* times a sleeping daemon was woken */
};

struct zerofs_done_stats {
	u64 requests[ZEROFS_OP_NR];	/* answered with success */
	u64 bytes[ZEROFS_OP_NR];
	u64 errors;		/* answered with an error */
	u64 dropped;		/* taken back from a daemon: to be reissued or failed */
	u64 copied;		/* bytes of reads copied from the arena */
	u64 enters;
};

struct zerofs_queue {
	const struct zerofs_queue_ops *ops;
	void *owner;
	struct zerofs_marks *marks;
	u32 depth;
	struct zerofs_slot *slots;

	spinlock_t issue_lock;
	enum zerofs_gate gate;		/* written under both locks */
	bool ro;
	struct zerofs_ring *ring;	/* written under both locks; ours to put */
	struct zerofs_arena *arena;	/* written under both locks; set while PASS */
	struct zerofs_extent ext;
	struct zerofs_issue_stats issue;

	struct mutex done_lock;
	struct zerofs_seg *segs;	/* the answer in hand: snapshot of its SEGs */
	struct zerofs_done_stats done;

	atomic64_t timeouts;
};

/* blk-mq's per-request data. */
struct zerofs_cmd {
	bool reissue;	/* from being taken back from a daemon until it is issued again or ends */
};

int zerofs_queue_init(struct zerofs_queue *q, u32 depth, const struct zerofs_queue_ops *ops,
		      void *owner, struct zerofs_marks *marks);
void zerofs_queue_free(struct zerofs_queue *q);

/* ->queue_rq and ->commit_rqs: neither sleep, allocate nor fault. */
blk_status_t zerofs_queue_issue(struct zerofs_queue *q, struct request *rq, bool last);
void zerofs_queue_commit(struct zerofs_queue *q);
void zerofs_queue_set_ro(struct zerofs_queue *q, bool ro);

/* Gives the queue its rings for this attach; takes a reference. -EBUSY: it has some. May sleep. */
int zerofs_queue_bind(struct zerofs_queue *q, struct zerofs_ring *ring);
/* Kills the rings with @err and lets go of them. Not while the gate is PASS. May sleep. */
void zerofs_queue_unbind(struct zerofs_queue *q, int err);
bool zerofs_queue_bound(struct zerofs_queue *q);

/*
 * Changes what happens to requests. PASS needs rings and @arena, else NULL. From PASS to HOLD
 * what the daemon has is requeued, to be delivered again; to FAIL it ends with an error. With that
 * the rings die, of @err: an answer to what was taken back is no breach of the contract. On return
 * nothing refers to the earlier arena. May sleep, waits for no I/O.
 */
void zerofs_queue_set_gate(struct zerofs_queue *q, enum zerofs_gate gate,
			   struct zerofs_arena *arena, int err);

/*
 * Takes at most @max answers from @ring. Returns how many, or why @ring is dead, or -EPROTO: an
 * answer broke the contract. *@ret_restart: starved writes can go on and must be restarted.
 */
int zerofs_queue_reap(struct zerofs_queue *q, struct zerofs_ring *ring, u32 max,
		      bool *ret_restart);

/* Closes the current extent: true if there was one, described in @ret. May sleep. */
bool zerofs_queue_recall(struct zerofs_queue *q, struct zerofs_recall_ent *ret);

#endif
