// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices of sessions: numbers, and the operations that are too slow for the session's lock.
 *
 * A device number is in `numbers` from ADD_DEV until its disk is gone. Whoever finds a device
 * there takes a reference and then its session's lock; `phase` and `busy` say what another caller
 * is doing to it without that lock.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/sched/signal.h>

#include "session.h"

static DEFINE_IDR(numbers); /* registry lock */
static const struct attribute_group *disk_group;

/* ---- upcalls ------------------------------------------------------------------------------ */

static void devs_broken(void *owner, u64 attach_gen)
{
	struct zerofs_session *s = owner;

	atomic64_set(&s->kill_gen, attach_gen);
	zerofs_session_get(s);
	if (!queue_work(zerofs_session_wq, &s->kill))
		zerofs_session_put(s); /* never the last: the device holds one */
}

static void devs_get(void *session)
{
	zerofs_session_get(session);
}

static void devs_put(void *session)
{
	zerofs_session_put(session);
}

static const struct zerofs_dev_ops dev_ops = {
	.queue.broken = devs_broken,
	.get = devs_get,
	.put = devs_put,
};

/* ---- finding ------------------------------------------------------------------------------ */

static struct zerofs_dev *find(u32 index)
{
	struct zerofs_dev *dev;

	mutex_lock(&zerofs_session_registry);
	dev = index <= INT_MAX ? idr_find(&numbers, index) : NULL;
	if (dev)
		zerofs_dev_get(dev);
	mutex_unlock(&zerofs_session_registry);
	return dev;
}

static void forget_number(struct zerofs_dev *dev)
{
	mutex_lock(&zerofs_session_registry);
	idr_remove(&numbers, dev->index);
	mutex_unlock(&zerofs_session_registry);
}

/*
 * The device @index of the session that @conn is the daemon of, which is locked; in phase NEW,
 * STARTED, or if @even_deleting DELETING, and not busy. The reference is the caller's.
 */
static struct zerofs_dev *find_own(struct zerofs_conn *conn, u32 index, bool even_deleting)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	struct zerofs_dev *dev;
	int err;

	if (IS_ERR(s))
		return ERR_CAST(s);
	mutex_unlock(&s->lock);
	dev = find(index);
	if (!dev)
		return ERR_PTR(-ENODEV);
	err = -EACCES;
	if (dev->session != s)
		goto out;
	for (;;) {
		s = zerofs_session_lock(conn);
		err = PTR_ERR_OR_ZERO(s);
		if (err)
			goto out;
		if (!dev->busy && dev->phase != ZEROFS_DEV_STARTING)
			break;
		mutex_unlock(&s->lock);
		err = wait_event_interruptible(dev->wait, !READ_ONCE(dev->busy) &&
								  READ_ONCE(dev->phase) !=
									  ZEROFS_DEV_STARTING);
		if (err)
			goto out;
	}
	if (dev->phase == ZEROFS_DEV_NEW || dev->phase == ZEROFS_DEV_STARTED ||
	    (even_deleting && dev->phase == ZEROFS_DEV_DELETING))
		return dev;
	mutex_unlock(&s->lock);
	err = -ENODEV;
out:
	zerofs_dev_put(dev);
	return ERR_PTR(err);
}

static void set_phase(struct zerofs_dev *dev, enum zerofs_dev_phase phase)
{
	struct zerofs_session *s = dev->session;

	lockdep_assert_held(&s->lock);
	WRITE_ONCE(dev->phase, phase);
	wake_up_all(&dev->wait);
}

/* ---- add, start --------------------------------------------------------------------------- */

static int reserve_number(s32 want)
{
	int n;

	mutex_lock(&zerofs_session_registry);
	n = idr_alloc(&numbers, NULL, want < 0 ? 0 : want, want < 0 ? 0 : want + 1, GFP_KERNEL);
	mutex_unlock(&zerofs_session_registry);
	return n == -ENOSPC ? -EEXIST : n;
}

