#!/bin/sh
# Fuzzing with libFuzzer; TAP, a line a target.
#
#	sh tests/fuzz/run.sh [SECONDS] [TARGET...]      build, then run each target for SECONDS (20) on its corpus
#	sh tests/fuzz/run.sh --one NAME PROGRAM CORPUS  one built target, for FUZZ_SECONDS: what meson's suite "fuzz" does;
#	                                                FUZZ_TIMES as long
#
# Environment: BUILD, the build directory beside which BUILD-fuzz stands. FUZZ_SEED, what the fuzzer's choices come
# from: a number (1), or "random". With a number a run begins from the corpus alone and does again what was done with
# that number before, as long as the program and the corpus are the same: a short run (CI) is the beginning of a long
# one. With "random" it begins from what earlier such runs found as well. The seed is printed.
#
# What a target finds stays: new inputs in BUILD-fuzz/tests/fuzz/corpus/NAME* (those worth keeping: -merge=1),
# what made it fail in BUILD-fuzz/tests/fuzz/failed/NAME-*.
set -u
export LC_ALL=C         # the order of a corpus

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

# A number for FUZZ_SEED. 0 would let libFuzzer choose, and not tell until it has ended.
seed=${FUZZ_SEED:-1}
[ "$seed" != random ] || seed=$(($(od -An -N4 -tu4 /dev/urandom) % 4294967295 + 1))
case $seed in
0 | *[!0-9]*) echo "run.sh: FUZZ_SEED is a number from 1, or \"random\"" >&2; exit 64 ;;
esac

# one NUMBER NAME PROGRAM CORPUS SECONDS DIRECTORY: run a target; its TAP line
one() {
	found=$6/corpus/$2 log=$6/fuzz_$2.log list=$6/fuzz_$2.list options= fixed=
	if [ "${FUZZ_SEED:-1}" != random ]; then
		found=$found-$seed
		rm -rf "$found"
		# What is compared are addresses and times too, which differ from run to run; so do the branches of a few
		# targets, by where things lie in memory.
		options=-use_cmp=0
		setarch "$(uname -m)" -R true 2>/dev/null && fixed="setarch $(uname -m) -R"
	fi
	mkdir -p "$found" "$6/failed"
	[ ! -f "$here/dict/$2" ] || options="$options -dict=$here/dict/$2"
	# By name: a directory is read in whatever order its file system has, and the order counts.
	printf '%s\n' "$4"/* | paste -sd, >"$list"
	ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 $fixed "$3" -seed="$seed" $options \
		-max_total_time="$5" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$6/failed/$2-" -seed_inputs="@$list" "$found" >"$log" 2>&1
	rc=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	edges=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
	if [ "$rc" = 0 ] && [ "${runs:-0}" -gt 0 ] && [ "${edges:-0}" -gt 10 ]; then
		echo "ok $1 - fuzz_$2: $runs runs in $5 s from seed $seed, $edges edges"
		return 0
	fi
	echo "not ok $1 - fuzz_$2: exit $rc, ${runs:-0} runs from seed $seed, ${edges:-0} edges"
	tail -60 "$log" | sed 's/^/# /'
	return 1
}

if [ "${1:-}" = --one ]; then
	echo 1..1
	# Beside the program: tests/fuzz of the build directory.
	one 1 "$2" "$3" "$4" $((${FUZZ_SECONDS:-20} * ${FUZZ_TIMES:-1})) "$(dirname "$3")"
	exit
fi

seconds=${1:-20}
case $seconds in *[!0-9]*) echo "usage: sh tests/fuzz/run.sh [SECONDS] [TARGET...]" >&2; exit 64 ;; esac
[ $# = 0 ] || shift
BUILD=${BUILD:-$top/build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
build=$BUILD-fuzz

{
	[ -f "$build/build.ninja" ] || CC=clang meson setup "$build" "$top" -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false -Dbuildtype=debugoptimized
	for file in "$here"/fuzz_*.c; do
		name=$(basename "$file" .c)
		ninja -C "$build" "tests/fuzz/$name" || { echo "Bail out! $name does not build"; exit 1; }
	done
} >&2 || exit 1

[ $# != 0 ] || set -- $(cd "$here" && for file in fuzz_*.c; do name=${file#fuzz_}; echo "${name%.c}"; done)
echo "1..$#"
number=0 failed=0
for name; do
	number=$((number + 1))
	one $number "$name" "$build/tests/fuzz/fuzz_$name" "$here/corpus/$name" "$seconds" "$build/tests/fuzz" || failed=1
done
exit $failed
