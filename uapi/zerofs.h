/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * zerofs: the whole contract between zerofs.ko and its daemon.
 *
 * ABI 1.0	first version.
 *
 * A *session* is one volume. It is made by opening /dev/zerofs-control and
 * issuing ZEROFS_IOC_CREATE or ZEROFS_IOC_ATTACH; from then on that open file
 * *is* the daemon, and its last close is the daemon's death. A session owns one
 * arena (daemon memory, registered once), one BUF ring and one or more devices;
 * a device has write queues first, then read queues, each with a file
 * descriptor (ZEROFS_IOC_QUEUE_FD) that is mapped, polled and ENTERed.
 *
 * Start of a daemon:
 *   CREATE            -> REG_ARENA -> per device ADD_DEV -> QUEUE_FD of every queue -> START_DEV
 *   ATTACH [ARENA_FD] -> REG_ARENA -> per device QUEUE_FD of every queue -> RESUME
 *
 * Rules that hold for every struct below: fixed-size types, no implicit
 * padding, `len` = sizeof of the struct as the caller knows it, every `rsvd`
 * and every unknown flag must be zero or the call fails with EINVAL. All
 * integers are host-endian (the two sides share memory); offsets into the
 * arena are in bytes, counted from the start of the registered region.
 */
#ifndef _UAPI_ZEROFS_H
#define _UAPI_ZEROFS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ZEROFS_ABI_MAJOR	1	/* differs: refused with EPROTONOSUPPORT */
#define ZEROFS_ABI_MINOR	0	/* additions behind feature bits only */
#define ZEROFS_MAGIC		0x5a45524fU	/* "ZERO", in every kernel-written page */

#define ZEROFS_UUID_LEN		16
#define ZEROFS_NAME_LEN		64	/* NUL-terminated; [A-Za-z0-9._-]+, first not '.' or '-' */
#define ZEROFS_BLOCK_SIZE	4096U	/* the only logical block size of ABI 1.0 */
#define ZEROFS_MAX_IO		(1U << 20)	/* bytes of data in one READ or WRITE */
#define ZEROFS_MIN_BUF		(4U << 20)	/* a BUF shorter than this kills the session */
#define ZEROFS_MAX_BUFS		65536U
#define ZEROFS_MAX_DEPTH	1024U
#define ZEROFS_MAX_QUEUES	64U	/* write + read queues of one device */
#define ZEROFS_MAX_DEVS		256U	/* devices of one session */
#define ZEROFS_GRACE_FOREVER	(~0U)
#define ZEROFS_GRACE_DEFAULT_MS	60000U

/* Features: none beyond the base in ABI 1.0. Unknown bits in a request are refused. */
#define ZEROFS_F_ALL		0ULL

/* ---- the rings ------------------------------------------------------------------------- */

/* zerofs_req.op */
enum zerofs_op {
	ZEROFS_OP_READ		= 0,
	ZEROFS_OP_WRITE		= 1,	/* data at `buf` already */
	ZEROFS_OP_FLUSH		= 2,
	ZEROFS_OP_DISCARD	= 3,
	ZEROFS_OP_WRITE_ZEROES	= 4,
	ZEROFS_OP_SECURE_ERASE	= 5,	/* reserved, never sent */
	ZEROFS_OP_NR		= 6,
};

/* zerofs_req.flags */
#define ZEROFS_REQ_FUA		(1U << 0)
#define ZEROFS_REQ_META		(1U << 1)
#define ZEROFS_REQ_PRIO		(1U << 2)
#define ZEROFS_REQ_RAHEAD	(1U << 3)
#define ZEROFS_REQ_NOUNMAP	(1U << 4)
#define ZEROFS_REQ_SWAP		(1U << 5)
#define ZEROFS_REQ_FAILFAST	(1U << 6)
/* was delivered to an earlier daemon and never answered */
#define ZEROFS_REQ_REISSUED	(1U << 7)
#define ZEROFS_REQ_LAST		(1U << 8)	/* last of its batch */

