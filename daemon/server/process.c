// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define PROCESS_STACK (512u << 10) /* locked in memory, once a thread */
#define PROCESS_FILES 65536u

static int write_oom_score(void)
{
	static const char score[] = "-1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, score, sizeof(score) - 1) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static void limits(void)
{
	struct rlimit none = { 0, 0 };
	struct rlimit files;
	pthread_attr_t attr;

	setrlimit(RLIMIT_CORE, &none);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		rlim_t want = files.rlim_max < PROCESS_FILES ? files.rlim_max : PROCESS_FILES;

		if (files.rlim_cur < want) {
			files.rlim_cur = want;
			setrlimit(RLIMIT_NOFILE, &files);
		}
	}
	if (!pthread_attr_init(&attr)) {
		if (!pthread_attr_setstacksize(&attr, PROCESS_STACK))
			pthread_setattr_default_np(&attr);
		pthread_attr_destroy(&attr);
	}
}

int process_harden(char *err, size_t len)
{
	sigset_t all;
	int rc, oom;

	umask(077);
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	limits();
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	rc = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0 ? -errno : 0;
	oom = write_oom_score();
	if (rc)
		snprintf(err, len,
			 "this process may wait for its own device when memory is short "
			 "(PR_SET_IO_FLUSHER: %s)",
			 strerror(-rc));
	else if (oom)
		snprintf(err, len, "the OOM killer may choose this process (oom_score_adj: %s)",
			 strerror(-oom));
	return rc || oom;
}

int process_lock_memory(void)
{
	return mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0;
}
