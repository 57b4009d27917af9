/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control: the socket through which the command line talks to a daemon: /run/zerofs/VOLUME.sock,
 * mode 0600. One connection is one JSON request in one line and one JSON answer: {"ok": true, ...}
 * or {"ok": false, "error": "..."}. If the request says "notes": true and the answer takes long,
 * the daemon may send lines {"note": "..."} before it.
 */
#ifndef SERVER_CONTROL_H
#define SERVER_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_DIR	    "/run/zerofs"
#define CONTROL_DIR_NBD	    "/run/zerofs-nbd" /* likewise, of servers without the module */
#define CONTROL_MAX	    (1u << 20) /* bytes of a request or an answer */
#define CONTROL_PATIENCE_MS 3000 /* with a peer that should answer at once */

struct control;

/*
 * Listens for @name in folder @dir, made if missing. -EADDRINUSE: somebody answers there already;
 * -errno; one sentence in
 * @err (@len bytes).
 */
int control_open(struct control **ret, const char *dir, const char *name, char *err, size_t len);

/* Readable when somebody has connected. */
int control_fd(const struct control *c);

/*
 * Accepts one connection and reads its request: 0 and *@ret_conn to be answered, *@ret_req the
 * caller's; -errno (the peer has got its answer, or is gone). Blocks for CONTROL_PATIENCE_MS at
 * most.
 */
int control_accept(struct control *c, int *ret_conn, json_t **ret_req);

/* Sends @answer (taken over; NULL = out of memory) and closes @conn. Any thread. */
void control_answer(int conn, json_t *answer);

/*
 * Sends a note to a peer that wants them, without waiting: who does not read has lost interest.
 * Any thread.
 */
void control_note(int conn, const char *text);

/* Whether the peer of @conn, which waits for an answer, has gone away. Any thread. */
bool control_gone(int conn);

/* An answer {"ok": false, "error": ...}. */
json_t *control_refusal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Stops listening and removes the socket. NULL does nothing. */
void control_close(struct control *c);

/*
 * The client: sends @req (taken over) to @name's daemon and waits for its answer for @patience_ms
 * (0 = for ever). Notes go to @note (NULL: nowhere), each begins the wait anew. 0 and the caller's
 * *@ret_answer; -ENOENT: no daemon listens; -ETIMEDOUT: it does not answer; -ECONNRESET: it ended
 * without an answer; -EACCES; -errno.
 */
int control_ask(const char *dir, const char *name, json_t *req, unsigned int patience_ms,
		void (*note)(void *ctx, const char *text), void *ctx, json_t **ret_answer);

#endif
