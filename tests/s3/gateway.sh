#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A Ceph cluster of one node with its S3 gateway, from Debian's packages, on loopback and random free ports.
# Usage: tests/s3/gateway.sh start FOLDER [OWNER]   makes FOLDER, prints the endpoint when it answers (some 15 s); with OWNER, a
#                                                   process id, everything ends when that process does
#        tests/s3/gateway.sh stop FOLDER            ends what was started, by process id, and removes FOLDER
# Path style, region "default", access key AK, secret SK, and AK2, SK2 of the same user (FOLDER/endpoint has the endpoint again). Objects are kept in the
# memory of the OSD. A failed start says why and leaves nothing.
set -euo pipefail
export LC_ALL=C.UTF-8

die() { echo "gateway: $*" >&2; exit 1; }
[ $# -ge 2 ] || die "usage: gateway.sh start|stop FOLDER [OWNER]"
dir=$(realpath -m "$2")

# alive PID: it runs, and its command line names the folder: a number that was given away again is not ours.
alive() { tr '\0' '\n' < "/proc/$1/cmdline" 2>/dev/null | grep -qxF "$dir/ceph.conf"; }

stop() {
	local p pids=()
	[ ! -e "$dir/pids" ] || mapfile -t pids < "$dir/pids"
	# The gateway last started goes first. Nothing here is worth an orderly end, which takes the OSD seconds.
	for p in "${pids[@]}"; do
		! alive "$p" || kill -KILL "$p" 2>/dev/null || true
	done
	for p in "${pids[@]}"; do
		for _ in $(seq 100); do
			alive "$p" || break
			sleep 0.05
		done
		! alive "$p" || die "process $p does not end"
	done
	[ ! -e "$dir/ceph.conf" ] || rm -rf "$dir"
}

case $1 in
stop) stop; exit 0 ;;
start) owner=${3:-} ;;
*) die "no such command: $1" ;;
esac
for p in ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool ceph-authtool; do
	command -v $p > /dev/null || die "$p is missing; run: tests/setup.sh s3"
done

# Ports below those that the kernel gives to clients, so that none of these takes one meanwhile.
taken() { (exec 4<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
	local p
	for _ in $(seq 100); do
		p=$((RANDOM % 20000 + 11000))
		taken $p || { echo $p; return; }
	done
	die "no free port"
}

# background PROGRAM...: in the foreground of a session of its own, with none of our descriptors.
background() {
	setsid "$@" -c "$dir/ceph.conf" -f < /dev/null >> "$dir/$1.out" 2>&1 3>&- 8>&- 9>&- &
	echo $! >> "$dir/pids"
	disown $!
}

running() {
	local p
	while read -r p; do alive "$p" || return 1; done < "$dir/pids"
}

ceph() { timeout 30 ceph -c "$dir/ceph.conf" "$@"; }

# attempt: returns non-zero where something did not come up, which another's port may be the cause of.
attempt() {
	local mon port osd k=$dir/keyring fsid uuid
	mon=$(free_port) port=$(free_port) osd=$(free_port)
	fsid=$(cat /proc/sys/kernel/random/uuid) uuid=$(cat /proc/sys/kernel/random/uuid)
	mkdir -p "$dir/osd.0"
	cat > "$dir/ceph.conf" <<C
[global]
fsid=$fsid
mon_host=[v2:127.0.0.1:$mon/0]
mon_initial_members=a
auth_cluster_required=cephx
auth_service_required=cephx
auth_client_required=cephx
run_dir=$dir
admin_socket=$dir/\$name.asok
log_file=$dir/\$name.log
pid_file=
crash_dir=$dir
keyring=$k
mon_data=$dir/mon.a
osd_data=$dir/osd.0
osd_objectstore=memstore
memstore_device_bytes=4294967296
osd_pool_default_size=1
osd_pool_default_min_size=1
osd_pool_default_pg_num=8
osd_pool_default_pgp_num=8
osd_crush_chooseleaf_type=0
mon_warn_on_pool_no_redundancy=false
mon_allow_pool_size_one=true
mon_max_pg_per_osd=1000
public_addr=127.0.0.1
cluster_addr=127.0.0.1
ms_bind_port_min=$osd
ms_bind_port_max=$((osd + 200))
rgw_frontends=beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw_run_sync_thread=false
rgw_sts_key=sixteen-letters-
rgw_s3_auth_use_sts=true
C
	ceph-authtool --create-keyring "$k" --gen-key -n mon. --cap mon 'allow *'
	ceph-authtool "$k" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
	ceph-authtool "$k" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
	ceph-authtool "$k" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
	monmaptool --create --addv a "[v2:127.0.0.1:$mon]" --fsid "$fsid" "$dir/monmap"
	ceph-mon -c "$dir/ceph.conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$k" || return 1
	background ceph-mon -i a
	ceph osd new "$uuid" || return 1
	ceph-osd -c "$dir/ceph.conf" -i 0 --mkfs --osd-uuid "$uuid" || return 1
	background ceph-osd -i 0
	for _ in $(seq 60); do
		running || return 1
		! ceph osd stat | grep -q '1 up' || break
		sleep 0.3
	done
	background radosgw -n client.rgw.a
	for _ in $(seq 200); do
		running || return 1
		! taken "$port" || break
		sleep 0.2
	done
	timeout 60 radosgw-admin -c "$dir/ceph.conf" user create --uid=test --display-name=test --access-key=AK --secret-key=SK || return 1
	timeout 60 radosgw-admin -c "$dir/ceph.conf" key create --uid=test --key-type=s3 --access-key=AK2 --secret-key=SK2 || return 1
	running || return 1
	echo "http://127.0.0.1:$port" > "$dir/endpoint"
}

[ ! -e "$dir/ceph.conf" ] || die "$dir is in use"
trap 'stop; exit 1' INT TERM
for try in 1 2 3; do
	mkdir -p "$dir"
	if attempt > "$dir/start.log" 2>&1; then
		if [ -n "$owner" ]; then
			# FOLDER is gone when somebody has called stop.
			(
				while kill -0 "$owner" 2>/dev/null && [ -e "$dir/endpoint" ]; do sleep 1; done
				exec "$0" stop "$dir"
			) < /dev/null > /dev/null 2>&1 3>&- 8>&- 9>&- &
			disown $!
		fi
		cat "$dir/endpoint"
		exit 0
	fi
	tail -n 5 "$dir/start.log" "$dir"/*.out >&2 || true
	echo "gateway: attempt $try failed" >&2
	stop
done
die "does not start"
