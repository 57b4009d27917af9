// SPDX-License-Identifier: GPL-2.0-only
#include "ring.h"

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat/compat.h"

static_assert(sizeof(struct zerofs_req) == 32);
static_assert(sizeof(struct zerofs_rsp) == 40);
static_assert(sizeof(struct zerofs_seg) == 16);
static_assert(sizeof(struct zerofs_buf) == 16);
static_assert(sizeof(struct zerofs_queue_k) == 192);
static_assert(sizeof(struct zerofs_queue_u) == 128);
static_assert(sizeof(struct zerofs_session_k) == 192);
static_assert(sizeof(struct zerofs_session_u) == 64);

/* How often an index that user space keeps changing is read again before we stop believing it. */
#define AVAIL_TRIES 8

struct zerofs_ring *zerofs_ring_alloc(u32 depth, u64 attach_gen)
{
	struct zerofs_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL);

	if (!ring)
		return NULL;
	kref_init(&ring->ref);
	init_waitqueue_head(&ring->wq);
	ring->entries = roundup_pow_of_two(depth);
	ring->seg_entries = roundup_pow_of_two(depth * (ZEROFS_MAX_IO / ZEROFS_BLOCK_SIZE));
	ring->req_off = sizeof(struct zerofs_queue_k);
	ring->ro_len = PAGE_ALIGN(ring->req_off + ring->entries * sizeof(struct zerofs_req));
	ring->rsp_off = sizeof(struct zerofs_queue_u);
	ring->seg_off = ALIGN(ring->rsp_off + ring->entries * sizeof(struct zerofs_rsp), 64);
	ring->rw_len = PAGE_ALIGN(ring->seg_off + ring->seg_entries * sizeof(struct zerofs_seg));
	ring->ro = vmalloc_user(ring->ro_len);
	ring->rw = vmalloc_user(ring->rw_len);
	if (!ring->ro || !ring->rw) {
		zerofs_ring_put(ring);
		return NULL;
	}
	ring->k = ring->ro;
	ring->req = ring->ro + ring->req_off;
	ring->u = ring->rw;
	ring->rsp = ring->rw + ring->rsp_off;
	ring->seg = ring->rw + ring->seg_off;
	ring->k->magic = ZEROFS_MAGIC;
	ring->k->abi = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR;
	ring->k->attach_gen = attach_gen;
	ring->k->ring_entries = ring->entries;
	ring->k->seg_entries = ring->seg_entries;
	ring->k->depth = depth;
	return ring;
}

void zerofs_ring_get(struct zerofs_ring *ring)
{
	kref_get(&ring->ref);
}

static void ring_free(struct kref *ref)
{
	struct zerofs_ring *ring = container_of(ref, struct zerofs_ring, ref);

	vfree(ring->ro);
	vfree(ring->rw);
	kfree(ring);
}

void zerofs_ring_put(struct zerofs_ring *ring)
{
	if (ring)
		kref_put(&ring->ref, ring_free);
}

int zerofs_ring_map(struct vm_area_struct *vma, void *mem, u32 len, bool ro)
{
	if (vma->vm_end - vma->vm_start != PAGE_ALIGN(len))
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (ro && vma->vm_flags & VM_WRITE)
		return -EPERM;
	/* Not for children of the daemon: its fork must not look like a second daemon. */
	zerofs_compat_vm_flags(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP,
			       VM_MAYEXEC | (ro ? VM_MAYWRITE : 0));
	return remap_vmalloc_range(vma, mem, 0);
}

void zerofs_ring_put_req(struct zerofs_ring *ring, const struct zerofs_req *req)
{
	ring->req[ring->req_next & (ring->entries - 1)] = *req;
	ring->req_next++;
}

bool zerofs_ring_publish(struct zerofs_ring *ring)
{
	if (ring->req_next == ring->req_tail)
		return false;
	ring->req[(ring->req_next - 1) & (ring->entries - 1)].flags |= ZEROFS_REQ_LAST;
	WRITE_ONCE(ring->req_tail, ring->req_next);
	/* Pairs with the load-acquire of req_tail in the daemon: entries before the index. */
	smp_store_release(&ring->k->req_tail, ring->req_next);
	/*
	 * wq_has_sleeper() is a full barrier between that store and the look at the waiters. It
	 * pairs with the one between queueing oneself and zerofs_ring_avail() in ENTER and poll.
	 */
	if (!wq_has_sleeper(&ring->wq))
		return false;
	wake_up_interruptible_all(&ring->wq);
	return true;
}

