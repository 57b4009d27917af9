// SPDX-License-Identifier: GPL-2.0-only
/*
 * Way out: queue_rq -> zerofs_queue_issue(): gate, room in the arena, copy, slot, REQ entry; all
 * under issue_lock, so that a queue's allocations and its entries are in one order.
 *
 * Way back: ENTER -> zerofs_queue_reap(): snapshot of the RSP, everything checked against the
 * slot and the arena, copy, marks, end; under done_lock.
 *
 * A daemon that dies, is failed or breaks the contract: zerofs_queue_set_gate() takes back what it
 * had. The gate changes under both locks, so a request is issued either before (its slot is busy
 * and is taken back) or after (it sees the new gate); no wait for a grace period is needed.
 */
#include "queue.h"

#include <linux/blk-mq.h>
#include <linux/bottom_half.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat/compat.h"

#define MAX_SEGS      (ZEROFS_MAX_IO / ZEROFS_BLOCK_SIZE)
#define BLOCK_SECTORS (ZEROFS_BLOCK_SIZE >> SECTOR_SHIFT)

int zerofs_queue_init(struct zerofs_queue *q, u32 depth, const struct zerofs_queue_ops *ops,
		      void *owner, struct zerofs_marks *marks)
{
	spin_lock_init(&q->issue_lock);
	mutex_init(&q->done_lock);
	q->ops = ops;
	q->owner = owner;
	q->marks = marks;
	q->depth = depth;
	q->gate = ZEROFS_GATE_HOLD;
	q->slots = kvcalloc(depth, sizeof(*q->slots), GFP_KERNEL);
	q->segs = kmalloc_array(MAX_SEGS, sizeof(*q->segs), GFP_KERNEL);
	if (q->slots && q->segs)
		return 0;
	zerofs_queue_free(q);
	return -ENOMEM;
}

void zerofs_queue_free(struct zerofs_queue *q)
{
	if (!q->depth)
		return;
	zerofs_ring_put(q->ring);
	q->ring = NULL;
	kvfree(q->slots);
	kfree(q->segs);
	q->slots = NULL;
	q->segs = NULL;
}

/* ---- out --------------------------------------------------------------------------------- */

static u32 req_flags(struct request *rq)
{
	blk_opf_t opf = rq->cmd_flags;
	u32 flags = 0;

	if (opf & REQ_FUA)
		flags |= ZEROFS_REQ_FUA;
	if (opf & REQ_META)
		flags |= ZEROFS_REQ_META;
	if (opf & REQ_PRIO)
		flags |= ZEROFS_REQ_PRIO;
	if (opf & REQ_RAHEAD)
		flags |= ZEROFS_REQ_RAHEAD;
	if (req_op(rq) == REQ_OP_WRITE_ZEROES && opf & REQ_NOUNMAP)
		flags |= ZEROFS_REQ_NOUNMAP;
	if (opf & REQ_SWAP)
		flags |= ZEROFS_REQ_SWAP;
	if (opf & REQ_FAILFAST_MASK)
		flags |= ZEROFS_REQ_FAILFAST;
	return flags;
}

/* Describes @rq, all but gen and buf. */
static blk_status_t fill_req(struct zerofs_queue *q, struct request *rq, struct zerofs_req *req)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		req->op = ZEROFS_OP_READ;
		break;
	case REQ_OP_WRITE:
		req->op = ZEROFS_OP_WRITE;
		break;
	case REQ_OP_FLUSH:
		req->op = ZEROFS_OP_FLUSH;
		break;
	case REQ_OP_DISCARD:
		req->op = ZEROFS_OP_DISCARD;
		break;
	case REQ_OP_WRITE_ZEROES:
		req->op = ZEROFS_OP_WRITE_ZEROES;
		break;
	default:
		return BLK_STS_IOERR;
	}
	req->tag = rq->tag;
	req->flags = req_flags(rq);
	req->prio = IOPRIO_PRIO_CLASS(req_get_ioprio(rq));
	if (req->op == ZEROFS_OP_FLUSH)
		return BLK_STS_OK;
	if (q->ro && req->op != ZEROFS_OP_READ)
		return BLK_STS_IOERR;
	req->sector = blk_rq_pos(rq);
	req->nr_sectors = blk_rq_sectors(rq);
	/* The limits say so already; the arena's alignment rests on it. */
	if (!IS_ALIGNED(req->sector | req->nr_sectors, BLOCK_SECTORS) || !req->nr_sectors)
		return BLK_STS_IOERR;
	if ((req->op == ZEROFS_OP_READ || req->op == ZEROFS_OP_WRITE) &&
	    blk_rq_bytes(rq) > ZEROFS_MAX_IO)
		return BLK_STS_IOERR;
	return BLK_STS_OK;
}

