// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/kdev.h"

static int map(struct region *r)
{
	void *p = mmap(NULL, r->total, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	int rc;

	if (p == MAP_FAILED)
		return -errno;
	if (madvise(p, r->total, MADV_DONTFORK) < 0) {
		rc = -errno;
		munmap(p, r->total);
		return rc;
	}
	r->base = p;
	return 0;
}

int region_make(struct region *ret, uint64_t total)
{
	struct region r = { .total = total };
	int rc;

	r.fd = kdev_arena_memfd(total);
	if (r.fd < 0)
		return r.fd;
	rc = fcntl(r.fd, F_ADD_SEALS, F_SEAL_GROW) < 0 ? -errno : map(&r);
	if (rc) {
		close(r.fd);
		return rc;
	}
	*ret = r;
	return 0;
}

int region_adopt(struct region *ret, int fd, uint64_t total)
{
	struct region r = { .fd = fd, .total = total };
	struct stat st;
	int rc = 0;

	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (st.st_size < 0 || (uint64_t)st.st_size != total || !total)
		rc = -EBADMSG;
	if (!rc)
		rc = map(&r);
	if (rc) {
		close(fd);
		return rc;
	}
	*ret = r;
	return 0;
}

void region_free(struct region *r)
{
	if (r->fd < 0)
		return;
	munmap(r->base, r->total);
	close(r->fd);
	*r = REGION_NONE;
}
