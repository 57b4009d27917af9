# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: the store is away for 60 s in the midst of fio, first silent, then refusing: no client sees an error, what is hot is
# read, what is cold and a FLUSH wait, a FLUSH that a journal answers does not; afterwards it goes on and everything is there.
# limit: 240
# slow
. tests/s3/nbd.sh
s3 PUT /outage > /dev/null
proxy_start "$dir/proxy"
at=$(cat "$dir/proxy/endpoint")
zerofs format --size 256M --kdf min --key-file key "$(at outage/store "$at")" > /dev/null
zerofs format --size 256M --kdf min --flush local --journal "$dir/journal" --journal-size 192M --key-file key "$(at outage/local "$at")" > /dev/null
declare -A sock_of=([store]=$dir/sock-store [local]=$dir/sock-local) pid_of=()
# up NAME: serves it; `on NAME COMMAND...` is for its socket.
up() {
	local more=()
	[ "$1" = store ] || more=(flush=local "journal=$dir/journal")
	sock=${sock_of[$1]}
	start "$1.log" "$(at "outage/$1" "$at")" "state-dir=$dir/state-$1" memory=128M "${more[@]}"
	pid_of[$1]=$pid
}
down() { pid=${pid_of[$1]} && stop "$1.log"; }
on() { # NAME COMMAND...
	local sock=${sock_of[$1]}
	shift
	"$@"
}

# What a new process has not read it does not have in memory.
for name in store local; do
	up $name
	nbd io write:0xc800000:0x100000:11 write:0xc900000:0x100000:12 flush > /dev/null
	down $name
	up $name
	nbd io read:0xc800000:0x100000:11 > /dev/null
done

load=(--rw=randwrite --bsrange=16k-128k --size=72M --iodepth=8 --rate=1100k)
declare -A fio=()
for name in store local; do
	(on $name fio_nbd $name "${load[@]}" --fsync=50) &
	fio[$name]=$!
done
sleep 5
say "the store falls silent"
from=$SECONDS
proxy_pid=$(cat proxy/pid)
kill -STOP "$proxy_pid"
(on store nbd io read:0xc900000:0x100000:12 > cold && say "the cold read is answered" && echo $SECONDS > cold.at) &
cold=$!
(on store nbd io write:0xcb00000:4096:14 flush > flush && say "the FLUSH is answered" && echo $SECONDS > flush.at) &
flush=$!
# Whatever fio has waiting: this is another connection.
during() {
	timeout 30 bash -c '"$@"' - $python "$ZT_TOP/tests/integration/nbd.py" "${sock_of[$1]}" io "${@:2}" > out 2>&1 ||
		{ cat out; tail -5 "$1.log"; fail "while the store is away, on $1: ${*:2}"; }
}
n=20
while [ $((SECONDS - from)) -lt 60 ]; do
	during store read:0xc800000:0x100000:11
	during local read:0xc800000:0x100000:11 write:0xcc00000:4096:$((++n)) flush read:0xcc00000:4096:$n
	[ ! -e cold.at ] && [ ! -e flush.at ] || fail "something was answered that only the store can answer"
	if [ $((SECONDS - from)) -ge 30 ] && [ -n "$proxy_pid" ]; then
		kill -KILL "$proxy_pid"
		proxy_pid=
		say "it refuses connections"
	fi
	sleep 1
done
kill -0 "${fio[@]}" || fail "fio has ended"
say "hot reads, and $((n - 20)) FLUSHes of the journal, were answered meanwhile; the store comes back"
proxy_start "$dir/proxy" "$ZT_S3" --port "${at##*:}"
wait "$cold" || fail "the cold read"
wait "$flush" || fail "the FLUSH"
wait "${fio[store]}" || fail "fio, flush=store"
wait "${fio[local]}" || fail "fio, flush=local"
say "fio has written, and read back what it wrote, without an error"
down store
down local

rm -r state-store state-local
for name in store local; do
	up $name
	fio_nbd $name "${load[@]:0:3}" --iodepth=32 --verify_only=1
	nbd io read:0xc800000:0x100000:11 read:0xc900000:0x100000:12 > /dev/null
	[ $name = store ] && nbd io read:0xcb00000:4096:14 > /dev/null || nbd io read:0xcc00000:4096:$n > /dev/null
	down $name
	say "$name: cold, read and right"
done
