// SPDX-License-Identifier: GPL-2.0-or-later
#include "cmd/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "base/nearest.h"
#include "server/control.h"
#include "server/report.h"

int target_open(struct kdev *kd)
{
	char why[256];
	int rc = kdev_open(kd);

	if (!rc)
		return 0;
	kdev_explain(kd, rc, why, sizeof(why));
	return cmd_err("%s", why);
}

int target_sessions(struct kdev *kd, struct zerofs_session_info **ret)
{
	uint32_t *ids = calloc(TARGET_MAX, sizeof(*ids));
	struct zerofs_session_info *si = calloc(TARGET_MAX, sizeof(*si));
	int n = ids && si ? kdev_list(kd, ZEROFS_LIST_SESSIONS, 0, ids, TARGET_MAX) : -ENOMEM;
	int found = 0;

	for (int i = 0; i < n && i < TARGET_MAX; i++) {
		int rc = kdev_session_info(kd, ids[i], &si[found]);

		if (!rc)
			found++;
		else if (rc != -ENOENT && rc != -ENODEV)
			n = rc; /* these: it ended meanwhile */
	}
	free(ids);
	if (n < 0) {
		free(si);
		cmd_err("the module does not list its volumes: %s", strerror(-n));
		return -1;
	}
	*ret = si;
	return found;
}

int target_devices(struct kdev *kd, uint32_t session, struct zerofs_dev_info **ret)
{
	uint32_t *ids = calloc(TARGET_MAX, sizeof(*ids));
	struct zerofs_dev_info *di = calloc(TARGET_MAX, sizeof(*di));
	int n = ids && di ? kdev_list(kd, ZEROFS_LIST_DEVS, session, ids, TARGET_MAX) : -ENOMEM;
	int found = 0;

	for (int i = 0; i < n && i < TARGET_MAX; i++) {
		int rc = kdev_dev_info(kd, ids[i], &di[found]);

		if (!rc)
			found++;
		else if (rc != -ENOENT && rc != -ENODEV)
			n = rc;
	}
	free(ids);
	if (n < 0) {
		free(di);
		cmd_err("the module does not list its devices: %s", strerror(-n));
		return -1;
	}
	*ret = di;
	return found;
}

/* "/dev/zerofs7", "zerofs7": 7; -1: something else. */
static long device_index(const char *word)
{
	uint64_t n;

	if (!strncmp(word, "/dev/", 5))
		word += 5;
	if (strncmp(word, "zerofs", 6) != 0 || parse_u64(word + 6, 0, UINT32_MAX, &n))
		return -1;
	return (long)n;
}

static int find_by_device(struct kdev *kd, long index, struct zerofs_session_info *ret)
{
	struct zerofs_dev_info di;
	int rc = kdev_dev_info(kd, (uint32_t)index, &di);

	if (!rc)
		rc = kdev_session_info(kd, di.session, ret);
	if (rc == -ENOENT || rc == -ENODEV)
		return cmd_err("there is no /dev/zerofs%ld; see: zerofs list", index);
	if (rc)
		return cmd_err("the module does not describe /dev/zerofs%ld: %s", index,
			       strerror(-rc));
	return 0;
}

int target_find(struct kdev *kd, const char *word, struct zerofs_session_info *ret)
{
	struct zerofs_session_info *si;
	long index = device_index(word);
	const char **names;
	const char *near;
	uint8_t uuid[16];
	bool is_uuid = !uuid_parse(word, uuid);
	int n, rc = CMD_FAILED;

	n = target_sessions(kd, &si);
	if (n < 0)
		return CMD_FAILED;
	for (int i = 0; i < n; i++) {
		if (!strcmp(si[i].name, word) ||
		    (is_uuid && !memcmp(si[i].uuid, uuid, sizeof(uuid)))) {
			*ret = si[i];
			free(si);
			return 0;
		}
	}
	if (index >= 0) {
		free(si);
		return find_by_device(kd, index, ret);
	}
	names = calloc((size_t)n + 1, sizeof(*names));
	for (int i = 0; names && i < n; i++)
		names[i] = si[i].name;
	near = names ? nearest_word(word, names, (size_t)n, sizeof(*names)) : NULL;
	if (near)
		rc = cmd_err("no volume called '%s' is in use on this host; did you mean '%s'?",
			     word, near);
	else
		rc = cmd_err("no volume called '%s' is in use on this host; see: zerofs list",
			     word);
	free(names);
	free(si);
	return rc;
}

