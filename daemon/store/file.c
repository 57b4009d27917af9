// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ASSUMPTION about the file system: link() to an existing name fails and changes nothing; after
 * fsync() of a file and of every folder on its path has returned, both survive a power cut.
 *
 * PUT: temporary in .tmp, write, fsync; link() to the name; fsync of the name's folder, and once
 * per folder and process of the folders above it; unlink the temporary. EEXIST gets the same fsync
 * before it is reported, since the caller will build on what is there. With store_req.replace:
 * rename() instead of link().
 *
 * What an earlier process linked and did not live to fsync becomes durable by syncfs() when the
 * store is opened, before anybody can see it here.
 *
 * Every process that has the store open holds a shared lock on .tmp. Who gets an exclusive one is
 * alone, and may remove what lies there.
 */
#include "store/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/core.h"
#include "store/file_list.h"
#include "store/store.h"

#define TMP_DIR	    ".tmp"
#define MAX_THREADS 64u
#define IOV_BATCH   64
#define KNOWN_DIRS  64u
#define LINK_TRIES  16

/* A folder whose entry in its parent is known to be durable. */
struct known {
	dev_t dev;
	ino_t ino;
};

struct file_store {
	struct store store;
	struct core *core;
	int root_fd;
	int tmp_fd;

	/* guards what follows; taken after the core lock, if both */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list_head queue;
	bool stop;
	struct known known[KNOWN_DIRS];
	unsigned int known_next;

	/*
	 * Held for reading while a name is linked, for writing while a folder is removed. Taken
	 * first.
	 */
	pthread_rwlock_t dirs;

	unsigned int nr;
	pthread_t threads[MAX_THREADS];
};

static int map_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case EACCES:
	case EPERM:
		return -EACCES;
	case EROFS:
	case ENOENT:
	case EEXIST:
	case ENOMEM:
		return -err;
	default:
		return -EIO;
	}
}

/* ---- folders ----------------------------------------------------------------------------- */

static bool is_known(struct file_store *fs, const struct stat *st)
{
	bool hit = false;

	pthread_mutex_lock(&fs->lock);
	for (unsigned int i = 0; i < KNOWN_DIRS && !hit; i++)
		hit = fs->known[i].ino == st->st_ino && fs->known[i].dev == st->st_dev;
	pthread_mutex_unlock(&fs->lock);
	return hit;
}

static void set_known(struct file_store *fs, const struct stat *st)
{
	if (is_known(fs, st))
		return;
	pthread_mutex_lock(&fs->lock);
	fs->known[fs->known_next] = (struct known){ st->st_dev, st->st_ino };
	fs->known_next = (fs->known_next + 1) % KNOWN_DIRS;
	pthread_mutex_unlock(&fs->lock);
}

/* An inode's number may come back for another folder once this one is gone. */
static void forget(struct file_store *fs, const struct stat *st)
{
	pthread_mutex_lock(&fs->lock);
	for (unsigned int i = 0; i < KNOWN_DIRS; i++)
		if (fs->known[i].ino == st->st_ino && fs->known[i].dev == st->st_dev)
			memset(&fs->known[i], 0, sizeof(fs->known[i]));
	pthread_mutex_unlock(&fs->lock);
}

/*
 * Opens the folder of object @name, making what is missing (@make), with every entry on the way
 * durable. A descriptor or -errno (raw).
 */
static int open_parent(struct file_store *fs, const char *name, bool make)
{
	char part[STORE_NAME_MAX];
	int fd = fcntl(fs->root_fd, F_DUPFD_CLOEXEC, 0), rc = 0;
	const char *slash;

	while (fd >= 0 && (slash = strchr(name, '/')) != NULL) {
		size_t n = (size_t)(slash - name);
		struct stat st;
		int sub;

		memcpy(part, name, n);
		part[n] = '\0';
		name = slash + 1;
		if (make && mkdirat(fd, part, 0700) && errno != EEXIST) {
			rc = -errno;
			break;
		}
		sub = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 || fstat(sub, &st)) {
			rc = -errno;
			if (sub >= 0)
				close(sub);
			break;
		}
		if (make && !is_known(fs, &st)) {
			if (fsync(fd)) {
				rc = -errno;
				close(sub);
				break;
			}
			set_known(fs, &st);
		}
		close(fd);
		fd = sub;
	}
	if (fd < 0)
		return -errno;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

/* ---- PUT --------------------------------------------------------------------------------- */

