// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/report.h"

int cmd_clear(const struct cmd *cmd, int argc, char **argv)
{
	const struct cmd_opt opts[] = { { 0 } };
	struct zerofs_session_info si;
	struct kdev kd;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);
	int err;

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	rc = target_open_find(&kd, argv[1], &si);
	if (rc)
		return rc;
	err = kdev_clear(&kd, si.session);
	kdev_close(&kd);
	if (err == -EBADFD)
		rc = cmd_err("'%s' is %s, not CACHE_LOST: there is nothing to clear", si.name,
			     report_state(si.state));
	else if (err == -ENXIO)
		rc = cmd_err("'%s' has no daemon; start one first: zerofs serve", si.name);
	else if (err == -EBUSY)
		rc = cmd_err("a device of '%s' is open: unmount it first, or what is cached "
			     "above it would be mixed with the older image",
			     si.name);
	else if (err)
		rc = cmd_err("the module does not clear '%s': %s", si.name, strerror(-err));
	else
		printf("'%s' may be used again; check the file system on it\n", si.name);
	return rc;
}
