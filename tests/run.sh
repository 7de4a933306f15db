#!/bin/sh
# Sets up, builds, and runs all tests; ends with the line "N passed, N failed, N skipped".
#
#	sh tests/run.sh              the default: a quarter of an hour on two cores
#	sh tests/run.sh --full       besides: long fuzzing, the dialogs under valgrind, the real servers with sanitizers
#	sh tests/run.sh --sanitize   only the suite built with AddressSanitizer and UndefinedBehaviorSanitizer
#	sh tests/run.sh --valgrind   only the dialogs under valgrind
#	sh tests/run.sh --quick      only the optimised build, without fuzzing
#
# The default run divides the work so that nothing is run twice without need:
#	optimised build      unit tests, real servers, lint, examples, whatever else there is
#	sanitized build      unit tests and the scripted dialogs (ASan and UBSan)
#	threads              what has threads, built with ThreadSanitizer
#	valgrind             a chosen handful of the dialogs, on the optimised build
#	clang, libFuzzer     each fuzz target for FUZZ_SECONDS (10), some for twice that
#
# Environment: BUILD is the build directory (default: build in the checkout; BUILD-asan and BUILD-fuzz stand
# beside it). MESON_TESTTHREADS is the number of test programs at a time (as many as there are processors).
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
BUILD=${BUILD:-$top/build}
case $BUILD in /*) ;; *) BUILD=$top/$BUILD ;; esac
export BUILD
export MC_THIRD="$BUILD/third"
export MESON_TESTTHREADS="${MESON_TESTTHREADS:-$(nproc)}"
unset MAILCHUTE MC_WRAP MC_SLOW MC_JOBS DESTDIR CFLAGS LDFLAGS 2>/dev/null || true

mode=default
for flag; do
	case $flag in
	--full) mode=full ;;
	--sanitize) mode=sanitize ;;
	--valgrind) mode=valgrind ;;
	--quick) mode=quick ;;
	*) echo "usage: sh tests/run.sh [--full|--sanitize|--valgrind|--quick]" >&2; exit 64 ;;
	esac
done

# Without it an interrupted pass would only be followed by the next one.
trap 'echo "run.sh: interrupted" >&2; exit 130' INT TERM HUP

began=$(date +%s)
say() { echo "== $* [$(($(date +%s) - began)) s]"; }

say "set-up"
sh tests/setup.sh test

# configure DIRECTORY MESON-OPTION...: set up, or take over new options of an existing one; build $targets, or all
targets=
configure() {
	dir=$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		meson configure "$dir" -Dtests=true "$@" >/dev/null
	else
		meson setup "$dir" "$top" -Dtests=true "$@"
	fi
	meson compile -C "$dir" $targets
}

logs=$BUILD/testlogs
rm -rf "$logs"
mkdir -p "$logs"
export MC_CODES="$logs/codes"
: > "$MC_CODES"

# run_pass NAME DIRECTORY FACTOR MESON-TEST-OPTION...: one invocation of meson test; its log is kept for the count
run_pass() {
	name=$1 dir=$2 factor=$3
	shift 3
	say "tests: $name"
	meson test -C "$dir" --no-rebuild --logbase "pass-$name" --timeout-multiplier "$factor" "$@" || true
	if [ -f "$dir/meson-logs/pass-$name.json" ]; then
		cp "$dir/meson-logs/pass-$name.json" "$logs/$name.json"
		rm -f "$dir/meson-logs/pass-$name.json"
	else
		# No test of that suite, or meson itself failed: the count tells which passes must not be empty.
		: > "$logs/$name.json"
	fi
}

valgrind='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --trace-children=no --fair-sched=yes'

# -O1 finds what -O2 does, and compiles in half the time. A program at a fixed address with the sanitizers in it begins
# and ends in 37 ms of the processor's time instead of 42, ten thousand times.
sanitized() {
	say "sanitized build"
	configure "$BUILD-asan" -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized -Doptimization=1 \
		-Db_pie=false -Dc_link_args='-no-pie -static-libasan -static-libubsan'
	MC_SLOW=2 run_pass sanitized "$BUILD-asan" 2 "$@"
}

threaded() {
	say "build with ThreadSanitizer"
	# what the programs of that suite run, and no more
	targets='mailchute session_probe mustache_render'
	configure "$BUILD-tsan" -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized -Doptimization=1
	targets=
	MC_SLOW=5 run_pass threads "$BUILD-tsan" 5 --suite threads
}

case $mode in
default|quick|full|valgrind)
	say "optimised build"
	configure "$BUILD" -Dbuildtype=release
	;;
esac

case $mode in
quick)
	run_pass optimised "$BUILD" 1 --no-suite slow
	;;
default)
	run_pass optimised "$BUILD" 1 --no-suite dialog --no-suite slow
	sanitized --suite unit --suite dialog --no-suite slow
	threaded
	MC_WRAP=$valgrind MC_SLOW=10 run_pass memcheck "$BUILD" 10 --suite memcheck
	;;
full)
	run_pass optimised "$BUILD" 4
	sanitized
	threaded
	MC_WRAP=$valgrind MC_SLOW=10 run_pass valgrind "$BUILD" 10 --suite dialog
	;;
sanitize)
	sanitized
	;;
valgrind)
	MC_WRAP=$valgrind MC_SLOW=10 run_pass valgrind "$BUILD" 10 --suite dialog
	;;
esac

if [ -f tests/fuzz/meson.build ] && { [ "$mode" = default ] || [ "$mode" = full ]; }; then
	say "fuzz targets"
	export FUZZ_SECONDS="${FUZZ_SECONDS:-$([ "$mode" = full ] && echo 300 || echo 10)}"
	# By default what passed before; new inputs are sought where there is time for it.
	export FUZZ_SEED="${FUZZ_SEED:-$([ "$mode" = full ] && echo random || echo 1)}"
	[ -f "$BUILD-fuzz/build.ninja" ] || CC=clang meson setup "$BUILD-fuzz" "$top" -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
	# Only the targets: the rest of the tree has been built twice already.
	for file in tests/fuzz/fuzz_*.c; do
		name=${file##*/}
		echo "tests/fuzz/${name%.c}"
	done | xargs ninja -C "$BUILD-fuzz"
	run_pass fuzz "$BUILD-fuzz" 10 --suite fuzz
fi

# Row OUT-05: which exit codes the whole run saw. A partial run cannot reach them all.
case $mode in default|full) python3 tests/codes.py "$MC_CODES" > "$logs/codes.tap" || true ;; esac

say "done"
python3 tests/count.py "$logs"
