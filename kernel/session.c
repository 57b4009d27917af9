// SPDX-License-Identifier: GPL-2.0-only
/*
 * A session lives from CREATE until it has neither a daemon nor a device. Its daemon is a conn, an
 * open control device; that file's last close, or a breach of the contract, detaches it:
 *
 *   state event (queues take back what the daemon had, rings die) -> the arena is unpinned, its
 *   file kept -> devices that were never started go -> the session goes if nothing is left.
 *
 * A successor ATTACHes with another conn, takes the kept arena with ARENA_FD, registers one, opens
 * the queues and RESUMEs. A conn that was detached for a breach stays open and answers EPROTO.
 */
#include "session.h"

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

DEFINE_MUTEX(zerofs_session_registry);
struct workqueue_struct *zerofs_session_wq;

static LIST_HEAD(sessions); /* registry, ascending ids */
static u32 next_id = 1; /* registry */

/* ---- objects ------------------------------------------------------------------------------ */

static void kill_work(struct work_struct *work);

static struct zerofs_session *session_new(const struct zerofs_create *arg)
{
	struct zerofs_session *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	kref_init(&s->ref);
	mutex_init(&s->lock);
	INIT_LIST_HEAD(&s->node);
	INIT_LIST_HEAD(&s->devs);
	INIT_WORK(&s->kill, kill_work);
	zerofs_state_init(s);
	memcpy(s->uuid, arg->uuid, sizeof(s->uuid));
	strscpy(s->name, arg->name, sizeof(s->name));
	s->grace_ms = arg->grace_ms;
	s->state = ZEROFS_S_LIVE;
	return s;
}

void zerofs_session_get(struct zerofs_session *s)
{
	kref_get(&s->ref);
}

static void session_free(struct kref *ref)
{
	struct zerofs_session *s = container_of(ref, struct zerofs_session, ref);

	kfree(s);
}

void zerofs_session_put(struct zerofs_session *s)
{
	kref_put(&s->ref, session_free);
}

struct zerofs_conn *zerofs_session_conn_new(void)
{
	struct zerofs_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);

	if (!conn)
		return NULL;
	conn->k = vmalloc_user(PAGE_SIZE);
	if (!conn->k) {
		kfree(conn);
		return NULL;
	}
	mutex_init(&conn->bind);
	return conn;
}

struct file *zerofs_session_forget_arena(struct zerofs_session *s)
{
	struct file *file = s->kept;

	lockdep_assert_held(&s->lock);
	s->kept = NULL;
	s->kept_offset = 0;
	s->kept_length = 0;
	return file;
}

static void put_file(struct file *file)
{
	if (file)
		fput(file);
}

void zerofs_session_drop_if_idle(struct zerofs_session *s)
{
	struct file *kept = NULL;
	bool drop;

	mutex_lock(&zerofs_session_registry);
	mutex_lock(&s->lock);
	drop = s->listed && !s->conn && list_empty(&s->devs);
	if (drop) {
		list_del_init(&s->node);
		s->listed = false;
		kept = zerofs_session_forget_arena(s);
		/* Ends a grace that is running; there is nothing left to fail. */
		zerofs_state_event(s, ZEROFS_EV_FAIL, -ESHUTDOWN);
	}
	mutex_unlock(&s->lock);
	mutex_unlock(&zerofs_session_registry);
	put_file(kept);
	if (drop)
		zerofs_session_put(s);
}

/* Undoes what binding a daemon to the session did. Session lock. */
static struct zerofs_arena *detach(struct zerofs_session *s, int err, struct list_head *unstarted)
{
	struct zerofs_arena *arena = s->arena;
	struct zerofs_conn *conn = s->conn;

	lockdep_assert_held(&s->lock);
	zerofs_state_event(s, ZEROFS_EV_RELEASE, err);
	/* One that never was LIVE with us holds nothing that anybody was promised. */
	if (arena && arena->live && !s->kept) {
		s->kept = get_file(arena->file);
		s->kept_offset = arena->offset;
		s->kept_length = arena->length;
	}
	s->arena = NULL;
	s->conn = NULL;
	s->resumed = false;
	conn->err = err;
	zerofs_devs_unlink_new(s, unstarted);
	return arena;
}

static void detach_finish(struct zerofs_session *s, struct zerofs_arena *arena,
			  struct list_head *unstarted)
{
	zerofs_arena_free(arena);
	zerofs_devs_destroy_list(unstarted);
	zerofs_session_drop_if_idle(s);
}