static void publish(struct zerofs_queue *q)
{
	if (q->ring && zerofs_ring_publish(q->ring))
		q->issue.wakeups++;
}

/* Room for a write's data, or what to tell blk-mq. */
static blk_status_t make_room(struct zerofs_queue *q, u32 bytes, u64 *ret_buf)
{
	int err = zerofs_arena_alloc(q->arena, &q->ext, bytes, ret_buf);

	if (!err)
		return BLK_STS_OK;
	if (err == -EPROTO)
		q->ops->broken(q->owner, q->arena->attach_gen);
	q->issue.starved++;
	if (!q->ring->starved) {
		/* Once per ENTER: a daemon asleep may have BUFs to post. */
		WRITE_ONCE(q->ring->starved, true);
		if (wq_has_sleeper(&q->ring->wq))
			wake_up_interruptible_all(&q->ring->wq);
	}
	/* Not RESOURCE: no polling. Posting a BUF, or the end of the attach, restarts the queue. */
	return BLK_STS_DEV_RESOURCE;
}

static blk_status_t issue(struct zerofs_queue *q, struct request *rq, struct zerofs_cmd *cmd)
{
	struct zerofs_slot *slot = &q->slots[rq->tag];
	struct zerofs_req req = {};
	u32 bytes = 0;
	blk_status_t sts = fill_req(q, rq, &req);

	if (sts)
		return sts;
	if (req.op == ZEROFS_OP_READ || req.op == ZEROFS_OP_WRITE)
		bytes = blk_rq_bytes(rq);
	if (req.op == ZEROFS_OP_WRITE) {
		sts = make_room(q, bytes, &req.buf);
		if (sts)
			return sts;
		zerofs_arena_copy_in(q->arena, req.buf, bytes, rq);
		q->issue.copied += bytes;
		if (cmd->reissue)
			q->issue.copied_again += bytes;
	}
	if (cmd->reissue) {
		cmd->reissue = false;
		req.flags |= ZEROFS_REQ_REISSUED;
		q->issue.reissued++;
	}
	q->issue.issued++;
	blk_mq_start_request(rq);
	slot->rq = rq;
	slot->gen++;
	slot->op = req.op;
	slot->bytes = bytes;
	slot->fua = req.flags & ZEROFS_REQ_FUA;
	slot->acked = atomic64_read(&q->marks->acked);
	req.gen = slot->gen;
	zerofs_ring_put_req(q->ring, &req);
	/*
	 * From here the request may end at any time. Pairs with the load-acquire in check_slot():
	 * whoever sees busy sees the rest.
	 */
	smp_store_release(&slot->busy, true);
	return BLK_STS_OK;
}

blk_status_t zerofs_queue_issue(struct zerofs_queue *q, struct request *rq, bool last)
{
	struct zerofs_cmd *cmd = blk_mq_rq_to_pdu(rq);
	blk_status_t sts;

	spin_lock(&q->issue_lock);
	switch (q->gate) {
	case ZEROFS_GATE_PASS:
		sts = issue(q, rq, cmd);
		break;
	case ZEROFS_GATE_HOLD:
		/* The queue is quiesced, or is about to be: try again then. */
		sts = BLK_STS_RESOURCE;
		break;
	default:
		sts = BLK_STS_IOERR;
	}
	if (sts == BLK_STS_IOERR)
		cmd->reissue = false;
	if (last || sts != BLK_STS_OK)
		publish(q);
	spin_unlock(&q->issue_lock);
	return sts;
}

void zerofs_queue_commit(struct zerofs_queue *q)
{
	spin_lock(&q->issue_lock);
	publish(q);
	spin_unlock(&q->issue_lock);
}

void zerofs_queue_set_ro(struct zerofs_queue *q, bool ro)
{
	spin_lock(&q->issue_lock);
	q->ro = ro;
	spin_unlock(&q->issue_lock);
}

/* ---- back -------------------------------------------------------------------------------- */

static void raise_mark(atomic64_t *mark, u64 to)
{
	s64 old = atomic64_read(mark);

	while ((u64)old < to && !atomic64_try_cmpxchg(mark, &old, to))
		;
}

