// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everything at once: I/O, questions and changes from several threads while daemons come, die,
 * break the contract, are failed, superseded and lose their device. Nothing is expected of the I/O
 * but that it ends; the kernel's own checks (KFENCE, warnings) are the judges, and the session must
 * be whole at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "lab.h"

#define MIB    (1UL << 20)
#define ROUNDS 60

struct mob {
	pthread_t thread;
	uint64_t rnd;
	bool *stop;
	uint32_t ok, failed;
};

static uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool over(const struct mob *m)
{
	return __atomic_load_n(m->stop, __ATOMIC_SEQ_CST);
}

/* Opens, does a few things, closes; the device may be gone or failing at any point. */
static void *user(void *arg)
{
	struct mob *m = arg;
	uint8_t *buf = lab_buf(MIB);
	uint64_t range[2];
	int fd, i;
	long ret = 0;

	while (!over(m)) {
		fd = open("/dev/zerofs0", O_RDWR | (rnd(&m->rnd) % 4 ? O_DIRECT : 0));
		if (fd < 0) {
			lab_sleep_ms(3);
			continue;
		}
		for (i = 0; i < 6 && !over(m); i++) {
			uint64_t off = (rnd(&m->rnd) % 48) * MIB + (rnd(&m->rnd) % 200) * 4096;
			size_t len = 4096 * (1 + rnd(&m->rnd) % 50);

			switch (rnd(&m->rnd) % 6) {
			case 0:
			case 1:
				ret = pread(fd, buf, len, (off_t)off);
				break;
			case 2:
			case 3:
				ret = pwrite(fd, buf, len, (off_t)off);
				break;
			case 4:
				ret = fsync(fd) ? -1 : 1;
				break;
			default:
				range[0] = off;
				range[1] = len;
				ret = ioctl(fd, rnd(&m->rnd) & 1 ? BLKDISCARD : BLKZEROOUT, range);
				ret = ret ? -1 : 1;
			}
			if (ret > 0)
				m->ok++;
			else
				m->failed++;
		}
		close(fd);
	}
	free(buf);
	return NULL;
}

/* Asks and meddles. */
static void *meddler(void *arg)
{
	struct zerofs_session_info si;
	struct zerofs_dev_info di;
	struct mob *m = arg;
	uint32_t ids[8];
	char buf[64];
	struct kdev d;

	while (!over(m)) {
		if (kdev_open(&d))
			continue;
		kdev_list(&d, ZEROFS_LIST_DEVS, ~0U, ids, 8);
		if (kdev_list(&d, ZEROFS_LIST_SESSIONS, 0, ids, 8) > 0)
			kdev_session_info(&d, ids[0], &si);
		kdev_dev_info(&d, 0, &di);
		kdev_clear(&d, ids[0]);
		lab_stat_str(0, "state", buf, sizeof(buf));
		lab_stat(0, "inflight");
		lab_stat(0, "bytes_copied");
		kdev_close(&d);
		m->ok++;
		lab_sleep_ms(1);
	}
	return NULL;
}

static void fail_now(struct lab *lab)
{
	struct kdev d;

	if (kdev_open(&d))
		return;
	kdev_fail(&d, lab->d.session);
	kdev_close(&d);
}

/* One daemon's life, and one of its ends. */
static void live_and_die(struct lab *lab, uint64_t *state)
{
	uint32_t n = lab->disk[0].index, i;

	lab_sleep_ms(rnd(state) % 60);
	switch (rnd(state) % 8) {
	case 0:
		__atomic_store_n(&lab->q[0].q.u->rsp_tail, 0x40000000, __ATOMIC_RELEASE);
		break;
	case 1:
		__atomic_store_n(&lab->d.u->buf_tail, 0x40000000, __ATOMIC_RELEASE);
		lab_sleep_ms(20);
		break;
	case 2:
		fail_now(lab);
		break;
	case 3:
		kdev_del_dev(&lab->d, n, true);
		break;
	case 4:
		kdev_supersede(&lab->d);
		break;
	case 5:
		for (i = 0; i < 10; i++) {
			kdev_resize(&lab->d, n, (i & 1 ? 64 : 48) * MIB);
			kdev_set_ro(&lab->d, n, i & 1);
			kdev_kick(&lab->d);
		}
		kdev_set_ro(&lab->d, n, false);
		break;
	default:
		break; /* just dies, with what it holds */
	}
	lab_stop(lab);
}

static bool begin(struct lab *lab)
{
	uint32_t state;
	int now = lab_state();

	if (now == ZEROFS_S_SUPERSEDED || now == ZEROFS_S_CACHE_LOST) {
		lab_clean();
		now = -1;
	}
	if (now < 0)
		return !lab_start(lab, 30000);
	return !lab_attach(lab, 30000, true, ZEROFS_RESUME_INTACT, ZEROFS_RESUME_ADOPTED,
			   UINT64_MAX, &state);
}

static void storm(void)
{
	struct mob mob[6];
	struct lab lab;
	uint64_t state = 0x2545f4914f6cdd1dULL;
	bool stop = false;
	uint32_t ok = 0, failed = 0;
	int i, lives = 0;

	memset(mob, 0, sizeof(mob));
	lab_init(&lab);
	lab.nr_disks = 0;
	lab_add_disk(&lab, 64 * MIB, 8, 2, 2);
	for (i = 0; i < 6; i++) {
		mob[i].rnd = state + (uint64_t)i * 77777;
		mob[i].stop = &stop;
		pthread_create(&mob[i].thread, NULL, i < 5 ? user : meddler, &mob[i]);
	}
	for (i = 0; i < ROUNDS; i++) {
		lab.seen->hold_ops = rnd(&state) % 4 ? 0 : (uint32_t)rnd(&state);
		lab.seen->segs = (uint32_t)(rnd(&state) % 3);
		if (begin(&lab)) {
			lives++;
			live_and_die(&lab, &state);
		} else {
			lab_stop(&lab);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	/* What is held ends with the device. */
	lab_clean();
	for (i = 0; i < 6; i++) {
		pthread_join(mob[i].thread, NULL);
		ok += mob[i].ok;
		failed += mob[i].failed;
	}
	printf("# %d lives, %u calls well, %u failed\n", lives, ok, failed);
	CHECK(lives > ROUNDS / 2);
	CHECK(ok > 100 && failed > 0);
	/* Whole: a new session on the same number works. */
	lab.seen->hold_ops = 0;
	NEED_EQ(lab_start(&lab, 1000), 0);
	CHECK_EQ(lab.disk[0].index, 0);
	i = lab_open(0, O_RDWR | O_DIRECT);
	CHECK(i >= 0);
	CHECK_EQ(fsync(i), 0);
	close(i);
	lab_end(&lab);
}

static const struct check_test tests[] = {
	CHECK_TEST(storm),
};

int main(int argc, char **argv)
{
	return check_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]), lab_clean);
}
