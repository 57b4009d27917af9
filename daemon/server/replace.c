// SPDX-License-Identifier: GPL-2.0-or-later
#include "server/replace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "server/control.h"
#include "server/host.h"

int replace_ask(const char *dir, const char *name, const char *uuid, uint64_t now_us,
		unsigned int patience_ms, int *ret_asked, char *err)
{
	json_t *req = json_pack("{s:s, s:s, s:I}", "op", "replace", "uuid", uuid, "until_us",
				(json_int_t)(now_us + REPLACE_ASK_US));
	const char *error;
	json_t *answer;
	int rc;

	*ret_asked = 0;
	rc = control_ask(dir, name, req, patience_ms, NULL, NULL, &answer);
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
			 name, strerror(-rc));
		return rc;
	}
	if (!json_is_true(json_object_get(answer, "ok"))) {
		error = json_string_value(json_object_get(answer, "error"));
		snprintf(err, HOST_ERR_LEN, "the daemon that serves '%s' goes on: %s", name,
			 error ? error : "it refuses and does not say why");
		rc = -EBUSY;
	}
	*ret_asked = !rc;
	json_decref(answer);
	return rc;
}
