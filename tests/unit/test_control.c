// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's socket: a request and its answer, a daemon that is gone, one that does not answer,
 * what is not a request, and a socket that a dead daemon left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "server/control.h"
#include "server/host.h"
#include "server/replace.h"

static char dir[64];
static char err[256];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/zerofs-control.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* nothing may be left in it */
}

struct server {
	struct control *c;
	pthread_t thread;
	int answers; /* how many requests to answer, then end */
	int rc; /* of the last control_accept() */
};

static void *serve(void *arg)
{
	struct server *s = arg;

	for (int i = 0; i < s->answers; i++) {
		json_t *req, *answer;
		int conn;

		/* The listening socket does not block: wait as the daemon does. */
		do {
			usleep(1000);
			s->rc = control_accept(s->c, &conn, &req);
		} while (s->rc == -EAGAIN);
		if (s->rc)
			continue;
		if (json_object_get(req, "notes")) {
			control_note(conn, "one");
			control_note(conn, "t\nwo");
		}
		answer = json_pack("{s:b, s:O}", "ok", 1, "echo", req);
		control_answer(conn, answer);
		json_decref(req);
	}
	return NULL;
}

static void start(struct server *s, int answers)
{
	*s = (struct server){ .answers = answers };
	assert_int_equal(control_open(&s->c, dir, "vol", err, sizeof(err)), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void end(struct server *s)
{
	pthread_join(s->thread, NULL);
	control_close(s->c);
}

static void test_ask_and_answer(void **state)
{
	struct stat st;
	struct server s;
	char path[128], *long_text = malloc(100001);
	json_t *answer;

	(void)state;
	start(&s, 2);
	snprintf(path, sizeof(path), "%s/vol.sock", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(control_ask(dir, "vol", json_pack("{s:s}", "op", "status"), 5000, NULL,
				     NULL, &answer),
			 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "echo"), "op")),
		"status");
	json_decref(answer);

	/* More than one read takes. */
	memset(long_text, 'x', 100000);
	long_text[100000] = '\0';
	assert_int_equal(control_ask(dir, "vol", json_pack("{s:s}", "op", long_text), 5000, NULL,
				     NULL, &answer),
			 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "echo"), "op")),
		long_text);
	json_decref(answer);
	free(long_text);
	end(&s);
}

static void take_note(void *ctx, const char *text)
{
	strncat(ctx, text, 50);
	strncat(ctx, "|", 2);
}

/* Notes come before the answer, one by one, also when all are there before anybody reads. */
static void test_notes(void **state)
{
	char heard[128] = "";
	struct server s;
	json_t *answer;

	(void)state;
	start(&s, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(control_ask(dir, "vol", json_pack("{s:b}", "notes", 1), 5000,
					     i ? NULL : take_note, heard, &answer),
				 0);
		assert_true(json_is_true(json_object_get(answer, "ok")));
		assert_string_equal(heard, "one|t\nwo|");
		json_decref(answer);
	}
	/* Only whoever wants them. */
	assert_int_equal(control_ask(dir, "vol", json_object(), 5000, take_note, heard, &answer),
			 0);
	assert_string_equal(heard, "one|t\nwo|");
	json_decref(answer);
	end(&s);
}

static void test_nobody_there(void **state)
{
	struct control *c;
	json_t *answer;

	(void)state;
	assert_int_equal(control_ask(dir, "vol", json_object(), 1000, NULL, NULL, &answer),
			 -ENOENT);
	assert_int_equal(control_ask("/nonexistent/folder", "vol", json_object(), 1000, NULL, NULL,
				     &answer),
			 -ENOENT);
	assert_int_equal(control_ask(dir, "../vol", json_object(), 1000, NULL, NULL, &answer),
			 -EINVAL);
	assert_int_equal(control_open(&c, dir, ".hidden", err, sizeof(err)), -EINVAL);
}

static void test_daemon_that_does_not_answer(void **state)
{
	struct control *c;
	json_t *answer;

	(void)state;
	assert_int_equal(control_open(&c, dir, "vol", err, sizeof(err)), 0);
	assert_int_equal(control_ask(dir, "vol", json_object(), 100, NULL, NULL, &answer),
			 -ETIMEDOUT);
	control_close(c);
}

static void test_one_daemon_a_name(void **state)
{
	struct control *c, *d;

	(void)state;
	assert_int_equal(control_open(&c, dir, "vol", err, sizeof(err)), 0);
	assert_int_equal(control_open(&d, dir, "vol", err, sizeof(err)), -EADDRINUSE);
	assert_non_null(strstr(err, "'vol'"));
	assert_int_equal(control_open(&d, dir, "other", err, sizeof(err)), 0);
	control_close(d);
	control_close(c);
}

static void test_socket_of_a_dead_daemon(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct server s;
	json_t *answer;
	int fd;

	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s/vol.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_int_equal(control_ask(dir, "vol", json_object(), 1000, NULL, NULL, &answer),
			 -ENOENT);
	start(&s, 1);
	assert_int_equal(control_ask(dir, "vol", json_object(), 5000, NULL, NULL, &answer), 0);
	json_decref(answer);
	end(&s);
}

