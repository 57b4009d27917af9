// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every call is a struct copied in, checked, carried out and copied back. Rules common to all:
 * CAP_SYS_ADMIN, `len` is the struct's size, what is reserved or unknown is zero. What a call
 * itself refuses stands in its function, each refusal a line.
 */
#include "ctl.h"

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "qfd.h"
#include "session.h"

#define ABI	   (ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR)
#define MAX_INDEX  (1 << 20) /* N of /dev/zerofsN */
#define MAX_RECALL 4096U /* entries a call */
#define MAX_LIST   65536U

/* A call's own struct, and the file that goes with a descriptor it returns. */
struct ctl_call {
	struct zerofs_conn *conn;
	struct file *file;
	int fd;
	union {
		u32 len;
		struct zerofs_version version;
		struct zerofs_create create;
		struct zerofs_attach attach;
		struct zerofs_resume resume;
		struct zerofs_session_cmd session_cmd;
		struct zerofs_add_dev add_dev;
		struct zerofs_dev_cmd dev_cmd;
		struct zerofs_reg_arena reg_arena;
		struct zerofs_fd afd;
		struct zerofs_queue_fd queue_fd;
		struct zerofs_recall recall;
		struct zerofs_list list;
		struct zerofs_session_info session_info;
		struct zerofs_dev_info dev_info;
	} u;
};

/* isalnum() would let Latin-1 letters pass. */
static bool char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool name_ok(const char *name)
{
	size_t len = strnlen(name, ZEROFS_NAME_LEN);
	size_t i;

	if (!len || len == ZEROFS_NAME_LEN || name[0] == '.' || name[0] == '-')
		return false;
	for (i = 0; i < len; i++)
		if (!char_ok(name[i]))
			return false;
	/* What lies behind the NUL is reserved, too. */
	return !memchr_inv(name + len, 0, ZEROFS_NAME_LEN - len);
}

static int abi_check(u32 abi, u64 features)
{
	if (abi >> 16 != ZEROFS_ABI_MAJOR)
		return -EPROTONOSUPPORT;
	return features & ~ZEROFS_F_ALL ? -EINVAL : 0;
}

static int ctl_version(struct ctl_call *c)
{
	struct zerofs_version *arg = &c->u.version;

	if (arg->abi || arg->features || memchr_inv(arg->version, 0, sizeof(arg->version)))
		return -EINVAL;
	arg->abi = ABI;
	arg->features = ZEROFS_F_ALL;
	strscpy(arg->version, ZEROFS_VERSION, sizeof(arg->version));
	return 0;
}

static int ctl_create(struct ctl_call *c)
{
	struct zerofs_create *arg = &c->u.create;
	int err = abi_check(arg->abi, arg->features);

	if (err)
		return err;
	if (arg->flags || arg->rsvd || arg->attach_gen || arg->session || !name_ok(arg->name))
		return -EINVAL;
	if (!memchr_inv(arg->uuid, 0, sizeof(arg->uuid)))
		return -EINVAL;
	arg->abi = ABI;
	return zerofs_session_create(c->conn, arg);
}

static int ctl_attach(struct ctl_call *c)
{
	struct zerofs_attach *arg = &c->u.attach;
	int err = abi_check(arg->abi, arg->features);

	if (err)
		return err;
	if (arg->flags || arg->rsvd)
		return -EINVAL;
	arg->abi = ABI;
	return zerofs_session_attach(c->conn, arg);
}

static int ctl_resume(struct ctl_call *c)
{
	struct zerofs_resume *arg = &c->u.resume;

	if (arg->flags & ~ZEROFS_RESUME_ADOPTED || arg->state)
		return -EINVAL;
	if (arg->result != ZEROFS_RESUME_INTACT && arg->result != ZEROFS_RESUME_LOST)
		return -EINVAL;
	return zerofs_session_resume(c->conn, arg);
}

static int session_cmd_check(struct ctl_call *c)
{
	return c->u.session_cmd.flags || c->u.session_cmd.rsvd ? -EINVAL : 0;
}

static int ctl_supersede(struct ctl_call *c)
{
	return session_cmd_check(c) ?: zerofs_session_supersede(c->conn);
}

static int ctl_kick(struct ctl_call *c)
{
	return session_cmd_check(c) ?: zerofs_session_kick(c->conn);
}

static int ctl_fail(struct ctl_call *c)
{
	return session_cmd_check(c) ?: zerofs_session_fail(c->u.session_cmd.session);
}

static int ctl_clear(struct ctl_call *c)
{
	return session_cmd_check(c) ?: zerofs_session_clear(c->u.session_cmd.session);
}

static bool size_ok(u64 size)
{
	return size && IS_ALIGNED(size, ZEROFS_BLOCK_SIZE) && size <= LLONG_MAX;
}

