// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What every control call refuses. A table row is one refusal: a call that would succeed, with one
 * thing wrong; the row before it in the same test proves that the untouched call is welcome.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

static int raw(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* One test a refusal: the field of @good at @off of @size bytes is set to @value. */
struct bend {
	const char *what;
	size_t off, size;
	uint64_t value;
	int want;
};
#define BEND(type, field, value, want) \
	{ \
#type "." #field " = " #value, offsetof(struct type, field), \
			sizeof(((struct type *)0)->field), (uint64_t)(value), want \
	}

static void bend_all(int fd, unsigned long cmd, const void *good, size_t len,
		     const struct bend *bends, size_t nr)
{
	uint8_t arg[512];
	size_t i;
	int err;

	for (i = 0; i < nr; i++) {
		memcpy(arg, good, len);
		memcpy(arg + bends[i].off, &bends[i].value, bends[i].size > 8 ? 1 : bends[i].size);
		err = raw(fd, cmd, arg);
		if (err != bends[i].want) {
			printf("# %s\n", bends[i].what);
			CHECK_EQ(err, bends[i].want);
		}
	}
}
#define BEND_ALL(fd, cmd, good, bends) \
	bend_all(fd, cmd, &(good), sizeof(good), bends, sizeof(bends) / sizeof((bends)[0]))

static int open_ctl(void)
{
	return open(KDEV_PATH, O_RDWR | O_CLOEXEC);
}

static void unknown_calls(void)
{
	struct zerofs_version v = { .len = sizeof(v) };
	int fd = open_ctl();

	NEED(fd >= 0);
	CHECK_EQ(raw(fd, _IO(ZEROFS_IOC, 0x7f), &v), -ENOTTY);
	CHECK_EQ(raw(fd, _IOWR(ZEROFS_IOC, 0x00, struct zerofs_fd), &v), -ENOTTY);
	CHECK_EQ(raw(fd, ZEROFS_IOC_ENTER, &v), -ENOTTY);
	CHECK_EQ(raw(fd, ZEROFS_IOC_VERSION, (void *)8), -EFAULT);
	CHECK_EQ(raw(fd, ZEROFS_IOC_VERSION, &v), 0);
	CHECK_EQ(v.abi, ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR);
	CHECK_EQ(v.features, ZEROFS_F_ALL);
	CHECK(v.version[0] != '\0');
	close(fd);
}

static void version_refuses(void)
{
	const struct zerofs_version good = { .len = sizeof(good) };
	static const struct bend bends[] = {
		BEND(zerofs_version, len, 0, -EINVAL),
		BEND(zerofs_version, len, sizeof(struct zerofs_version) + 1, -EINVAL),
		BEND(zerofs_version, abi, 1, -EINVAL),
		BEND(zerofs_version, features, 1, -EINVAL),
		BEND(zerofs_version, version, 'x', -EINVAL),
	};
	int fd = open_ctl();

	NEED(fd >= 0);
	BEND_ALL(fd, ZEROFS_IOC_VERSION, good, bends);
	close(fd);
}

static void needs_cap_sys_admin(void)
{
	static const unsigned long cmds[] = {
		ZEROFS_IOC_VERSION,   ZEROFS_IOC_CREATE,    ZEROFS_IOC_ATTACH,
		ZEROFS_IOC_RESUME,    ZEROFS_IOC_SUPERSEDE, ZEROFS_IOC_ADD_DEV,
		ZEROFS_IOC_START_DEV, ZEROFS_IOC_DEL_DEV,   ZEROFS_IOC_RESIZE,
		ZEROFS_IOC_SET_RO,    ZEROFS_IOC_REG_ARENA, ZEROFS_IOC_ARENA_FD,
		ZEROFS_IOC_QUEUE_FD,  ZEROFS_IOC_FAIL,	    ZEROFS_IOC_CLEAR,
		ZEROFS_IOC_RECALL,    ZEROFS_IOC_LIST,	    ZEROFS_IOC_SESSION_INFO,
		ZEROFS_IOC_DEV_INFO,  ZEROFS_IOC_KICK,
	};
	uint8_t arg[512] = { 0 };
	int fd = open_ctl(), status;
	struct stat st;
	struct kdev d;
	pid_t pid;
	size_t i;

	NEED(fd >= 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(100);
		for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++)
			if (raw(fd, cmds[i], arg) != -EPERM)
				_exit(1 + (int)i);
		_exit(kdev_open(&d) == -EACCES ? 0 : 101);
	}
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
	close(fd);
}