int zerofs_devs_add(struct zerofs_conn *conn, struct zerofs_add_dev *arg)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	struct zerofs_dev *dev, *other;
	int err, index;

	if (IS_ERR(s))
		return PTR_ERR(s);
	mutex_unlock(&s->lock);
	index = reserve_number(arg->index);
	if (index < 0)
		return index;
	dev = zerofs_dev_new(arg, index, &dev_ops, s, &s->marks);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto err_number;
	}

	mutex_lock(&zerofs_session_registry);
	s = zerofs_session_lock(conn);
	err = PTR_ERR_OR_ZERO(s);
	if (err)
		goto err_registry;
	err = -EBADFD;
	if (s->state != ZEROFS_S_LIVE)
		goto err_session;
	err = -ENOSPC;
	if (s->nr_devs >= ZEROFS_MAX_DEVS)
		goto err_session;
	err = -EEXIST;
	list_for_each_entry(other, &s->devs, node)
		if (other->id == dev->id || !strcmp(other->name, dev->name))
			goto err_session;
	list_add_tail(&dev->node, &s->devs);
	s->nr_devs++;
	idr_replace(&numbers, dev, index);
	arg->index = index;
	mutex_unlock(&s->lock);
	mutex_unlock(&zerofs_session_registry);
	return 0;

err_session:
	mutex_unlock(&s->lock);
err_registry:
	mutex_unlock(&zerofs_session_registry);
	zerofs_dev_destroy(dev);
err_number:
	mutex_lock(&zerofs_session_registry);
	idr_remove(&numbers, index);
	mutex_unlock(&zerofs_session_registry);
	return err;
}

/* Takes a device out of its session; its list's reference is the caller's. Session lock. */
static void unlink_dev(struct zerofs_session *s, struct zerofs_dev *dev, int err)
{
	zerofs_dev_unbind(dev, err);
	list_del_init(&dev->node);
	s->nr_devs--;
	set_phase(dev, ZEROFS_DEV_DEAD);
}

int zerofs_devs_start(struct zerofs_conn *conn, u32 index)
{
	struct zerofs_dev *dev = find_own(conn, index, false);
	struct zerofs_session *s;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	s = dev->session;
	err = -EBADFD;
	if (s->state != ZEROFS_S_LIVE || dev->phase != ZEROFS_DEV_NEW)
		goto out;
	err = -ENXIO;
	if (!s->arena || !zerofs_dev_bound(dev))
		goto out;
	set_phase(dev, ZEROFS_DEV_STARTING);
	zerofs_dev_set_gate(dev, zerofs_state_gate(s), s->arena, 0);
	mutex_unlock(&s->lock);

	err = zerofs_dev_add_disk(dev, disk_group);

	mutex_lock(&s->lock);
	if (!err) {
		set_phase(dev, ZEROFS_DEV_STARTED);
		goto out;
	}
	zerofs_dev_kill(dev);
	unlink_dev(s, dev, -ESHUTDOWN);
	mutex_unlock(&s->lock);
	forget_number(dev);
	zerofs_dev_destroy(dev);
	zerofs_session_drop_if_idle(s);
	zerofs_dev_put(dev);
	return err;
out:
	mutex_unlock(&s->lock);
	zerofs_dev_put(dev);
	return err;
}

/* ---- delete ------------------------------------------------------------------------------- */

/* Waits, session lock dropped, until nobody is at work on @dev. */
static int wait_idle(struct zerofs_session *s, struct zerofs_dev *dev)
{
	int err = 0;

	while (dev->busy || dev->phase == ZEROFS_DEV_STARTING) {
		mutex_unlock(&s->lock);
		err = wait_event_interruptible(dev->wait, !READ_ONCE(dev->busy) &&
								  READ_ONCE(dev->phase) !=
									  ZEROFS_DEV_STARTING);
		mutex_lock(&s->lock);
		if (err)
			break;
	}
	return err;
}

/* A write that starved a moment ago must meet the new gate, too. */
static void kill_dev(struct zerofs_session *s, struct zerofs_dev *dev)
{
	zerofs_dev_kill(dev);
	zerofs_state_restart(s);
}

/*
 * Gets a device to where the caller alone deletes it: phase NEW and unlinked (0), or DELETING (1).
 * Session lock held on entry, not on return.
 */
