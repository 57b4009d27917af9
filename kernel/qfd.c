// SPDX-License-Identifier: GPL-2.0-only
#include "qfd.h"

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "session.h"

struct qfd {
	struct zerofs_dev *dev; /* a reference */
	struct zerofs_queue *queue; /* of dev */
	struct zerofs_ring *ring; /* a reference */
	struct mm_struct *mm; /* of the daemon: who may map */
};

static int qfd_release(struct inode *inode, struct file *file)
{
	struct qfd *f = file->private_data;

	zerofs_ring_put(f->ring);
	zerofs_dev_put(f->dev);
	mmdrop(f->mm);
	kfree(f);
	return 0;
}

static int qfd_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct qfd *f = file->private_data;

	if (current->mm != f->mm)
		return -EPERM;
	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case ZEROFS_OFF_QUEUE_RO:
		return zerofs_ring_map(vma, f->ring->ro, f->ring->ro_len, true);
	case ZEROFS_OFF_QUEUE_RW:
		return zerofs_ring_map(vma, f->ring->rw, f->ring->rw_len, false);
	default:
		return -EINVAL;
	}
}

static __poll_t qfd_poll(struct file *file, poll_table *wait)
{
	struct qfd *f = file->private_data;
	__poll_t mask = 0;
	u32 avail;

	poll_wait(file, &f->ring->wq, wait);
	/*
	 * Queued before looking. Pairs with wq_has_sleeper() after the store of req_tail in
	 * zerofs_ring_publish().
	 */
	smp_mb();
	if (READ_ONCE(f->ring->err))
		return EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLRDNORM;
	/* A broken index is for ENTER to find: let the caller come. */
	if (zerofs_ring_avail(f->ring, &avail) || avail)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(f->ring->starved))
		mask |= EPOLLPRI;
	return mask;
}

/* What ENTER waits for. */
static bool wake_now(struct zerofs_ring *ring, u32 min_req)
{
	u32 avail;

	return READ_ONCE(ring->err) || READ_ONCE(ring->starved) ||
	       zerofs_ring_avail(ring, &avail) || avail >= min_req;
}

static int wait_reqs(struct zerofs_ring *ring, const struct zerofs_enter *arg)
{
	int err;

	if (arg->timeout_us)
		err = wait_event_interruptible_hrtimeout(
			ring->wq, wake_now(ring, arg->min_req),
			ns_to_ktime((u64)arg->timeout_us * NSEC_PER_USEC));
	else
		err = wait_event_interruptible(ring->wq, wake_now(ring, arg->min_req));
	return err == -ERESTARTSYS ? -EINTR : 0;
}

static void restart(struct zerofs_session *s)
{
	mutex_lock(&s->lock);
	zerofs_state_restart(s);
	mutex_unlock(&s->lock);
}

static int enter(struct qfd *f, struct zerofs_enter *arg)
{
	struct zerofs_session *s = f->dev->session;
	struct zerofs_ring *ring = f->ring;
	bool again;
	int ret, err = 0;

	ret = zerofs_queue_reap(f->queue, ring, min(arg->to_reap, f->queue->depth), &again);
	if (ret < 0)
		goto broken;
	arg->reaped = ret;
	if (again)
		restart(s);
	if (arg->min_req)
		err = wait_reqs(ring, arg);
	if (READ_ONCE(ring->err))
		return ring->err;
	ret = zerofs_ring_avail(ring, &arg->avail);
	if (ret)
		goto broken;
	if (READ_ONCE(ring->starved)) {
		/* Told; the next write that finds no BUF tells again. */
		WRITE_ONCE(ring->starved, false);
		arg->ret_flags |= ZEROFS_ENTER_STARVED;
	}
	/* An interrupted wait that has something to say says it. */
	return arg->reaped || arg->avail || arg->ret_flags ? 0 : err;

broken:
	/* Either the rings were dead already, or this is what ends them. */
	if (ret == -EPROTO)
		zerofs_session_kill(s, ring->k->attach_gen);
	return ret;
}

static long qfd_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct zerofs_enter __user *user = (void __user *)uarg;
	struct qfd *f = file->private_data;
	struct zerofs_enter arg;
	unsigned int noio;
	int err;

	if (cmd != ZEROFS_IOC_ENTER)
		return -ENOTTY;
	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.len != sizeof(arg) || arg.flags || arg.min_req > f->queue->depth)
		return -EINVAL;
	arg.reaped = 0;
	arg.avail = 0;
	arg.ret_flags = 0;
	/* Whatever ending a request allocates must not wait for a disk of ours. */
	noio = memalloc_noio_save();
	err = enter(f, &arg);
	memalloc_noio_restore(noio);
	if (err)
		return err;
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static const struct file_operations qfd_fops = {
	.owner = THIS_MODULE,
	.release = qfd_release,
	.mmap = qfd_mmap,
	.poll = qfd_poll,
	.unlocked_ioctl = qfd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

int zerofs_qfd_new(struct zerofs_conn *conn, struct zerofs_queue_fd *arg, struct file **ret_file)
{
	struct zerofs_dev *dev;
	struct zerofs_ring *ring;
	struct file *file;
	struct qfd *f;
	int err;

	f = kzalloc(sizeof(*f), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	err = zerofs_devs_bind(conn, arg->index, arg->queue, &dev, &ring);
	if (err) {
		kfree(f);
		return err;
	}
	f->dev = dev;
	f->queue = &dev->blk.queues[arg->queue];
	f->ring = ring;
	f->mm = conn->mm;
	mmgrab(f->mm);
	arg->ring_entries = ring->entries;
	arg->seg_entries = ring->seg_entries;
	arg->req_off = ring->req_off;
	arg->ro_len = ring->ro_len;
	arg->rsp_off = ring->rsp_off;
	arg->seg_off = ring->seg_off;
	arg->rw_len = ring->rw_len;
	file = anon_inode_getfile("[zerofs-queue]", &qfd_fops, f, O_RDWR);
	if (IS_ERR(file)) {
		/* The rings stay bound; nobody holds them and the daemon may as well give up. */
		zerofs_ring_put(ring);
		zerofs_dev_put(dev);
		mmdrop(f->mm);
		kfree(f);
		return PTR_ERR(file);
	}
	*ret_file = file;
	return 0;
}
