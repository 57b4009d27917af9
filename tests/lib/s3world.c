// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/s3world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/testrand.h"
#include "store/url.h"

void s3world_open(struct s3world *w, const char *prefix, const char *more)
{
	char text[400], err[256] = "";
	struct url u;

	snprintf(text, sizeof(text),
		 "s3://" S3SRV_BUCKET "%s?endpoint=http://%s:%u&plain-http=yes%s", prefix, w->host,
		 s3srv_port(w->srv), more);
	assert(!url_parse(&u, text, err, sizeof(err)));
	assert(!url_open(&w->s, &u, 0, &w->core, &w->fast.clock, err, sizeof(err)));
}

void s3world_begin(struct s3world *w)
{
	setenv("AWS_ACCESS_KEY_ID", S3SRV_ACCESS, 1);
	setenv("AWS_SECRET_ACCESS_KEY", S3SRV_SECRET, 1);
	memset(w, 0, sizeof(*w));
	fastclock_init(&w->fast);
	assert(!core_init(&w->core, NULL, NULL));
	testrand_lowest();
	w->srv = s3srv_new();
	w->host = "127.0.0.1";
	s3world_open(w, "/v", "");
}

void s3world_end(struct s3world *w)
{
	store_close(w->s);
	s3srv_free(w->srv);
	core_destroy(&w->core);
	fastclock_destroy(&w->fast);
	testrand_system();
}

struct answer {
	struct s3world *w;
	bool done;
};

static void on_done(struct store_req *r)
{
	struct answer *a = r->priv;

	assert(core_held(&a->w->core));
	a->done = true;
}

ssize_t s3world_run(struct s3world *w, struct store_req *r)
{
	struct answer a = { .w = w };

	r->done = on_done;
	r->priv = &a;
	core_lock(&w->core);
	store_submit(w->s, r);
	while (!a.done)
		core_wait(&w->core, UINT64_MAX);
	core_unlock(&w->core);
	return r->res;
}

ssize_t s3world_put(struct s3world *w, const char *name, const char *text)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)text, strlen(text) / 2 },
				{ (void *)(uintptr_t)(text + strlen(text) / 2),
				  strlen(text) - strlen(text) / 2 } };
	struct store_req r = { .op = STORE_PUT, .iov = iov, .niov = 2 };

	strcpy(r.name, name);
	return s3world_run(w, &r);
}

ssize_t s3world_get(struct s3world *w, const char *name, uint64_t off, char *buf, size_t len)
{
	struct store_req r = { .op = STORE_GET, .off = off, .buf = buf, .len = len };
	ssize_t rc;

	strcpy(r.name, name);
	memset(buf, '#', len + 16);
	rc = s3world_run(w, &r);
	for (size_t i = 0; i < 16; i++)
		assert(buf[len + i] == '#');
	return rc;
}

ssize_t s3world_list(struct s3world *w, struct store_entry *e, uint32_t max)
{
	struct store_req r = { .op = STORE_LIST, .ents = e, .max_ents = max };

	return s3world_run(w, &r);
}

ssize_t s3world_del(struct s3world *w, const char *name)
{
	struct store_req r = { .op = STORE_DELETE };

	strcpy(r.name, name);
	return s3world_run(w, &r);
}

void s3world_holds(struct s3world *w, const char *name, const char *text)
{
	char buf[256];

	assert(s3world_get(w, name, 0, buf, 200) == (ssize_t)strlen(text));
	assert(!memcmp(buf, text, strlen(text)));
}

void s3world_rule(struct s3world *w, unsigned int ops, unsigned int times, enum s3srv_act act,
		  unsigned int status, const char *code)
{
	s3srv_rule(
		w->srv,
		&(struct s3srv_rule){
			.ops = ops, .times = times, .act = act, .status = status, .code = code });
}

const char *s3world_why(struct s3world *w)
{
	static char text[400];

	core_lock(&w->core);
	store_why(w->s, text, sizeof(text));
	core_unlock(&w->core);
	return text;
}
