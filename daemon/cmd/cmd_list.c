// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/report.h"

static const char *dev_state(const struct zerofs_session_info *si, const struct zerofs_dev_info *di)
{
	if (di->state == ZEROFS_D_STARTED)
		return report_state(si->state);
	return di->state == ZEROFS_D_NEW ? "NEW" : "DEAD";
}

static void print_session(const struct zerofs_session_info *si, const struct zerofs_dev_info *di,
			  int n)
{
	char size[PARSE_SIZE_STR], pid[16] = "-", node[24];
	int shown = 0;

	if (si->pid > 0)
		snprintf(pid, sizeof(pid), "%d", si->pid);
	for (int i = 0; i < n; i++) {
		if (di[i].session != si->session)
			continue;
		snprintf(node, sizeof(node), "/dev/zerofs%u", di[i].index);
		printf("%-16s  %-11s  %7s  %-14s  %9s  %-4s  %s\n", si->name, dev_state(si, &di[i]),
		       pid, node, parse_size_str(size, di[i].size), di[i].openers ? "yes" : "no",
		       di[i].flags & ZEROFS_DEV_RO ? "read-only" : "");
		shown++;
	}
	if (!shown)
		printf("%-16s  %-11s  %7s  %-14s\n", si->name, report_state(si->state), pid, "-");
}

static json_t *session_json(const struct zerofs_session_info *si, const struct zerofs_dev_info *di,
			    int n)
{
	char uuid[UUID_STR_LEN], node[24];
	json_t *devs = json_array();

	for (int i = 0; i < n; i++) {
		if (di[i].session != si->session)
			continue;
		snprintf(node, sizeof(node), "/dev/zerofs%u", di[i].index);
		json_array_append_new(devs, json_pack("{s:s, s:i, s:s, s:s, s:I, s:b, s:i}", "node",
						      node, "id", (int)di[i].dev_id, "name",
						      di[i].name, "state", dev_state(si, &di[i]),
						      "size", (json_int_t)di[i].size, "read_only",
						      (di[i].flags & ZEROFS_DEV_RO) != 0, "openers",
						      (int)di[i].openers));
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:o}", "name", si->name, "uuid",
			 uuid_str(uuid, si->uuid), "state", report_state(si->state), "pid", si->pid,
			 "attach_gen", (json_int_t)si->attach_gen, "devices", devs);
}

int cmd_list(const struct cmd *cmd, int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = { { "json", NULL, "print JSON", NULL, &json }, { 0 } };
	struct zerofs_session_info *si;
	struct zerofs_dev_info *di;
	struct kdev kd;
	json_t *list;
	int n, m, rc = cmd_opt_parse(cmd, opts, &argc, argv, 0, 0);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	rc = target_open(&kd);
	if (rc)
		return rc;
	n = target_sessions(&kd, &si);
	m = n < 0 ? -1 : target_devices(&kd, ~0u, &di);
	if (m < 0) {
		if (n >= 0)
			free(si);
		kdev_close(&kd);
		return CMD_FAILED;
	}
	list = json_array();
	if (!json && n)
		printf("%-16s  %-11s  %7s  %-14s  %9s  %-4s\n", "VOLUME", "STATE", "PID", "DEVICE",
		       "SIZE", "OPEN");
	for (int i = 0; i < n; i++) {
		if (json)
			json_array_append_new(list, session_json(&si[i], di, m));
		else
			print_session(&si[i], di, m);
	}
	if (json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		printf("\n");
	}
	json_decref(list);
	free(si);
	free(di);
	kdev_close(&kd);
	return CMD_OK;
}
