// SPDX-License-Identifier: GPL-2.0-or-later
#include "store/s3/creds_http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/s3/creds_ask.h"

#define POLL_MS 1000

static size_t on_write(char *p, size_t size, size_t nmemb, void *ctx)
{
	struct creds_http_answer *w = ctx;
	size_t n = size * nmemb;

	if (n > CREDS_HTTP_MAX - w->len)
		return 0;
	memcpy(w->body + w->len, p, n);
	w->len += n;
	return n;
}

static size_t on_header(char *p, size_t size, size_t nmemb, void *ctx)
{
	struct creds_http_answer *w = ctx;
	size_t n = size * nmemb;
	char text[64];

	if (n > 5 && !strncasecmp(p, "date:", 5) && n - 5 < sizeof(text)) {
		time_t t;

		memcpy(text, p + 5, n - 5);
		text[n - 5] = '\0';
		t = curl_getdate(text, NULL);
		w->date = t > 0 ? (int64_t)t : 0;
	}
	return n;
}

/* Programs that credentials come from are not to inherit it. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)ctx;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void set_up(CURL *e, struct creds_ask *a, const struct creds_http *h, char *error)
{
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(e, CURLOPT_URL, h->url);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, h->connect_ms);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, h->total_ms);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, a->answer);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, a->answer);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers);
	if (h->direct)
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	/* not the URL's ca=, which is for the store alone */
	if (a->env->v[CREDS_CA_BUNDLE])
		curl_easy_setopt(e, CURLOPT_CAINFO, a->env->v[CREDS_CA_BUNDLE]);
	if (h->body) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, h->body);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)strlen(h->body));
	}
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, h->method);
}

/* A multi handle, as it can be made to end at once. A CURLcode, or -1: it was. */
static int perform(CURLM *m, struct creds_ask *a)
{
	struct curl_waitfd stop = { .fd = a->stop_fd, .events = CURL_WAIT_POLLIN };
	int running = 1, left;

	while (running) {
		stop.revents = 0;
		if (curl_multi_perform(m, &running) != CURLM_OK)
			return CURLE_OUT_OF_MEMORY;
		if (!running)
			break;
		curl_multi_poll(m, &stop, 1, POLL_MS, NULL);
		if (stop.revents)
			return -1;
	}
	for (CURLMsg *msg; (msg = curl_multi_info_read(m, &left)) != NULL;)
		if (msg->msg == CURLMSG_DONE)
			return (int)msg->data.result;
	return CURLE_OUT_OF_MEMORY;
}

int creds_http_do(struct creds_ask *a, const struct creds_http *h, const char *who)
{
	struct creds_http_answer *w = a->answer;
	char error[CURL_ERROR_SIZE] = "";
	CURLM *m = curl_multi_init();
	CURL *e = curl_easy_init();
	long status = 0;
	int code = CURLE_OUT_OF_MEMORY, rc;

	sodium_memzero(w, sizeof(*w));
	if (m && e) {
		set_up(e, a, h, error);
		if (curl_multi_add_handle(m, e) == CURLM_OK) {
			code = perform(m, a);
			curl_multi_remove_handle(m, e);
		}
		curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
	}
	w->status = (unsigned int)status;
	rc = !code ? 0 : code == CURLE_WRITE_ERROR ? -EBADMSG : -EAGAIN;
	if (rc == -EBADMSG)
		creds_ask_fail(a, rc, "%s: the answer is longer than %u bytes", who,
			       CREDS_HTTP_MAX);
	else if (code < 0)
		creds_ask_fail(a, rc, "%s: ended", who);
	else if (rc)
		creds_ask_fail(a, rc, "%s: %.200s", who,
			       error[0] ? error : curl_easy_strerror((CURLcode)code));
	curl_easy_cleanup(e);
	if (m)
		curl_multi_cleanup(m);
	return rc;
}

bool creds_http_header(struct curl_slist **list, const char *name, const char *value)
{
	struct curl_slist *more = NULL;
	char *line = NULL;

	if (asprintf(&line, "%s:%s%s", name, *value ? " " : "", value) >= 0) {
		more = curl_slist_append(*list, line);
		sodium_memzero(line, strlen(line));
		free(line);
	}
	if (more)
		*list = more;
	return more;
}

void creds_http_headers_free(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l; l = l->next)
		sodium_memzero(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

bool creds_http_host(const char *url, char *out, size_t room)
{
	CURLU *u = curl_url();
	char *host = NULL;
	size_t n;
	bool ok;

	/* as curl itself will read it: two readings of one URL are a hole */
	ok = u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	     !curl_url_get(u, CURLUPART_HOST, &host, 0);
	n = ok ? strlen(host) : 0;
	if (ok && host[0] == '[' && n > 2) {
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	}
	ok = ok && snprintf(out, room, "%s", host) < (int)room;
	for (char *p = out; ok && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	curl_free(host);
	curl_url_cleanup(u);
	return ok;
}

bool creds_http_loopback(const char *url)
{
	char host[256];
	struct in6_addr six;
	struct in_addr four;

	if (!creds_http_host(url, host, sizeof(host)))
		return false;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return !strcmp(host, "localhost");
}
