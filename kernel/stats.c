// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters are kept per queue under that queue's locks and added up here without them: a reader
 * may see one request more in one figure than in another, never a wrong sum at rest.
 */
#include "stats.h"

#include <linux/blkdev.h>
#include <linux/device.h>

#include "session.h"

static struct zerofs_dev *to_dev(struct device *device)
{
	struct zerofs_blk_owner *blk = dev_to_disk(device)->private_data;

	return container_of(blk, struct zerofs_dev, blk);
}

static struct zerofs_session *to_session(struct device *device)
{
	return to_dev(device)->session;
}

/* The sum of one u64 field of struct zerofs_queue over a device's queues. */
static u64 sum(struct device *device, size_t field)
{
	struct zerofs_dev *dev = to_dev(device);
	u64 total = 0;
	u32 i;

	for (i = 0; i < dev->nr_queues; i++)
		total += READ_ONCE(*(u64 *)((char *)&dev->blk.queues[i] + field));
	return total;
}

#define FIELD(path) offsetof(struct zerofs_queue, path)

#define SUM_ATTR(name, path) \
	static ssize_t name##_show(struct device *device, struct device_attribute *a, char *buf) \
	{ \
		return sysfs_emit(buf, "%llu\n", sum(device, FIELD(path))); \
	} \
	static DEVICE_ATTR_RO(name)

#define OP_ATTRS(op, OP) \
	SUM_ATTR(requests_##op, done.requests[ZEROFS_OP_##OP]); \
	SUM_ATTR(bytes_##op, done.bytes[ZEROFS_OP_##OP])

OP_ATTRS(read, READ);
OP_ATTRS(write, WRITE);
OP_ATTRS(discard, DISCARD);
OP_ATTRS(write_zeroes, WRITE_ZEROES);
SUM_ATTR(requests_flush, done.requests[ZEROFS_OP_FLUSH]);
SUM_ATTR(requests_failed, done.errors);
SUM_ATTR(bytes_copied_read, done.copied);
SUM_ATTR(bytes_copied_write, issue.copied);
SUM_ATTR(bytes_copied_reissued, issue.copied_again);
SUM_ATTR(wakeups, issue.wakeups);
SUM_ATTR(enters, done.enters);
SUM_ATTR(reissued, issue.reissued);
SUM_ATTR(starved, issue.starved);

static ssize_t bytes_copied_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  sum(device, FIELD(done.copied)) + sum(device, FIELD(issue.copied)));
}
static DEVICE_ATTR_RO(bytes_copied);

static ssize_t bytes_completed_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  sum(device, FIELD(done.bytes[ZEROFS_OP_READ])) +
				  sum(device, FIELD(done.bytes[ZEROFS_OP_WRITE])));
}
static DEVICE_ATTR_RO(bytes_completed);

static ssize_t inflight_show(struct device *device, struct device_attribute *a, char *buf)
{
	struct zerofs_dev *dev = to_dev(device);
	u32 i, j, n = 0;

	for (i = 0; i < dev->nr_queues; i++)
		for (j = 0; j < dev->depth; j++)
			n += READ_ONCE(dev->blk.queues[i].slots[j].busy);
	return sysfs_emit(buf, "%u\n", n);
}
static DEVICE_ATTR_RO(inflight);

static ssize_t timeouts_show(struct device *device, struct device_attribute *a, char *buf)
{
	struct zerofs_dev *dev = to_dev(device);
	u64 n = 0;
	u32 i;

	for (i = 0; i < dev->nr_queues; i++)
		n += atomic64_read(&dev->blk.queues[i].timeouts);
	return sysfs_emit(buf, "%llu\n", n);
}
static DEVICE_ATTR_RO(timeouts);

static ssize_t protocol_errors_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%llu\n", (u64)atomic64_read(&to_session(device)->protocol_errors));
}
static DEVICE_ATTR_RO(protocol_errors);

static ssize_t volume_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%s\n", to_session(device)->name);
}
static DEVICE_ATTR_RO(volume);

static ssize_t uuid_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%pUb\n", to_session(device)->uuid);
}
static DEVICE_ATTR_RO(uuid);

static ssize_t session_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%u\n", to_session(device)->id);
}
static DEVICE_ATTR_RO(session);

static ssize_t device_name_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%s\n", to_dev(device)->name);
}
static struct device_attribute dev_attr_device = __ATTR(device, 0444, device_name_show, NULL);

static ssize_t device_id_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%u\n", to_dev(device)->id);
}
static DEVICE_ATTR_RO(device_id);

static ssize_t attach_gen_show(struct device *device, struct device_attribute *a, char *buf)
{
	return sysfs_emit(buf, "%llu\n", READ_ONCE(to_session(device)->attach_gen));
}
static DEVICE_ATTR_RO(attach_gen);

/* The device's own way in and out, else what its session is in. */
static ssize_t state_show(struct device *device, struct device_attribute *a, char *buf)
{
	const char *name;

	switch (READ_ONCE(to_dev(device)->phase)) {
	case ZEROFS_DEV_NEW:
	case ZEROFS_DEV_STARTING:
		name = "new";
		break;
	case ZEROFS_DEV_STARTED:
		name = zerofs_state_name(READ_ONCE(to_session(device)->state));
		break;
	default:
		name = "dead";
	}
	return sysfs_emit(buf, "%s\n", name);
}
static DEVICE_ATTR_RO(state);

static struct attribute *stats_attrs[] = {
	&dev_attr_volume.attr,
	&dev_attr_uuid.attr,
	&dev_attr_session.attr,
	&dev_attr_device.attr,
	&dev_attr_device_id.attr,
	&dev_attr_state.attr,
	&dev_attr_attach_gen.attr,
	&dev_attr_requests_read.attr,
	&dev_attr_requests_write.attr,
	&dev_attr_requests_flush.attr,
	&dev_attr_requests_discard.attr,
	&dev_attr_requests_write_zeroes.attr,
	&dev_attr_requests_failed.attr,
	&dev_attr_bytes_read.attr,
	&dev_attr_bytes_write.attr,
	&dev_attr_bytes_discard.attr,
	&dev_attr_bytes_write_zeroes.attr,
	&dev_attr_bytes_completed.attr,
	&dev_attr_bytes_copied.attr,
	&dev_attr_bytes_copied_read.attr,
	&dev_attr_bytes_copied_write.attr,
	&dev_attr_bytes_copied_reissued.attr,
	&dev_attr_wakeups.attr,
	&dev_attr_enters.attr,
	&dev_attr_reissued.attr,
	&dev_attr_starved.attr,
	&dev_attr_timeouts.attr,
	&dev_attr_protocol_errors.attr,
	&dev_attr_inflight.attr,
	NULL,
};

const struct attribute_group zerofs_stats_group = {
	.name = "zerofs",
	.attrs = stats_attrs,
};