static void create_refuses(void)
{
	struct zerofs_create good = {
		.len = sizeof(good),
		.abi = ZEROFS_ABI_MAJOR << 16,
		.grace_ms = 1000,
		.uuid = { 9, 9 },
		.name = "other",
	};
	static const struct bend bends[] = {
		BEND(zerofs_create, len, 1, -EINVAL),
		BEND(zerofs_create, flags, 1, -EINVAL),
		BEND(zerofs_create, abi, (ZEROFS_ABI_MAJOR + 1) << 16, -EPROTONOSUPPORT),
		BEND(zerofs_create, abi, 0, -EPROTONOSUPPORT),
		BEND(zerofs_create, features, 1, -EINVAL),
		BEND(zerofs_create, features, 1ULL << 63, -EINVAL),
		BEND(zerofs_create, rsvd, 1, -EINVAL),
		BEND(zerofs_create, session, 1, -EINVAL),
		BEND(zerofs_create, attach_gen, 1, -EINVAL),
		BEND(zerofs_create, name, 0, -EINVAL),
		BEND(zerofs_create, name, '/', -EINVAL),
		BEND(zerofs_create, name, '.', -EINVAL),
		BEND(zerofs_create, name, '-', -EINVAL),
		BEND(zerofs_create, name, ' ', -EINVAL),
		BEND(zerofs_create, name, 0xe9, -EINVAL),
	};
	struct zerofs_create arg;
	int fd = open_ctl(), fd2 = open_ctl();

	NEED(fd >= 0 && fd2 >= 0);
	BEND_ALL(fd, ZEROFS_IOC_CREATE, good, bends);
	arg = good;
	memset(arg.uuid, 0, sizeof(arg.uuid));
	CHECK_EQ(raw(fd, ZEROFS_IOC_CREATE, &arg), -EINVAL);
	arg = good;
	memset(arg.name, 'x', sizeof(arg.name));
	CHECK_EQ(raw(fd, ZEROFS_IOC_CREATE, &arg), -EINVAL);
	arg = good;
	arg.name[20] = 'x';
	CHECK_EQ(raw(fd, ZEROFS_IOC_CREATE, &arg), -EINVAL);

	arg = good;
	CHECK_EQ(raw(fd, ZEROFS_IOC_CREATE, &arg), 0);
	CHECK(arg.session != 0);
	CHECK_EQ(arg.attach_gen, 1);
	arg = good;
	arg.uuid[0]++;
	arg.name[0]++;
	CHECK_EQ(raw(fd, ZEROFS_IOC_CREATE, &arg), -EBUSY); /* bound already */
	arg = good;
	arg.name[0]++;
	CHECK_EQ(raw(fd2, ZEROFS_IOC_CREATE, &arg), -EEXIST); /* the uuid */
	arg = good;
	arg.uuid[0]++;
	CHECK_EQ(raw(fd2, ZEROFS_IOC_CREATE, &arg), -EEXIST); /* the name */
	close(fd);
	arg = good;
	CHECK_EQ(raw(fd2, ZEROFS_IOC_CREATE, &arg), 0); /* gone with its daemon */
	close(fd2);
}

static void attach_refuses(void)
{
	struct zerofs_attach good = {
		.len = sizeof(good),
		.abi = ZEROFS_ABI_MAJOR << 16,
		.grace_ms = 1000,
	};
	static const struct bend bends[] = {
		BEND(zerofs_attach, len, 1, -EINVAL),
		BEND(zerofs_attach, flags, 1, -EINVAL),
		BEND(zerofs_attach, abi, (ZEROFS_ABI_MAJOR + 1) << 16, -EPROTONOSUPPORT),
		BEND(zerofs_attach, features, 1, -EINVAL),
		BEND(zerofs_attach, rsvd, 1, -EINVAL),
		BEND(zerofs_attach, uuid, 0xff, -ENOENT),
	};
	struct zerofs_attach arg;
	struct lab lab;
	int fd = open_ctl();

	NEED(fd >= 0);
	memcpy(good.uuid, lab_uuid, sizeof(good.uuid));
	arg = good;
	CHECK_EQ(raw(fd, ZEROFS_IOC_ATTACH, &arg), -ENOENT);
	lab_init(&lab);
	NEED_EQ(lab_start(&lab, 60000), 0);
	BEND_ALL(fd, ZEROFS_IOC_ATTACH, good, bends);
	arg = good;
	CHECK_EQ(raw(fd, ZEROFS_IOC_ATTACH, &arg), -EBUSY); /* it has a daemon */
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ATTACH, &arg), -EBUSY); /* bound already */
	close(fd);
	lab_end(&lab);
}