int target_open_find(struct kdev *kd, const char *word, struct zerofs_session_info *ret)
{
	int rc = target_open(kd);

	if (rc)
		return rc;
	rc = target_find(kd, word, ret);
	if (rc)
		kdev_close(kd);
	return rc;
}

static void print_note(void *ctx, const char *text)
{
	const struct zerofs_session_info *si = ctx;

	cmd_err("%s: %s", si->name, text);
}

int target_ask(const struct zerofs_session_info *si, json_t *req, unsigned int patience_ms,
	       json_t **ret)
{
	const char *error;
	json_t *answer;
	int rc;

	if (!(si->flags & ZEROFS_INFO_ATTACHED)) {
		json_decref(req);
		return cmd_err(
			"no daemon serves the volume '%s' (state %s); start one: zerofs serve",
			si->name, report_state(si->state));
	}
	rc = control_ask(CONTROL_DIR, si->name, req, patience_ms, print_note, (void *)si, &answer);
	if (rc == -ENOENT)
		return cmd_err(
			"the daemon of '%s' (process %d) does not listen at %s/%s.sock; end it "
			"with a signal",
			si->name, si->pid, CONTROL_DIR, si->name);
	if (rc == -ETIMEDOUT)
		return cmd_err(
			"the daemon of '%s' (process %d) does not answer; if it is stuck: zerofs "
			"fail %s",
			si->name, si->pid, si->name);
	if (rc == -ECONNRESET)
		return cmd_err(
			"the daemon of '%s' (process %d) ended without an answer; see its log",
			si->name, si->pid);
	if (rc)
		return cmd_err("the daemon of '%s' (process %d) cannot be asked: %s", si->name,
			       si->pid, strerror(-rc));
	if (!json_is_true(json_object_get(answer, "ok"))) {
		error = json_string_value(json_object_get(answer, "error"));
		cmd_err("%s: %s", si->name,
			error ? error : "the daemon refuses and does not say why");
		json_decref(answer);
		return CMD_FAILED;
	}
	*ret = answer;
	return 0;
}

json_t *target_try_nbd(const char *name, const char *op)
{
	json_t *answer = NULL;

	if (control_ask(CONTROL_DIR_NBD, name, json_pack("{s:s}", "op", op), CONTROL_PATIENCE_MS,
			NULL, NULL, &answer))
		return NULL;
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	json_decref(answer);
	return NULL;
}

int target_ask_word(const char *word, const char *op, json_t **ret)
{
	struct zerofs_session_info si;
	struct kdev kd;
	int rc;

	*ret = target_try_nbd(word, op);
	if (*ret)
		return 0;
	rc = target_open_find(&kd, word, &si);
	if (rc)
		return rc;
	rc = target_ask(&si, json_pack("{s:s}", "op", op), CONTROL_PATIENCE_MS, ret);
	kdev_close(&kd);
	return rc;
}

json_t *target_try(const struct zerofs_session_info *si, json_t *req, unsigned int patience_ms)
{
	json_t *answer = NULL;

	if (!(si->flags & ZEROFS_INFO_ATTACHED)) {
		json_decref(req);
		return NULL;
	}
	if (control_ask(CONTROL_DIR, si->name, req, patience_ms, NULL, NULL, &answer))
		return NULL;
	return answer;
}