/**
 * struct zerofs_req - one request, kernel to daemon (REQ ring, 32 B)
 * @op:		enum zerofs_op
 * @prio:	I/O priority class (IOPRIO_CLASS_*)
 * @tag:	names the request within its queue, < depth
 * @flags:	ZEROFS_REQ_*
 * @sector:	first sector, 512 B units
 * @nr_sectors:	length, 512 B units; 0 for FLUSH
 * @gen:	per-tag generation, to be echoed
 * @buf:	WRITE: arena offset of the data (contiguous, 4 KiB aligned); else 0
 */
struct zerofs_req {
	__u8	op;
	__u8	prio;
	__u16	tag;
	__u32	flags;
	__u64	sector;
	__u32	nr_sectors;
	__u32	gen;
	__u64	buf;
};

/**
 * struct zerofs_rsp - one answer, daemon to kernel (RSP ring, 40 B)
 * @tag:	as in the request
 * @flags:	0
 * @res:	READ: bytes read, which must be all of them; others: 0; or -EIO, -ENOSPC, -EROFS,
 *		-ENODATA, -ETIMEDOUT, -EBADMSG (any other errno becomes EIO)
 * @gen:	as in the request
 * @nseg:	READ: 0, or the number of SEG entries that hold the data
 * @buf:	READ: nseg == 0: arena offset of the data; else free-running index of the first SEG
 * @wno:	WRITE, DISCARD, WRITE_ZEROES: the sequence number it got; FLUSH and READ: 0
 * @dur:	FLUSH, and WRITE with FUA: the number up to which everything is durable; else 0
 */
struct zerofs_rsp {
	__u16	tag;
	__u16	flags;
	__s32	res;
	__u32	gen;
	__u32	nseg;
	__u64	buf;
	__u64	wno;
	__u64	dur;
};

/* One piece of a READ's data: arena bytes [buf, buf + len), len a non-zero multiple of 4096. */
struct zerofs_seg {
	__u64	buf;
	__u32	len;
	__u32	rsvd;
};

/* A free write extent, posted by the daemon: [buf, buf + len), 4 KiB aligned. */
struct zerofs_buf {
	__u64	buf;
	__u32	len;
	__u32	id;	/* the daemon's; comes back in RECALL */
};

/*
 * Indices are free-running u32; an entry's slot is index & (entries - 1). The producer fills
 * entries and store-releases its tail; the consumer load-acquires the tail, reads, and
 * store-releases its head. A READ's arena bytes may be reused only when rsp_head has passed
 * its RSP. Each index has a 64 B line of its own.
 */

/* Queue map at offset ZEROFS_OFF_QUEUE_RO: read-only. The REQ ring starts at req_off. */
struct zerofs_queue_k {
	__u32	magic;
	__u32	abi;		/* major << 16 | minor */
	__u64	attach_gen;
	__u32	ring_entries;	/* REQ and RSP, a power of two >= depth */
	__u32	seg_entries;	/* a power of two >= depth * (ZEROFS_MAX_IO / 4096) */
	__u32	depth;
	__u32	dead;		/* set when this descriptor no longer carries requests */
	__u32	rsvd0[8];
	__u32	req_tail;
	__u32	rsvd1[15];
	__u32	rsp_head;
	__u32	rsvd2[15];
};

/* Queue map at offset ZEROFS_OFF_QUEUE_RW: read-write. */
struct zerofs_queue_u {
	__u32	req_head;
	__u32	rsvd0[15];
	__u32	rsp_tail;
	__u32	rsvd1[15];
};

/* Session map (the control fd) at offset ZEROFS_OFF_SESSION_RO: read-only, one page. */
struct zerofs_session_k {
	__u32	magic;
	__u32	abi;
	__u64	attach_gen;
	__u32	state;		/* enum zerofs_state */
	__u32	buf_entries;
	__u32	rsvd0[10];
	__u32	buf_head;
	__u32	rsvd1[15];
	__u32	starved;	/* non-zero: a write waits for a BUF */
	__u32	rsvd2[15];
};

/* Session map at offset ZEROFS_OFF_SESSION_RW: read-write. The BUF ring starts at buf_off. */
struct zerofs_session_u {
	__u32	buf_tail;
	__u32	rsvd0[15];
};

