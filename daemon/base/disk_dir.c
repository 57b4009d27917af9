// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/disk_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/parse.h"

#define NAME_MAX_LEN 200u
#define LOCK_FILE    "lock"

struct disk_dir {
	struct disk disk;
	int fd;
	int lock_fd;
};

static int name_check(const char *name)
{
	size_t n =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n && !name[n] && n <= NAME_MAX_LEN && name[0] != '.' ? 0 : -EINVAL;
}

static ssize_t dir_read(struct disk *d, const char *name, void *buf, size_t len)
{
	struct disk_dir *dd = container_of(d, struct disk_dir, disk);
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	size_t done = 0;

	if (name_check(name))
		return -EINVAL;
	fd = openat(dd->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while (done < len) {
		ssize_t rc = pread(fd, (char *)buf + done, len - done, (off_t)done);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		if (!rc)
			break;
		done += (size_t)rc;
	}
	if (done < len && (off_t)done < st.st_size)
		return -EIO;
	return st.st_size;
}

static int write_all(int fd, const void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t rc = write(fd, (const char *)buf + done, len - done);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		done += (size_t)rc;
	}
	return 0;
}

static int dir_replace(struct disk *d, const char *name, const void *buf, size_t len)
{
	struct disk_dir *dd = container_of(d, struct disk_dir, disk);
	char tmp[NAME_MAX_LEN + 8];
	int fd, rc;

	if (name_check(name))
		return -EINVAL;
	snprintf(tmp, sizeof(tmp), ".%s.tmp", name);
	fd = openat(dd->fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, buf, len);
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && renameat(dd->fd, tmp, dd->fd, name))
		rc = -errno;
	if (rc) {
		unlinkat(dd->fd, tmp, 0);
		return rc;
	}
	return fsync(dd->fd) ? -errno : 0;
}

/* mkdir -p, each new folder made durable in its parent. */
static int make_path(const char *path)
{
	char tmp[PATH_MAX];
	size_t n = strlen(path);

	if (!n || n >= sizeof(tmp))
		return -ENAMETOOLONG;
	memcpy(tmp, path, n + 1);
	for (char *p = tmp + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (!mkdir(tmp, 0700)) {
			char *slash = strrchr(tmp, '/');
			CLEANUP_CLOSE int fd = -1;

			if (slash)
				*slash = '\0';
			fd = open(!slash       ? "." :
				  slash == tmp ? "/" :
						 tmp,
				  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (slash)
				*slash = '/';
			if (fd < 0 || fsync(fd))
				return -errno;
		} else if (errno != EEXIST) {
			/* It may be there without our being allowed to make it. */
			int err = errno;
			struct stat st;

			if (stat(tmp, &st))
				return -err;
		}
		if (!c)
			return 0;
		*p = c;
	}
}

int disk_dir_open(struct disk_dir **ret, const char *path)
{
	static const struct disk_ops ops = { .read = dir_read, .replace = dir_replace };
	struct disk_dir *dd;
	int rc = make_path(path);

	if (rc)
		return rc;
	dd = calloc(1, sizeof(*dd));
	if (!dd)
		return -ENOMEM;
	dd->disk.ops = &ops;
	dd->lock_fd = -1;
	dd->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dd->fd < 0) {
		rc = -errno;
		free(dd);
		return rc;
	}
	*ret = dd;
	return 0;
}

struct disk *disk_dir_disk(struct disk_dir *d)
{
	return &d->disk;
}

int disk_dir_lock(struct disk_dir *d, int *ret_pid)
{
	char pid[16] = "";
	uint64_t v = 0;
	ssize_t n;
	int fd, rc;

	if (d->lock_fd >= 0)
		return 0;
	fd = openat(d->fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		if (n > 0)
			pid[strcspn(pid, "\n")] = '\0';
		if (ret_pid)
			*ret_pid = parse_u64(pid, 1, INT_MAX, &v) ? 0 : (int)v;
		close(fd);
		return rc;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	/* The number is for messages only: what holds is the lock. */
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n) {
		rc = errno ? -errno : -EIO;
		close(fd);
		return rc;
	}
	d->lock_fd = fd;
	return 0;
}

void disk_dir_close(struct disk_dir *d)
{
	if (!d)
		return;
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	close(d->fd);
	free(d);
}
