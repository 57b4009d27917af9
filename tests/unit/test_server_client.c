// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a person who waits for a detach is told meanwhile: that the store fails, with which error
 * and since when, once; that it works again; and nothing when all goes well. A client that went
 * away or does not read holds nobody up.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/client.h"

#define SECOND 1000000ull

static int peer[2];
static struct client c;

static int setup(void **unused)
{
	(void)unused;
	client_init(&c);
	return socketpair(AF_UNIX, SOCK_STREAM, 0, peer);
}

static int teardown(void **unused)
{
	(void)unused;
	if (peer[1] >= 0)
		close(peer[1]);
	return close(peer[0]);
}

/* All that has come, "" for nothing. */
static const char *heard(void)
{
	static char buf[1024];
	ssize_t n = recv(peer[1], buf, sizeof(buf) - 1, MSG_DONTWAIT);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void test_outage(void **unused)
{
	struct volume_stats st = { .store_errno = ETIMEDOUT,
				   .store_outage_us = 42 * SECOND,
				   .dirty_bytes = 3 << 20 };
	const char *text;

	(void)unused;
	client_look(&c, &st, 100 * SECOND); /* nobody there */
	client_take(&c, peer[0], true, 100 * SECOND);
	client_look(&c, &st, 100 * SECOND);
	text = heard();
	assert_memory_equal(text, "{\"note\":\"", 9);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, strerror(ETIMEDOUT)));
	assert_non_null(strstr(text, "for 42 s"));
	assert_non_null(strstr(text, "3.0 MiB"));
	client_look(&c, &st, 101 * SECOND);
	client_look(&c, &st, 1000 * SECOND);
	assert_string_equal(heard(), "");
	st.store_errno = ENOSPC;
	client_look(&c, &st, 1001 * SECOND);
	assert_non_null(strstr(heard(), "full"));
	st.store_errno = 0;
	client_look(&c, &st, 1002 * SECOND);
	assert_non_null(strstr(heard(), "works again"));
	client_look(&c, &st, 1100 * SECOND);
	assert_string_equal(heard(), "");
	assert_int_equal(client_leave(&c), peer[0]);
	st.store_errno = EIO;
	client_look(&c, &st, 1101 * SECOND);
	assert_string_equal(heard(), "");
	assert_int_equal(client_leave(&c), -1);
}

/* No error, but it takes its time: said once, and not at once. */
static void test_slow(void **unused)
{
	struct volume_stats st = { .dirty_bytes = 3 << 20 };

	(void)unused;
	client_take(&c, peer[0], true, 100 * SECOND);
	client_look(&c, &st, 102 * SECOND);
	assert_string_equal(heard(), "");
	client_look(&c, &st, 100 * SECOND + CLIENT_SLOW_US);
	assert_non_null(strstr(heard(), "3.0 MiB to go"));
	client_look(&c, &st, 200 * SECOND);
	assert_string_equal(heard(), "");
	client_leave(&c);
}

static void test_peers(void **unused)
{
	struct volume_stats st = { .store_errno = EIO };

	(void)unused;
	/* an older client: it would take a note for the answer */
	client_take(&c, peer[0], false, 0);
	assert_false(client_waits(&c));
	client_look(&c, &st, SECOND);
	assert_string_equal(heard(), "");
	client_leave(&c);

	/* One that does not read: this must come to an end. */
	client_take(&c, peer[0], true, 0);
	for (int i = 0; i < 10000; i++) {
		st.store_errno = i % 2 ? EIO : ENOSPC;
		client_look(&c, &st, SECOND);
	}
	client_leave(&c);

	/* One that was interrupted: no signal, no harm. */
	close(peer[1]);
	peer[1] = -1;
	client_take(&c, peer[0], true, 0);
	client_look(&c, &st, SECOND);
	assert_int_equal(client_leave(&c), peer[0]);
}

/* Who was interrupted and asks again, and who asks from elsewhere: each is told, and answered. */
static void test_joined(void **unused)
{
	struct volume_stats st = { .store_errno = EIO };
	int other[2], more[CLIENT_MAX][2], gone = peer[0];

	(void)unused;
	assert_true(client_take(&c, peer[0], true, 0));
	assert_false(client_gone(&c));
	client_look(&c, &st, SECOND);
	assert_non_null(strstr(heard(), strerror(EIO)));
	close(peer[1]);
	assert_true(client_gone(&c));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	assert_true(client_take(&c, other[0], true, SECOND));
	assert_false(client_gone(&c));
	peer[1] = other[1];
	client_look(&c, &st, 2 * SECOND);
	assert_non_null(strstr(heard(), strerror(EIO)));
	client_look(&c, &st, 3 * SECOND);
	assert_string_equal(heard(), "");
	/* There is room for so many, and it is those that are there who have it. */
	for (uint32_t i = 0; i < CLIENT_MAX - 1; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, more[i]), 0);
		assert_true(client_take(&c, more[i][0], false, 4 * SECOND));
	}
	assert_int_equal(fcntl(gone, F_GETFD), -1); /* closed */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, more[CLIENT_MAX - 1]), 0);
	assert_false(client_take(&c, more[CLIENT_MAX - 1][0], false, 4 * SECOND));
	close(more[CLIENT_MAX - 1][1]);
	for (uint32_t i = CLIENT_MAX - 1; i-- > 0;) {
		assert_int_equal(client_leave(&c), more[i][0]);
		close(more[i][0]);
		close(more[i][1]);
	}
	assert_int_equal(client_leave(&c), other[0]);
	assert_int_equal(client_leave(&c), -1);
	close(other[0]);
	peer[0] = more[CLIENT_MAX - 1][0];
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_joined, setup, teardown),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
