// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * arena VOLUME OFFSET LENGTH: stands in for a daemon that went mad before it died. Becomes the
 * daemon of a session that has none, takes its arena back, inverts LENGTH bytes at OFFSET of the
 * arena's file (its index lies before the registered data region) and goes away without RESUME.
 * OFFSET "data": at the start of the data region; "entry": in the newest entry of the index;
 * "forget": the newest LENGTH entries are cleared, as if they had never been made.
 * Prints the session's marks. Exit status 0; 1: a call failed; 2: usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/fmt_arena.h"
#include "uapi/zerofs.h"

static int fail(const char *what)
{
	fprintf(stderr, "arena: %s: %s\n", what, strerror(errno));
	return 1;
}

/* The session of the volume called @name. 0 or -1 with errno. */
static int find(int ctl, const char *name, struct zerofs_session_info *ret)
{
	uint32_t ids[64];
	struct zerofs_list l = {
		.len = sizeof(l), .kind = ZEROFS_LIST_SESSIONS, .nr = 64, .ids = (uintptr_t)ids
	};

	if (ioctl(ctl, ZEROFS_IOC_LIST, &l))
		return -1;
	for (uint32_t i = 0; i < l.nr && i < 64; i++) {
		*ret = (struct zerofs_session_info){ .len = sizeof(*ret), .session = ids[i] };
		if (ioctl(ctl, ZEROFS_IOC_SESSION_INFO, ret))
			return -1;
		if (!strcmp(ret->name, name))
			return 0;
	}
	errno = ENOENT;
	return -1;
}

/* The file offset of the entry with the highest number, 0 if none is in use. */
static uint64_t newest_entry(const unsigned char *p, uint64_t total, const uint8_t uuid[16])
{
	const struct fmt_arena_entry *e;
	struct fmt_arena_rec rec;
	struct fmt_arena a;
	uint64_t best = 0, at = 0;

	if (fmt_arena_open(&a, p, total, uuid))
		return 0;
	e = (const struct fmt_arena_entry *)(p + a.index_off);
	for (uint32_t i = 0; i < a.nr_entries; i++) {
		if (fmt_arena_get(&rec, e + i, &a) == 1 && rec.wno > best) {
			best = rec.wno;
			at = a.index_off + i * sizeof(*e);
		}
	}
	return at;
}

int main(int argc, char **argv)
{
	struct zerofs_session_info info;
	struct zerofs_attach at = { .len = sizeof(at),
				    .abi = ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR };
	struct zerofs_fd af = { .len = sizeof(af) };
	uint64_t off, len, total;
	unsigned char *p;
	int ctl;

	if (argc != 4)
		return fputs("usage: arena VOLUME OFFSET|data|entry|forget LENGTH\n", stderr), 2;
	ctl = open("/dev/zerofs-control", O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		return fail("/dev/zerofs-control");
	if (find(ctl, argv[1], &info))
		return fail(argv[1]);
	memcpy(at.uuid, info.uuid, sizeof(at.uuid));
	at.grace_ms = info.grace_ms;
	if (ioctl(ctl, ZEROFS_IOC_ATTACH, &at))
		return fail("ATTACH");
	if (!(at.flags & ZEROFS_ATTACH_HAS_ARENA))
		return fprintf(stderr, "arena: the session has none\n"), 1;
	if (ioctl(ctl, ZEROFS_IOC_ARENA_FD, &af))
		return fail("ARENA_FD");
	total = at.arena_offset + at.arena_len;
	p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, af.fd, 0);
	if (p == MAP_FAILED)
		return fail("mmap");
	off = strtoull(argv[2], NULL, 0);
	if (!strcmp(argv[2], "data"))
		off = at.arena_offset;
	else if (!strcmp(argv[2], "entry") && !(off = newest_entry(p, total, at.uuid)))
		return fprintf(stderr, "arena: no entry is in use\n"), 1;
	len = strtoull(argv[3], NULL, 0);
	if (!strcmp(argv[2], "forget")) {
		for (; len && (off = newest_entry(p, total, at.uuid)); len--)
			fmt_arena_clear((struct fmt_arena_entry *)(p + off));
		if (len)
			return fprintf(stderr, "arena: fewer entries are in use\n"), 1;
	}
	if (len > total || off > total - len)
		return fprintf(stderr, "arena: the range lies outside\n"), 2;
	for (uint64_t i = 0; i < len; i++)
		p[off + i] ^= 0xff;
	printf("acked %llu flushed %llu index %llu data %llu\n", (unsigned long long)at.acked_wno,
	       (unsigned long long)at.flushed_wno, (unsigned long long)at.arena_offset,
	       (unsigned long long)at.arena_len);
	return 0;
}
