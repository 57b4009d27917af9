// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * '/' sorts before every other character of a name, and no object is both a file and a folder: so
 * walking each folder's entries in the order of their names gives all names in byte order.
 */
#include "store/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
	const char *prefix;
	const char *after;
	struct store_entry *ents;
	uint32_t max;
	uint32_t nr;
	char path[STORE_NAME_MAX]; /* of the folder being read, with its final '/' */
	size_t len;
};

struct names {
	char **name;
	size_t nr, room;
};

static void names_free(struct names *n)
{
	for (size_t i = 0; i < n->nr; i++)
		free(n->name[i]);
	free(n->name);
}

static int names_add(struct names *n, const char *name)
{
	char *copy;

	if (n->nr == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		char **p = realloc(n->name, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		n->name = p;
		n->room = room;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	n->name[n->nr++] = copy;
	return 0;
}

static int cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Can @name, in the folder being read, be a wanted object or lead to one? */
static bool wanted(struct walk *w, const char *name)
{
	size_t n = strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz");
	size_t plen = strlen(w->prefix);
	char *full = w->path;
	int c;

	if (!n || name[n] || w->len + n >= STORE_NAME_MAX)
		return false;
	memcpy(full + w->len, name, n + 1);
	n += w->len;
	if (n < plen || strncmp(full, w->prefix, plen)) {
		full[w->len] = '\0';
		return false;
	}
	/*
	 * Greater than @after, or a folder that @after lies in: "full/" against as much of @after.
	 */
	c = strcmp(full, w->after);
	if (c <= 0)
		c = !strncmp(w->after, full, n) && (w->after[n] == '/' || !w->after[n]) ? 1 : -1;
	full[w->len] = '\0';
	return c > 0;
}

static int read_names(struct walk *w, int fd, struct names *n)
{
	struct dirent *de;
	DIR *dir = fdopendir(fd); /* takes fd over */
	int rc = 0;

	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	for (;;) {
		errno = 0;
		de = readdir(dir);
		if (!de) {
			rc = -errno;
			break;
		}
		if (wanted(w, de->d_name)) {
			rc = names_add(n, de->d_name);
			if (rc)
				break;
		}
	}
	closedir(dir);
	if (!rc && n->nr)
		qsort(n->name, n->nr, sizeof(*n->name), cmp);
	return rc;
}

/* What is removed while we read was perhaps never there. */
static int gone(int err)
{
	return err == ENOENT || err == ENOTDIR ? 0 : -err;
}

static int walk_dir(struct walk *w, int fd);

static int walk_entry(struct walk *w, int fd, const char *name)
{
	size_t len = w->len, n = strlen(name);
	struct stat st;
	int sub, rc;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return gone(errno);
	if (S_ISDIR(st.st_mode)) {
		if (len + n + 2 > STORE_NAME_MAX)
			return 0; /* no room for a name in it */
		sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0)
			return gone(errno);
		memcpy(w->path + len, name, n);
		memcpy(w->path + len + n, "/", 2);
		w->len = len + n + 1;
		rc = walk_dir(w, sub);
		w->len = len;
		w->path[len] = '\0';
		return rc;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	memcpy(w->ents[w->nr].name, w->path, len);
	memcpy(w->ents[w->nr].name + len, name, n + 1);
	/* What wanted() let pass as a folder on the way to @after. */
	if (strcmp(w->ents[w->nr].name, w->after) <= 0)
		return 0;
	w->ents[w->nr].size = (uint64_t)st.st_size;
	w->nr++;
	return 0;
}

/* Closes @fd. Depth is bounded by the length of a name. */
static int walk_dir(struct walk *w, int fd)
{
	struct names n = { NULL, 0, 0 };
	int rc, dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (dup_fd < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = read_names(w, dup_fd, &n);
	for (size_t i = 0; i < n.nr && !rc && w->nr < w->max; i++)
		rc = walk_entry(w, fd, n.name[i]);
	names_free(&n);
	close(fd);
	return rc;
}

ssize_t file_list(int root_fd, const char *prefix, const char *after, struct store_entry *ents,
		  uint32_t max)
{
	const char *slash = strrchr(prefix, '/');
	struct walk w = { .prefix = prefix, .after = after, .ents = ents, .max = max };
	int fd, rc;

	/* Begin in the deepest folder that the prefix names. */
	if (slash) {
		w.len = (size_t)(slash - prefix) + 1;
		memcpy(w.path, prefix, w.len);
		w.path[w.len - 1] = '\0';
		fd = openat(root_fd, w.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		w.path[w.len - 1] = '/';
	} else {
		/* Not a dup: the position in a folder belongs to the open file. */
		fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return gone(errno);
	rc = walk_dir(&w, fd);
	return rc ? rc : (ssize_t)w.nr;
}