#define ZEROFS_OFF_SESSION_RO	0x00000000ULL
#define ZEROFS_OFF_SESSION_RW	0x10000000ULL
#define ZEROFS_OFF_QUEUE_RO	0x00000000ULL
#define ZEROFS_OFF_QUEUE_RW	0x10000000ULL

/* ---- states ---------------------------------------------------------------------------- */

enum zerofs_state {
	ZEROFS_S_LIVE		= 0,
	ZEROFS_S_DETACHED	= 1,	/* no daemon; I/O is held until grace ends */
	ZEROFS_S_RECOVERING	= 2,	/* a daemon attached and has not said RESUME */
	ZEROFS_S_FAILED		= 3,	/* grace ran out, or FAIL: all I/O fails */
	ZEROFS_S_CACHE_LOST	= 4,	/* acked writes are gone: all I/O fails until CLEAR */
	ZEROFS_S_SUPERSEDED	= 5,	/* another host owns the volume: all I/O fails, for good */
	ZEROFS_S_NR		= 6,
};

enum zerofs_dev_state {
	ZEROFS_D_NEW		= 0,
	ZEROFS_D_STARTED	= 1,
	ZEROFS_D_DEAD		= 2,
};

/* ---- control calls: /dev/zerofs-control, CAP_SYS_ADMIN on every one ----------------------- */

struct zerofs_version {
	__u32	len;
	__u32	abi;		/* out */
	__u64	features;	/* out */
	char	version[32];	/* out: the module's version */
};

struct zerofs_create {
	__u32	len;
	__u32	flags;		/* 0 */
	__u32	abi;		/* in: the caller's; out: the module's */
	__u32	grace_ms;
	__u64	features;	/* in: wanted; out: agreed */
	__u8	uuid[ZEROFS_UUID_LEN];
	char	name[ZEROFS_NAME_LEN];
	__u64	attach_gen;	/* out */
	__u32	session;	/* out: id */
	__u32	rsvd;
};

/* zerofs_attach.flags, out */
#define ZEROFS_ATTACH_HAS_ARENA	(1U << 0)	/* ARENA_FD will hand one back */

struct zerofs_attach {
	__u32	len;
	__u32	flags;		/* in: 0; out: ZEROFS_ATTACH_* */
	__u32	abi;
	__u32	grace_ms;	/* in: new grace */
	__u64	features;
	__u8	uuid[ZEROFS_UUID_LEN];
	__u64	attach_gen;	/* out */
	__u64	acked_wno;	/* out: highest wno ever acknowledged by RSP */
	__u64	flushed_wno;	/* out: highest wno ever declared durable */
	__u64	arena_len;	/* out: bytes of the registered region, 0 = none */
	__u64	arena_offset;	/* out: its offset in the arena's file */
	__u32	session;	/* out */
	__u32	state;		/* out: where it came from */
	__u32	nr_devs;	/* out */
	__u32	rsvd;
};

/* zerofs_resume.result */
#define ZEROFS_RESUME_INTACT	0
#define ZEROFS_RESUME_LOST	1
/* zerofs_resume.flags */
#define ZEROFS_RESUME_ADOPTED	(1U << 0)	/* the arena's whole index was adopted */

/*
 * INTACT is believed only if nothing that was acknowledged is missing: recovered_wno is not below
 * acked_wno or flushed_wno and, if more was acknowledged than flushed, this attach took ARENA_FD
 * and says ADOPTED.
 */
struct zerofs_resume {
	__u32	len;
	__u32	flags;
	__u32	result;
	__u32	state;		/* out: LIVE or CACHE_LOST */
	__u64	recovered_wno;	/* store and arena together hold everything up to here */
};

/* zerofs_add_dev.flags */
#define ZEROFS_DEV_RO		(1U << 0)

struct zerofs_add_dev {
	__u32	len;
	__u32	flags;
	__u32	dev_id;		/* the log's device id, unique in the session */
	__s32	index;		/* in: N of /dev/zerofsN, or -1; out: N */
	__u64	size;		/* bytes, a non-zero multiple of the block size */
	__u32	block_size;	/* ZEROFS_BLOCK_SIZE */
	__u32	depth;		/* requests per queue, 1..ZEROFS_MAX_DEPTH */
	__u32	nr_write_queues;	/* >= 1 */
	__u32	nr_read_queues;	/* >= 1 */
	char	name[ZEROFS_NAME_LEN];
};