int zerofs_ring_avail(struct zerofs_ring *ring, u32 *ret_avail)
{
	u32 head, tail, again;
	int i;

	/*
	 * Another thread of the daemon may consume while we look. Head and tail belong together
	 * only if head did not move between two reads of it.
	 */
	/* Pairs with the daemon's store-release of req_head: it has copied what lies before it. */
	again = smp_load_acquire(&ring->u->req_head);
	for (i = 0; i < AVAIL_TRIES; i++) {
		head = again;
		/*
		 * zerofs_ring_publish() writes our req_tail before the one the daemon sees, so it
		 * is never behind a head that followed from that one. Acquire, so that the second
		 * look at head comes after it.
		 */
		tail = smp_load_acquire(&ring->req_tail);
		again = smp_load_acquire(&ring->u->req_head);
		if (again != head)
			continue;
		if (tail - head > ring->entries)
			return -EPROTO;
		*ret_avail = tail - head;
		return 0;
	}
	*ret_avail = 1;
	return 0;
}

int zerofs_ring_rsp_peek(struct zerofs_ring *ring, struct zerofs_rsp *ret)
{
	/* Pairs with the daemon's store-release of rsp_tail: entries before the index. */
	u32 tail = smp_load_acquire(&ring->u->rsp_tail);

	if (tail == ring->rsp_head)
		return 0;
	if (tail - ring->rsp_head > ring->entries)
		return -EPROTO;
	memcpy(ret, &ring->rsp[ring->rsp_head & (ring->entries - 1)], sizeof(*ret));
	/* The copy is what gets checked and used: the compiler must not go back for a field. */
	barrier_data(ret);
	return 1;
}

void zerofs_ring_seg(struct zerofs_ring *ring, u32 index, struct zerofs_seg *ret)
{
	memcpy(ret, &ring->seg[index & (ring->seg_entries - 1)], sizeof(*ret));
	barrier_data(ret);
}

void zerofs_ring_rsp_done(struct zerofs_ring *ring)
{
	ring->rsp_head++;
	/* Pairs with the daemon's load-acquire of rsp_head: the bytes are copied, reuse them. */
	smp_store_release(&ring->k->rsp_head, ring->rsp_head);
}

void zerofs_ring_kill(struct zerofs_ring *ring, int err)
{
	if (ring->err)
		return;
	WRITE_ONCE(ring->err, err);
	WRITE_ONCE(ring->k->dead, 1);
	wake_up_all(&ring->wq);
}

int zerofs_ring_bufs_init(struct zerofs_bufs *bufs, struct zerofs_session_k *k, u32 entries)
{
	bufs->buf_off = sizeof(struct zerofs_session_u);
	bufs->rw_len = PAGE_ALIGN(bufs->buf_off + entries * sizeof(struct zerofs_buf));
	bufs->rw = vmalloc_user(bufs->rw_len);
	if (!bufs->rw)
		return -ENOMEM;
	bufs->entries = entries;
	bufs->head = 0;
	bufs->k = k;
	k->buf_entries = entries;
	return 0;
}

void zerofs_ring_bufs_free(struct zerofs_bufs *bufs)
{
	vfree(bufs->rw);
	bufs->rw = NULL;
}

int zerofs_ring_buf_take(struct zerofs_bufs *bufs, struct zerofs_buf *ret)
{
	struct zerofs_session_u *u = bufs->rw;
	struct zerofs_buf *ring = bufs->rw + bufs->buf_off;
	/* Pairs with the daemon's store-release of buf_tail: entries before the index. */
	u32 tail = smp_load_acquire(&u->buf_tail);

	if (tail == bufs->head)
		return 0;
	if (tail - bufs->head > bufs->entries)
		return -EPROTO;
	memcpy(ret, &ring[bufs->head & (bufs->entries - 1)], sizeof(*ret));
	barrier_data(ret);
	WRITE_ONCE(bufs->head, bufs->head + 1);
	/* Pairs with the daemon's load-acquire of buf_head: the slot may be written again. */
	smp_store_release(&bufs->k->buf_head, bufs->head);
	return 1;
}

bool zerofs_ring_buf_posted(struct zerofs_bufs *bufs)
{
	struct zerofs_session_u *u = bufs->rw;

	return READ_ONCE(u->buf_tail) != READ_ONCE(bufs->head);
}
