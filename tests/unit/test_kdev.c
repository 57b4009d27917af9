// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a person is told when module and daemon do not go together: both versions, and which of the
 * two to upgrade. Calls to a module are tests/kernel's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "transport/kdev.h"

#define OURS (ZEROFS_ABI_MAJOR << 16 | ZEROFS_ABI_MINOR)

static char err[256];

static const char *explain(uint32_t abi, const char *version, int rc)
{
	struct kdev d = { .fd = -1, .abi = abi };

	snprintf(d.version, sizeof(d.version), "%s", version);
	kdev_explain(&d, rc, err, sizeof(err));
	assert_null(strchr(err, '\n'));
	assert_true(strlen(err) < sizeof(err) - 1);
	return err;
}

static void says(uint32_t abi, const char *todo)
{
	char both[96];

	explain(abi, "9.8.7", -EPROTONOSUPPORT);
	snprintf(both, sizeof(both),
		 "module (9.8.7) speaks ABI %u.%u, this daemon (%s) ABI %u.%u:", abi >> 16,
		 abi & 0xffff, ZEROFS_VERSION, ZEROFS_ABI_MAJOR, ZEROFS_ABI_MINOR);
	assert_non_null(strstr(err, both));
	assert_non_null(strstr(err, todo));
}

static void test_abi(void **state)
{
	(void)state;
	says(OURS - (1u << 16), "upgrade the module");
	says(OURS + (1u << 16), "upgrade the daemon");
	says(OURS + (12u << 16) + 34, "upgrade the daemon");
	/* The module refuses although it says the same version. */
	says(OURS, "of one version");
	explain(0, "", -EPROTONOSUPPORT);
	assert_non_null(strstr(err, "does not say its ABI"));
	assert_non_null(strstr(err, "of one version"));
}

static void test_others(void **state)
{
	(void)state;
	assert_non_null(strstr(explain(OURS, "1", -ENODEV), "modprobe zerofs"));
	assert_non_null(strstr(explain(OURS, "1", -EACCES), "run as root"));
	assert_non_null(strstr(explain(OURS, "1", -EMFILE), strerror(EMFILE)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_abi),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("kdev", tests, NULL, NULL);
}
