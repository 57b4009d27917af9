// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a serving daemon does with what it is asked at its control socket, without a module: the
 * real watcher, socket, core lock, workers, store and volume. Keys that a command has changed are
 * read and used; who asks for a detach that is under way waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/uuid.h"
#include "lib/tempdir.h"
#include "server/control.h"
#include "server/host.h"
#include "server/region.h"
#include "server/serve_priv.h"
#include "server/watch.h"
#include "volume/keys.h"
#include "volume/volume.h"

#define NAME	 "watched"
#define PATIENCE 20000u

static const uint8_t key[32] = "a key of the test, not a secret";
static const struct keys_secret secret = { KEYS_KEYFILE, key, sizeof(key) };

static char *dir;
static char url[256];
static struct serve s;

/* ---- the daemon --------------------------------------------------------------------------- */

static void no_buf(void *ctx, uint32_t id, uint64_t off, uint32_t len)
{
	(void)ctx;
	(void)id;
	(void)off;
	(void)len;
}

static void make_volume(struct host *h)
{
	struct volume_format f = { .name = NAME, .nr_devs = 1, .dev_size = 1 << 20 };

	uuid_random(f.uuid);
	uuid_str(s.uuid, f.uuid);
	core_lock(&h->core);
	assert_int_equal(
		keys_create(&s.keys, &h->env, f.uuid, f.name, &secret, KEYS_COST_MIN, "test"), 0);
	assert_int_equal(volume_format(&h->env, s.keys, &f), 0);
	core_unlock(&h->core);
}

static void serve_volume(struct host *h)
{
	struct volume_recovery rec;
	struct volume_opts o;
	uint64_t total, data_off;

	volume_opts_init(&o);
	o.memory = 160u << 20;
	o.segment_bytes = 1u << 20;
	volume_arena_size(&o, &total, &data_off);
	assert_int_equal(region_make(&s.session.region, total), 0);
	host_on_post_buf(h, no_buf, NULL);
	core_lock(&h->core);
	assert_int_equal(volume_new(&s.volume, &h->env, s.keys, &o), 0);
	assert_int_equal(volume_set_arena(s.volume, s.session.region.base, total, false), 0);
	core_unlock(&h->core);
	assert_int_equal(host_start_timer(h, s.volume), 0);
	core_lock(&h->core);
	assert_int_equal(volume_recover(s.volume, &rec), 0);
	volume_resumed(s.volume);
	core_unlock(&h->core);
}

static int setup(void **unused)
{
	char err[HOST_ERR_LEN], path[256];

	(void)unused;
	dir = tempdir_make();
	memset(&s, 0, sizeof(s));
	s.session.region = REGION_NONE;
	s.hurry_us = UINT64_MAX;
	s.sigfd = -1;
	s.wakefd = -1;
	client_init(&s.client);
	assert_int_equal(core_cond_init(&s.event), 0);
	snprintf(url, sizeof(url), "file://%s/store", dir);
	assert_int_equal(host_new(&s.host, url, HOST_CREATE, 2, err), 0);
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(host_open_state(s.host, path, err), 0);
	make_volume(s.host);
	serve_volume(s.host);
	assert_int_equal(control_open(&s.control, dir, NAME, err, sizeof(err)), 0);
	s.ready = true;
	assert_int_equal(watch_start(&s), 0);
	watch_poke(&s);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	watch_stop(&s);
	control_close(s.control);
	core_lock(&s.host->core);
	assert_int_equal(volume_detach(s.volume), 0);
	assert_int_equal(host_settle(s.host), 0);
	core_unlock(&s.host->core);
	host_stop_threads(s.host);
	volume_free(s.volume);
	keys_free(s.keys);
	host_free(s.host);
	region_free(&s.session.region);
	pthread_cond_destroy(&s.event);
	tempdir_remove(dir);
	return 0;
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* As `zerofs key rotate` does, from a process of its own. The keys object's version. */
static uint64_t rotate(void)
{
	struct keyring *kr = NULL;
	char err[HOST_ERR_LEN];
	uint64_t version;
	uint32_t gen = 0;
	struct host *h;

	assert_int_equal(host_new(&h, url, 0, 1, err), 0);
	core_lock(&h->core);
	assert_int_equal(keys_open(&kr, &h->env, &secret), 0);
	assert_int_equal(keys_rotate(kr, &h->env, &gen), 0);
	version = keys_version(kr);
	host_settle(h);
	core_unlock(&h->core);
	keys_free(kr);
	host_stop_threads(h);
	host_free(h);
	return version;
}

static json_t *ask_keys(const char *uuid, json_int_t version)
{
	json_t *req = json_pack("{s:s, s:I}", "op", "keys", "version", version), *answer = NULL;

	if (uuid)
		json_object_set_new(req, "uuid", json_string(uuid));
	assert_int_equal(control_ask(dir, NAME, req, PATIENCE, NULL, NULL, &answer), 0);
	return answer;
}

static json_int_t number(const json_t *answer, const char *field)
{
	return json_integer_value(json_object_get(answer, field));
}

static bool is_ok(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

/* Asks until the newest head names @version; the data key that is used then. */
static json_int_t until_in_head(uint64_t version)
{
	json_int_t in_head = 0, gen = 0;
	int i;

	for (i = 0; i < 2000 && in_head < (json_int_t)version; i++) {
		json_t *answer = ask_keys(s.uuid, (json_int_t)version);

		assert_true(is_ok(answer));
		in_head = number(answer, "in_head");
		gen = number(answer, "data_key");
		json_decref(answer);
		usleep(5000);
	}
	assert_int_equal(in_head, version);
	return gen;
}

static void test_new_keys(void **unused)
{
	struct volume_keys k;
	uint64_t version;

	(void)unused;
	version = rotate();
	assert_int_equal(version, 2);
	assert_int_equal(until_in_head(version), 2);
	version = rotate();
	assert_int_equal(until_in_head(version), 3);
	core_lock(&s.host->core);
	volume_rekey(s.volume, version, &k);
	assert_int_equal(k.version, 3);
	assert_int_equal(k.in_head, 3);
	assert_int_equal(k.data_gen, 3);
	core_unlock(&s.host->core);
}

static void refused(const char *uuid, json_int_t version, const char *why)
{
	json_t *answer = ask_keys(uuid, version);

	assert_false(is_ok(answer));
	assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), why));
	json_decref(answer);
}