/* Calls that need a session, on a control fd that is none. */
static void unbound_refuses(void)
{
	struct kdev d;
	struct zerofs_add_dev add = {
		.index = -1,
		.size = 1 << 20,
		.block_size = 4096,
		.depth = 4,
		.nr_write_queues = 1,
		.nr_read_queues = 1,
		.name = "x",
	};
	struct zerofs_recall_ent ent;
	struct kdev_queue q;
	uint32_t state;
	void *p;

	NEED_EQ(kdev_open(&d), 0);
	CHECK_EQ(kdev_resume(&d, ZEROFS_RESUME_INTACT, 0, 0, &state), -ENOTCONN);
	CHECK_EQ(kdev_supersede(&d), -ENOTCONN);
	CHECK_EQ(kdev_kick(&d), -ENOTCONN);
	CHECK_EQ(kdev_add_dev(&d, &add), -ENOTCONN);
	CHECK_EQ(kdev_start_dev(&d, 0), -ENOTCONN);
	CHECK_EQ(kdev_resize(&d, 0, 1 << 20), -ENOTCONN);
	CHECK_EQ(kdev_set_ro(&d, 0, true), -ENOTCONN);
	CHECK_EQ(kdev_arena_fd(&d), -ENOTCONN);
	CHECK_EQ(kdev_queue_open(&d, 0, 0, &q), -ENOTCONN);
	CHECK_EQ(kdev_recall(&d, &ent, 1), -ENOTCONN);
	CHECK_EQ(kdev_reg_arena(&d, 0, 0, NULL, 4096, 1), -ENOTCONN);
	CHECK_EQ(kdev_del_dev(&d, 4711, false), -ENODEV);
	CHECK_EQ(kdev_fail(&d, 4711), -ENOENT);
	CHECK_EQ(kdev_clear(&d, 4711), -ENOENT);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, d.fd, 0);
	CHECK(p == MAP_FAILED && errno == ENOTCONN);
	kdev_close(&d);
}

static void session_cmd_refuses(void)
{
	static const unsigned long cmds[] = {
		ZEROFS_IOC_SUPERSEDE,
		ZEROFS_IOC_FAIL,
		ZEROFS_IOC_CLEAR,
		ZEROFS_IOC_KICK,
	};
	static const struct bend bends[] = {
		BEND(zerofs_session_cmd, len, 0, -EINVAL),
		BEND(zerofs_session_cmd, flags, 1, -EINVAL),
		BEND(zerofs_session_cmd, rsvd, 1, -EINVAL),
	};
	struct zerofs_session_cmd good = { .len = sizeof(good) };
	struct lab lab;
	size_t i;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	good.session = lab.d.session;
	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++)
		BEND_ALL(lab.d.fd, cmds[i], good, bends);
	CHECK_EQ(lab_state(), ZEROFS_S_LIVE);
	lab_end(&lab);
}

static void resume_refuses(void)
{
	struct zerofs_resume good = { .len = sizeof(good) };
	static const struct bend bends[] = {
		BEND(zerofs_resume, len, 0, -EINVAL),
		BEND(zerofs_resume, flags, 2, -EINVAL),
		BEND(zerofs_resume, result, 2, -EINVAL),
		BEND(zerofs_resume, state, 1, -EINVAL),
		BEND(zerofs_resume, recovered_wno, 0, -EBADFD), /* LIVE: nothing to resume */
	};
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_RESUME, good, bends);
	lab_end(&lab);
}

