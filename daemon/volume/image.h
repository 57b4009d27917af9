/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the image that a head names: manifest into device table, runs into segment table and the
 * indexes that leaves of the base map are loaded by.
 */
#ifndef VOLUME_IMAGE_H
#define VOLUME_IMAGE_H

struct fmt_head;
struct volume;

/*
 * -ENOENT: the manifest or a run is not there (the head may be older than it looks: list again);
 * -EBADMSG: damaged, a notice names the object; store errors. The volume's maps are empty before.
 * [waits]
 */
int image_load(struct volume *v, const struct fmt_head *h);

#endif