/* Names a device by N; the caller owns its session unless the call says otherwise. */
struct zerofs_dev_cmd {
	__u32	len;
	__u32	flags;
	__u32	index;
	__u32	arg;		/* SET_RO: 0 or 1; else 0 */
	__u64	size;		/* RESIZE: bytes; else 0 */
};

/* zerofs_dev_cmd.flags of DEL_DEV: do not wait for openers, kill their I/O */
#define ZEROFS_DEL_FORCE	(1U << 0)

struct zerofs_reg_arena {
	__u32	len;
	__u32	nr_bufs;	/* entries of the BUF ring, a power of two <= ZEROFS_MAX_BUFS */
	__s32	fd;		/* the arena's memfd */
	__u32	flags;		/* 0 */
	__u64	offset;		/* of the region in that file, page aligned */
	__u64	address;	/* where the caller has mapped that offset, shared and writable */
	__u64	length;		/* bytes, page aligned, less than 1 TiB */
	__u32	buf_off;	/* out: of the BUF ring within the session's RW map */
	__u32	rw_len;		/* out: bytes of the session's RW map */
};

struct zerofs_fd {
	__u32	len;
	__u32	flags;		/* 0 */
	__s32	fd;		/* out, O_CLOEXEC */
	__u32	rsvd;
};

struct zerofs_queue_fd {
	__u32	len;
	__u32	flags;		/* 0 */
	__u32	index;
	__u32	queue;
	__s32	fd;		/* out, O_CLOEXEC */
	__u32	ring_entries;	/* out */
	__u32	seg_entries;	/* out */
	__u32	req_off;	/* out: of the REQ ring in the RO map */
	__u32	ro_len;		/* out: bytes of the RO map */
	__u32	rsp_off;	/* out: of the RSP ring in the RW map */
	__u32	seg_off;	/* out: of the SEG ring in the RW map */
	__u32	rw_len;		/* out: bytes of the RW map */
};

struct zerofs_session_cmd {
	__u32	len;
	__u32	flags;		/* 0 */
	__u32	session;
	__u32	rsvd;
};

struct zerofs_recall_ent {
	__u32	id;
	__u32	used;		/* 1: a queue allocated from it before it was closed */
};

/* Takes back every posted BUF and closes every queue's current extent. */
struct zerofs_recall {
	__u32	len;
	__u32	flags;		/* 0 */
	__u32	nr;		/* in: room at ents; out: how many were written */
	__u32	rsvd;
	__u64	ents;		/* struct zerofs_recall_ent * */
};

struct zerofs_session_info {
	__u32	len;
	__u32	flags;		/* out: ZEROFS_INFO_* */
	__u32	session;	/* in: id */
	__u32	state;
	__u8	uuid[ZEROFS_UUID_LEN];
	char	name[ZEROFS_NAME_LEN];
	__u64	attach_gen;
	__u64	acked_wno;
	__u64	flushed_wno;
	__u64	arena_len;
	__u32	grace_ms;
	__u32	grace_left_ms;	/* DETACHED: until FAILED */
	__u32	nr_devs;
	__s32	pid;		/* of the daemon, 0 = none */
	__u64	protocol_errors;
};
#define ZEROFS_INFO_ATTACHED	(1U << 0)

struct zerofs_dev_info {
	__u32	len;
	__u32	flags;		/* out: ZEROFS_DEV_RO */
	__u32	index;		/* in */
	__u32	session;
	__u32	dev_id;
	__u32	state;		/* enum zerofs_dev_state */
	__u64	size;
	__u32	block_size;
	__u32	depth;
	__u32	nr_write_queues;
	__u32	nr_read_queues;
	__u32	openers;
	__s32	major;
	__s32	minor;
	__u32	rsvd;
	char	name[ZEROFS_NAME_LEN];
};

