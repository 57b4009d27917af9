/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * session: one volume. Its devices, its daemon, its arena, its state.
 *
 * Locks, outermost first:
 *   registry	(session.c) which sessions and device numbers exist
 *   lock	(per session) everything below that does not say otherwise; never held across
 *		add_disk, del_gendisk, or anything else that waits for I/O, nor across an access to
 *		user memory: a daemon's death must always get it
 *   done_lock, issue_lock, the arena's lock (queue.h, arena.h)
 */
#ifndef _ZEROFS_SESSION_H
#define _ZEROFS_SESSION_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "arena.h"
#include "dev.h"
#include "queue.h"
#include "uapi/zerofs.h"

struct file;
struct mm_struct;
struct pid;
struct vm_area_struct;

/* One open control device. Bound to a session it is that session's daemon. */
struct zerofs_conn {
	struct mutex bind;		/* CREATE, ATTACH and REG_ARENA, one at a time */
	struct zerofs_session *session;	/* set once, with release; holds a reference */
	struct mm_struct *mm;		/* of the daemon: who may map */
	struct pid *pid;
	u64 attach_gen;
	struct zerofs_session_k *k;	/* vmalloc_user, one page */
	struct zerofs_bufs bufs;	/* rw set once, with release */
	bool took_arena;		/* session lock: ARENA_FD was handed out */
	int err;			/* session lock: why it no longer is the daemon, or 0 */
};

struct zerofs_session {
	struct kref ref;
	struct list_head node;		/* registry lock */
	bool listed;			/* registry lock */

	u32 id;				/* fixed, as the next two */
	u8 uuid[ZEROFS_UUID_LEN];
	char name[ZEROFS_NAME_LEN];

	struct mutex lock;
	enum zerofs_state state;	/* changed by zerofs_state_event() alone */
	enum zerofs_state origin;	/* RECOVERING: where it came from */
	struct zerofs_conn *conn;	/* the daemon, or NULL */
	bool resumed;			/* this daemon made the session or said RESUME */
	u64 attach_gen;
	u32 grace_ms;
	unsigned long grace_end;	/* DETACHED: jiffies */
	struct delayed_work grace;
	struct list_head devs;
	u32 nr_devs;
	struct zerofs_arena *arena;	/* this daemon's */
	struct file *kept;		/* an earlier one's, to be handed to a successor */
	u64 kept_offset, kept_length;
	u64 recovered_wno;		/* as of the last RESUME */
	bool restart_again;
	struct rcu_work restart;

	struct zerofs_marks marks;
	atomic64_t protocol_errors;
	struct work_struct kill;
	atomic64_t kill_gen;
};

/* ---- state.c ------------------------------------------------------------------------------ */

enum zerofs_event {
	ZEROFS_EV_RELEASE,
	ZEROFS_EV_GRACE,
	ZEROFS_EV_ATTACH,
	ZEROFS_EV_RESUME,		/* intact, and believed */
	ZEROFS_EV_LOSE,			/* RESUME lost, or not believed */
	ZEROFS_EV_SUPERSEDE,
	ZEROFS_EV_FAIL,
	ZEROFS_EV_CLEAR,
	ZEROFS_EV_NR,
};

/*
 * The one place where a session's state changes, and with it what happens to requests. @err: what
 * calls on dead queue fds return, for events that kill them. -EBADFD: no such edge, nothing was
 * done. Session lock.
 */
int zerofs_state_event(struct zerofs_session *s, enum zerofs_event ev, int err);
/* The gate that the state asks of a visible device. Session lock. */
enum zerofs_gate zerofs_state_gate(const struct zerofs_session *s);
/* For sysfs and the log. */
const char *zerofs_state_name(enum zerofs_state state);
/* Milliseconds until FAILED; 0 if no grace is running. Session lock. */
u32 zerofs_state_grace_left(const struct zerofs_session *s);
/* Runs starved queues again, without a lost wake-up. Session lock. */
void zerofs_state_restart(struct zerofs_session *s);
void zerofs_state_init(struct zerofs_session *s);

