// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nosync PROGRAM [ARGUMENT...]: runs a program whose fsync, fdatasync, syncfs, sync and
 * sync_file_range succeed without doing anything. The control of the power-cut test: a daemon that
 * does not sync must be found out. Whoever syncs by other means (O_SYNC, io_uring) is not fooled.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	/* RET_ERRNO with errno 0: the call is skipped and returns 0. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fsync, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fdatasync, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_syncfs, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sync, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sync_file_range, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (argc < 2) {
		fputs("usage: nosync PROGRAM [ARGUMENT...]\n", stderr);
		return 2;
	}
	/* No PR_SET_NO_NEW_PRIVS: the caller has CAP_SYS_ADMIN, and the daemon shall keep it. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0)) {
		fprintf(stderr, "nosync: %s\n", strerror(errno));
		return 1;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "nosync: %s: %s\n", argv[1], strerror(errno));
	return 1;
}
