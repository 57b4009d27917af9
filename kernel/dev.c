// SPDX-License-Identifier: GPL-2.0-only
#include "dev.h"

#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>

static struct zerofs_dev *from_blk(struct zerofs_blk_owner *blk)
{
	return container_of(blk, struct zerofs_dev, blk);
}

static int dev_open(struct zerofs_blk_owner *blk)
{
	struct zerofs_dev *dev = from_blk(blk);
	int err = 0;

	spin_lock(&dev->open_lock);
	if (dev->closing)
		err = -ENXIO;
	else
		dev->openers++;
	spin_unlock(&dev->open_lock);
	return err;
}

static void dev_release(struct zerofs_blk_owner *blk)
{
	struct zerofs_dev *dev = from_blk(blk);

	spin_lock(&dev->open_lock);
	if (!--dev->openers)
		wake_up_all(&dev->wait);
	spin_unlock(&dev->open_lock);
}

static void dev_freed(struct zerofs_blk_owner *blk)
{
	zerofs_dev_put(from_blk(blk));
}

/* Everything but the module's reference. */
static void dev_free(struct zerofs_dev *dev)
{
	u32 i;

	for (i = 0; i < dev->nr_queues; i++)
		zerofs_queue_free(&dev->blk.queues[i]);
	kvfree(dev->blk.queues);
	kfree(dev);
}

struct zerofs_dev *zerofs_dev_new(const struct zerofs_add_dev *arg, u32 index,
				  const struct zerofs_dev_ops *ops, void *session,
				  struct zerofs_marks *marks)
{
	struct zerofs_dev *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	char name[DISK_NAME_LEN];
	int err = -ENOMEM;
	u32 i;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	kref_init(&dev->ref);
	INIT_LIST_HEAD(&dev->node);
	spin_lock_init(&dev->open_lock);
	init_waitqueue_head(&dev->wait);
	dev->ops = ops;
	dev->session = session;
	dev->index = index;
	dev->id = arg->dev_id;
	dev->depth = arg->depth;
	dev->size = arg->size;
	dev->ro = arg->flags & ZEROFS_DEV_RO;
	strscpy(dev->name, arg->name, sizeof(dev->name));
	dev->blk.open = dev_open;
	dev->blk.release = dev_release;
	dev->blk.freed = dev_freed;
	dev->blk.nr_write = arg->nr_write_queues;
	dev->blk.nr_read = arg->nr_read_queues;
	dev->blk.queues = kvcalloc(arg->nr_write_queues + arg->nr_read_queues,
				   sizeof(*dev->blk.queues), GFP_KERNEL);
	if (!dev->blk.queues)
		goto err_dev;
	dev->nr_queues = arg->nr_write_queues + arg->nr_read_queues;
	for (i = 0; i < dev->nr_queues; i++) {
		err = zerofs_queue_init(&dev->blk.queues[i], dev->depth, &ops->queue, session,
					marks);
		if (err)
			goto err_dev;
		zerofs_queue_set_ro(&dev->blk.queues[i], dev->ro);
	}
	snprintf(name, sizeof(name), "zerofs%u", index);
	err = zerofs_blk_alloc(&dev->blk, &dev->set, dev->depth, name, &dev->disk);
	if (err)
		goto err_dev;
	set_capacity(dev->disk, dev->size >> SECTOR_SHIFT);
	set_disk_ro(dev->disk, dev->ro);
	ops->get(session);
	/* Until the last reference is gone: a disk may be freed long after it was deleted. */
	__module_get(THIS_MODULE);
	return dev;

err_dev:
	dev_free(dev);
	return ERR_PTR(err);
}

void zerofs_dev_get(struct zerofs_dev *dev)
{
	kref_get(&dev->ref);
}

static void dev_last_put(struct kref *ref)
{
	struct zerofs_dev *dev = container_of(ref, struct zerofs_dev, ref);
	const struct zerofs_dev_ops *ops = dev->ops;
	void *session = dev->session;

	dev_free(dev);
	ops->put(session);
	/* Last, and a tail call: nothing of ours runs after it if the disk's release brought us. */
	module_put(THIS_MODULE);
}

void zerofs_dev_put(struct zerofs_dev *dev)
{
	kref_put(&dev->ref, dev_last_put);
}

