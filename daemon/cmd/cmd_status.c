// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/parse.h"
#include "base/uuid.h"
#include "cmd/cmd.h"
#include "cmd/cmd_opt.h"
#include "cmd/target.h"
#include "server/control.h"
#include "server/report.h"

#define STATUS_NOTICES 5 /* shown to a person */
#define SUFFIX	       ".sock"

/* What each state means to whoever looks, and what to do. */
static const char *const advice[ZEROFS_S_NR] = {
	[ZEROFS_S_LIVE] = "",
	[ZEROFS_S_DETACHED] = "no daemon; I/O waits. Start one: zerofs serve",
	[ZEROFS_S_RECOVERING] = "a daemon is coming up; I/O waits",
	[ZEROFS_S_FAILED] = "all I/O fails. A new daemon brings the volume back: zerofs serve",
	[ZEROFS_S_CACHE_LOST] =
		"acknowledged writes are gone, all I/O fails. Unmount, then: zerofs clear",
	[ZEROFS_S_SUPERSEDED] =
		("another host has taken the volume over, all I/O fails. Unmount, then: zerofs "
		 "detach --force"),
};

static uint64_t num(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

static const char *str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* A wall clock as people read it. */
static const char *when(char *text, size_t len, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	strftime(text, len, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	return text;
}

static void print_pending(const json_t *d)
{
	char a[PARSE_SIZE_STR];

	if (!strcmp(str(d, "phase"), "starting") || !strcmp(str(d, "phase"), "recovering"))
		printf("  pending:  not known before the volume is up\n");
	else if (num(d, "dirty_bytes"))
		printf("  pending:  %s not yet in the store, the oldest for %.1f s; %" PRIu64
		       " FLUSHes wait\n",
		       parse_size_str(a, num(d, "dirty_bytes")),
		       (double)num(d, "dirty_age_us") / 1e6, num(d, "flushes_waiting"));
	else
		printf("  pending:  nothing; all that was written is in the store\n");
}

static void print_daemon(const json_t *d)
{
	char a[PARSE_SIZE_STR], b[PARSE_SIZE_STR], at[32];
	const json_t *notices = json_object_get(d, "notices");
	size_t n = json_array_size(notices);

	printf("  store:    %s\n", str(d, "url"));
	printf("  daemon:   process %" PRIu64 ", version %s, %s\n", num(d, "pid"),
	       str(d, "version"), str(d, "phase"));
	printf("  flush:    %s: %s\n", str(d, "flush"), str(d, "flush_promise"));
	if (!strcmp(str(d, "journal"), "active"))
		printf("  journal:  %s of %s used\n", parse_size_str(a, num(d, "journal_used")),
		       parse_size_str(b, num(d, "journal_size")));
	if (!strcmp(str(d, "journal"), "failed"))
		printf("  TROUBLE:  the journal's disk has failed; until the next start a FLUSH "
		       "waits for the store\n");
	print_pending(d);
	if (*str(d, "store_trouble"))
		printf("  TROUBLE:  %s (for %.0f s)\n", str(d, "store_trouble"),
		       (double)num(d, "store_outage_us") / 1e6);
	if (num(d, "corrupt_frames"))
		printf("  TROUBLE:  %" PRIu64
		       " damaged pieces were met; reads of them fail (see the log)\n",
		       num(d, "corrupt_frames"));
	printf("  memory:   %s of %s\n", parse_size_str(a, num(d, "memory_used")),
	       parse_size_str(b, num(d, "memory_cap")));
	printf("  data:     %s mapped, %s in the store", parse_size_str(a, num(d, "mapped_bytes")),
	       parse_size_str(b, num(d, "stored_bytes")));
	if (num(d, "dead_bytes"))
		printf(", of which %s are to be deleted", parse_size_str(a, num(d, "dead_bytes")));
	printf("\n");
	for (size_t i = n > STATUS_NOTICES ? n - STATUS_NOTICES : 0; i < n; i++) {
		const json_t *x = json_array_get(notices, i);

		printf("  %s %s: %s\n", when(at, sizeof(at), num(x, "time_us")), str(x, "level"),
		       str(x, "text"));
	}
}

static void print_one(struct kdev *kd, const struct zerofs_session_info *si, const json_t *daemon)
{
	char uuid[UUID_STR_LEN], size[PARSE_SIZE_STR];
	struct zerofs_dev_info *di;
	int n = target_devices(kd, si->session, &di);

	printf("%s: %s%s%s\n", si->name, report_state(si->state),
	       si->state < ZEROFS_S_NR && *advice[si->state] ? ": " : "",
	       si->state < ZEROFS_S_NR ? advice[si->state] : "");
	printf("  uuid:     %s\n", uuid_str(uuid, si->uuid));
	if (si->state == ZEROFS_S_DETACHED && si->grace_ms != ZEROFS_GRACE_FOREVER)
		printf("  grace:    %.1f s left, then all I/O fails\n", si->grace_left_ms / 1e3);
	for (int i = 0; i < n; i++)
		printf("  device:   /dev/zerofs%u %s, %s%s, %u opener%s\n", di[i].index, di[i].name,
		       parse_size_str(size, di[i].size),
		       di[i].flags & ZEROFS_DEV_RO ? ", read-only" : "", di[i].openers,
		       di[i].openers == 1 ? "" : "s");
	if (n >= 0)
		free(di);
	if (daemon)
		print_daemon(daemon);
	else if (si->flags & ZEROFS_INFO_ATTACHED)
		printf("  daemon:   process %d DOES NOT ANSWER; if it is stuck: zerofs fail %s\n",
		       si->pid, si->name);
}

static json_t *one_json(const struct zerofs_session_info *si, json_t *daemon)
{
	char uuid[UUID_STR_LEN];

	return json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name",
			 si->name, "uuid", uuid_str(uuid, si->uuid), "state",
			 report_state(si->state), "attached",
			 (si->flags & ZEROFS_INFO_ATTACHED) != 0, "pid", si->pid, "attach_gen",
			 (json_int_t)si->attach_gen, "acked_wno", (json_int_t)si->acked_wno,
			 "flushed_wno", (json_int_t)si->flushed_wno, "grace_ms",
			 (json_int_t)si->grace_ms, "grace_left_ms", (json_int_t)si->grace_left_ms,
			 "protocol_errors", (json_int_t)si->protocol_errors, "daemon",
			 daemon ? daemon : json_null());
}

/* Of a volume that nbdkit serves: prints it, or appends it to @list. False: none does. */
static bool status_nbd(const char *name, json_t *list)
{
	json_t *daemon = target_try_nbd(name, "status");

	if (!daemon)
		return false;
	if (list) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:O}", "name", name, "uuid",
						      str(daemon, "uuid"), "served_by", "nbd",
						      "daemon", daemon));
	} else {
		printf("%s: served by nbdkit, without the module\n", name);
		printf("  uuid:     %s\n", str(daemon, "uuid"));
		print_daemon(daemon);
	}
	json_decref(daemon);
	return true;
}