void zerofs_session_conn_free(struct zerofs_conn *conn)
{
	struct zerofs_session *s = conn->session;
	struct zerofs_arena *arena;
	LIST_HEAD(unstarted);

	if (s) {
		mutex_lock(&s->lock);
		if (s->conn == conn) {
			arena = detach(s, -ESHUTDOWN, &unstarted);
			mutex_unlock(&s->lock);
			detach_finish(s, arena, &unstarted);
		} else {
			mutex_unlock(&s->lock);
		}
		zerofs_session_put(s);
		mmdrop(conn->mm);
		put_pid(conn->pid);
	}
	zerofs_ring_bufs_free(&conn->bufs);
	vfree(conn->k);
	kfree(conn);
}

void zerofs_session_kill(struct zerofs_session *s, u64 gen)
{
	struct zerofs_arena *arena;
	LIST_HEAD(unstarted);

	mutex_lock(&s->lock);
	if (!s->conn || s->attach_gen != gen) {
		mutex_unlock(&s->lock);
		return;
	}
	atomic64_inc(&s->protocol_errors);
	pr_err_ratelimited("zerofs: %s: the daemon (pid %d) broke the ring protocol: detached\n",
			   s->name, pid_nr(s->conn->pid));
	arena = detach(s, -EPROTO, &unstarted);
	mutex_unlock(&s->lock);
	detach_finish(s, arena, &unstarted);
}

static void kill_work(struct work_struct *work)
{
	struct zerofs_session *s = container_of(work, struct zerofs_session, kill);

	zerofs_session_kill(s, atomic64_read(&s->kill_gen));
	zerofs_session_put(s);
}

/* ---- binding ------------------------------------------------------------------------------ */

static struct zerofs_session *find_id(u32 id)
{
	struct zerofs_session *s;

	lockdep_assert_held(&zerofs_session_registry);
	list_for_each_entry(s, &sessions, node)
		if (s->id == id)
			return s;
	return NULL;
}

static struct zerofs_session *get_by_id(u32 id)
{
	struct zerofs_session *s;

	mutex_lock(&zerofs_session_registry);
	s = find_id(id);
	if (s)
		zerofs_session_get(s);
	mutex_unlock(&zerofs_session_registry);
	return s;
}

/* Session lock (or, for a new session, nobody else knows it). Takes a reference. */
static void bind_conn(struct zerofs_session *s, struct zerofs_conn *conn)
{
	s->conn = conn;
	conn->attach_gen = ++s->attach_gen;
	conn->mm = current->mm;
	mmgrab(conn->mm);
	conn->pid = get_pid(task_tgid(current));
	conn->k->magic = ZEROFS_MAGIC;
	conn->k->abi = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR;
	conn->k->attach_gen = conn->attach_gen;
	WRITE_ONCE(conn->k->state, s->state);
	zerofs_session_get(s);
	/* Pairs with the load-acquire in bound(): the rest is set. */
	smp_store_release(&conn->session, s);
}

static struct zerofs_session *bound(struct zerofs_conn *conn)
{
	/* Pairs with the store-release in bind_conn(). */
	return smp_load_acquire(&conn->session);
}

struct zerofs_session *zerofs_session_lock(struct zerofs_conn *conn)
{
	struct zerofs_session *s = bound(conn);
	int err;

	if (!s)
		return ERR_PTR(-ENOTCONN);
	mutex_lock(&s->lock);
	err = conn->err;
	if (!err)
		return s;
	mutex_unlock(&s->lock);
	return ERR_PTR(err);
}

int zerofs_session_create(struct zerofs_conn *conn, struct zerofs_create *arg)
{
	struct zerofs_session *s, *other;
	int err = 0;

	mutex_lock(&conn->bind);
	if (bound(conn)) {
		mutex_unlock(&conn->bind);
		return -EBUSY;
	}
	s = session_new(arg);
	if (!s) {
		mutex_unlock(&conn->bind);
		return -ENOMEM;
	}
	mutex_lock(&zerofs_session_registry);
	list_for_each_entry(other, &sessions, node)
		if (!memcmp(other->uuid, s->uuid, sizeof(s->uuid)) || !strcmp(other->name, s->name))
			err = -EEXIST;
	if (!err) {
		s->id = next_id++;
		s->listed = true;
		s->resumed = true;
		list_add_tail(&s->node, &sessions);
		bind_conn(s, conn);
		zerofs_session_get(s); /* the list's */
		arg->session = s->id;
		arg->attach_gen = s->attach_gen;
	}
	mutex_unlock(&zerofs_session_registry);
	mutex_unlock(&conn->bind);
	zerofs_session_put(s);
	return err;
}