/*
 * Ends a request. We may be in the daemon's own context: with bottom halves off, a final fput in
 * some bi_end_io goes to a worker instead of becoming this task's own work, which would close a
 * disk while its daemon, waiting for that, answers nobody.
 */
static void end_rq(struct request *rq, blk_status_t sts)
{
	local_bh_disable();
	blk_mq_end_request(rq, sts);
	local_bh_enable();
}

static blk_status_t res_to_sts(s32 res)
{
	switch (res) {
	case -ENOSPC:
		return BLK_STS_NOSPC;
	case -ETIMEDOUT:
		return BLK_STS_TIMEOUT;
	case -ENODATA:
		return BLK_STS_MEDIUM;
	default:
		return BLK_STS_IOERR;
	}
}

/* The slot an answer is for, or NULL: not one we wait for. */
static struct zerofs_slot *check_slot(struct zerofs_queue *q, const struct zerofs_rsp *rsp)
{
	struct zerofs_slot *slot;

	if (rsp->tag >= q->depth || rsp->flags)
		return NULL;
	slot = &q->slots[rsp->tag];
	/* Pairs with the store-release in issue(). */
	if (!smp_load_acquire(&slot->busy) || slot->gen != rsp->gen)
		return NULL;
	return slot;
}

/* A successful read: all pieces are checked before the first byte is copied. */
static int copy_read(struct zerofs_queue *q, struct zerofs_ring *ring,
		     const struct zerofs_slot *slot, const struct zerofs_rsp *rsp)
{
	struct zerofs_cursor cur;
	u64 sum = 0;
	u32 i;

	zerofs_arena_rewind(&cur, slot->rq);
	if (!rsp->nseg) {
		if (!zerofs_arena_has(q->arena, rsp->buf, slot->bytes))
			return -EPROTO;
		zerofs_arena_copy_out(q->arena, rsp->buf, slot->bytes, &cur);
	} else {
		if (rsp->nseg > slot->bytes / ZEROFS_BLOCK_SIZE || rsp->buf > U32_MAX)
			return -EPROTO;
		for (i = 0; i < rsp->nseg; i++) {
			struct zerofs_seg *seg = &q->segs[i];

			zerofs_ring_seg(ring, (u32)rsp->buf + i, seg);
			if (!seg->len || !IS_ALIGNED(seg->len, ZEROFS_BLOCK_SIZE) || seg->rsvd ||
			    !zerofs_arena_has(q->arena, seg->buf, seg->len))
				return -EPROTO;
			sum += seg->len;
		}
		if (sum != slot->bytes)
			return -EPROTO;
		for (i = 0; i < rsp->nseg; i++)
			zerofs_arena_copy_out(q->arena, q->segs[i].buf, q->segs[i].len, &cur);
	}
	q->done.copied += slot->bytes;
	return 0;
}

/* Whether a successful answer says what one to this request may say. */
static bool answer_ok(const struct zerofs_slot *slot, const struct zerofs_rsp *rsp)
{
	switch (slot->op) {
	case ZEROFS_OP_READ:
		return rsp->res == slot->bytes && !rsp->wno && !rsp->dur;
	case ZEROFS_OP_FLUSH:
		/* It must cover everything acknowledged before it was issued. */
		return !rsp->res && !rsp->nseg && !rsp->wno && rsp->dur >= slot->acked;
	default:
		return !rsp->res && !rsp->nseg && (slot->fua ? rsp->dur >= rsp->wno : !rsp->dur);
	}
}

static int finish(struct zerofs_queue *q, struct zerofs_ring *ring, const struct zerofs_rsp *rsp)
{
	struct zerofs_slot *slot = check_slot(q, rsp);
	struct request *rq;
	blk_status_t sts = BLK_STS_OK;
	int err;

	if (!slot)
		return -EPROTO;
	rq = slot->rq;
	if (rsp->res < 0) {
		if (rsp->res < -MAX_ERRNO || rsp->nseg)
			return -EPROTO;
		sts = res_to_sts(rsp->res);
		q->done.errors++;
	} else {
		if (!answer_ok(slot, rsp))
			return -EPROTO;
		if (slot->op == ZEROFS_OP_READ) {
			err = copy_read(q, ring, slot, rsp);
			if (err)
				return err;
		}
		/* The promise is on record before anybody can act on it. */
		raise_mark(&q->marks->acked, rsp->wno);
		raise_mark(&q->marks->flushed, rsp->dur);
		q->done.requests[slot->op]++;
		q->done.bytes[slot->op] += blk_rq_bytes(rq);
	}
	WRITE_ONCE(slot->busy, false);
	slot->rq = NULL;
	/* Before the end: the tag's next request must find room in the RSP ring for its answer. */
	zerofs_ring_rsp_done(ring);
	end_rq(rq, sts);
	return 0;
}

