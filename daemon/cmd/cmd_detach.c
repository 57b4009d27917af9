// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/report.h"

/* The daemon does it, and has ended by the time it answers. */
static int ask_daemon(const struct zerofs_session_info *si, bool force)
{
	json_int_t left;
	json_t *answer;
	int rc = target_ask(
		si, json_pack("{s:s, s:b, s:b}", "op", "detach", "force", force, "notes", 1), 0,
		&answer);

	if (rc)
		return rc;
	left = json_integer_value(json_object_get(answer, "left"));
	json_decref(answer);
	if (left)
		return cmd_err("%s: everything is in the store, but %d of its devices were opened "
			       "meanwhile and were left behind; close them and run this again",
			       si->name, (int)left);
	printf("'%s' is detached; everything is in the store\n", si->name);
	return CMD_OK;
}

/* The module's arena may hold writes that nobody else has. */
static bool may_lose(const struct zerofs_session_info *si)
{
	return (si->state == ZEROFS_S_DETACHED || si->state == ZEROFS_S_FAILED) &&
	       si->acked_wno > si->flushed_wno;
}

static int remove_devices(struct kdev *kd, const struct zerofs_session_info *si, bool force)
{
	struct zerofs_dev_info *di;
	int n = target_devices(kd, si->session, &di), rc = CMD_OK;

	if (n < 0)
		return CMD_FAILED;
	for (int i = 0; i < n && !force; i++) {
		if (di[i].openers) {
			rc = cmd_err(
				"/dev/zerofs%u is open (mounted, in a pool?); close it, or use "
				"--force",
				di[i].index);
			goto out;
		}
	}
	if (may_lose(si) && !force) {
		rc = cmd_err("'%s' has no daemon, and memory holds writes that may not be in the "
			     "store; serve it again first, or give them up with --force",
			     si->name);
		goto out;
	}
	for (int i = 0; i < n; i++) {
		int err = kdev_del_dev(kd, di[i].index, force);

		if (err && err != -ENOENT && err != -ENODEV)
			rc = cmd_err("/dev/zerofs%u cannot be removed: %s", di[i].index,
				     strerror(-err));
	}
	if (!rc)
		printf("'%s' had no daemon (state %s); its %d device%s removed\n", si->name,
		       report_state(si->state), n, n == 1 ? " is" : "s are");
out:
	free(di);
	return rc;
}

int cmd_detach(const struct cmd *cmd, int argc, char **argv)
{
	bool force = false;
	const struct cmd_opt opts[] = { { "force", NULL,
					  "remove devices that are open too: their I/O fails", NULL,
					  &force },
					{ 0 } };
	struct zerofs_session_info si;
	struct kdev kd;
	int rc = cmd_opt_parse(cmd, opts, &argc, argv, 1, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	rc = target_open_find(&kd, argv[1], &si);
	if (rc)
		return rc;
	if (si.flags & ZEROFS_INFO_ATTACHED)
		rc = ask_daemon(&si, force);
	else
		rc = remove_devices(&kd, &si, force);
	kdev_close(&kd);
	return rc;
}