/* Writes @text as a request and reads what comes back. */
static void raw(const char *text, size_t len, char *answer, size_t room)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	ssize_t n;
	int fd;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.90s/vol.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	(void)!send(fd, text, len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	n = recv(fd, answer, room - 1, MSG_WAITALL);
	answer[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void test_what_is_no_request(void **state)
{
	static const char *const bad[] = {
		"hello\n",	 "[1, 2]\n", "{\"op\": 1\n", "{}\n{}\n", "{\"op\":1,\"op\":2}\n",
		"{\"\xff\":1}\n"
	};
	size_t many = CONTROL_MAX + 100000;
	char *flood = malloc(many), answer[256];
	struct server s;

	(void)state;
	start(&s, 9);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		raw(bad[i], strlen(bad[i]), answer, sizeof(answer));
		assert_non_null(strstr(answer, "\"ok\":false"));
	}
	/* Broken off, and nothing at all: no answer, and nothing is left behind. */
	raw("{\"op\":", 6, answer, sizeof(answer));
	assert_string_equal(answer, "");
	raw("", 0, answer, sizeof(answer));
	assert_string_equal(answer, "");
	memset(flood, 'x', many);
	raw(flood, many, answer, sizeof(answer));
	free(flood);
	end(&s);
	assert_int_equal(s.rc, -EPROTO);
}

static void test_refusal(void **state)
{
	json_t *j = control_refusal("no %s", "way");

	(void)state;
	assert_true(json_is_false(json_object_get(j, "ok")));
	assert_string_equal(json_string_value(json_object_get(j, "error")), "no way");
	json_decref(j);
}

/* ---- a new daemon asks an old one to let go -------------------------------------------------- */

static const char uuid[] = "01234567-89ab-4def-8123-456789abcdef";

/* The old one: answers once, with what it is told to; NULL: hangs up. */
struct old {
	struct control *c;
	pthread_t thread;
	json_t *answer;
	json_t *req; /* what it got */
	bool gone; /* nobody waited for the answer any more */
	unsigned int after_ms;
};

static void *old_thread(void *arg)
{
	struct old *o = arg;
	int conn, rc;

	do {
		usleep(1000);
		rc = control_accept(o->c, &conn, &o->req);
	} while (rc == -EAGAIN);
	assert_int_equal(rc, 0);
	usleep(o->after_ms * 1000);
	o->gone = control_gone(conn);
	if (o->answer)
		control_answer(conn, o->answer);
	else
		close(conn);
	return NULL;
}

static int ask(struct old *o, unsigned int patience_ms, int *ret_asked, char *text)
{
	int rc;

	assert_int_equal(control_open(&o->c, dir, "vol", err, sizeof(err)), 0);
	assert_int_equal(pthread_create(&o->thread, NULL, old_thread, o), 0);
	rc = replace_ask(&(struct replace_ask){ .dir = dir, .name = "vol", .uuid = uuid }, 5000000,
			 patience_ms, ret_asked, text);
	pthread_join(o->thread, NULL);
	control_close(o->c);
	assert_string_equal(json_string_value(json_object_get(o->req, "op")), "replace");
	assert_string_equal(json_string_value(json_object_get(o->req, "uuid")), uuid);
	assert_int_equal(json_integer_value(json_object_get(o->req, "until_us")),
			 5000000 + REPLACE_ASK_US);
	json_decref(o->req);
	return rc;
}

static void test_replace(void **state)
{
	char text[HOST_ERR_LEN] = "";
	struct old o = { .answer = json_pack("{s:b}", "ok", 1) };
	int asked;

	(void)state;
	assert_true(REPLACE_PATIENCE_MS * 1000ull > REPLACE_ASK_US + REPLACE_DRAIN_US);
	assert_int_equal(ask(&o, 5000, &asked, text), 0);
	assert_true(asked);
	assert_false(o.gone);

	o = (struct old){ .answer = control_refusal("the store is full") };
	assert_int_equal(ask(&o, 5000, &asked, text), -EBUSY);
	assert_false(asked);
	assert_non_null(strstr(text, "goes on: the store is full"));

	/* it was killed: nothing stands in the way */
	o = (struct old){ .answer = NULL };
	assert_int_equal(ask(&o, 5000, &asked, text), 0);
	assert_true(asked);

	/* it is late: who asked is gone, and it can see that */
	o = (struct old){ .answer = json_pack("{s:b}", "ok", 1), .after_ms = 600 };
	assert_int_equal(ask(&o, 200, &asked, text), -ETIMEDOUT);
	assert_false(asked);
	assert_true(o.gone);
	assert_non_null(strstr(text, "nothing was changed"));

	/* there is none */
	assert_int_equal(
		replace_ask(&(struct replace_ask){ .dir = dir, .name = "vol", .uuid = uuid }, 0,
			    5000, &asked, text),
		0);
	assert_false(asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ask_and_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_that_does_not_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_daemon_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_of_a_dead_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_request, setup, teardown),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
