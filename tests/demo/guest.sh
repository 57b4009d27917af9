#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The demonstration itself: zerofs under ext4 with a real source tree, a kill -9 and a restart.
# Runs as root where the module can be loaded: in the guest that demo.sh boots, or on the host.
#
#   guest.sh DATA STORE PLAIN ZEROFS
#	DATA	folder with tree.tar, SHA256SUMS and size (made by pack.sh, read-only)
#	STORE	empty folder that becomes the object store
#	PLAIN	block device or empty file-backed disk for the comparison; OVERWRITTEN
#	ZEROFS	the daemon's binary
set -euo pipefail

DATA=$1 STORE=$2 PLAIN=$3 ZEROFS=$4
KEY=$(mktemp) MNT=$(mktemp -d) LOG=$(mktemp)
NAME=demo
DEV=/dev/zerofs0
SIZE=4G
URL=file://$STORE/$NAME
FIO_MB=64
T0=$SECONDS
DAEMON=

declare -A ZRATE PRATE
ROWS=()

say() { printf '[%02d:%02d] %s\n' $(((SECONDS - T0) / 60)) $(((SECONDS - T0) % 60)) "$*"; }

die() {
	say "FAILED: $*"
	[ -s "$LOG" ] && { echo "--- last lines of the daemon's log"; tail -20 "$LOG"; }
	echo "demo: FAILED"
	exit 1
}
trap 'die "line $LINENO: $BASH_COMMAND"' ERR

cleanup() {
	trap - ERR
	mountpoint -q "$MNT" && umount "$MNT"
	[ -n "$DAEMON" ] && kill "$DAEMON" 2>/dev/null && wait "$DAEMON" 2>/dev/null
	rm -rf "$KEY" "$MNT" "$LOG"
}
trap cleanup EXIT

now_ms() { date +%s%3N; }

# timed WHERE LABEL BYTES COMMAND...: runs it, keeps its MB/s (or seconds, for BYTES = 0)
timed() {
	local where=$1 label=$2 bytes=$3 t0 ms
	shift 3
	t0=$(now_ms)
	"$@"
	ms=$(($(now_ms) - t0))
	((ms > 0)) || ms=1
	local r
	if ((bytes)); then
		r=$(awk -v b="$bytes" -v m="$ms" 'BEGIN { printf "%.1f MB/s", b / 1000 / m }')
	else
		r=$(awk -v m="$ms" 'BEGIN { printf "%.1f s", m / 1000 }')
	fi
	if [ "$where" = zerofs ]; then
		ZRATE[$label]=$r
		ROWS+=("$label")
	else
		PRATE[$label]=$r
	fi
	say "  $where: $label: $r"
}

drop_caches() { sync; echo 3 > /proc/sys/vm/drop_caches; }

daemon_start() {
	local ready
	ready=$(mktemp -u)
	mkfifo "$ready"
	"$ZEROFS" serve --key-file "$KEY" --memory 256M --ready-fd 9 "$URL" >> "$LOG" 2>&1 9> "$ready" &
	DAEMON=$!
	# The fifo delivers a line when the volume is served, or end of file when the daemon died.
	if ! read -r -t 120 _ < "$ready"; then
		rm -f "$ready"
		die "the daemon did not come up"
	fi
	rm -f "$ready"
}

daemon_stop() {
	kill -TERM "$DAEMON"
	wait "$DAEMON" || die "the daemon ended with status $?"
	DAEMON=
}

unpack() { tar -xf "$DATA/tree.tar" -C "$MNT" && sync -f "$MNT"; }
# Four readers at a time, each with its quarter of the list.
check_sums() {
	local i pids=() bad=0
	for i in 1 2 3 4; do
		(cd "$MNT" && split -n "l/$i/4" "$DATA/SHA256SUMS" | sha256sum --quiet --strict -c -) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || bad=1; done
	return $bad
}
mkfs_() { mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 "$1"; }

fio_verify() {
	fio --name=verify --verify_state_save=0 --directory="$MNT" --size=${FIO_MB}M --rw=randwrite --bs=16k --ioengine=libaio \
		--iodepth=16 --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1 --end_fsync=1 \
		--randseed=1 --output-format=terse --output="$MNT.fio"
}

counter() { cat "/sys/block/${DEV#/dev/}/zerofs/$1"; }

