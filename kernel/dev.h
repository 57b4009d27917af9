/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dev: one device of a session: its disk, its queues, its gate.
 *
 * NEW --start--> STARTED --delete--> DEAD. The session's lock guards what the comments say; it is
 * never held across add_disk, del_gendisk or anything else that may wait for I/O. `busy` keeps a
 * second slow operation away while the lock is dropped.
 */
#ifndef _ZEROFS_DEV_H
#define _ZEROFS_DEV_H

#include <linux/blk-mq.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "blk.h"
#include "queue.h"

struct attribute_group;

enum zerofs_dev_phase {
	ZEROFS_DEV_NEW,
	ZEROFS_DEV_STARTING,	/* add_disk is running */
	ZEROFS_DEV_STARTED,
	ZEROFS_DEV_DELETING,	/* del_gendisk is running */
	ZEROFS_DEV_DEAD,
};

/* What a device needs of the session it belongs to. */
struct zerofs_dev_ops {
	struct zerofs_queue_ops queue;
	void (*get)(void *session);
	void (*put)(void *session);
};

struct zerofs_dev {
	struct zerofs_blk_owner blk;	/* first users of the disk; queues */
	struct kref ref;		/* the session's list, the added disk, each queue fd */
	const struct zerofs_dev_ops *ops;
	void *session;			/* held by ops->get */

	/* fixed once added */
	u32 index;			/* N of zerofsN */
	u32 id;				/* the log's */
	u32 depth;
	u32 nr_queues;			/* write, then read */
	char name[ZEROFS_NAME_LEN];

	/* session lock */
	struct list_head node;
	enum zerofs_dev_phase phase;	/* read without it by sysfs */
	bool busy;			/* RESIZE or SET_RO is at work without the lock */
	bool killed;			/* the gate is FAIL for good */
	bool quiesced;
	bool ro;
	u64 size;

	spinlock_t open_lock;		/* openers, closing */
	u32 openers;
	bool closing;			/* no more openers */
	wait_queue_head_t wait;		/* openers, busy or phase changed */

	struct blk_mq_tag_set set;
	struct gendisk *disk;		/* ours until destroyed; session lock */
	const struct attribute_group *groups[2]; /* the disk keeps the pointer until it is gone */
};

/*
 * A device in phase NEW, not in any list. @arg has been checked, its index is final. Holds a
 * reference to @session and to the module. May sleep.
 */
struct zerofs_dev *zerofs_dev_new(const struct zerofs_add_dev *arg, u32 index,
				  const struct zerofs_dev_ops *ops, void *session,
				  struct zerofs_marks *marks);
void zerofs_dev_get(struct zerofs_dev *dev);
void zerofs_dev_put(struct zerofs_dev *dev);

/* add_disk, with @group in sysfs. No lock held; phase is STARTING. */
int zerofs_dev_add_disk(struct zerofs_dev *dev, const struct attribute_group *group);
/* del_gendisk; with @dead what is not yet written is given up. No lock; phase is DELETING. */
void zerofs_dev_del_disk(struct zerofs_dev *dev, bool dead);
/* Drops disk, tags and the caller's reference. Never started, or after del_disk. No lock. */
void zerofs_dev_destroy(struct zerofs_dev *dev);

/* True: there were no openers and there will be none. */
bool zerofs_dev_close(struct zerofs_dev *dev, bool even_if_open);
/* No more closing after all. */
void zerofs_dev_reopen(struct zerofs_dev *dev);
u32 zerofs_dev_openers(struct zerofs_dev *dev);

/*
 * Sets the gate of every queue; a killed device only ever fails. Rings that cease to be served die
 * of @err. Session lock.
 */
void zerofs_dev_set_gate(struct zerofs_dev *dev, enum zerofs_gate gate,
			 struct zerofs_arena *arena, int err);
/*
 * Fails everything from here on, whatever the session does, and kills the rings. A request that
 * is just being put back for want of a BUF needs a restart of the session besides. Session lock.
 */
void zerofs_dev_kill(struct zerofs_dev *dev);
/* Every queue has rings. Session lock. */
bool zerofs_dev_bound(struct zerofs_dev *dev);
/* Kills and drops every queue's rings. Session lock; gate not PASS. */
void zerofs_dev_unbind(struct zerofs_dev *dev, int err);
/* Runs all hardware queues again. Session lock. */
void zerofs_dev_run(struct zerofs_dev *dev);

/* No lock; `busy` is set. */
void zerofs_dev_resize(struct zerofs_dev *dev, u64 size);
void zerofs_dev_set_ro(struct zerofs_dev *dev, bool ro);

/* Whether it has a disk that user space can see or is about to. */
static inline bool zerofs_dev_visible(const struct zerofs_dev *dev)
{
	return dev->phase != ZEROFS_DEV_NEW && dev->phase != ZEROFS_DEV_DEAD;
}

#endif