static int ctl_add_dev(struct ctl_call *c)
{
	struct zerofs_add_dev *arg = &c->u.add_dev;

	if (arg->flags & ~ZEROFS_DEV_RO)
		return -EINVAL;
	if (arg->index < -1 || arg->index >= MAX_INDEX)
		return -EINVAL;
	if (arg->block_size != ZEROFS_BLOCK_SIZE || !size_ok(arg->size))
		return -EINVAL;
	if (!arg->depth || arg->depth > ZEROFS_MAX_DEPTH)
		return -EINVAL;
	if (!arg->nr_write_queues || arg->nr_write_queues > ZEROFS_MAX_QUEUES)
		return -EINVAL;
	if (!arg->nr_read_queues || arg->nr_read_queues > ZEROFS_MAX_QUEUES)
		return -EINVAL;
	if (arg->nr_write_queues + arg->nr_read_queues > ZEROFS_MAX_QUEUES)
		return -EINVAL;
	if (!name_ok(arg->name))
		return -EINVAL;
	return zerofs_devs_add(c->conn, arg);
}

static int ctl_start_dev(struct ctl_call *c)
{
	struct zerofs_dev_cmd *arg = &c->u.dev_cmd;

	if (arg->flags || arg->arg || arg->size)
		return -EINVAL;
	return zerofs_devs_start(c->conn, arg->index);
}

static int ctl_del_dev(struct ctl_call *c)
{
	struct zerofs_dev_cmd *arg = &c->u.dev_cmd;

	if (arg->flags & ~ZEROFS_DEL_FORCE || arg->arg || arg->size)
		return -EINVAL;
	return zerofs_devs_del(arg->index, arg->flags & ZEROFS_DEL_FORCE);
}

static int ctl_resize(struct ctl_call *c)
{
	struct zerofs_dev_cmd *arg = &c->u.dev_cmd;

	if (arg->flags || arg->arg || !size_ok(arg->size))
		return -EINVAL;
	return zerofs_devs_resize(c->conn, arg->index, arg->size);
}

static int ctl_set_ro(struct ctl_call *c)
{
	struct zerofs_dev_cmd *arg = &c->u.dev_cmd;

	if (arg->flags || arg->arg > 1 || arg->size)
		return -EINVAL;
	return zerofs_devs_set_ro(c->conn, arg->index, arg->arg);
}

static int ctl_reg_arena(struct ctl_call *c)
{
	struct zerofs_reg_arena *arg = &c->u.reg_arena;

	if (arg->flags || arg->buf_off || arg->rw_len)
		return -EINVAL;
	if (!is_power_of_2(arg->nr_bufs) || arg->nr_bufs > ZEROFS_MAX_BUFS)
		return -EINVAL;
	return zerofs_session_reg_arena(c->conn, arg);
}

/* A descriptor for c->file, installed once the caller is sure to learn of it. */
static int reserve_fd(struct ctl_call *c, s32 *ret_fd)
{
	c->fd = get_unused_fd_flags(O_CLOEXEC);
	if (c->fd < 0) {
		fput(c->file);
		c->file = NULL;
		return c->fd;
	}
	*ret_fd = c->fd;
	return 0;
}

static int ctl_arena_fd(struct ctl_call *c)
{
	struct zerofs_fd *arg = &c->u.afd;
	int err;

	if (arg->flags || arg->fd || arg->rsvd)
		return -EINVAL;
	err = zerofs_session_arena_file(c->conn, &c->file);
	return err ?: reserve_fd(c, &arg->fd);
}

static int ctl_queue_fd(struct ctl_call *c)
{
	struct zerofs_queue_fd *arg = &c->u.queue_fd;
	int err;

	if (arg->flags || arg->fd || arg->ring_entries || arg->seg_entries || arg->req_off ||
	    arg->ro_len || arg->rsp_off || arg->seg_off || arg->rw_len)
		return -EINVAL;
	err = zerofs_qfd_new(c->conn, arg, &c->file);
	return err ?: reserve_fd(c, &arg->fd);
}

static int ctl_recall(struct ctl_call *c)
{
	struct zerofs_recall *arg = &c->u.recall;
	struct zerofs_recall_ent *ents;
	u32 nr = min(arg->nr, MAX_RECALL);
	int ret;

	if (arg->flags || arg->rsvd || !arg->nr)
		return -EINVAL;
	ents = kvcalloc(nr, sizeof(*ents), GFP_KERNEL);
	if (!ents)
		return -ENOMEM;
	ret = zerofs_session_recall(c->conn, ents, nr);
	if (ret >= 0) {
		arg->nr = ret;
		if (copy_to_user(u64_to_user_ptr(arg->ents), ents, ret * sizeof(*ents)))
			ret = -EFAULT;
		else
			ret = 0;
	}
	kvfree(ents);
	return ret;
}