static void add_dev_refuses(void)
{
	struct zerofs_add_dev good = {
		.len = sizeof(good),
		.index = 7,
		.size = 1 << 20,
		.block_size = 4096,
		.depth = 4,
		.nr_write_queues = 1,
		.nr_read_queues = 1,
		.name = "x",
		.dev_id = 5,
	};
	static const struct bend bends[] = {
		BEND(zerofs_add_dev, len, 0, -EINVAL),
		BEND(zerofs_add_dev, flags, 2, -EINVAL),
		BEND(zerofs_add_dev, index, -2, -EINVAL),
		BEND(zerofs_add_dev, index, 1 << 20, -EINVAL),
		BEND(zerofs_add_dev, size, 0, -EINVAL),
		BEND(zerofs_add_dev, size, 4095, -EINVAL),
		BEND(zerofs_add_dev, size, 1ULL << 63, -EINVAL),
		BEND(zerofs_add_dev, block_size, 512, -EINVAL),
		BEND(zerofs_add_dev, block_size, 8192, -EINVAL),
		BEND(zerofs_add_dev, block_size, 0, -EINVAL),
		BEND(zerofs_add_dev, depth, 0, -EINVAL),
		BEND(zerofs_add_dev, depth, ZEROFS_MAX_DEPTH + 1, -EINVAL),
		BEND(zerofs_add_dev, nr_write_queues, 0, -EINVAL),
		BEND(zerofs_add_dev, nr_write_queues, ZEROFS_MAX_QUEUES, -EINVAL),
		BEND(zerofs_add_dev, nr_write_queues, 0xffffffff, -EINVAL),
		BEND(zerofs_add_dev, nr_read_queues, 0, -EINVAL),
		BEND(zerofs_add_dev, nr_read_queues, ZEROFS_MAX_QUEUES, -EINVAL),
		BEND(zerofs_add_dev, name, 0, -EINVAL),
		BEND(zerofs_add_dev, name, '/', -EINVAL),
	};
	struct zerofs_add_dev arg;
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_ADD_DEV, good, bends);
	arg = good;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ADD_DEV, &arg), 0);
	CHECK_EQ(arg.index, 7);
	arg = good;
	arg.dev_id = 6;
	arg.name[0] = 'y';
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ADD_DEV, &arg), -EEXIST); /* the index */
	arg.index = -1;
	arg.name[0] = 'x';
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ADD_DEV, &arg), -EEXIST); /* the name */
	arg.name[0] = 'y';
	arg.dev_id = 5;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ADD_DEV, &arg), -EEXIST); /* the id */
	arg.dev_id = 6;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_ADD_DEV, &arg), 0);
	CHECK_EQ(arg.index, 0); /* lowest free */
	lab_end(&lab);
}