static int claim(struct zerofs_session *s, struct zerofs_dev *dev, bool force)
{
	int err;

	for (;;) {
		err = wait_idle(s, dev);
		if (err)
			break;
		if (dev->phase == ZEROFS_DEV_NEW) {
			zerofs_dev_close(dev, true);
			unlink_dev(s, dev, -ESHUTDOWN);
			break;
		}
		if (dev->phase == ZEROFS_DEV_DELETING && force) {
			/* Somebody's patient DEL waits for I/O that nobody answers: help it. */
			kill_dev(s, dev);
			mutex_unlock(&s->lock);
			err = wait_event_interruptible(dev->wait,
						       READ_ONCE(dev->phase) == ZEROFS_DEV_DEAD);
			return err ? err : -EALREADY;
		}
		err = -ENODEV;
		if (dev->phase != ZEROFS_DEV_STARTED)
			break;
		if (zerofs_dev_close(dev, force)) {
			set_phase(dev, ZEROFS_DEV_DELETING);
			if (force)
				kill_dev(s, dev);
			err = 1;
			break;
		}
		mutex_unlock(&s->lock);
		err = wait_event_interruptible(dev->wait,
					       !zerofs_dev_openers(dev) ||
						       READ_ONCE(dev->phase) != ZEROFS_DEV_STARTED);
		mutex_lock(&s->lock);
		if (err)
			break;
	}
	mutex_unlock(&s->lock);
	return err;
}

int zerofs_devs_del(u32 index, bool force)
{
	struct zerofs_dev *dev = find(index);
	struct zerofs_session *s;
	struct file *kept = NULL;
	int ret;

	if (!dev)
		return -ENODEV;
	s = dev->session;
	mutex_lock(&s->lock);
	ret = claim(s, dev, force);
	if (ret < 0) {
		zerofs_dev_put(dev);
		return ret == -EALREADY ? 0 : ret;
	}
	if (ret) {
		/* Syncs through the daemon; if that dies, its grace ends the wait. */
		zerofs_dev_del_disk(dev, force);
		mutex_lock(&s->lock);
		zerofs_dev_kill(dev);
		unlink_dev(s, dev, -ESHUTDOWN);
		mutex_unlock(&s->lock);
	}
	mutex_lock(&s->lock);
	if (list_empty(&s->devs) && !s->conn)
		kept = zerofs_session_forget_arena(s);
	mutex_unlock(&s->lock);
	if (kept)
		fput(kept);
	forget_number(dev);
	zerofs_dev_destroy(dev);
	zerofs_session_drop_if_idle(s);
	zerofs_dev_put(dev);
	return 0;
}

void zerofs_devs_unlink_new(struct zerofs_session *s, struct list_head *list)
{
	struct zerofs_dev *dev, *next;

	lockdep_assert_held(&s->lock);
	list_for_each_entry_safe(dev, next, &s->devs, node) {
		if (dev->phase != ZEROFS_DEV_NEW)
			continue;
		unlink_dev(s, dev, -ESHUTDOWN);
		list_add_tail(&dev->node, list);
	}
}

void zerofs_devs_destroy_list(struct list_head *list)
{
	struct zerofs_dev *dev, *next;

	list_for_each_entry_safe(dev, next, list, node) {
		list_del_init(&dev->node);
		forget_number(dev);
		zerofs_dev_destroy(dev);
	}
}

/* ---- the rest ----------------------------------------------------------------------------- */

/*
 * Begins a change of a device by its daemon: ours alone until not_busy(). Returns with the
 * session's lock held, as find_own() does, for the new value to be noted under it.
 */
static struct zerofs_dev *get_busy(struct zerofs_conn *conn, u32 index,
				   struct zerofs_session **ret_s)
{
	struct zerofs_dev *dev = find_own(conn, index, false);

	if (IS_ERR(dev))
		return dev;
	dev->busy = true;
	*ret_s = dev->session;
	return dev;
}

static void not_busy(struct zerofs_dev *dev)
{
	struct zerofs_session *s = dev->session;

	mutex_lock(&s->lock);
	WRITE_ONCE(dev->busy, false);
	wake_up_all(&dev->wait);
	mutex_unlock(&s->lock);
	zerofs_dev_put(dev);
}

