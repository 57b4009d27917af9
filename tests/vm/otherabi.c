// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LD_PRELOAD library: a module and a daemon of which only one was upgraded. OTHERABI=older: the
 * module's VERSION answer says one major version less than the daemon's; newer: one more; none: the
 * module does not know VERSION. call: the daemon speaks major version + 1 in CREATE and ATTACH, so
 * that the module is the one that refuses.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uapi/zerofs.h"

int ioctl(int fd, unsigned long cmd, ...)
{
	const char *how = getenv("OTHERABI");
	va_list ap;
	void *arg;
	int rc;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!how)
		how = "";
	if (cmd == ZEROFS_IOC_VERSION && !strcmp(how, "none")) {
		errno = ENOTTY;
		return -1;
	}
	if (cmd == ZEROFS_IOC_CREATE && !strcmp(how, "call"))
		((struct zerofs_create *)arg)->abi += 1 << 16;
	else if (cmd == ZEROFS_IOC_ATTACH && !strcmp(how, "call"))
		((struct zerofs_attach *)arg)->abi += 1 << 16;
	rc = (int)syscall(SYS_ioctl, fd, cmd, arg);
	if (cmd == ZEROFS_IOC_VERSION && !rc && !strcmp(how, "older"))
		((struct zerofs_version *)arg)->abi -= 1 << 16;
	else if (cmd == ZEROFS_IOC_VERSION && !rc && !strcmp(how, "newer"))
		((struct zerofs_version *)arg)->abi += 1 << 16;
	return rc;
}
