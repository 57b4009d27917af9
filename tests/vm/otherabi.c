// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LD_PRELOAD library: makes a daemon speak ABI major version + 1 to the module, and makes the
 * module's VERSION answer say that it speaks one version less than the daemon does: what each would
 * meet after only one of the two was upgraded. OTHERABI=call changes CREATE and ATTACH only, so
 * that the module is the one that refuses.
 */
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
	if (cmd == ZEROFS_IOC_CREATE)
		((struct zerofs_create *)arg)->abi += 1 << 16;
	else if (cmd == ZEROFS_IOC_ATTACH)
		((struct zerofs_attach *)arg)->abi += 1 << 16;
	rc = (int)syscall(SYS_ioctl, fd, cmd, arg);
	if (cmd == ZEROFS_IOC_VERSION && !rc && (!how || strcmp(how, "call")))
		((struct zerofs_version *)arg)->abi -= 1 << 16;
	return rc;
}