BYTES=$(cat "$DATA/size")
FILES=$(wc -l < "$DATA/SHA256SUMS")

say "zerofs $("$ZEROFS" version 2>/dev/null | head -1 | sed 's/^zerofs //') on $(uname -r), $(nproc) CPUs"
say "the tree: $FILES files, $((BYTES / 1000000)) MB, with sha256 sums made on the host"

head -c 32 /dev/urandom > "$KEY"
say "zerofs format --size $SIZE $URL"
"$ZEROFS" format --size $SIZE --name $NAME --key-file "$KEY" "$URL"
say "modprobe zerofs"
modprobe zerofs
say "zerofs serve"
daemon_start
[ -b $DEV ] || die "$DEV did not appear"

say "mkfs.ext4 and mount on $DEV"
timed zerofs "mkfs.ext4" 0 mkfs_ $DEV
mount $DEV "$MNT"
say "unpacking the tree"
timed zerofs "unpack + sync" "$BYTES" unpack
SEALED=$("$ZEROFS" stats --json $NAME)
drop_caches
say "checking every file against its sum"
timed zerofs "read + sha256" "$BYTES" check_sums

say "fio: $FIO_MB MiB of random 16 KiB writes, each verified by crc32c"
timed zerofs "fio write + verify" $((FIO_MB * 2 * 1048576)) fio_verify
rm -f "$MNT"/verify.*

say "the same again, with kill -9 of the daemon in the middle of it"
fio_verify &
FIO=$!
sleep 2
kill -0 $FIO 2>/dev/null || die "fio ended before the daemon could be killed"
kill -KILL "$DAEMON"
wait "$DAEMON" 2>/dev/null || true
say "  daemon killed; device state: $(counter state)"
daemon_start
say "  daemon back; device state: $(counter state), requests delivered again: $(counter reissued)"
[ "$(counter state)" = live ] || die "the volume did not come back intact"
wait $FIO || die "fio saw an I/O or verify error"
say "  fio: no I/O error, no verify error"
rm -f "$MNT"/verify.*

say "unmount, stop the daemon"
umount "$MNT"
timed zerofs "unmount to clean stop" 0 daemon_stop
say "start it again, mount, check every file again (nothing is cached now)"
timed zerofs "start" 0 daemon_start
mount -o ro $DEV "$MNT"
drop_caches
timed zerofs "cold read + sha256" "$BYTES" check_sums
umount "$MNT"
say "fsck"
e2fsck -fn $DEV > /dev/null || die "e2fsck found errors"
STATS=$("$ZEROFS" stats --json $NAME)
daemon_stop
rmmod zerofs

say "the same steps on a plain disk ($PLAIN), for comparison"
timed plain "mkfs.ext4" 0 mkfs_ "$PLAIN"
mount "$PLAIN" "$MNT"
timed plain "unpack + sync" "$BYTES" unpack
drop_caches
timed plain "read + sha256" "$BYTES" check_sums
timed plain "fio write + verify" $((FIO_MB * 2 * 1048576)) fio_verify
umount "$MNT"
mount -o ro "$PLAIN" "$MNT"
drop_caches
timed plain "cold read + sha256" "$BYTES" check_sums
umount "$MNT"

OBJECTS=$(find "$STORE/$NAME" -type f | wc -l)
STORED=$(find "$STORE/$NAME" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%d", s }')
echo
printf '%-26s %14s %14s\n' "step" "zerofs" "plain disk"
printf '%-26s %14s %14s\n' "--------------------------" "--------------" "--------------"
for r in "${ROWS[@]}"; do
	printf '%-26s %14s %14s\n' "$r" "${ZRATE[$r]}" "${PRATE[$r]:--}"
done
echo
jq -r --argjson stored "$STORED" --argjson objects "$OBJECTS" --argjson sealed "$SEALED" '
	def mb: . / 1000000 | floor | tostring + " MB";
	"logical bytes mapped:  \(.mapped_bytes | mb)",
	"bytes in the store:    \($stored | mb), in \($objects) objects (the overwritten fio data included)",
	"ratio:                 \($sealed.raw_bytes_sealed / ([$sealed.frame_bytes_sealed, 1] | max) * 100 | floor / 100) to 1, the unpacked tree (compressed and encrypted)"
	' <<< "$STATS"
echo
echo "demo: ok"
