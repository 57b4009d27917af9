/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a transport hands requests to. Transport and volume do not know each other: the server fills
 * this in.
 */
#ifndef TRANSPORT_SINK_H
#define TRANSPORT_SINK_H

struct io_req;

/**
 * struct sink - where requests go; every call is made with the core lock held
 * @submit:	takes a request; its done() comes once, possibly from within
 * @release:	the bytes that a READ answered with res 0 named are not needed any more; once per
 *		such READ
 * @starved:	a write waits for a free extent
 * @ended:	a queue carries no more requests: 0 = it was told to stop, -ESHUTDOWN = the kernel
 *		took it away (device removed, session failed), -EPROTO = the two sides do not
 *		understand each other
 */
struct sink {
	void (*submit)(void *ctx, struct io_req *io);
	void (*release)(void *ctx, struct io_req *io);
	void (*starved)(void *ctx);
	void (*ended)(void *ctx, int err);
	void *ctx;
};

#endif
