// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/s3/creds_ask.h"
#include "store/s3/creds_json.h"

#define WORDS	 64u
#define OUT_ROOM 65536u
#define WHO	 "credential_process"

extern char **environ;

struct run {
	pid_t pid;
	int out, pidfd;
	char *text; /* locked */
	size_t len;
};

/* Splits @s in place, as Python's shlex does. The number of words, or -EINVAL. */
static int split(char *s, char *words[WORDS + 1])
{
	char *to = s, quote = '\0';
	bool within = false;
	int n = 0;

	for (; *s; s++) {
		if (!quote && strchr(" \t\r\n", *s)) {
			if (within)
				*to++ = '\0';
			within = false;
			continue;
		}
		if (!within) {
			if (n == (int)WORDS)
				return -EINVAL;
			words[n++] = to;
			within = true;
		}
		if (quote ? *s == quote : *s == '\'' || *s == '"') {
			quote = quote ? '\0' : *s;
		} else if (*s == '\\' && quote != '\'' && s[1] &&
			   (!quote || s[1] == '"' || s[1] == '\\')) {
			*to++ = *++s;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	words[n] = NULL;
	return quote || !n ? -EINVAL : n;
}

static int start(struct run *r, char *words[])
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int fd[2], rc;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, fd[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = -posix_spawnp(&r->pid, words[0], &fa, &attr, words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	if (rc) {
		close(fd[0]);
		return rc;
	}
	r->out = fd[0];
	fcntl(r->out, F_SETFL, O_NONBLOCK);
	r->pidfd = pidfd_open(r->pid, 0);
	return 0;
}

/* What is there to read. 1: more may come; 0: that was all; -EFBIG. */
static int drain(struct run *r)
{
	for (;;) {
		ssize_t n = read(r->out, r->text + r->len, OUT_ROOM - r->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : 0;
		if (!n)
			return 0;
		r->len += (size_t)n;
		if (r->len == OUT_ROOM)
			return -EFBIG;
	}
}

static int left_ms(const struct timespec *until)
{
	struct timespec t;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ms = (until->tv_sec - t.tv_sec) * 1000 + (until->tv_nsec - t.tv_nsec) / 1000000;
	return ms > 0 ? (int)ms : 0;
}

/* Until it has ended. -ETIMEDOUT, -EFBIG, -ECANCELED: it has not. */
static int follow(struct creds_ask *a, struct run *r)
{
	struct pollfd p[3] = { { .fd = r->out, .events = POLLIN },
			       { .fd = r->pidfd, .events = POLLIN },
			       { .fd = a->stop_fd, .events = POLLIN } };
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CREDS_PROCESS_S;
	for (;;) {
		int ms = left_ms(&until), rc;

		if (!ms)
			return -ETIMEDOUT;
		if (poll(p, 3, ms) < 0 && errno != EINTR)
			return -errno;
		if (p[2].revents)
			return -ECANCELED;
		rc = p[0].revents ? drain(r) : 1;
		if (rc < 0)
			return rc;
		if (!rc)
			p[0].fd = -1;
		/* what it has started and left behind may hold the pipe open */
		if (p[1].revents) {
			rc = drain(r);
			return rc < 0 ? rc : 0;
		}
	}
}

/* 0, or the sentence. */
static int finish(struct creds_ask *a, struct run *r, int rc, const char *name)
{
	int status = 0;

	if (rc)
		kill(-r->pid, SIGKILL);
	/* -ECHILD where the process ignores SIGCHLD: then what was printed decides */
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == -ETIMEDOUT)
		return creds_ask_fail(a, -EAGAIN, WHO " %.100s: no answer within %u s", name,
				      CREDS_PROCESS_S);
	if (rc == -EFBIG)
		return creds_ask_fail(a, -EBADMSG, WHO " %.100s prints more than %u bytes", name,
				      OUT_ROOM);
	if (rc)
		return creds_ask_fail(a, -EAGAIN, WHO " %.100s: %s", name, strerror(-rc));
	if (WIFSIGNALED(status))
		return creds_ask_fail(a, -EACCES, WHO " %.100s died of signal %d", name,
				      WTERMSIG(status));
	if (WEXITSTATUS(status))
		return creds_ask_fail(a, -EACCES, WHO " %.100s failed with status %d", name,
				      WEXITSTATUS(status));
	return 0;
}

static int run(struct creds_ask *a, char *words[], struct run *r)
{
	int rc = start(r, words);

	if (rc)
		return creds_ask_fail(a, rc == -EAGAIN || rc == -ENOMEM ? -EAGAIN : -EACCES,
				      WHO " %.100s: %s", words[0], strerror(-rc));
	rc = r->pidfd < 0 ? -ENOMEM : follow(a, r);
	rc = finish(a, r, rc, words[0]);
	if (r->pidfd >= 0)
		close(r->pidfd);
	close(r->out);
	return rc;
}

int creds_process_run(struct creds_ask *a, const char *command)
{
	struct run r = { .text = sodium_malloc(OUT_ROOM) };
	char *copy = strdup(command), *words[WORDS + 1];
	int rc;

	if (!r.text || !copy)
		rc = creds_ask_fail(a, -EAGAIN, WHO ": out of memory");
	else if (split(copy, words) < 0)
		rc = creds_ask_fail(a, -EINVAL,
				    WHO ": the command is no list of words, or has a quote without "
					"another");
	else
		rc = run(a, words, &r);
	if (!rc)
		rc = creds_json_take(a, CREDS_JSON_PROCESS, r.text, r.len, 0, WHO);
	free(copy);
	sodium_free(r.text);
	return rc;
}
