# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the nbdkit plugin: data through fio, nbdcopy and qemu-io and back; what it refuses; FUA, trim, zero; a FLUSH covers
# what other connections wrote; kills lose what was not flushed, and nothing else; a clean end; superseded.
# limit: 200
# slow
. tests/integration/lib.sh
plugin=$ZT_TOP/build/nbdkit-zerofs-plugin.so
[ -e "$plugin" ] || { echo "SKIP: nbdkit-plugin-dev is not installed"; exit 77; }
# In build/: /tmp may be memory, where no journal can be.
dir=$(mktemp -d -p "$ZT_TOP/build")
pids=()
end() {
	local p
	for p in "${pids[@]}"; do kill -9 "$p" 2> /dev/null || true; done
	rm -rf "$dir"
}
trap end EXIT
cd "$dir"
head -c 32 /dev/urandom > key
head -c 32 /dev/urandom > otherkey
chmod 600 key otherkey
url=file://$dir/store
sock=$ZT_TMP/nbd.sock
uri="nbd+unix:///?socket=$sock"
zerofs format --size 256M --name v --key-file key "$url" > /dev/null
common=(key-file=key "state-dir=$dir/state" memory=128M)
nbd() { python3 "$ZT_TOP/tests/integration/nbd.py" "$sock" "$@"; }

# start LOG PARAMETER...: nbdkit in $pid, which takes connections.
start() {
	local log=$1
	shift
	rm -f "$sock"
	nbdkit -f -U "$sock" "$plugin" "$url" "$@" 2> "$log" &
	pid=$!
	pids+=("$pid")
	nbd io > /dev/null || { cat "$log"; fail "it does not come up: $*"; }
}
stop() { # it ends by itself, with status 0 and everything in the store
	local rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	[ $rc = 0 ] && grep -q 'stopped; everything is in the store' "$1" || { cat "$1"; fail "it ended with status $rc"; }
}
# locked_with PID FILE: where the memory of a process has the bytes of FILE: an address each, and whether it is locked.
locked_with() { python3 "$ZT_TOP/tests/integration/whereis.py" "$1" "$2"; }
killed() { kill -9 "$pid"; wait "$pid" 2> /dev/null || true; }

# no PATTERN PARAMETER...: nbdkit ends at once with status 1 and a line that matches.
no() {
	local pattern=$1 rc=0
	shift
	timeout 60 nbdkit -f -U "$ZT_TMP/no.sock" "$plugin" "$@" > out 2>&1 < /dev/null || rc=$?
	rm -f "$ZT_TMP/no.sock"
	[ $rc = 1 ] && grep -qE -e "^nbdkit: error: .*$pattern" out || { cat out; fail "status $rc, not 1 with '$pattern': $*"; }
	echo "ok: $(grep -m1 -E -e "$pattern" out)"
}

# ---- refusals: those of zerofs serve, in its words
refused_by_serve() { # serve's line for OPTIONS is what nbdkit said
	zerofs serve "$@" "$url" 2> err < /dev/null && fail "serve $*"
	[ "$(sed -n 's/^zerofs: //p' err)" = "$(sed -n 's/^nbdkit: error: //p' out | head -1)" ] || { cat err out; fail "other words"; }
}
no 'which volume' key-file=key
no 'there is no parameter grace' "$url" key-file=key grace=5s
no 'invalid|scheme|URL' "ftp:/x" key-file=key
no 'not a size' "$url" key-file=key memory=1M;			refused_by_serve --key-file key --memory 1M
no 'not a size' "$url" key-file=key segment-size=1;		refused_by_serve --key-file key --segment-size 1
no 'not a time' "$url" key-file=key segment-age=1ms;		refused_by_serve --key-file key --segment-age 1ms
no 'zstd-level' "$url" key-file=key zstd-level=20;		refused_by_serve --key-file key --zstd-level 20
no 'neither 0' "$url" key-file=key read-ahead=1K;		refused_by_serve --key-file key --read-ahead 1K
no 'neither' "$url" key-file=key flush=never;			refused_by_serve --key-file key --flush never
no 'needs a journal' "$url" key-file=key flush=local;		refused_by_serve --key-file key --flush local
no 'not a time' "$url" key-file=key max-dirty-age=1ms;		refused_by_serve --key-file key --max-dirty-age 1ms
no 'not a size' "$url" key-file=key max-dirty-bytes=x;		refused_by_serve --key-file key --max-dirty-bytes x
no 'stop-after' "$url" key-file=key stop-after=0;		refused_by_serve --key-file key --stop-after 0
no 'one of them is enough' "$url" key-file=key passphrase-file=key
refused_by_serve --key-file key --passphrase-file key
no 'cannot read the key file' "$url" "key-file=$dir/none";	refused_by_serve --key-file "$dir/none"
no 'does not unlock the volume' "$url" key-file=otherkey "state-dir=$dir/state"
no 'there is no such folder' "file://$dir/nowhere" key-file=key
mkdir empty
no 'there is no volume at' "file://$dir/empty" key-file=key
no 'no passphrase' "$url"

