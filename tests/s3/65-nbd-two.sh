# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: two plugins at one volume in a bucket: with one state folder the second is refused; with another one it takes over, as after a
# crash; on another host it is refused until it is told takeover=true. Who is taken over from, in the midst of a load, answers nothing any
# more, and all that it had flushed is there. Two who take over at the same moment: one serves.
# limit: 180
. tests/s3/nbd.sh
s3 PUT /two > /dev/null
at=$(at two/vol)
zerofs format --size 64M --kdf min --key-file key "$at" > /dev/null
common=("$at" "key-file=$dir/key" memory=128M)
id=$dir/machine-id
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$id"
echo >> "$id"
# Before a command: on another host, which is one with another machine-id.
# shellcheck disable=SC2016
elsewhere=(unshare -m sh -c 'mount --bind "$0" /etc/machine-id && exec "$@"' "$id")
"${elsewhere[@]}" true || fail "this machine can play no second host: no mount namespaces, or no /etc/machine-id"

# no PATTERN COMMAND...: ends with status 1 and a line that matches.
no() {
	local pattern=$1 rc=0
	shift
	timeout 60 "$@" > out 2>&1 < /dev/null || rc=$?
	rm -f no.sock
	[ $rc = 1 ] && grep -qE -e "^nbdkit: error: .*$pattern" out || { cat out; fail "status $rc, not 1 with '$pattern'"; }
	say "$(grep -m1 -E -e "$pattern" out)"
}
# taken_over NAME COMMAND...: while a load runs on the plugin that $sock and $pid are of, COMMAND serves at NAME.sock; $second is its pid.
taken_over() {
	local name=$1 first=$sock first_pid=$pid load rc=0
	shift
	rm -f ready
	$python "$ZT_TOP/tests/integration/nbd.py" "$first" until "$RANDOM" "$dir/$name.load" > ready 2> load.err &
	load=$!
	for _ in $(seq 300); do
		! grep -q ready ready || break
		sleep 0.1
	done
	sleep 1.5
	"$@" 2> "$name.log" &
	second=$!
	pids+=("$second")
	sock=$dir/$name.sock
	nbd io > /dev/null || { tail -5 "$name.log"; fail "$name does not come up"; }
	wait "$load" || { cat ready load.err; fail "the load on the first"; }
	grep -q '[1-3] of 3 connections were told' ready || { cat ready; fail "nobody was told ESHUTDOWN"; }
	say "$name: $(tail -1 ready)"
	nbd holds "$dir/$name.load" || fail "$name lacks what the first had flushed"
	sock=$first
	nbd io ESHUTDOWN=flush ESHUTDOWN=write:4096:4096:42 ESHUTDOWN=read:0:4096 > /dev/null || fail "the first serves on"
	grep -q SUPERSEDED log || fail "the first does not say so"
	kill -TERM "$first_pid"
	wait "$first_pid" || rc=$?
	[ $rc = 0 ] && grep -q 'has taken the volume over' log || { tail -5 log; fail "its end: status $rc"; }
	sock=$dir/$name.sock
	nbd holds "$dir/$name.load" > /dev/null || fail "$name: the end of the first has changed something"
	nbd io write:0:4096:43 flush read:0:4096:43 > /dev/null || fail "$name does not serve"
	pid=$second
}

start log "$at" state-dir=state memory=128M
no 'already served on this host, by process' nbdkit -f -U no.sock "$plugin" "${common[@]}" state-dir=state
no 'is in use: .*takeover' "${elsewhere[@]}" nbdkit -f -U no.sock "$plugin" "${common[@]}" state-dir=state-other
nbd io write:0:4096:1 flush read:0:4096:1 > /dev/null || fail "a plugin that was refused has ended the first"
taken_over elsewhere "${elsewhere[@]}" nbdkit -f -U elsewhere.sock "$plugin" "${common[@]}" state-dir=state-other takeover=true
stop elsewhere.log

# On one host, with a second state folder: it cannot tell the first from its own dead self.
rm -r state
start log "$at" state-dir=state memory=128M takeover=true
taken_over beside nbdkit -f -U beside.sock "$plugin" "${common[@]}" state-dir=state-beside
stop beside.log

# serve REQUEST...: which of a and b answers these, after what was there before the race, and a FLUSH.
serve() {
	local who
	for who in a b; do
		sock=$dir/$who.sock
		# It is there, or ends.
		while [ ! -e "$sock" ] && kill -0 "${!who}" 2> /dev/null; do sleep 0.1; done
		[ -e "$sock" ] && kill -0 "${!who}" 2> /dev/null || continue
		! timeout 60 $python "$ZT_TOP/tests/integration/nbd.py" "$sock" io "read:0x100000:4096:$((100 + round))" "$@" flush \
			> out 2>&1 || printf %s $who
	done
}
# A race, three times: two hosts take over from a third at the same moment.
for round in 1 2 3; do
	rm -rf state state-[ab]
	sock=$dir/sock
	start log "$at" state-dir=state memory=128M takeover=true
	nbd io write:0x100000:4096:$((100 + round)) flush > /dev/null
	first=$pid
	rm -f a.sock b.sock
	nbdkit -f -U a.sock "$plugin" "${common[@]}" state-dir=state-a takeover=true 2> a.log &
	a=$!
	"${elsewhere[@]}" nbdkit -f -U b.sock "$plugin" "${common[@]}" state-dir=state-b takeover=true 2> b.log &
	b=$!
	pids+=("$a" "$b")
	# What one says that cannot serve may come a moment after its clients are told.
	serving=$(serve "write:0x200000:4096:$round")
	[ -n "$serving" ] || { tail -3 a.log b.log; fail "nobody serves"; }
	# Whoever was overtaken after he had answered is told now.
	now=$(serve "read:0x200000:4096:$round" "write:0x300000:4096:$round")
	[[ $now = [ab] ]] || { tail -3 a.log b.log; fail "not one of two serves, but '$now'"; }
	for who in a b; do
		[ $who = "$now" ] || grep -qE 'SUPERSEDED|is in use|attached to this volume since' $who.log ||
			{ cat $who.log; fail "$who serves not, and says not why"; }
	done
	say "race $round: '$serving' answered a FLUSH, '$now' serves in the end"
	for p in "$first" "$a" "$b"; do kill -TERM "$p" 2> /dev/null || true; done
	wait "$first" "$a" "$b" || true
	grep -q 'stopped; everything is in the store' "$now.log" || { tail -3 "$now.log"; fail "its end"; }
done