int zerofs_session_attach(struct zerofs_conn *conn, struct zerofs_attach *arg)
{
	struct zerofs_session *s;
	int err = -ENOENT;

	mutex_lock(&conn->bind);
	if (bound(conn)) {
		mutex_unlock(&conn->bind);
		return -EBUSY;
	}
	mutex_lock(&zerofs_session_registry);
	list_for_each_entry(s, &sessions, node) {
		if (memcmp(s->uuid, arg->uuid, sizeof(s->uuid)))
			continue;
		mutex_lock(&s->lock);
		if (s->conn) {
			err = -EBUSY;
		} else {
			arg->state = s->state;
			err = zerofs_state_event(s, ZEROFS_EV_ATTACH, 0);
		}
		if (!err) {
			bind_conn(s, conn);
			s->grace_ms = arg->grace_ms;
			s->resumed = false;
			arg->flags = s->kept ? ZEROFS_ATTACH_HAS_ARENA : 0;
			arg->attach_gen = s->attach_gen;
			arg->acked_wno = atomic64_read(&s->marks.acked);
			arg->flushed_wno = atomic64_read(&s->marks.flushed);
			arg->arena_len = s->kept_length;
			arg->arena_offset = s->kept_offset;
			arg->session = s->id;
			arg->nr_devs = s->nr_devs;
		}
		mutex_unlock(&s->lock);
		break;
	}
	mutex_unlock(&zerofs_session_registry);
	mutex_unlock(&conn->bind);
	return err;
}

/* Everything the devices need of the daemon is there. Session lock. */
static bool ready(struct zerofs_session *s)
{
	struct zerofs_dev *dev;

	if (!s->arena)
		return false;
	list_for_each_entry(dev, &s->devs, node)
		if (zerofs_dev_visible(dev) && !dev->killed && !zerofs_dev_bound(dev))
			return false;
	return true;
}

/*
 * Whether nothing that was acknowledged is missing. All of it must have been found, and what was
 * not declared durable lies in the earlier daemon's arena and nowhere else for certain.
 */
static bool believe(struct zerofs_session *s, const struct zerofs_resume *arg)
{
	u64 acked = atomic64_read(&s->marks.acked);
	u64 flushed = atomic64_read(&s->marks.flushed);

	if (arg->result != ZEROFS_RESUME_INTACT || arg->recovered_wno < max(acked, flushed))
		return false;
	return acked <= flushed || (s->conn->took_arena && arg->flags & ZEROFS_RESUME_ADOPTED);
}

static void say_lost(struct zerofs_session *s)
{
	pr_err("zerofs: %s: acknowledged writes are lost: all I/O fails until 'clear'\n", s->name);
	pr_err("zerofs: %s: acknowledged up to %llu, durable to %llu, recovered to %llu\n", s->name,
	       (u64)atomic64_read(&s->marks.acked), (u64)atomic64_read(&s->marks.flushed),
	       s->recovered_wno);
}

int zerofs_session_resume(struct zerofs_conn *conn, struct zerofs_resume *arg)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	struct file *kept = NULL;
	int err;

	if (IS_ERR(s))
		return PTR_ERR(s);
	err = -EBADFD;
	if (s->state != ZEROFS_S_RECOVERING && s->state != ZEROFS_S_CACHE_LOST)
		goto out;
	err = -ENXIO;
	if (!ready(s))
		goto out;
	if (s->state == ZEROFS_S_RECOVERING && believe(s, arg))
		err = zerofs_state_event(s, ZEROFS_EV_RESUME, 0);
	else
		err = zerofs_state_event(s, ZEROFS_EV_LOSE, 0);
	if (err)
		goto out;
	s->resumed = true;
	s->recovered_wno = arg->recovered_wno;
	arg->state = s->state;
	kept = zerofs_session_forget_arena(s);
	if (s->state == ZEROFS_S_CACHE_LOST)
		say_lost(s);
out:
	mutex_unlock(&s->lock);
	put_file(kept);
	return err;
}

int zerofs_session_supersede(struct zerofs_conn *conn)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	int err;

	if (IS_ERR(s))
		return PTR_ERR(s);
	err = zerofs_state_event(s, ZEROFS_EV_SUPERSEDE, -ESHUTDOWN);
	if (!err)
		pr_err("zerofs: %s: another host owns the volume: all I/O fails\n", s->name);
	mutex_unlock(&s->lock);
	return err;
}