/* LIST: ids of all sessions, or of the devices of one. */
#define ZEROFS_LIST_SESSIONS	0
#define ZEROFS_LIST_DEVS	1
struct zerofs_list {
	__u32	len;
	__u32	kind;		/* ZEROFS_LIST_* */
	__u32	session;	/* LIST_DEVS: which; ~0 = all */
	__u32	nr;		/* in: room at ids; out: how many there are */
	__u64	ids;		/* __u32 *: session ids or device indices, ascending */
};

/* ENTER, on a queue fd. */
struct zerofs_enter {
	__u32	len;
	__u32	flags;		/* 0 */
	__u32	to_reap;	/* reap at most so many RSPs (0 = none) */
	__u32	min_req;	/* then wait until so many REQs are unread (0 = do not wait) */
	__u32	timeout_us;	/* of the wait; 0 = for ever */
	__u32	reaped;		/* out */
	__u32	avail;		/* out: REQs unread */
	__u32	ret_flags;	/* out: ZEROFS_ENTER_* */
};
#define ZEROFS_ENTER_STARVED	(1U << 0)	/* a write waits for a BUF */

/*
 * DEL_DEV, FAIL, CLEAR, LIST and the INFOs may name any session; the rest act on the caller's own.
 * SUPERSEDE and KICK (BUFs were posted) ignore the id. ENTER is for a queue's descriptor.
 */
#define ZEROFS_IOC		0xE5
#define ZEROFS_IOC_VERSION	_IOWR(ZEROFS_IOC, 0x00, struct zerofs_version)
#define ZEROFS_IOC_CREATE	_IOWR(ZEROFS_IOC, 0x01, struct zerofs_create)
#define ZEROFS_IOC_ATTACH	_IOWR(ZEROFS_IOC, 0x02, struct zerofs_attach)
#define ZEROFS_IOC_RESUME	_IOWR(ZEROFS_IOC, 0x03, struct zerofs_resume)
#define ZEROFS_IOC_SUPERSEDE	_IOWR(ZEROFS_IOC, 0x04, struct zerofs_session_cmd)
#define ZEROFS_IOC_ADD_DEV	_IOWR(ZEROFS_IOC, 0x05, struct zerofs_add_dev)
#define ZEROFS_IOC_START_DEV	_IOWR(ZEROFS_IOC, 0x06, struct zerofs_dev_cmd)
#define ZEROFS_IOC_DEL_DEV	_IOWR(ZEROFS_IOC, 0x07, struct zerofs_dev_cmd)
#define ZEROFS_IOC_RESIZE	_IOWR(ZEROFS_IOC, 0x08, struct zerofs_dev_cmd)
#define ZEROFS_IOC_SET_RO	_IOWR(ZEROFS_IOC, 0x09, struct zerofs_dev_cmd)
#define ZEROFS_IOC_REG_ARENA	_IOWR(ZEROFS_IOC, 0x0a, struct zerofs_reg_arena)
#define ZEROFS_IOC_ARENA_FD	_IOWR(ZEROFS_IOC, 0x0b, struct zerofs_fd)
#define ZEROFS_IOC_QUEUE_FD	_IOWR(ZEROFS_IOC, 0x0c, struct zerofs_queue_fd)
#define ZEROFS_IOC_FAIL		_IOWR(ZEROFS_IOC, 0x0d, struct zerofs_session_cmd)
#define ZEROFS_IOC_CLEAR	_IOWR(ZEROFS_IOC, 0x0e, struct zerofs_session_cmd)
#define ZEROFS_IOC_RECALL	_IOWR(ZEROFS_IOC, 0x0f, struct zerofs_recall)
#define ZEROFS_IOC_LIST		_IOWR(ZEROFS_IOC, 0x10, struct zerofs_list)
#define ZEROFS_IOC_SESSION_INFO	_IOWR(ZEROFS_IOC, 0x11, struct zerofs_session_info)
#define ZEROFS_IOC_DEV_INFO	_IOWR(ZEROFS_IOC, 0x12, struct zerofs_dev_info)
#define ZEROFS_IOC_KICK		_IOWR(ZEROFS_IOC, 0x13, struct zerofs_session_cmd)
#define ZEROFS_IOC_ENTER	_IOWR(ZEROFS_IOC, 0x20, struct zerofs_enter)

#endif /* _UAPI_ZEROFS_H */