static void dev_cmd_refuses(void)
{
	static const struct bend start[] = {
		BEND(zerofs_dev_cmd, len, 0, -EINVAL),
		BEND(zerofs_dev_cmd, flags, 1, -EINVAL),
		BEND(zerofs_dev_cmd, arg, 1, -EINVAL),
		BEND(zerofs_dev_cmd, size, 4096, -EINVAL),
		BEND(zerofs_dev_cmd, index, 999, -ENODEV),
		BEND(zerofs_dev_cmd, index, 0xffffffff, -ENODEV),
		BEND(zerofs_dev_cmd, arg, 0, -ENXIO), /* no arena, no queue fds */
	};
	static const struct bend del[] = {
		BEND(zerofs_dev_cmd, len, 0, -EINVAL),
		BEND(zerofs_dev_cmd, flags, 2, -EINVAL),
		BEND(zerofs_dev_cmd, arg, 1, -EINVAL),
		BEND(zerofs_dev_cmd, size, 4096, -EINVAL),
		BEND(zerofs_dev_cmd, index, 999, -ENODEV),
	};
	static const struct bend resize[] = {
		BEND(zerofs_dev_cmd, len, 0, -EINVAL),
		BEND(zerofs_dev_cmd, flags, 1, -EINVAL),
		BEND(zerofs_dev_cmd, arg, 1, -EINVAL),
		BEND(zerofs_dev_cmd, size, 0, -EINVAL),
		BEND(zerofs_dev_cmd, size, 1000, -EINVAL),
		BEND(zerofs_dev_cmd, size, 1ULL << 63, -EINVAL),
		BEND(zerofs_dev_cmd, index, 999, -ENODEV),
	};
	static const struct bend set_ro[] = {
		BEND(zerofs_dev_cmd, len, 0, -EINVAL),
		BEND(zerofs_dev_cmd, flags, 1, -EINVAL),
		BEND(zerofs_dev_cmd, arg, 2, -EINVAL),
		BEND(zerofs_dev_cmd, size, 4096, -EINVAL),
		BEND(zerofs_dev_cmd, index, 999, -ENODEV),
	};
	struct zerofs_dev_cmd good = { .len = sizeof(good) };
	struct lab lab, other;

	lab_init(&lab);
	lab_init(&other);
	NEED_EQ(lab_create(&lab, 1000), 0);
	NEED_EQ(lab_add(&lab), 0);
	good.index = lab.disk[0].index;
	BEND_ALL(lab.d.fd, ZEROFS_IOC_START_DEV, good, start);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_DEL_DEV, good, del);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_SET_RO, good, set_ro);
	good.size = 1 << 20;
	BEND_ALL(lab.d.fd, ZEROFS_IOC_RESIZE, good, resize);
	/* Another session's device is not ours to change. */
	NEED_EQ(kdev_open(&other.d), 0);
	NEED_EQ(kdev_create(&other.d, (const uint8_t[16]){ 5 }, "other", 0), 0);
	CHECK_EQ(kdev_start_dev(&other.d, good.index), -EACCES);
	CHECK_EQ(kdev_resize(&other.d, good.index, 4096), -EACCES);
	CHECK_EQ(kdev_set_ro(&other.d, good.index, true), -EACCES);
	CHECK_EQ(kdev_queue_open(&other.d, good.index, 0, &other.q[0].q), -EACCES);
	lab_stop(&other);
	/* Started once, with everything there. */
	NEED_EQ(lab_arena(&lab), 0);
	CHECK_EQ(kdev_start_dev(&lab.d, good.index), -ENXIO);
	NEED_EQ(lab_queues(&lab), 0);
	NEED_EQ(lab_start_devs(&lab), 0);
	CHECK_EQ(kdev_start_dev(&lab.d, good.index), -EBADFD);
	lab_end(&lab);
	lab_free(&other);
}

static void reg_arena_refuses(void)
{
	struct zerofs_reg_arena good = { .len = sizeof(good), .nr_bufs = 16, .length = 8 << 20 };
	static const struct bend bends[] = {
		BEND(zerofs_reg_arena, len, 0, -EINVAL),
		BEND(zerofs_reg_arena, flags, 1, -EINVAL),
		BEND(zerofs_reg_arena, buf_off, 1, -EINVAL),
		BEND(zerofs_reg_arena, rw_len, 1, -EINVAL),
		BEND(zerofs_reg_arena, nr_bufs, 0, -EINVAL),
		BEND(zerofs_reg_arena, nr_bufs, 3, -EINVAL),
		BEND(zerofs_reg_arena, nr_bufs, ZEROFS_MAX_BUFS * 2, -EINVAL),
		BEND(zerofs_reg_arena, fd, -1, -EBADF),
		BEND(zerofs_reg_arena, fd, 0, -EINVAL), /* not an arena at all */
		BEND(zerofs_reg_arena, length, 0, -EINVAL),
		BEND(zerofs_reg_arena, length, 4097, -EINVAL),
		BEND(zerofs_reg_arena, length, 16 << 20, -EINVAL), /* beyond the file */
		BEND(zerofs_reg_arena, length, ~4095ULL, -EINVAL),
		BEND(zerofs_reg_arena, offset, 512, -EINVAL),
		BEND(zerofs_reg_arena, offset, 4096, -EINVAL), /* runs over the file's end */
		BEND(zerofs_reg_arena, offset, ~4095ULL, -EINVAL),
		BEND(zerofs_reg_arena, address, 0, -EFAULT),
		BEND(zerofs_reg_arena, address, 0x1234, -EINVAL),
	};
	struct zerofs_reg_arena arg;
	struct lab lab;
	int unsealed;
	void *p, *anon;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	good.fd = kdev_arena_memfd(good.length);
	NEED(good.fd >= 0);
	p = mmap(NULL, good.length, PROT_READ | PROT_WRITE, MAP_SHARED, good.fd, 0);
	NEED(p != MAP_FAILED);
	good.address = (uintptr_t)p;
	BEND_ALL(lab.d.fd, ZEROFS_IOC_REG_ARENA, good, bends);

	/* Memory that is not the file's. */
	anon = mmap(NULL, good.length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	arg = good;
	arg.address = (uintptr_t)anon;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EINVAL);
	/* The file's, but private: copies. */
	munmap(anon, good.length);
	anon = mmap(NULL, good.length, PROT_READ | PROT_WRITE, MAP_PRIVATE, good.fd, 0);
	arg.address = (uintptr_t)anon;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EINVAL);
	munmap(anon, good.length);
	/* Read-only. */
	anon = mmap(NULL, good.length, PROT_READ, MAP_SHARED, good.fd, 0);
	arg.address = (uintptr_t)anon;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EFAULT);
	munmap(anon, good.length);
	/* Another place of it. */
	arg = good;
	arg.length = 4 << 20;
	arg.offset = 4 << 20;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EINVAL);
	/* Not sealed. */
	unsealed = memfd_create("x", MFD_ALLOW_SEALING);
	CHECK_EQ(ftruncate(unsealed, (off_t)good.length), 0);
	anon = mmap(NULL, good.length, PROT_READ | PROT_WRITE, MAP_SHARED, unsealed, 0);
	arg = good;
	arg.fd = unsealed;
	arg.address = (uintptr_t)anon;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EINVAL);
	munmap(anon, good.length);
	close(unsealed);
	/* Our own descriptors. */
	arg = good;
	arg.fd = lab.d.fd;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EINVAL);

	arg = good;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), 0);
	arg = good;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_REG_ARENA, &arg), -EBUSY);
	munmap(p, good.length);
	close(good.fd);
	lab_end(&lab);
}