static int is_socket(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > strlen(SUFFIX) && !strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX);
}

/* Of all of them; how many. */
static int status_all_nbd(json_t *list)
{
	struct dirent **e;
	int n = scandir(CONTROL_DIR_NBD, &e, is_socket, alphasort), found = 0;

	for (int i = 0; i < n; i++) {
		e[i]->d_name[strlen(e[i]->d_name) - strlen(SUFFIX)] = '\0';
		found += status_nbd(e[i]->d_name, list);
		free(e[i]);
	}
	if (n >= 0)
		free(e);
	return found;
}

static void print_json(const json_t *list, bool one)
{
	json_dumpf(one ? json_array_get(list, 0) : list, stdout, JSON_INDENT(2));
	printf("\n");
}

/* Of what the module has: @word, or everything (NULL). */
static int status_module(const char *word, json_t *list, int *ret_found)
{
	struct zerofs_session_info *si;
	struct kdev kd;
	int n = 1, rc = target_open(&kd);

	if (rc)
		return rc;
	if (word) {
		si = calloc(1, sizeof(*si));
		rc = si ? target_find(&kd, word, si) : cmd_err("out of memory");
	} else {
		n = target_sessions(&kd, &si);
		rc = n < 0 ? CMD_FAILED : 0;
		if (n < 0)
			si = NULL;
	}
	for (int i = 0; i < n && !rc; i++) {
		json_t *daemon =
			target_try(&si[i], json_pack("{s:s}", "op", "status"), CONTROL_PATIENCE_MS);

		if (list)
			json_array_append_new(list, one_json(&si[i], daemon));
		else
			print_one(&kd, &si[i], daemon);
		if (!list)
			json_decref(daemon);
	}
	*ret_found = n;
	free(si);
	kdev_close(&kd);
	return rc;
}

/* Without the module there may be volumes all the same; without either it is the module's line. */
static bool has_module(void)
{
	struct kdev kd;

	if (kdev_open(&kd))
		return false;
	kdev_close(&kd);
	return true;
}

int cmd_status(const struct cmd *cmd, int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = { { "json", NULL,
					  "print JSON: an object, or a list of them without a name",
					  NULL, &json },
					{ 0 } };
	const char *word;
	json_t *list;
	int found = 0, nbd, rc = cmd_opt_parse(cmd, opts, &argc, argv, 0, 1);

	if (rc)
		return rc == CMD_OPT_HELP ? CMD_OK : rc;
	word = argc > 1 ? argv[1] : NULL;
	list = json ? json_array() : NULL;
	nbd = word ? status_nbd(word, list) : status_all_nbd(list);
	if (!nbd || (!word && has_module()))
		rc = status_module(word, list, &found);
	if (!rc && json)
		print_json(list, word);
	else if (!rc && !nbd && !found)
		printf("no volume is in use on this host\n");
	json_decref(list);
	return rc;
}
