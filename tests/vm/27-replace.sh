# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# vm-limit: 240
# DESCRIPTION: `serve --replace` takes over from a running daemon three times under fio --verify and a stamping writer, and no
# application sees an error; one that does not answer, or cannot write to its store, goes on serving. A daemon that is started
# while the store is away takes the devices over at once, says what it waits for, and lets grace be.
. tests/vm/lib.sh
. tests/vm/hammer.sh
z_setup
export STOREAWAY=$Z/away
Z_UNDER=(env "LD_PRELOAD=$ZT_TOP/build/tests/vm/storeaway.so")
z_format r --size 256M --devices 2
z_start r --grace 30s
dev=$(z_dev r 0)
rm -f "$Z/away"
h_start r 27
for round in 1 2 3; do
	sleep 1.5
	t0=$EPOCHREALTIME
	z_replace r --grace 30s
	zt_say "replaced within $(bc <<< "$EPOCHREALTIME - $t0") s"
	z_is r LIVE
	[ "$(z_counter "$dev" attach_gen)" = $((round + 1)) ] || zt_fail "the devices have not changed hands"
	h_on "round $round"
done
[ "$(z_counter "$dev" protocol_errors)" = 0 ] || zt_fail "a daemon broke the protocol"

zt_say "one that cannot write goes on, and so does one that does not answer"
new=("${Z_UNDER[@]}" zerofs serve "${Z_SERVE[@]}" --state-dir "$Z_STATE/state.r" --key-file "$Z/key" --replace "$(z_url r)")
z_fails 'key' "${new[@]/$Z\/key/$ZT_TOP\/README.md}"
kill -STOP "${Z_PID[r]}"
z_fails 'does not answer' "${new[@]}"
kill -CONT "${Z_PID[r]}"
sleep 2
kill -0 "${Z_PID[r]}" || zt_fail "it let go for somebody who was gone"
z_is r LIVE
h_on "after a daemon that was stopped"
z_replace r --grace 30s

zt_say "a daemon that dies, and a store that is away when the next one starts"
sleep 1
touch "$Z/away"
z_kill r
: > "$Z/r.log"
z_launch r --grace 8s
zt_wait 20 grep -q 'warning: store: Input/output error' "$Z/r.log"
sleep 10
z_is r RECOVERING
kill -0 "${Z_PID[r]}" || zt_fail "the daemon ended"
zerofs status r | tee "$Z/status"
grep -q 'TROUBLE: .*Input/output error (for ' "$Z/status" || zt_fail "status does not say what it waits for"
grep -q ', recovering' "$Z/status" || zt_fail "status does not say that it is recovering"
[ "$(grep -c 'warning: store: Input/output error' "$Z/r.log")" = 1 ] || zt_fail "not one line for one outage"
zt_say "the wait ends when told to, and the next one waits again"
kill -TERM "${Z_PID[r]}"
wait "${Z_PID[r]}" && zt_fail "status 0 of a daemon that never came up"
z_is r DETACHED
z_launch r --grace 30s
zt_wait 10 [ -S /run/zerofs/r.sock ]
zt_wait 5 zerofs status r
z_is r RECOVERING
rm "$Z/away"
z_ready r || zt_fail "it did not come up: $(tail -1 "$Z/r.log")"
z_is r LIVE

h_end
h_check r
z_stop r
z_start r
h_check r
z_stop r
