#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Plants one bug after the other (tests/mutants/NN-name.mutant) into a copy of the tree, builds the unit tests there and runs them
# until one fails. Closes with `caught: N of N`; its status is 0 if all went as it should and no more than one in twenty survived.
#
#	MUTANTS="03 07"		only these
#
# What counts as caught: a test fails, dies or hangs with the bug, and the same test without it, run right after it, passes. Hangs:
# ten times as long as without the bug, and a minute at least. A bug that no longer applies, or does not compile, fails the run.
# Logs and the copy: build/mutants/.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
top=$PWD
out=$top/build/mutants
tree=$out/tree
good=$out/good
tool=$top/tests/mutants/mutant.py
caught=0 survived=() broken=()

fail() { echo "mutants: $*" >&2; exit 1; }

choose() {
	local f n
	for f in tests/mutants/[0-9][0-9]-*.mutant; do
		n=${f##*/}
		case " ${MUTANTS:-} " in
		"  "|*" ${n%%-*} "*) echo "$top/$f" ;;
		esac
	done
}

# The copy shares nothing with the tree but its objects' age, so that only what a bug touches is compiled.
copy_tree() {
	rm -rf "$out"
	mkdir -p "$tree/build" "$good"
	git ls-files -coz --exclude-standard | while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done |
		xargs -0 cp -a --parents -t "$tree" || return 1
	cp -a build/gcc "$tree/build/" || return 1
	make -s -C "$tree" build/inc/.made || return 1
	touch -r build/inc/.made "$tree/build/inc/.made"
}

# make in the copy: by itself, whatever called us.
build() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory -j2 -C "$tree" "$@"; }

# run TEST PROGRAM LIMIT LOG: its status; 124 after the limit.
run() { (cd "$tree" && timeout -k 5 "$3" "$2") > "$4" 2>&1; }

# The cmocka test that failed, or that was running when the program ended.
culprit() {
	awk '/^\[  FAILED  \] / && $4 !~ /^[0-9]+$/ && !f { f = $4 }
		/^\[ RUN / { r = $4 }
		/^\[       OK \] / { r = "" }
		END { print f ? f : r ? r : "?" }' "$1"
}

declare -A took
baseline() {
	local t p s
	for p in "$tree"/build/gcc/tests/unit/test_*; do
		case $p in *.o|*.d) continue ;; esac
		t=${p##*/}
		[ -e "tests/unit/$t.c" ] || continue
		cp "$p" "$good/$t"
		s=$SECONDS
		run "$t" "$good/$t" 600 "$out/good-$t.log" || fail "without any bug $t fails, see $out/good-$t.log"
		took[$t]=$((SECONDS - s))
	done
	[ ${#took[@]} -gt 0 ] || fail "there are no unit tests"
}

# The hinted tests, then all others, the quick ones first.
order() {
	local t
	printf '%s\n' "$@"
	for t in "${!took[@]}"; do
		case " $* " in *" $t "*) ;; *) echo "${took[$t]} $t" ;; esac
	done | sort -k1n -k2 | cut -d' ' -f2
}

# try NAME TEST: 0 caught (said in $verdict), 1 not, 2 the run is no good.
try() {
	local name=$1 t=$2 log=$out/$1-$2.log limit rc=0
	limit=$((took[$t] * 10 > 60 ? took[$t] * 10 : 60))
	if ! build "build/gcc/tests/unit/$t" > "$out/$name-build.log" 2>&1; then
		verdict="does not compile, see $out/$name-build.log"
		return 2
	fi
	run "$t" "$tree/build/gcc/tests/unit/$t" "$limit" "$log" || rc=$?
	[ $rc != 0 ] || return 1
	if ! run "$t" "$good/$t" "$limit" "$out/$name-$t-good.log"; then
		verdict="$t fails without the bug too, see $out/$name-$t-good.log"
		return 2
	fi
	verdict="caught by $t:$(culprit "$log")"
	[ $rc != 124 ] || verdict="$verdict (hangs: no end after $limit s)"
	return 0
}

one() {
	local m=$1 name file s=$SECONDS t rc=1 hints
	name=$(basename "$m" .mutant)
	file=$("$tool" get file "$m") && read -ra hints < <("$tool" get tests "$m") && "$tool" apply "$m" "$tree" ||
		{ broken+=("$name"); return; }
	verdict=
	while read -r t; do
		rc=0
		try "$name" "$t" || rc=$?
		[ $rc = 1 ] || break
	done < <(order "${hints[@]}")
	# No -a: the file must look newer than the object made of the bug.
	cp "$file" "$tree/$file"
	case $rc in
	0) caught=$((caught + 1)); echo "$name: $verdict in $((SECONDS - s)) s" ;;
	1) survived+=("$name"); echo "$name: SURVIVED all tests in $((SECONDS - s)) s; it breaks: $("$tool" get breaks "$m")" ;;
	*) broken+=("$name"); echo "$name: $verdict" ;;
	esac
}

"$tool" check || exit 1
mapfile -t chosen < <(choose)
[ ${#chosen[@]} -gt 0 ] || fail "no such mutant: ${MUTANTS:-}"
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s --no-print-directory -j2 unit-gcc || fail "the tree does not build"
copy_tree || fail "the tree cannot be copied"
build unit-gcc > "$out/build.log" 2>&1 || fail "the copy does not build, see $out/build.log"
baseline
echo "without a bug: ${#took[@]} test programs pass"
for m in "${chosen[@]}"; do
	one "$m"
done
for m in "${survived[@]}"; do echo "survived: $m"; done
for m in "${broken[@]}"; do echo "no verdict: $m"; done
echo "caught: $caught of ${#chosen[@]}"
[ ${#broken[@]} = 0 ] && [ $((${#survived[@]} * 20)) -le ${#chosen[@]} ]
