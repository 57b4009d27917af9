// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Up to @max bytes, one more than allowed is an error. Bytes read, or -errno (-EFBIG). */
static ssize_t read_all(int fd, unsigned char *buf, size_t max)
{
	size_t len = 0;

	while (len < max) {
		ssize_t n = read(fd, buf + len, max - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
	return -EFBIG;
}

int secret_read(struct keys_secret *ret, unsigned char *buf, const char *path,
		enum keys_secret_kind kind, char *err, size_t len)
{
	const char *what = kind == KEYS_KEYFILE ? "key file" : "passphrase file";
	bool standard = kind == KEYS_PASSPHRASE && !strcmp(path, "-");
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : read_all(fd, buf, SECRET_MAX);
	unsigned char *end;

	if (fd >= 0 && !standard)
		close(fd);
	if (n == -EFBIG) {
		snprintf(err, len, "the %s %s is longer than %u bytes", what, path,
			 KEYS_KEYFILE_MAX);
		return -EFBIG;
	}
	if (n < 0) {
		snprintf(err, len, "cannot read the %s %s: %s", what, path, strerror((int)-n));
		return (int)n;
	}
	if (kind == KEYS_PASSPHRASE) {
		end = memchr(buf, '\n', (size_t)n);
		if (end)
			n = end - buf;
	}
	*ret = (struct keys_secret){ kind, buf, (size_t)n };
	if (!keys_secret_check(ret))
		return 0;
	if (kind == KEYS_KEYFILE)
		snprintf(err, len, "the key file %s is too short; it needs %u random bytes or more",
			 path, KEYS_KEYFILE_MIN);
	else
		snprintf(err, len,
			 "the first line of %s is no passphrase: it is empty or longer than %u "
			 "bytes",
			 path, KEYS_PASSPHRASE_MAX);
	return -EINVAL;
}