static void queue_fd_refuses(void)
{
	struct zerofs_queue_fd good = { .len = sizeof(good) };
	static const struct bend bends[] = {
		BEND(zerofs_queue_fd, len, 0, -EINVAL),
		BEND(zerofs_queue_fd, flags, 1, -EINVAL),
		BEND(zerofs_queue_fd, fd, 1, -EINVAL),
		BEND(zerofs_queue_fd, ring_entries, 1, -EINVAL),
		BEND(zerofs_queue_fd, seg_entries, 1, -EINVAL),
		BEND(zerofs_queue_fd, req_off, 1, -EINVAL),
		BEND(zerofs_queue_fd, ro_len, 1, -EINVAL),
		BEND(zerofs_queue_fd, rsp_off, 1, -EINVAL),
		BEND(zerofs_queue_fd, seg_off, 1, -EINVAL),
		BEND(zerofs_queue_fd, rw_len, 1, -EINVAL),
		BEND(zerofs_queue_fd, queue, 2, -EINVAL),
		BEND(zerofs_queue_fd, queue, 0xffffffff, -EINVAL),
		BEND(zerofs_queue_fd, index, 999, -ENODEV),
	};
	struct zerofs_queue_fd arg;
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	NEED_EQ(lab_add(&lab), 0);
	good.index = lab.disk[0].index;
	BEND_ALL(lab.d.fd, ZEROFS_IOC_QUEUE_FD, good, bends);
	arg = good;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_QUEUE_FD, &arg), 0);
	CHECK_EQ(fcntl(arg.fd, F_GETFD), FD_CLOEXEC);
	close(arg.fd);
	arg = good;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_QUEUE_FD, &arg), -EBUSY);
	lab_end(&lab);
}