int zerofs_queue_reap(struct zerofs_queue *q, struct zerofs_ring *ring, u32 max, bool *ret_restart)
{
	struct zerofs_rsp rsp;
	u32 n = 0;
	int err;

	*ret_restart = false;
	mutex_lock(&q->done_lock);
	q->done.enters++;
	err = ring->err;
	while (!err && n < max) {
		err = zerofs_ring_rsp_peek(ring, &rsp);
		if (err <= 0)
			break;
		err = finish(q, ring, &rsp);
		if (!err)
			n++;
		cond_resched();
	}
	if (!err && q->arena)
		*ret_restart = zerofs_arena_unstarve(q->arena);
	mutex_unlock(&q->done_lock);
	return err ? err : n;
}

/* ---- teardown ---------------------------------------------------------------------------- */

int zerofs_queue_bind(struct zerofs_queue *q, struct zerofs_ring *ring)
{
	int err = 0;

	mutex_lock(&q->done_lock);
	spin_lock(&q->issue_lock);
	if (q->ring) {
		err = -EBUSY;
	} else {
		zerofs_ring_get(ring);
		q->ring = ring;
	}
	spin_unlock(&q->issue_lock);
	mutex_unlock(&q->done_lock);
	return err;
}

void zerofs_queue_unbind(struct zerofs_queue *q, int err)
{
	struct zerofs_ring *ring;

	mutex_lock(&q->done_lock);
	spin_lock(&q->issue_lock);
	ring = q->ring;
	q->ring = NULL;
	if (ring)
		zerofs_ring_kill(ring, err);
	spin_unlock(&q->issue_lock);
	mutex_unlock(&q->done_lock);
	zerofs_ring_put(ring);
}

bool zerofs_queue_bound(struct zerofs_queue *q)
{
	return READ_ONCE(q->ring);
}

/* Takes back what the daemon has. done_lock is held and the gate is not PASS. */
static void take_back(struct zerofs_queue *q, enum zerofs_gate gate)
{
	struct zerofs_cmd *cmd;
	struct request *rq;
	u32 i;

	lockdep_assert_held(&q->done_lock);
	for (i = 0; i < q->depth; i++) {
		/* Pairs with the store-release in issue(). */
		if (!smp_load_acquire(&q->slots[i].busy))
			continue;
		rq = q->slots[i].rq;
		WRITE_ONCE(q->slots[i].busy, false);
		q->slots[i].rq = NULL;
		q->done.dropped++;
		if (gate == ZEROFS_GATE_FAIL) {
			end_rq(rq, BLK_STS_IOERR);
			continue;
		}
		cmd = blk_mq_rq_to_pdu(rq);
		cmd->reissue = true;
		/* Goes back to the dispatch list as it is: nothing may be merged into it. */
		rq->rq_flags |= RQF_DONTPREP;
		blk_mq_requeue_request(rq, false);
	}
}

void zerofs_queue_set_gate(struct zerofs_queue *q, enum zerofs_gate gate,
			   struct zerofs_arena *arena, int err)
{
	mutex_lock(&q->done_lock);
	spin_lock(&q->issue_lock);
	if (q->gate == ZEROFS_GATE_PASS && gate != ZEROFS_GATE_PASS)
		zerofs_ring_kill(q->ring, err);
	q->gate = gate;
	q->arena = arena;
	memset(&q->ext, 0, sizeof(q->ext));
	spin_unlock(&q->issue_lock);
	if (gate != ZEROFS_GATE_PASS)
		take_back(q, gate);
	mutex_unlock(&q->done_lock);
}

bool zerofs_queue_recall(struct zerofs_queue *q, struct zerofs_recall_ent *ret)
{
	bool open;

	spin_lock(&q->issue_lock);
	open = q->ext.open;
	if (open) {
		ret->id = q->ext.id;
		ret->used = q->ext.used;
		memset(&q->ext, 0, sizeof(q->ext));
	}
	spin_unlock(&q->issue_lock);
	return open;
}