int zerofs_dev_add_disk(struct zerofs_dev *dev, const struct attribute_group *group)
{
	int err;

	/* The disk's own, given back by ->free_disk; which is called for added disks only. */
	zerofs_dev_get(dev);
	dev->groups[0] = group;
	err = device_add_disk(NULL, dev->disk, dev->groups);
	if (err) {
		if (!test_bit(GD_ADDED, &dev->disk->state))
			zerofs_dev_put(dev);
		return err;
	}
	/* add_disk has left the partitions alone; from now on who asks for a scan gets one. */
	clear_bit(GD_SUPPRESS_PART_SCAN, &dev->disk->state);
	return 0;
}

void zerofs_dev_del_disk(struct zerofs_dev *dev, bool dead)
{
	if (dead)
		blk_mark_disk_dead(dev->disk);
	del_gendisk(dev->disk);
}

void zerofs_dev_destroy(struct zerofs_dev *dev)
{
	zerofs_blk_free(&dev->set, dev->disk);
	zerofs_dev_put(dev);
}

bool zerofs_dev_close(struct zerofs_dev *dev, bool even_if_open)
{
	bool closed;

	spin_lock(&dev->open_lock);
	closed = even_if_open || !dev->openers;
	if (closed)
		dev->closing = true;
	spin_unlock(&dev->open_lock);
	return closed;
}

void zerofs_dev_reopen(struct zerofs_dev *dev)
{
	spin_lock(&dev->open_lock);
	dev->closing = false;
	spin_unlock(&dev->open_lock);
}

u32 zerofs_dev_openers(struct zerofs_dev *dev)
{
	return READ_ONCE(dev->openers);
}

void zerofs_dev_run(struct zerofs_dev *dev)
{
	struct request_queue *q = dev->disk->queue;

	/* As in zerofs_dev_set_gate(). */
	if (zerofs_dev_visible(dev) && percpu_ref_tryget(&q->q_usage_counter)) {
		blk_mq_run_hw_queues(q, true);
		percpu_ref_put(&q->q_usage_counter);
	}
}

/*
 * Quiescing only keeps requests where they are; what makes the change safe is that each queue's
 * gate changes under its locks. So there is no wait for requests under way, and none for I/O.
 */
void zerofs_dev_set_gate(struct zerofs_dev *dev, enum zerofs_gate gate, struct zerofs_arena *arena,
			 int err)
{
	struct request_queue *q = dev->disk->queue;
	u32 i;

	if (!zerofs_dev_visible(dev))
		return;
	if (dev->killed) {
		gate = ZEROFS_GATE_FAIL;
		arena = NULL;
	}
	if (gate == ZEROFS_GATE_HOLD && !dev->quiesced) {
		blk_mq_quiesce_queue_nowait(q);
		dev->quiesced = true;
	}
	for (i = 0; i < dev->nr_queues; i++)
		zerofs_queue_set_gate(&dev->blk.queues[i], gate,
				      gate == ZEROFS_GATE_PASS ? arena : NULL, err);
	if (gate == ZEROFS_GATE_HOLD)
		return;
	if (dev->quiesced) {
		dev->quiesced = false;
		blk_mq_unquiesce_queue(q);
	}
	/*
	 * If del_gendisk is done with the queue, nothing is on its lists and no work may be
	 * started that would outlive it. With a reference, del_gendisk still has its wait for
	 * requests before it, and its cancelling of such work after that.
	 */
	if (percpu_ref_tryget(&q->q_usage_counter)) {
		blk_mq_kick_requeue_list(q);
		blk_mq_run_hw_queues(q, true);
		percpu_ref_put(&q->q_usage_counter);
	}
}

void zerofs_dev_kill(struct zerofs_dev *dev)
{
	dev->killed = true;
	zerofs_dev_set_gate(dev, ZEROFS_GATE_FAIL, NULL, -ESHUTDOWN);
}

bool zerofs_dev_bound(struct zerofs_dev *dev)
{
	u32 i;

	for (i = 0; i < dev->nr_queues; i++)
		if (!zerofs_queue_bound(&dev->blk.queues[i]))
			return false;
	return true;
}

void zerofs_dev_unbind(struct zerofs_dev *dev, int err)
{
	u32 i;

	for (i = 0; i < dev->nr_queues; i++)
		zerofs_queue_unbind(&dev->blk.queues[i], err);
}

void zerofs_dev_resize(struct zerofs_dev *dev, u64 size)
{
	set_capacity_and_notify(dev->disk, size >> SECTOR_SHIFT);
}

void zerofs_dev_set_ro(struct zerofs_dev *dev, bool ro)
{
	u32 i;

	set_disk_ro(dev->disk, ro);
	for (i = 0; i < dev->nr_queues; i++)
		zerofs_queue_set_ro(&dev->blk.queues[i], ro);
}