static void test_keys_refused(void **unused)
{
	json_t *answer;
	bool ok = true;
	int i;

	(void)unused;
	refused(NULL, 2, "which keys?");
	refused(s.uuid, 0, "which keys?");
	answer = ask_keys("01234567-89ab-4def-8123-456789abcdef", 2);
	assert_true(is_ok(answer) && json_is_true(json_object_get(answer, "other")));
	json_decref(answer);
	/* one that is not there: said, and no harm done */
	for (i = 0; i < 2000 && ok; i++) {
		answer = ask_keys(s.uuid, 9);
		ok = is_ok(answer);
		if (ok)
			assert_int_equal(number(answer, "keys_version"), 1);
		else
			assert_non_null(strstr(json_string_value(json_object_get(answer, "error")),
					       strerror(ENOENT)));
		json_decref(answer);
		usleep(5000);
	}
	assert_false(ok);
	assert_int_equal(until_in_head(rotate()), 2);
	core_lock(&s.host->core);
	s.ready = false;
	core_unlock(&s.host->core);
	refused(s.uuid, 3, "coming up or stopping");
}

/* ---- detach ----------------------------------------------------------------------------- */

struct asker {
	pthread_t thread;
	unsigned int patience;
	int force;
	int rc;
	json_t *answer;
};

static void *ask_detach(void *arg)
{
	struct asker *a = arg;

	a->rc = control_ask(dir, NAME, json_pack("{s:s, s:b}", "op", "detach", "force", a->force),
			    a->patience, NULL, NULL, &a->answer);
	return NULL;
}

static void wait_for(uint32_t clients)
{
	uint32_t nr = 0;
	int i;

	for (i = 0; i < 4000 && nr < clients; i++) {
		usleep(5000);
		core_lock(&s.host->core);
		nr = s.client.nr;
		core_unlock(&s.host->core);
	}
	assert_int_equal(nr, clients);
}

static void test_detach_is_joined(void **unused)
{
	struct asker first = { .patience = 50, .force = 1 }, again = { .patience = PATIENCE };
	struct client all;

	(void)unused;
	ask_detach(&first); /* and is interrupted */
	assert_int_equal(first.rc, -ETIMEDOUT);
	wait_for(1);
	assert_int_equal(pthread_create(&again.thread, NULL, ask_detach, &again), 0);
	wait_for(2);
	/* the main thread */
	core_lock(&s.host->core);
	assert_int_equal(s.want, WANT_DETACH_FORCE); /* as it was asked for at first */
	all = s.client;
	client_init(&s.client);
	core_unlock(&s.host->core);
	for (int conn; (conn = client_leave(&all)) >= 0;)
		control_answer(conn, json_pack("{s:b}", "ok", 1));
	pthread_join(again.thread, NULL);
	assert_int_equal(again.rc, 0);
	assert_true(is_ok(again.answer));
	json_decref(again.answer);
	/* but not what another process waits for */
	core_lock(&s.host->core);
	s.want = WANT_REPLACE;
	core_unlock(&s.host->core);
	ask_detach(&again);
	assert_int_equal(again.rc, 0);
	assert_false(is_ok(again.answer));
	json_decref(again.answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detach_is_joined, setup, teardown),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
