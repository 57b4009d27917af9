// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disk.h"
#include "base/uuid.h"
#include "transport/kdev.h"

#define ORIGIN_FILE "origin"
#define ORIGIN_MAX  2048
#define SESSIONS    256u /* that are looked at */

/* Cuts the line at *@p off; NULL: there is no whole line. */
static char *take_line(char **p)
{
	char *line = *p, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*p = end + 1;
	return line;
}

int known_read(const char *dir, const char *url, struct known *ret)
{
	char path[KNOWN_PATH_MAX], text[ORIGIN_MAX], *p = text;
	const char *was, *uuid, *name;
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;
	int len = snprintf(path, sizeof(path), "%s/" ORIGIN_FILE, dir);

	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0 || memchr(text, '\0', (size_t)n))
		return -ENOENT;
	text[n] = '\0';
	was = take_line(&p);
	uuid = was ? take_line(&p) : NULL;
	name = uuid ? take_line(&p) : NULL;
	if (!name || *p || strcmp(was, url) != 0 || uuid_parse(uuid, ret->uuid) || !*name ||
	    strlen(name) >= sizeof(ret->name))
		return -ENOENT;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->dir, sizeof(ret->dir), "%s", dir);
	return 0;
}

int known_save(struct disk *d, const char *url, const uint8_t uuid[16], const char *name)
{
	char text[ORIGIN_MAX], id[UUID_STR_LEN];
	int n;

	if (strchr(url, '\n'))
		return -EINVAL;
	n = snprintf(text, sizeof(text), "%s\n%s\n%s\n", url, uuid_str(id, uuid), name);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -ENAMETOOLONG;
	return d->ops->replace(d, ORIGIN_FILE, text, (size_t)n);
}

int known_find(struct kdev *kd, const char *url, const char *state_dir, const char *parent,
	       struct known *ret)
{
	uint32_t ids[SESSIONS];
	int n = kdev_list(kd, ZEROFS_LIST_SESSIONS, 0, ids, SESSIONS);

	for (int i = 0; i < n && i < (int)SESSIONS; i++) {
		char path[KNOWN_PATH_MAX - 16], id[UUID_STR_LEN];
		struct zerofs_session_info si;

		if (kdev_session_info(kd, ids[i], &si) || (si.flags & ZEROFS_INFO_ATTACHED))
			continue;
		if (state_dir)
			snprintf(path, sizeof(path), "%s", state_dir);
		else
			snprintf(path, sizeof(path), "%s/%s", parent, uuid_str(id, si.uuid));
		if (!known_read(path, url, ret) && !memcmp(ret->uuid, si.uuid, sizeof(si.uuid)))
			return 0;
	}
	return -ENOENT;
}
