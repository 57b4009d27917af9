/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys from the endpoint that a container is given (ECS, EKS). */
#ifndef S3_CREDS_CONTAINER_H
#define S3_CREDS_CONTAINER_H

struct creds_ask;

/*
 * As creds_ask.h says. Over plain HTTP nobody is asked but this machine and the addresses that ECS
 * and EKS have for it.
 */
int creds_container_get(struct creds_ask *a);

#endif