static void maps_refuse(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct lab lab;
	struct kdev_queue *q;
	void *p;
	pid_t pid;
	int status;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	NEED_EQ(lab_add(&lab), 0);
	NEED_EQ(lab_queues(&lab), 0);
	q = &lab.q[0].q;
#define REFUSED(len, prot, flags, fd, off, why) \
	do { \
		p = mmap(NULL, len, prot, flags, fd, (off_t)(off)); \
		CHECK(p == MAP_FAILED && errno == (why)); \
	} while (0)
	REFUSED(page, PROT_READ | PROT_WRITE, MAP_SHARED, lab.d.fd, ZEROFS_OFF_SESSION_RO, EPERM);
	REFUSED(page, PROT_READ | PROT_WRITE, MAP_SHARED, lab.d.fd, ZEROFS_OFF_SESSION_RW, ENXIO);
	REFUSED(page, PROT_READ, MAP_SHARED, lab.d.fd, page, EINVAL);
	REFUSED(2 * page, PROT_READ, MAP_SHARED, lab.d.fd, ZEROFS_OFF_SESSION_RO, EINVAL);
	REFUSED(page, PROT_READ, MAP_PRIVATE, lab.d.fd, ZEROFS_OFF_SESSION_RO, EINVAL);
	REFUSED(q->ro_len, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, ZEROFS_OFF_QUEUE_RO, EPERM);
	REFUSED(q->ro_len + page, PROT_READ, MAP_SHARED, q->fd, ZEROFS_OFF_QUEUE_RO, EINVAL);
	REFUSED(q->rw_len + page, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, ZEROFS_OFF_QUEUE_RW,
		EINVAL);
	REFUSED(q->rw_len, PROT_READ | PROT_EXEC, MAP_SHARED, q->fd, ZEROFS_OFF_QUEUE_RW, EINVAL);
	REFUSED(q->rw_len, PROT_READ, MAP_SHARED, q->fd, ZEROFS_OFF_QUEUE_RW + page, EINVAL);
	/* What is mapped read-only stays so, and does not grow. */
	CHECK(mprotect((void *)q->k, q->ro_len, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	CHECK(mremap((void *)q->k, q->ro_len, q->ro_len * 2, MREMAP_MAYMOVE) == MAP_FAILED);
	/* A child has neither the maps nor the right to make them. */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (mmap(NULL, q->ro_len, PROT_READ, MAP_SHARED, q->fd, 0) != MAP_FAILED ||
		    errno != EPERM)
			_exit(1);
		if (mmap(NULL, page, PROT_READ, MAP_SHARED, lab.d.fd, 0) != MAP_FAILED ||
		    errno != EPERM)
			_exit(2);
		_exit(msync((void *)q->k, page, MS_ASYNC) < 0 && errno == ENOMEM ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	lab_end(&lab);
}

static void enter_refuses(void)
{
	static const struct bend bends[] = {
		BEND(zerofs_enter, len, 0, -EINVAL), BEND(zerofs_enter, flags, 1, -EINVAL),
		BEND(zerofs_enter, min_req, 17, -EINVAL), /* more than the queue's depth */
	};
	struct zerofs_enter good = { .len = sizeof(good) };
	struct lab lab;
	int fd;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	NEED_EQ(lab_add(&lab), 0);
	NEED_EQ(lab_queues(&lab), 0);
	fd = lab.q[0].q.fd;
	BEND_ALL(fd, ZEROFS_IOC_ENTER, good, bends);
	CHECK_EQ(raw(fd, ZEROFS_IOC_ENTER, (void *)8), -EFAULT);
	CHECK_EQ(raw(fd, ZEROFS_IOC_VERSION, &good), -ENOTTY);
	CHECK_EQ(raw(fd, ZEROFS_IOC_ENTER, &good), 0);
	CHECK_EQ(good.avail, 0);
	good.min_req = 1;
	good.timeout_us = 20000;
	CHECK_EQ(raw(fd, ZEROFS_IOC_ENTER, &good), 0); /* the time is up */
	CHECK_EQ(good.avail, 0);
	lab_end(&lab);
}

static void telling_refuses(void)
{
	static const struct bend list[] = {
		BEND(zerofs_list, len, 0, -EINVAL),
		BEND(zerofs_list, kind, 2, -EINVAL),
		BEND(zerofs_list, session, 1, -EINVAL),
		BEND(zerofs_list, ids, 8, -EFAULT),
	};
	static const struct bend sinfo[] = {
		BEND(zerofs_session_info, len, 0, -EINVAL),
		BEND(zerofs_session_info, flags, 1, -EINVAL),
		BEND(zerofs_session_info, pid, 1, -EINVAL),
		BEND(zerofs_session_info, name, 'x', -EINVAL),
		BEND(zerofs_session_info, session, 4711, -ENOENT),
	};
	static const struct bend dinfo[] = {
		BEND(zerofs_dev_info, len, 0, -EINVAL),
		BEND(zerofs_dev_info, flags, 1, -EINVAL),
		BEND(zerofs_dev_info, rsvd, 1, -EINVAL),
		BEND(zerofs_dev_info, index, 4711, -ENODEV),
	};
	static const struct bend afd[] = {
		BEND(zerofs_fd, len, 0, -EINVAL),   BEND(zerofs_fd, flags, 1, -EINVAL),
		BEND(zerofs_fd, fd, 1, -EINVAL),    BEND(zerofs_fd, rsvd, 1, -EINVAL),
		BEND(zerofs_fd, rsvd, 0, -ENODATA), /* nobody's arena was kept */
	};
	static const struct bend recall[] = {
		BEND(zerofs_recall, len, 0, -EINVAL),  BEND(zerofs_recall, flags, 1, -EINVAL),
		BEND(zerofs_recall, rsvd, 1, -EINVAL), BEND(zerofs_recall, nr, 0, -EINVAL),
		BEND(zerofs_recall, nr, 1, -EBADFD), /* no arena yet */
	};
	struct zerofs_list l = { .len = sizeof(l), .nr = 4 };
	struct zerofs_session_info s = { .len = sizeof(s) };
	struct zerofs_dev_info i = { .len = sizeof(i) };
	struct zerofs_fd f = { .len = sizeof(f) };
	struct zerofs_recall_ent ents[4];
	struct zerofs_recall r = { .len = sizeof(r), .nr = 4, .ents = (uintptr_t)ents };
	uint32_t ids[4];
	struct lab lab;

	lab_init(&lab);
	NEED_EQ(lab_create(&lab, 1000), 0);
	NEED_EQ(lab_add(&lab), 0);
	l.ids = (uintptr_t)ids;
	s.session = lab.d.session;
	i.index = lab.disk[0].index;
	BEND_ALL(lab.d.fd, ZEROFS_IOC_LIST, l, list);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_SESSION_INFO, s, sinfo);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_DEV_INFO, i, dinfo);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_ARENA_FD, f, afd);
	BEND_ALL(lab.d.fd, ZEROFS_IOC_RECALL, r, recall);
	l.kind = ZEROFS_LIST_DEVS;
	l.session = 4711;
	CHECK_EQ(raw(lab.d.fd, ZEROFS_IOC_LIST, &l), -ENOENT);

	/* And what they say. */
	CHECK_EQ(kdev_session_info(&lab.d, lab.d.session, &s), 0);
	CHECK_EQ(s.state, ZEROFS_S_LIVE);
	CHECK_EQ(s.flags, ZEROFS_INFO_ATTACHED);
	CHECK_EQ(s.pid, getpid());
	CHECK_EQ(s.nr_devs, 1);
	CHECK_EQ(s.grace_ms, 1000);
	CHECK(!strcmp(s.name, "lab") && !memcmp(s.uuid, lab_uuid, 16));
	CHECK_EQ(kdev_dev_info(&lab.d, lab.disk[0].index, &i), 0);
	CHECK_EQ(i.state, ZEROFS_D_NEW);
	CHECK_EQ(i.size, lab.disk[0].size);
	CHECK_EQ(i.depth, 16);
	CHECK(!strcmp(i.name, "disk0"));
	CHECK_EQ(kdev_list(&lab.d, ZEROFS_LIST_SESSIONS, 0, ids, 4), 1);
	CHECK_EQ(ids[0], lab.d.session);
	CHECK_EQ(kdev_list(&lab.d, ZEROFS_LIST_DEVS, lab.d.session, ids, 4), 1);
	CHECK_EQ(kdev_list(&lab.d, ZEROFS_LIST_DEVS, ~0U, NULL, 0), 1);
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(unknown_calls),	 CHECK_TEST(version_refuses),
	CHECK_TEST(needs_cap_sys_admin), CHECK_TEST(create_refuses),
	CHECK_TEST(attach_refuses),	 CHECK_TEST(unbound_refuses),
	CHECK_TEST(session_cmd_refuses), CHECK_TEST(resume_refuses),
	CHECK_TEST(add_dev_refuses),	 CHECK_TEST(dev_cmd_refuses),
	CHECK_TEST(reg_arena_refuses),	 CHECK_TEST(queue_fd_refuses),
	CHECK_TEST(maps_refuse),	 CHECK_TEST(enter_refuses),
	CHECK_TEST(telling_refuses),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