int zerofs_session_kick(struct zerofs_conn *conn)
{
	struct zerofs_session *s = zerofs_session_lock(conn);

	if (IS_ERR(s))
		return PTR_ERR(s);
	if (s->state == ZEROFS_S_LIVE && s->arena && zerofs_arena_unstarve(s->arena))
		zerofs_state_restart(s);
	mutex_unlock(&s->lock);
	return 0;
}

int zerofs_session_fail(u32 id)
{
	struct zerofs_session *s = get_by_id(id);
	int err;

	if (!s)
		return -ENOENT;
	mutex_lock(&s->lock);
	err = zerofs_state_event(s, ZEROFS_EV_FAIL, -ESHUTDOWN);
	if (!err)
		pr_err("zerofs: %s: failed by the administrator: all I/O fails\n", s->name);
	mutex_unlock(&s->lock);
	zerofs_session_put(s);
	return err;
}

/*
 * The loss is accepted: the log goes on from what was recovered. Whoever still has a device open
 * has seen, and may have built on, writes that are gone.
 */
int zerofs_session_clear(u32 id)
{
	struct zerofs_session *s = get_by_id(id);
	struct file *kept = NULL;
	struct zerofs_dev *dev;
	int err;

	if (!s)
		return -ENOENT;
	mutex_lock(&s->lock);
	err = -EBADFD;
	if (s->state != ZEROFS_S_CACHE_LOST)
		goto out;
	err = -ENXIO;
	if (!s->conn || !s->resumed || !ready(s))
		goto out;
	err = -EBUSY;
	list_for_each_entry(dev, &s->devs, node)
		if (zerofs_dev_openers(dev))
			goto out;
	atomic64_set(&s->marks.acked, s->recovered_wno);
	atomic64_set(&s->marks.flushed, s->recovered_wno);
	kept = zerofs_session_forget_arena(s);
	err = zerofs_state_event(s, ZEROFS_EV_CLEAR, 0);
	pr_warn("zerofs: %s: the loss of writes was accepted; the volume is live again\n", s->name);
out:
	mutex_unlock(&s->lock);
	put_file(kept);
	zerofs_session_put(s);
	return err;
}

/* ---- the arena ---------------------------------------------------------------------------- */

int zerofs_session_reg_arena(struct zerofs_conn *conn, struct zerofs_reg_arena *arg)
{
	struct zerofs_session *s;
	struct zerofs_bufs bufs;
	struct zerofs_arena *arena;
	struct file *file;
	int err;

	/* Pinning takes long and touches user memory: no session lock, only the conn's own. */
	mutex_lock(&conn->bind);
	err = -ENOTCONN;
	if (!bound(conn))
		goto out_bind;
	err = -EBUSY;
	if (conn->bufs.rw)
		goto out_bind;
	err = -EPERM;
	if (current->mm != conn->mm)
		goto out_bind;
	err = -EBADF;
	file = fget(arg->fd);
	if (!file)
		goto out_bind;
	err = zerofs_arena_pin(file, arg->offset, arg->address, arg->length, &arena);
	if (err)
		goto out_file;
	err = zerofs_ring_bufs_init(&bufs, conn->k, arg->nr_bufs);
	if (err)
		goto out_arena;
	s = zerofs_session_lock(conn);
	if (IS_ERR(s)) {
		err = PTR_ERR(s);
		goto out_bufs;
	}
	if (s->state != ZEROFS_S_LIVE && s->state != ZEROFS_S_RECOVERING &&
	    s->state != ZEROFS_S_CACHE_LOST) {
		err = -EBADFD;
		mutex_unlock(&s->lock);
		goto out_bufs;
	}
	arg->buf_off = bufs.buf_off;
	arg->rw_len = bufs.rw_len;
	conn->bufs.k = bufs.k;
	conn->bufs.rw_len = bufs.rw_len;
	conn->bufs.buf_off = bufs.buf_off;
	conn->bufs.entries = bufs.entries;
	/* Pairs with the load-acquire in zerofs_session_mmap(), which takes no lock of ours. */
	smp_store_release(&conn->bufs.rw, bufs.rw);
	arena->bufs = &conn->bufs;
	arena->attach_gen = conn->attach_gen;
	arena->live = s->state == ZEROFS_S_LIVE;
	s->arena = arena;
	mutex_unlock(&s->lock);
	fput(file);
	mutex_unlock(&conn->bind);
	return 0;

out_bufs:
	zerofs_ring_bufs_free(&bufs);
out_arena:
	zerofs_arena_free(arena);
out_file:
	fput(file);
out_bind:
	mutex_unlock(&conn->bind);
	return err;
}