/* ---- session.c ---------------------------------------------------------------------------- */

extern struct workqueue_struct *zerofs_session_wq;

int zerofs_session_setup(void);
void zerofs_session_cleanup(void);

struct zerofs_conn *zerofs_session_conn_new(void);
/* The last close: the daemon's death, if it was one. */
void zerofs_session_conn_free(struct zerofs_conn *conn);
int zerofs_session_mmap(struct zerofs_conn *conn, struct vm_area_struct *vma);

void zerofs_session_get(struct zerofs_session *s);
void zerofs_session_put(struct zerofs_session *s);

/* One function a control call; arguments are checked as far as they can be without a session. */
int zerofs_session_create(struct zerofs_conn *conn, struct zerofs_create *arg);
int zerofs_session_attach(struct zerofs_conn *conn, struct zerofs_attach *arg);
int zerofs_session_resume(struct zerofs_conn *conn, struct zerofs_resume *arg);
int zerofs_session_supersede(struct zerofs_conn *conn);
int zerofs_session_kick(struct zerofs_conn *conn);
int zerofs_session_reg_arena(struct zerofs_conn *conn, struct zerofs_reg_arena *arg);
/* On success *@ret_file is the caller's to install or put. */
int zerofs_session_arena_file(struct zerofs_conn *conn, struct file **ret_file);
/* Writes at most @nr entries to @ents, in kernel memory. Returns how many. */
int zerofs_session_recall(struct zerofs_conn *conn, struct zerofs_recall_ent *ents, u32 nr);
int zerofs_session_fail(u32 id);
int zerofs_session_clear(u32 id);
int zerofs_session_info(struct zerofs_session_info *arg);
/* How many there are; at most @nr ids to @ids, in kernel memory. */
int zerofs_session_list(u32 kind, u32 session, u32 *ids, u32 nr);

/* The contract was broken by the daemon of attach @gen: as if it had died. No lock; sleeps. */
void zerofs_session_kill(struct zerofs_session *s, u64 gen);

/* ---- devs.c: the devices of a session ------------------------------------------------------ */

/* @group: what every disk shows in sysfs. */
void zerofs_devs_setup(const struct attribute_group *group);
void zerofs_devs_cleanup(void);

int zerofs_devs_add(struct zerofs_conn *conn, struct zerofs_add_dev *arg);
int zerofs_devs_start(struct zerofs_conn *conn, u32 index);
int zerofs_devs_del(u32 index, bool force);
int zerofs_devs_resize(struct zerofs_conn *conn, u32 index, u64 size);
int zerofs_devs_set_ro(struct zerofs_conn *conn, u32 index, bool ro);
int zerofs_devs_info(struct zerofs_dev_info *arg);
/* A new ring set bound to the queue, the caller's to put, with a reference to its device. */
int zerofs_devs_bind(struct zerofs_conn *conn, u32 index, u32 queue, struct zerofs_dev **ret_dev,
		     struct zerofs_ring **ret_ring);
/* As zerofs_session_list(), for devices. Registry lock. */
int zerofs_devs_list(u32 session, u32 *ids, u32 nr);
/* Moves devices that were never started from the session to @list. Session lock. */
void zerofs_devs_unlink_new(struct zerofs_session *s, struct list_head *list);
/* Frees them. No lock. */
void zerofs_devs_destroy_list(struct list_head *list);

/* Shared by the two: */
extern struct mutex zerofs_session_registry;
/* The session @conn is the daemon of, locked; or an ERR_PTR, nothing locked. */
struct zerofs_session *zerofs_session_lock(struct zerofs_conn *conn);
/* Forgets a session that has neither daemon nor device. No lock. */
void zerofs_session_drop_if_idle(struct zerofs_session *s);
/* The kept arena is of no more use. Session lock; the caller fputs what is returned, unlocked. */
struct file *zerofs_session_forget_arena(struct zerofs_session *s);

#endif
