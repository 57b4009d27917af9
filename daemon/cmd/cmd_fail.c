// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/report.h"

int cmd_fail(const struct cmd *cmd, int argc, char **argv)
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
	err = kdev_fail(&kd, si.session);
	kdev_close(&kd);
	if (err == -EBADFD)
		rc = cmd_err("'%s' is %s: its I/O fails already", si.name, report_state(si.state));
	else if (err)
		rc = cmd_err("the module does not fail '%s': %s", si.name, strerror(-err));
	else
		printf("'%s': all I/O fails from here on; serve it again to bring it "
		       "back\n",
		       si.name);
	return rc;
}