int zerofs_session_arena_file(struct zerofs_conn *conn, struct file **ret_file)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	int err = -ENODATA;

	if (IS_ERR(s))
		return PTR_ERR(s);
	if (s->kept) {
		*ret_file = get_file(s->kept);
		conn->took_arena = true;
		err = 0;
	}
	mutex_unlock(&s->lock);
	return err;
}

int zerofs_session_recall(struct zerofs_conn *conn, struct zerofs_recall_ent *ents, u32 nr)
{
	struct zerofs_session *s = zerofs_session_lock(conn);
	struct zerofs_dev *dev;
	bool broken = false;
	u32 n = 0, i;
	int ret;

	if (IS_ERR(s))
		return PTR_ERR(s);
	if (s->state != ZEROFS_S_LIVE || !s->arena) {
		mutex_unlock(&s->lock);
		return -EBADFD;
	}
	/* Posted ones first: a queue without an extent would only take the next of them. */
	while (n < nr) {
		ret = zerofs_arena_recall(s->arena, &ents[n].id);
		broken = ret < 0;
		if (ret <= 0)
			break;
		ents[n++].used = 0;
	}
	list_for_each_entry(dev, &s->devs, node)
		for (i = 0; i < dev->nr_queues && n < nr && !broken; i++)
			n += zerofs_queue_recall(&dev->blk.queues[i], &ents[n]);
	mutex_unlock(&s->lock);
	if (broken) {
		zerofs_session_kill(s, conn->attach_gen);
		return -EPROTO;
	}
	return n;
}

int zerofs_session_mmap(struct zerofs_conn *conn, struct vm_area_struct *vma)
{
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;
	void *rw;

	if (!bound(conn))
		return -ENOTCONN;
	if (current->mm != conn->mm)
		return -EPERM;
	switch (off) {
	case ZEROFS_OFF_SESSION_RO:
		return zerofs_ring_map(vma, conn->k, PAGE_SIZE, true);
	case ZEROFS_OFF_SESSION_RW:
		/*
		 * Set once; the mapping holds the file, and so the conn and these pages. Pairs
		 * with the store-release in zerofs_session_reg_arena().
		 */
		rw = smp_load_acquire(&conn->bufs.rw);
		if (!rw)
			return -ENXIO;
		return zerofs_ring_map(vma, rw, conn->bufs.rw_len, false);
	default:
		return -EINVAL;
	}
}

/* ---- telling ------------------------------------------------------------------------------ */

int zerofs_session_info(struct zerofs_session_info *arg)
{
	struct zerofs_session *s = get_by_id(arg->session);

	if (!s)
		return -ENOENT;
	mutex_lock(&s->lock);
	arg->flags = s->conn ? ZEROFS_INFO_ATTACHED : 0;
	arg->state = s->state;
	memcpy(arg->uuid, s->uuid, sizeof(arg->uuid));
	memcpy(arg->name, s->name, sizeof(arg->name));
	arg->attach_gen = s->attach_gen;
	arg->acked_wno = atomic64_read(&s->marks.acked);
	arg->flushed_wno = atomic64_read(&s->marks.flushed);
	arg->arena_len = s->arena ? s->arena->length : s->kept_length;
	arg->grace_ms = s->grace_ms;
	arg->grace_left_ms = zerofs_state_grace_left(s);
	arg->nr_devs = s->nr_devs;
	arg->pid = s->conn ? pid_vnr(s->conn->pid) : 0;
	arg->protocol_errors = atomic64_read(&s->protocol_errors);
	mutex_unlock(&s->lock);
	zerofs_session_put(s);
	return 0;
}

int zerofs_session_list(u32 kind, u32 session, u32 *ids, u32 nr)
{
	struct zerofs_session *s;
	int n = 0;

	mutex_lock(&zerofs_session_registry);
	if (kind == ZEROFS_LIST_DEVS) {
		n = session == ~0U || find_id(session) ? zerofs_devs_list(session, ids, nr) :
							 -ENOENT;
	} else {
		list_for_each_entry(s, &sessions, node) {
			if (n < nr)
				ids[n] = s->id;
			n++;
		}
	}
	mutex_unlock(&zerofs_session_registry);
	return n;
}

int zerofs_session_setup(void)
{
	/* Grace must come even when memory is short because of the very I/O it is to fail. */
	zerofs_session_wq = alloc_workqueue("zerofs", WQ_MEM_RECLAIM, 0);
	return zerofs_session_wq ? 0 : -ENOMEM;
}

void zerofs_session_cleanup(void)
{
	/* Restarts on their way through RCU, then those on the queue; no session is left. */
	rcu_barrier();
	destroy_workqueue(zerofs_session_wq);
}