/* Writes all of @iov at the start of @fd. */
static int write_iov(int fd, const struct iovec *iov, int niov)
{
	struct iovec batch[IOV_BATCH];
	size_t skip = 0; /* bytes of iov[0] already written */

	while (niov) {
		int n = niov < IOV_BATCH ? niov : IOV_BATCH;
		ssize_t rc;

		memcpy(batch, iov, (size_t)n * sizeof(*iov));
		batch[0].iov_base = (char *)batch[0].iov_base + skip;
		batch[0].iov_len -= skip;
		rc = writev(fd, batch, n);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return -errno;
		skip += (size_t)rc;
		while (niov && skip >= iov->iov_len) {
			skip -= iov->iov_len;
			iov++;
			niov--;
		}
		if (!rc && niov)
			return -EIO;
	}
	return 0;
}

/*
 * Gives the temporary its name. Another process may remove a folder while it is empty: again, then.
 */
static int link_name(struct file_store *fs, const char *tmp, const char *name, bool replace)
{
	int rc = -ENOENT;

	pthread_rwlock_rdlock(&fs->dirs);
	for (int i = 0; i < LINK_TRIES && rc == -ENOENT; i++) {
		CLEANUP_CLOSE int dir = open_parent(fs, name, true);

		if (dir < 0) {
			rc = dir;
			continue;
		}
		if (replace)
			rc = renameat(fs->tmp_fd, tmp, dir, base_name(name)) ? -errno : 0;
		else
			rc = linkat(fs->tmp_fd, tmp, dir, base_name(name), 0) ? -errno : 0;
		if ((!rc || rc == -EEXIST) && fsync(dir))
			rc = -errno;
	}
	pthread_rwlock_unlock(&fs->dirs);
	return rc;
}