# ---- data in and out
start log "${common[@]}"
nbdinfo "$uri" > info
for word in 'export-size: 268435456' 'can_multi_conn: true' 'can_fua: true' 'can_flush: true' 'can_trim: true' 'can_fast_zero: true' \
	'block_size_minimum: 4096' 'is_read_only: false'; do
	grep -q "$word" info || { cat info; fail "not said: $word"; }
done
for job in "randwrite 4k 32M" "randrw 4k 32M" "randwrite 256k 64M" "write 1M 128M"; do
	read -r rw bs size <<< "$job"
	fio --name=v --ioengine=nbd --uri="$uri" --rw="$rw" --bs="$bs" --size="$size" --iodepth=32 --fsync=100 \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --output=fio.out || { cat fio.out; fail "fio: $job"; }
	grep -q 'err= 0' fio.out || { cat fio.out; fail "fio: $job"; }
done
tar c -C "$ZT_TOP" daemon kernel docs tests 2> /dev/null | head -c 48M > image
truncate -s 64M image
nbdcopy --flush image "$uri"
sum=$(sha256sum < image)
size=$(stat -c %s image)
[ "$(nbdcopy "$uri" - | head -c "$size" | sha256sum)" = "$sum" ] || fail "nbdcopy: what comes back is something else"
qemu-io -f raw -c 'write -P 17 100M 5M' -c flush -c 'read -P 17 100M 5M' -c 'discard 101M 1M' -c 'read -P 0 101M 1M' \
	-c 'write -z 102M 1M' -c 'write -z -u 103M 1M' -c 'read -P 0 102M 2M' -c 'write -f -P 18 104M 64k' -c 'read -P 18 104M 64k' \
	-c 'read -P 17 100M 1M' "$uri" > qemu.out 2>&1 || { cat qemu.out; fail "qemu-io"; }
! grep -qiE 'fail|error' qemu.out || { cat qemu.out; fail "qemu-io"; }
# More than the engine takes in one request, and no multiple of a block.
nbd io write:0x8000000:0x1fff000:5 read:0x8000000:0x1fff000:5 EINVAL=write:512:512:1 EINVAL=read:512:4096:1 EINVAL=trim:4096:100 \
	zero:0x8000000:0x1fff000 read:0x8000000:0x1fff000:0 > /dev/null || fail "large and unaligned requests"
no 'already served on this host, by process' "$url" "${common[@]}"
stop log
# Clean: nothing is replayed, and it is all there.
start log "${common[@]}"
grep -q ' 0 segments replayed' log || { cat log; fail "the end was not clean"; }
[ "$(nbdcopy "$uri" - | head -c "$size" | sha256sum)" = "$sum" ] || fail "after a restart: something else"
stop log

# nbdkit's own filter serves clients that do not keep to 4096.
nbdkit -U - --filter=blocksize "$plugin" "$url" "${common[@]}" minblock=4096 \
	--run 'qemu-io -f raw -c "write -P 3 512 1536" -c "read -P 3 512 1536" "$uri"' > out 2>&1 || { cat out; fail "the blocksize filter"; }