static int ctl_list(struct ctl_call *c)
{
	struct zerofs_list *arg = &c->u.list;
	u32 nr = min(arg->nr, MAX_LIST);
	u32 *ids;
	int ret;

	if (arg->kind != ZEROFS_LIST_SESSIONS && arg->kind != ZEROFS_LIST_DEVS)
		return -EINVAL;
	if (arg->kind == ZEROFS_LIST_SESSIONS && arg->session)
		return -EINVAL;
	ids = kvcalloc(max(nr, 1U), sizeof(*ids), GFP_KERNEL);
	if (!ids)
		return -ENOMEM;
	ret = zerofs_session_list(arg->kind, arg->session, ids, nr);
	if (ret >= 0) {
		arg->nr = ret;
		nr = min_t(u32, ret, nr);
		if (copy_to_user(u64_to_user_ptr(arg->ids), ids, nr * sizeof(*ids)))
			ret = -EFAULT;
		else
			ret = 0;
	}
	kvfree(ids);
	return ret;
}

static int ctl_session_info(struct ctl_call *c)
{
	struct zerofs_session_info *arg = &c->u.session_info;
	struct zerofs_session_info want = { .len = arg->len, .session = arg->session };

	if (memcmp(arg, &want, sizeof(want)))
		return -EINVAL;
	return zerofs_session_info(arg);
}

static int ctl_dev_info(struct ctl_call *c)
{
	struct zerofs_dev_info *arg = &c->u.dev_info;
	struct zerofs_dev_info want = { .len = arg->len, .index = arg->index };

	if (memcmp(arg, &want, sizeof(want)))
		return -EINVAL;
	return zerofs_devs_info(arg);
}

static const struct {
	unsigned int cmd;
	int (*fn)(struct ctl_call *c);
} ctl_calls[] = {
	{ ZEROFS_IOC_VERSION, ctl_version },	 { ZEROFS_IOC_CREATE, ctl_create },
	{ ZEROFS_IOC_ATTACH, ctl_attach },	 { ZEROFS_IOC_RESUME, ctl_resume },
	{ ZEROFS_IOC_SUPERSEDE, ctl_supersede }, { ZEROFS_IOC_ADD_DEV, ctl_add_dev },
	{ ZEROFS_IOC_START_DEV, ctl_start_dev }, { ZEROFS_IOC_DEL_DEV, ctl_del_dev },
	{ ZEROFS_IOC_RESIZE, ctl_resize },	 { ZEROFS_IOC_SET_RO, ctl_set_ro },
	{ ZEROFS_IOC_REG_ARENA, ctl_reg_arena }, { ZEROFS_IOC_ARENA_FD, ctl_arena_fd },
	{ ZEROFS_IOC_QUEUE_FD, ctl_queue_fd },	 { ZEROFS_IOC_FAIL, ctl_fail },
	{ ZEROFS_IOC_CLEAR, ctl_clear },	 { ZEROFS_IOC_RECALL, ctl_recall },
	{ ZEROFS_IOC_LIST, ctl_list },		 { ZEROFS_IOC_SESSION_INFO, ctl_session_info },
	{ ZEROFS_IOC_DEV_INFO, ctl_dev_info },	 { ZEROFS_IOC_KICK, ctl_kick },
};

/* Copies in, carries out, copies back. */
static int ctl_do(struct zerofs_conn *conn, int (*fn)(struct ctl_call *), void __user *user,
		  size_t size)
{
	struct ctl_call c = { .conn = conn };
	int err;

	if (copy_from_user(&c.u, user, size))
		return -EFAULT;
	if (c.u.len != size)
		return -EINVAL;
	err = fn(&c);
	if (err)
		return err == -ERESTARTSYS ? -EINTR : err;
	if (copy_to_user(user, &c.u, size))
		err = -EFAULT;
	if (c.file && err) {
		put_unused_fd(c.fd);
		fput(c.file);
	} else if (c.file) {
		fd_install(c.fd, c.file);
	}
	return err;
}

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct zerofs_conn *conn = file->private_data;
	unsigned int noio;
	size_t i;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	for (i = 0; i < ARRAY_SIZE(ctl_calls); i++) {
		if (ctl_calls[i].cmd != cmd)
			continue;
		/* Memory for the daemon's calls must not have to come from a disk of its own. */
		noio = memalloc_noio_save();
		err = ctl_do(conn, ctl_calls[i].fn, (void __user *)uarg, _IOC_SIZE(cmd));
		memalloc_noio_restore(noio);
		return err;
	}
	return -ENOTTY;
}

static int ctl_open(struct inode *inode, struct file *file)
{
	file->private_data = zerofs_session_conn_new();
	return file->private_data ? 0 : -ENOMEM;
}

static int ctl_release(struct inode *inode, struct file *file)
{
	zerofs_session_conn_free(file->private_data);
	return 0;
}

static int ctl_mmap(struct file *file, struct vm_area_struct *vma)
{
	return zerofs_session_mmap(file->private_data, vma);
}

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.open = ctl_open,
	.release = ctl_release,
	.mmap = ctl_mmap,
	.unlocked_ioctl = ctl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice ctl_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zerofs-control",
	.mode = 0600,
	.fops = &ctl_fops,
};

int zerofs_ctl_register(void)
{
	return misc_register(&ctl_misc);
}

void zerofs_ctl_unregister(void)
{
	misc_deregister(&ctl_misc);
}
