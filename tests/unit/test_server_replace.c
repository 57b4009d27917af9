// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may replace a daemon that has a journal: one that goes on with the same, or gives it up. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/tempdir.h"
#include "server/replace.h"

static char *dir;
static char a[256], b[256], link_to_a[256];

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	dir = tempdir_make();
	if (!dir)
		return -1;
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(link_to_a, sizeof(link_to_a), "%s/link", dir);
	touch(a);
	touch(b);
	return symlink("a", link_to_a);
}

static int teardown(void **state)
{
	(void)state;
	tempdir_remove(dir);
	return 0;
}

static void test_names(void **state)
{
	char x[REPLACE_JOURNAL_LEN], y[REPLACE_JOURNAL_LEN];

	(void)state;
	replace_journal(NULL, x);
	assert_string_equal(x, "");
	replace_journal("/nonexistent/journal", x);
	assert_string_equal(x, "");
	replace_journal(a, x);
	replace_journal(link_to_a, y);
	assert_string_not_equal(x, "");
	assert_string_equal(x, y);
	replace_journal(b, y);
	assert_string_not_equal(x, y);
}

/* What the daemon with the journal at @own (NULL: none) says to one that names @journal. */
static bool lets_go(const char *own, const char *journal, bool busy, bool abandon)
{
	char x[REPLACE_JOURNAL_LEN], y[REPLACE_JOURNAL_LEN];
	json_t *req, *no;

	replace_journal(own, x);
	replace_journal(journal, y);
	req = json_pack("{s:s, s:b, s:b}", "journal", y, "busy", busy, "abandon", abandon);
	assert_non_null(req);
	no = replace_check_journal(x, own, req);
	if (no && own)
		assert_non_null(strstr(json_string_value(json_object_get(no, "error")), own));
	json_decref(req);
	json_decref(no);
	return !no;
}

static void test_journals(void **state)
{
	(void)state;
	assert_true(lets_go(NULL, NULL, false, false));
	assert_true(lets_go(a, a, true, false));
	assert_true(lets_go(a, link_to_a, true, false));
	assert_true(lets_go(NULL, a, false, false)); /* it begins to use one */
	assert_false(lets_go(NULL, a, true, false));
	assert_false(lets_go(a, NULL, false, false));
	assert_false(lets_go(a, b, false, false));
	assert_false(lets_go(a, b, true, false));
	assert_true(lets_go(a, NULL, false, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_journals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