# In the background.
rm -f "$sock"
nbdkit -P "$dir/pidfile" -U "$sock" "$plugin" "$url" "${common[@]}"
nbd io writefua:4096:4096:77 > /dev/null
pid=$(cat pidfile)
pids+=("$pid")
[ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB$/\1/p' "/proc/$pid/status")" -ge 131072 ] || fail "from the background: memory is not locked"
kill -TERM "$pid"
timeout 30 tail --pid="$pid" -f /dev/null || fail "it does not end"
# While the store is away, what unlocks the volume is locked: locks do not outlive nbdkit's fork.
rm -f "$sock" pidfile
AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY=SK nbdkit -P "$dir/pidfile" -U "$sock" "$plugin" key-file=key "state-dir=$dir/state3" \
	memory=128M "s3://bucket/v?endpoint=http://127.0.0.1:1&plain-http=yes"
for _ in $(seq 100); do
	[ ! -s pidfile ] || break
	sleep 0.05
done
pid=$(cat pidfile)
pids+=("$pid")
for _ in $(seq 100); do
	lines=$(locked_with "$pid" key)
	[ -z "$lines" ] || grep -q open <<< "$lines" || break
	sleep 0.05
done
[ -n "$lines" ] || fail "in the background: the key file's bytes are nowhere"
! grep -q open <<< "$lines" || fail "in the background: the key file's bytes are not locked in memory: $lines"
kill -TERM "$pid"
timeout 30 tail --pid="$pid" -f /dev/null || fail "it does not end while the store is away"
start log "${common[@]}"
nbd io read:4096:4096:77 > /dev/null || fail "from the background: lost"
stop log

# ---- devices are exports
zerofs format --size 64M --devices 2 --name two --key-file key "file://$dir/two" > /dev/null
nbdkit -U - "$plugin" "file://$dir/two" key-file=key "state-dir=$dir/state2" memory=128M \
	--run 'nbdinfo --list "$uri"' > out 2>&1 || { cat out; fail "two devices"; }
[ "$(grep -c '^export=' out)" = 2 ] || { cat out; fail "not two exports"; }

# ---- a FLUSH covers all connections; without one a kill loses
quiet=("${common[@]}" segment-age=1h)
first() { # starts a connection that writes to OFF and stays
	coproc first { exec python3 "$ZT_TOP/tests/integration/nbd.py" "$sock" io "write:$1:8192:$2" - ; }
	# shellcheck disable=SC2154
	pid_first=$first_PID
	pids+=("$pid_first")
	read -r word <&"${first[0]}" && [ "$word" = ready ] || fail "the first connection: $word"
}
last() { # ends it
	kill -9 "$pid_first"
	wait "$pid_first" 2> /dev/null || true
}
start log "${quiet[@]}"
first 0x200000 21
killed
last
start log "${quiet[@]}"
nbd io read:0x200000:8192:21 > /dev/null 2>&1 && fail "what nobody flushed outlived a kill: the test shows nothing"
first 0x200000 22
nbd io flush > /dev/null
killed
last
start log "${quiet[@]}"
nbd io read:0x200000:8192:22 > /dev/null || fail "a FLUSH of another connection did not cover it"
nbd io writefua:0x300000:4096:31 writefua:0x302000:4096:32 writefua:0x304000:4096:33 trimfua:0x302000:4096 zerofua:0x304000:4096 > /dev/null
killed
start log "${quiet[@]}"
nbd io read:0x300000:4096:31 read:0x302000:4096:0 read:0x304000:4096:0 > /dev/null || fail "FUA was answered and is lost"
nbd io zero:0:0x200000 > /dev/null
stop log

# ---- kills at random moments, in both modes
seed=$RANDOM
echo "seed $seed"
rm -f "$sock"
nbd kills 5 $seed -- sh -c 'rm -f "$0"; exec "$@"' "$sock" nbdkit -f -U "$sock" "$plugin" "$url" "${common[@]}" 2> log ||
	{ tail -20 log; fail "kills, flush=store"; }
zerofs format --size 64M --name j --flush local --journal "$dir/j" --journal-size 64M --key-file key "file://$dir/local" > /dev/null
local=("file://$dir/local" key-file=key "state-dir=$dir/statej" "journal=$dir/j" flush=local memory=128M segment-age=1h)
nbd kills 5 $seed -- sh -c 'rm -f "$0"; exec "$@"' "$sock" nbdkit -f -U "$sock" "$plugin" "${local[@]}" 2> log ||
	{ tail -20 log; fail "kills, flush=local"; }
grep -qE '[1-9][0-9]* writes taken over from the journal' log || fail "the journal was never needed"

# ---- superseded: another host, which is known by another machine-id
id=$ZT_TMP/machine-id
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$id"
echo >> "$id"
if [ -e /etc/machine-id ] && unshare -m sh -c 'mount --bind "$0" /etc/machine-id' "$id" 2> /dev/null; then
	start log "${common[@]}"
	nbd io write:0:4096:41 flush > /dev/null
	other() { # PARAMETER...: on that host
		rm -f "$ZT_TMP/other.sock"
		unshare -m sh -c 'mount --bind "$0" /etc/machine-id && exec "$@"' "$id" timeout 60 \
			nbdkit -f -U "$ZT_TMP/other.sock" "$plugin" "$url" key-file=key "state-dir=$dir/state-other" memory=128M "$@" > out 2>&1
	}
	! other && grep -q 'is in use: .*takeover' out || { cat out; fail "a second host was not refused"; }
	other takeover=true --run 'qemu-io -f raw -c "write -P 5 1M 4k" -c flush "$uri"' || { cat out; fail "takeover"; }
	nbd io write:4096:4096:42 ESHUTDOWN=flush ESHUTDOWN=write:4096:4096:42 ESHUTDOWN=read:0:4096 > /dev/null || { cat log; fail "superseded"; }
	grep -q SUPERSEDED log || fail "it does not say so"
	rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	[ $rc = 0 ] && grep -q 'another host has taken the volume over' log || { cat log; fail "its end: status $rc"; }
else
	echo "no other host can be made here: superseded is not tested"
fi
echo "a volume is served over NBD"
