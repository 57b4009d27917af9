// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/replace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "server/control.h"
#include "server/host.h"

void replace_journal(const char *path, char out[REPLACE_JOURNAL_LEN])
{
	struct stat st;

	out[0] = '\0';
	if (!path || stat(path, &st))
		return;
	if (S_ISBLK(st.st_mode))
		snprintf(out, REPLACE_JOURNAL_LEN, "device %llx", (unsigned long long)st.st_rdev);
	else
		snprintf(out, REPLACE_JOURNAL_LEN, "file %llx %llx", (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino);
}

json_t *replace_check_journal(const char *own, const char *path, const json_t *req)
{
	const char *journal = json_string_value(json_object_get(req, "journal"));

	if (*own && !json_is_true(json_object_get(req, "abandon")) &&
	    (!journal || strcmp(journal, own) != 0))
		return control_refusal("its journal is %s: name it, with --journal", path);
	if (!*own && json_is_true(json_object_get(req, "busy")))
		return control_refusal("the journal is in use, and not by it");
	return NULL;
}

int replace_ask(const struct replace_ask *a, uint64_t now_us, unsigned int patience_ms,
		int *ret_asked, char *err)
{
	json_t *req = json_pack("{s:s, s:s, s:I, s:s, s:b, s:b}", "op", "replace", "uuid", a->uuid,
				"until_us", (json_int_t)(now_us + REPLACE_ASK_US), "journal",
				a->journal, "busy", a->busy, "abandon", a->abandon);
	const char *error;
	json_t *answer;
	int rc;

	*ret_asked = 0;
	rc = control_ask(a->dir, a->name, req, patience_ms, NULL, NULL, &answer);
	if (rc == -ENOENT)
		return 0; /* nobody to replace */
	if (rc == -ECONNRESET) {
		/* It ended without a word: as after a kill. */
		*ret_asked = 1;
		return 0;
	}
	if (rc) {
		snprintf(err, HOST_ERR_LEN,
			 "the daemon that serves '%s' does not answer (%s); nothing was changed",
			 a->name, strerror(-rc));
		return rc;
	}
	if (!json_is_true(json_object_get(answer, "ok"))) {
		error = json_string_value(json_object_get(answer, "error"));
		snprintf(err, HOST_ERR_LEN, "the daemon that serves '%s' goes on: %s", a->name,
			 error ? error : "it refuses and does not say why");
		rc = -EBUSY;
	}
	*ret_asked = !rc;
	json_decref(answer);
	return rc;
}
