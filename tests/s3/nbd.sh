# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests/s3/6N-*.sh: `. tests/s3/nbd.sh`. Volumes on $ZT_S3 that the nbdkit plugin serves. $dir is a folder of the test's own on
# the disk of the checkout (/tmp may be memory, where no journal can be), and the current one.
. tests/s3/lib.sh
plugin=$ZT_TOP/build/nbdkit-zerofs-plugin.so
[ -e "$plugin" ] || fail "there is no $plugin"
dir=$(mktemp -d -p "$ZT_TOP/build" s3-nbd.XXXXXX)
pids=()
# What a test has mounted goes first: unmount() is the test's.
unmount() { :; }
end_nbd() {
	local p
	: > "$dir/ending"
	# fio first: when its server goes it does not end, but complains for ever.
	for p in $(cat "$dir"/*.fio 2> /dev/null) "${pids[@]}"; do kill -9 "$p" 2> /dev/null || true; done
	unmount
	end_proxies
	rm -rf "$dir"
}
trap end_nbd EXIT
head -c 32 /dev/urandom > "$dir/key"
chmod 600 "$dir/key"
sock=$dir/sock
filters=()

say() { printf "%s s: %s\n" "$SECONDS" "$*"; }

# nbd REQUEST...: on the socket $sock; see nbd.py, whose words they are.
nbd() { $python "$ZT_TOP/tests/integration/nbd.py" "$sock" "$@"; }

# start LOG URL PARAMETER...: nbdkit in $pid, which takes connections at $sock.
start() {
	local log=$1
	shift
	rm -f "$sock"
	nbdkit -f -U "$sock" "${filters[@]}" "$plugin" "$@" "key-file=$dir/key" 2> "$log" &
	pid=$!
	pids+=("$pid")
	nbd io > /dev/null || { tail -20 "$log"; fail "it does not come up: $*"; }
}

# stop LOG: it ends by itself, with status 0 and everything in the store.
stop() {
	local rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	[ $rc = 0 ] && grep -q 'stopped; everything is in the store' "$1" || { tail -20 "$1"; fail "it ended with status $rc"; }
}

# fio_nbd NAME OPTION...: fio on $sock; fails on an error of any kind, also of what it reads back. Its words are in NAME.out.
fio_nbd() {
	local name=$1 rc=0
	shift
	fio --name="$name" --ioengine=nbd --uri="nbd+unix:///?socket=$sock" --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--randseed=7 "$@" --output="$name.out" 2> >(head -c 4096 >&2) &
	echo $! > "$name.fio"
	wait $! || rc=$?
	[ ! -e ending ] || exit 1 # what failed has been said
	rm -f "$name.fio"
	[ $rc = 0 ] && grep -q 'err= 0' "$name.out" || { head -c 4096 "$name.out"; fail "fio: $name: status $rc"; }
}
cd "$dir"