static int do_put(struct file_store *fs, const struct store_req *r)
{
	char tmp[48];
	int fd, rc;

	snprintf(tmp, sizeof(tmp), "%d.%08x%08x", (int)getpid(), randombytes_random(),
		 randombytes_random());
	fd = openat(fs->tmp_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == EEXIST ? -EIO : map_errno(errno);
	rc = write_iov(fd, r->iov, r->niov);
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (rc == -EEXIST || rc == -ENOENT)
		rc = -EIO;
	if (!rc) {
		rc = link_name(fs, tmp, r->name, r->replace);
		if (rc == -ENOENT)
			rc = -EIO; /* the store's own folder is gone */
	}
	unlinkat(fs->tmp_fd, tmp, 0);
	return rc ? map_errno(-rc) : 0;
}

/* ---- the others -------------------------------------------------------------------------- */

static ssize_t do_get(struct file_store *fs, struct store_req *r)
{
	/* O_NONBLOCK: what is no regular file must not keep us. */
	CLEANUP_CLOSE int fd =
		openat(fs->root_fd, r->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	size_t done = 0;

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : map_errno(errno);
	if (fstat(fd, &st))
		return map_errno(errno);
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	r->size = (uint64_t)st.st_size;
	while (done < r->len) {
		ssize_t rc =
			pread(fd, (char *)r->buf + done, r->len - done, (off_t)(r->off + done));

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return map_errno(errno);
		if (!rc)
			break;
		done += (size_t)rc;
	}
	return (ssize_t)done;
}

/* Removes the folder of @name, and those above it, as long as they are empty. */
static void prune(struct file_store *fs, const char *name)
{
	char path[STORE_NAME_MAX];
	char *slash;
	struct stat st;

	strcpy(path, name);
	pthread_rwlock_wrlock(&fs->dirs);
	while ((slash = strrchr(path, '/')) != NULL) {
		*slash = '\0';
		if (fstatat(fs->root_fd, path, &st, AT_SYMLINK_NOFOLLOW))
			break;
		forget(fs, &st);
		if (unlinkat(fs->root_fd, path, AT_REMOVEDIR))
			break;
	}
	pthread_rwlock_unlock(&fs->dirs);
}

static int do_delete(struct file_store *fs, const struct store_req *r)
{
	/* A folder, or what lies below a file, is no object. */
	if (unlinkat(fs->root_fd, r->name, 0))
		return errno == ENOENT || errno == ENOTDIR || errno == EISDIR ? 0 :
										map_errno(errno);
	prune(fs, r->name);
	return 0;
}

static void carry_out(struct file_store *fs, struct store_req *r)
{
	switch (r->op) {
	case STORE_PUT:
		r->res = do_put(fs, r);
		break;
	case STORE_GET:
		r->res = do_get(fs, r);
		break;
	case STORE_LIST:
		r->res = file_list(fs->root_fd, r->name, r->after, r->ents, r->max_ents);
		if (r->res < 0)
			r->res = map_errno((int)-r->res);
		break;
	default:
		r->res = do_delete(fs, r);
	}
}

/* ---- threads ----------------------------------------------------------------------------- */

static struct store_req *next(struct file_store *fs)
{
	struct store_req *r = NULL;

	pthread_mutex_lock(&fs->lock);
	while (list_empty(&fs->queue) && !fs->stop)
		pthread_cond_wait(&fs->more, &fs->lock);
	if (!list_empty(&fs->queue)) {
		r = list_first_entry(&fs->queue, struct store_req, link);
		list_del(&r->link);
	}
	pthread_mutex_unlock(&fs->lock);
	return r;
}

static void *io_thread(void *arg)
{
	struct file_store *fs = arg;
	struct store_req *r;

	while ((r = next(fs)) != NULL) {
		carry_out(fs, r);
		core_lock(fs->core);
		r->done(r);
		core_unlock(fs->core);
	}
	return NULL;
}

static void submit(struct store *s, struct store_req *r)
{
	struct file_store *fs = container_of(s, struct file_store, store);

	pthread_mutex_lock(&fs->lock);
	list_add_tail(&r->link, &fs->queue);
	pthread_cond_signal(&fs->more);
	pthread_mutex_unlock(&fs->lock);
}

static void close_file(struct store *s)
{
	struct file_store *fs = container_of(s, struct file_store, store);

	pthread_mutex_lock(&fs->lock);
	assert(list_empty(&fs->queue));
	fs->stop = true;
	pthread_cond_broadcast(&fs->more);
	pthread_mutex_unlock(&fs->lock);
	for (unsigned int i = 0; i < fs->nr; i++)
		pthread_join(fs->threads[i], NULL);
	pthread_rwlock_destroy(&fs->dirs);
	pthread_cond_destroy(&fs->more);
	pthread_mutex_destroy(&fs->lock);
	if (fs->tmp_fd >= 0)
		close(fs->tmp_fd);
	if (fs->root_fd >= 0)
		close(fs->root_fd);
	free(fs);
}

static int start_threads(struct file_store *fs, unsigned int n)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (fs->nr < n && !rc) {
		rc = -pthread_create(&fs->threads[fs->nr], NULL, io_thread, fs);
		if (!rc) {
			pthread_setname_np(fs->threads[fs->nr], "store");
			fs->nr++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

/* ---- opening ----------------------------------------------------------------------------- */

static int remove_temporaries(struct file_store *fs)
{
	int fd = openat(fs->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *de;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((de = readdir(dir)) != NULL)
		if (de->d_name[0] != '.')
			unlinkat(fs->tmp_fd, de->d_name, 0);
	closedir(dir);
	return 0;
}

/* Opens .tmp, cleans it when nobody else is here, and says that we are. */
static int open_tmp(struct file_store *fs)
{
	int rc;

	if (mkdirat(fs->root_fd, TMP_DIR, 0700) && errno != EEXIST)
		return -errno;
	fs->tmp_fd = openat(fs->root_fd, TMP_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fs->tmp_fd < 0)
		return -errno;
	if (!flock(fs->tmp_fd, LOCK_EX | LOCK_NB)) {
		rc = remove_temporaries(fs);
		if (rc)
			return rc;
	} else if (errno != EWOULDBLOCK) {
		return -errno;
	}
	while (flock(fs->tmp_fd, LOCK_SH))
		if (errno != EINTR)
			return -errno;
	return syncfs(fs->root_fd) ? -errno : 0;
}

/* Makes the last part of @path, durably; its parent must be there. */
static int make_root(const char *path)
{
	char parent[STORE_NAME_MAX * 16];
	CLEANUP_CLOSE int fd = -1;
	char *slash;

	if (!mkdir(path, 0700)) {
		if (strlen(path) >= sizeof(parent))
			return -ENAMETOOLONG;
		strcpy(parent, path);
		slash = strrchr(parent, '/');
		if (!slash)
			return -EINVAL;
		slash[slash == parent] = '\0';
		fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 || fsync(fd) ? -errno : 0;
	}
	return errno == EEXIST ? 0 : -errno;
}

int file_open(struct store **ret, const char *path, unsigned int flags, struct core *core,
	      unsigned int nthreads)
{
	static const struct store_ops ops = {
		.kind = "file",
		.submit = submit,
		.close = close_file,
	};
	struct file_store *fs;
	int rc = 0;

	if (path[0] != '/' || !nthreads || nthreads > MAX_THREADS)
		return -EINVAL;
	if (flags & FILE_CREATE)
		rc = make_root(path);
	if (rc)
		return rc;
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->store.ops = &ops;
	fs->core = core;
	fs->tmp_fd = -1;
	list_init(&fs->queue);
	pthread_mutex_init(&fs->lock, NULL);
	pthread_cond_init(&fs->more, NULL);
	pthread_rwlock_init(&fs->dirs, NULL);
	fs->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->root_fd < 0)
		rc = -errno;
	if (!rc)
		rc = open_tmp(fs);
	if (!rc)
		rc = start_threads(fs, nthreads);
	if (rc) {
		close_file(&fs->store);
		return rc;
	}
	*ret = &fs->store;
	return 0;
}
