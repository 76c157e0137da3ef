# shellcheck shell=bash
# What the scripts have in common; sourced, never run.
# Gives: root, build, test_user, say, die, unprivileged, own_directory, build_with_cmake.
# shellcheck disable=SC2034 # used by those who source this

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$root/build
# Who runs servers and tests when we are root; initdb refuses root.
test_user=${FAULTLINE_TEST_USER:-nobody}

# Others must be able to read what we build: tests run as another user than root.
umask 022

# A make further up must not hand its job slots and options to the ones started here.
unset MAKEFLAGS MFLAGS MAKELEVEL

mkdir -p "$build"

say() { echo "$(basename "$0"): $*" >&2; }

die() {
    say "$*"
    exit 1
}

unprivileged() { "$root/scripts/unprivileged" "$@"; }

# own_directory DIR...: creates directories that `unprivileged` commands may write to.
own_directory() {
    mkdir -p "$@"
    ((EUID != 0)) || chown "$test_user" "$@"
}

# build_with_cmake TARGET...: builds what runs outside the server, in build/cmake; "all" is
# everything. Quiet, unless it fails. Does nothing for a caller that did it: FAULTLINE_BUILT.
build_with_cmake() {
    [[ -z ${FAULTLINE_BUILT:-} ]] || return 0
    local log=$build/cmake.log
    (
        flock 9
        cmake -S "$root" -B "$build/cmake" \
            -DFAULTLINE_WARNINGS_AS_ERRORS="${ERROR_ON_WARNING:-0}" &&
            cmake --build "$build/cmake" --parallel "$(nproc)" --target "$@"
    ) >"$log" 2>&1 9>"$build/cmake.lock" || {
        grep -A 5 -E 'error|Error' "$log" >&2 || tail -n 20 "$log" >&2
        die "the programs do not build; see the messages above, all of them are in $log"
    }
}
