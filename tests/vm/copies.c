// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LD_PRELOAD library: counts what a program copies with memcpy() and memmove() in whole blocks of
 * 4 KiB from or to a block's boundary, as a device's data lies in the arena, as a u64 at the start
 * of the file $COPIES. Says whether a daemon that claims to copy nothing does. What the map's
 * sorted leaves move when an extent goes in between is neither as long nor as aligned.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEAST 4096u

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);

static void *(*real_memmove)(void *, const void *, size_t);
static uint64_t *counter;

static void __attribute__((constructor)) start(void)
{
	const char *path = getenv("COPIES");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *p;

	real_memmove = (void *(*)(void *, const void *, size_t))dlsym(RTLD_NEXT, "memmove");
	if (fd < 0 || ftruncate(fd, LEAST))
		return;
	p = mmap(NULL, LEAST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		counter = p;
	close(fd);
}

/* Not named memmove: the compiler would make memcpy() below call itself. */
static void *copy(void *to, const void *from, size_t len)
{
	volatile unsigned char *t = to;
	const unsigned char *f = from;

	if (len && !(len % LEAST) && counter &&
	    (!((uintptr_t)to % LEAST) || !((uintptr_t)from % LEAST)))
		__atomic_fetch_add(counter, len, __ATOMIC_RELAXED);
	if (real_memmove)
		return real_memmove(to, from, len);
	/* The dynamic linker is not done yet. */
	if ((uintptr_t)to <= (uintptr_t)from) {
		for (size_t i = 0; i < len; i++)
			t[i] = f[i];
	} else {
		for (size_t i = len; i-- > 0;)
			t[i] = f[i];
	}
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	return copy(to, from, len);
}

void *memmove(void *to, const void *from, size_t len)
{
	return copy(to, from, len);
}
