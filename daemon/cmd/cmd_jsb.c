// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/cmd_jsb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/jdev_uring.h"
#include "base/uuid.h"
#include "cmd/cmd.h"

#define SB_AREA (2 * FMT_JOURNAL_SB_LEN)

int cmd_jsb_explain_dev(const char *path, int rc)
{
	switch (rc) {
	case -EEXIST:
		return cmd_err("%s: there is a file of this name", path);
	case -EBUSY:
		return cmd_err("%s: in use", path);
	case -ENOTBLK:
	case -EISDIR:
		return cmd_err("%s: neither a file nor a block device", path);
	case -EOPNOTSUPP:
		return cmd_err("%s: this file system does not write past its cache (O_DIRECT), or "
			       "has no disk; put the journal on ext4 or xfs",
			       path);
	case -EINVAL:
		return cmd_err("%s: too small; a journal has " CMD_JSB_MIN_SIZE " at least", path);
	default:
		return cmd_err("%s: %s", path, strerror(-rc));
	}
}

/* ---- reading ----------------------------------------------------------------------------- */

int cmd_jsb_open(const char *path, bool alone)
{
	struct stat st;
	int excl = alone && !stat(path, &st) && S_ISBLK(st.st_mode) ? O_EXCL : 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | excl);

	if (fd < 0) {
		cmd_jsb_explain_dev(path, -errno);
		return -1;
	}
	/* A daemon holds the same lock, for itself alone. */
	if (!alone || excl || !flock(fd, LOCK_SH | LOCK_NB))
		return fd;
	cmd_jsb_explain_dev(path, errno == EWOULDBLOCK ? -EBUSY : -errno);
	close(fd);
	return -1;
}

int cmd_jsb_read(int fd, struct fmt_journal_sb *ret, uint8_t uuid[16],
		 const struct cmd_journal_owner *o, int *ret_copy)
{
	uint8_t p[SB_AREA], whose[FMT_UUID_LEN];
	struct fmt_journal_sb sb;
	int rc, worst = -ENODATA;
	bool any = false;

	ssize_t n = pread(fd, p, sizeof(p), 0);

	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(p))
		return -EBADMSG;
	for (int i = 0; i < 2; i++) {
		rc = fmt_journal_sb_open(&sb, p + i * FMT_JOURNAL_SB_LEN, FMT_JOURNAL_SB_LEN,
					 o ? o->uuid : NULL, whose, o ? o->key : NULL);
		if (rc && rc != -ENODATA)
			worst = rc;
		if (rc || (any && sb.generation < ret->generation))
			continue;
		any = true;
		*ret = sb;
		if (ret_copy)
			*ret_copy = i;
		memcpy(uuid, whose, sizeof(whose));
	}
	return any ? 0 : worst;
}

int cmd_jsb_explain(const char *path, int rc)
{
	switch (rc) {
	case -ENODATA:
		return cmd_err("%s: not a journal: it begins with zeros", path);
	case -EPROTONOSUPPORT:
		return cmd_err("%s: this journal was made by a later version", path);
	case -EBADMSG:
		return cmd_err("%s: not a journal, or its superblock is damaged", path);
	default:
		return cmd_err("%s: %s", path, strerror(-rc));
	}
}

int cmd_jsb_read_of(int fd, const char *path, struct fmt_journal_sb *ret,
		    const struct cmd_journal_owner *o, int *ret_copy)
{
	char a[UUID_STR_LEN], b[UUID_STR_LEN];
	uint8_t uuid[FMT_UUID_LEN];
	int rc = cmd_jsb_read(fd, ret, uuid, NULL, NULL);

	if (!rc && memcmp(o->uuid, uuid, sizeof(uuid)) != 0)
		return cmd_err("%s: this is the journal of volume %s, and %s is %s", path,
			       uuid_str(a, uuid), o->name, uuid_str(b, o->uuid));
	if (!rc)
		rc = cmd_jsb_read(fd, ret, uuid, o, ret_copy);
	return rc ? cmd_jsb_explain(path, rc) : 0;
}

char *cmd_jsb_when(char out[CMD_JSB_WHEN], uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	strftime(out, CMD_JSB_WHEN, "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
	return out;
}

/* ---- writing ----------------------------------------------------------------------------- */

/* One WRITE, waited for. */
struct put {
	struct jdev_req r;
	bool done;
};

static void put_done(struct jdev_req *r)
{
	container_of(r, struct put, r)->done = true;
}

int cmd_jsb_take(struct cmd_jsb_dev *x, const char *path)
{
	int rc = core_init(&x->core, NULL, NULL);

	x->d = NULL;
	if (rc)
		return rc;
	rc = jdev_uring_open(&x->d, &x->core, path);
	if (rc)
		core_destroy(&x->core);
	return rc;
}

void cmd_jsb_release(struct cmd_jsb_dev *x)
{
	jdev_close(x->d);
	core_destroy(&x->core);
}

int cmd_jsb_write(struct cmd_jsb_dev *x, int copy, const struct fmt_journal_sb *sb,
		  const struct cmd_journal_owner *o)
{
	struct put p = { .r = { .op = JDEV_WRITE,
				.off = (uint64_t)copy * FMT_JOURNAL_SB_LEN,
				.len = FMT_JOURNAL_SB_LEN,
				.done = put_done } };
	int rc;

	p.r.buf = aligned_alloc(JDEV_BLOCK, FMT_JOURNAL_SB_LEN);
	if (!p.r.buf)
		return -ENOMEM;
	rc = fmt_journal_sb_seal(p.r.buf, sb, o->uuid, o->key);
	if (!rc) {
		core_lock(&x->core);
		jdev_submit(x->d, &p.r);
		while (!p.done)
			core_wait(&x->core, UINT64_MAX);
		core_unlock(&x->core);
		rc = p.r.res;
	}
	free(p.r.buf);
	return rc;
}