int zerofs_devs_resize(struct zerofs_conn *conn, u32 index, u64 size)
{
	struct zerofs_session *s;
	struct zerofs_dev *dev = get_busy(conn, index, &s);

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev->size = size;
	mutex_unlock(&s->lock);
	zerofs_dev_resize(dev, size);
	not_busy(dev);
	return 0;
}

int zerofs_devs_set_ro(struct zerofs_conn *conn, u32 index, bool ro)
{
	struct zerofs_session *s;
	struct zerofs_dev *dev = get_busy(conn, index, &s);

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev->ro = ro;
	mutex_unlock(&s->lock);
	zerofs_dev_set_ro(dev, ro);
	not_busy(dev);
	return 0;
}

int zerofs_devs_info(struct zerofs_dev_info *arg)
{
	struct zerofs_dev *dev = find(arg->index);
	struct zerofs_session *s;
	int err = -ENODEV;

	if (!dev)
		return err;
	s = dev->session;
	mutex_lock(&s->lock);
	if (dev->phase != ZEROFS_DEV_DEAD) {
		arg->flags = dev->ro ? ZEROFS_DEV_RO : 0;
		arg->session = s->id;
		arg->dev_id = dev->id;
		arg->state = zerofs_dev_visible(dev) ? ZEROFS_D_STARTED : ZEROFS_D_NEW;
		arg->size = dev->size;
		arg->block_size = ZEROFS_BLOCK_SIZE;
		arg->depth = dev->depth;
		arg->nr_write_queues = dev->blk.nr_write;
		arg->nr_read_queues = dev->blk.nr_read;
		arg->openers = zerofs_dev_openers(dev);
		if (dev->phase == ZEROFS_DEV_STARTED) {
			arg->major = MAJOR(disk_devt(dev->disk));
			arg->minor = MINOR(disk_devt(dev->disk));
		}
		memcpy(arg->name, dev->name, sizeof(arg->name));
		err = 0;
	}
	mutex_unlock(&s->lock);
	zerofs_dev_put(dev);
	return err;
}

int zerofs_devs_bind(struct zerofs_conn *conn, u32 index, u32 queue, struct zerofs_dev **ret_dev,
		     struct zerofs_ring **ret_ring)
{
	/* A device on its way out still syncs: a new daemon must be able to serve that. */
	struct zerofs_dev *dev = find_own(conn, index, true);
	struct zerofs_session *s;
	struct zerofs_ring *ring;
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	s = dev->session;
	mutex_unlock(&s->lock);
	err = -EPERM;
	if (current->mm != conn->mm)
		goto err_dev;
	err = -EINVAL;
	if (queue >= dev->nr_queues)
		goto err_dev;
	err = -ENOMEM;
	ring = zerofs_ring_alloc(dev->depth, conn->attach_gen);
	if (!ring)
		goto err_dev;
	/* What matters may have changed meanwhile: the daemon's standing, the device's phase. */
	s = zerofs_session_lock(conn);
	err = PTR_ERR_OR_ZERO(s);
	if (err)
		goto err_ring;
	err = -EBADFD;
	if (s->state == ZEROFS_S_FAILED || s->state == ZEROFS_S_SUPERSEDED)
		goto err_session;
	err = -ENODEV;
	if (dev->phase == ZEROFS_DEV_DEAD)
		goto err_session;
	err = zerofs_queue_bind(&dev->blk.queues[queue], ring);
	if (err)
		goto err_session;
	mutex_unlock(&s->lock);
	*ret_dev = dev;
	*ret_ring = ring;
	return 0;

err_session:
	mutex_unlock(&s->lock);
err_ring:
	zerofs_ring_put(ring);
err_dev:
	zerofs_dev_put(dev);
	return err;
}

int zerofs_devs_list(u32 session, u32 *ids, u32 nr)
{
	struct zerofs_dev *dev;
	int n = 0, index;

	lockdep_assert_held(&zerofs_session_registry);
	idr_for_each_entry(&numbers, dev, index) {
		struct zerofs_session *s = dev->session;

		if (session != ~0U && s->id != session)
			continue;
		if (n < nr)
			ids[n] = index;
		n++;
	}
	return n;
}

void zerofs_devs_setup(const struct attribute_group *group)
{
	disk_group = group;
}

void zerofs_devs_cleanup(void)
{
	idr_destroy(&numbers);
}
