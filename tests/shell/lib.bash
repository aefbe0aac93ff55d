# Sourced by the tests of shell programs. Each test script prints nothing and
# ends with 0 when all is well; else it says what differs and ends with 1.
# shellcheck disable=SC2034  # the tests use what is set here
set -u
set -o pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Never empty: scripts write below it.
work=$(mktemp -d) || exit 1
trap 'rm -rf --one-file-system "$work"; exit $(( failures > 0 ))' EXIT
failures=0

# Says that the test $1 got $3 where $2 was expected.
same() {
    if [[ $2 != "$3" ]]; then
        failures=$((failures + 1))
        printf 'FAILED %s\n  expected: %q\n  got:      %q\n' "$1" "$2" "$3"
    fi
}

# Runs the command after $1 $2 and compares status and standard output.
# $1: name of the test, $2: expected status, $3: expected output.
expect() {
    local name=$1 status=$2 output=$3 got got_status=0
    shift 3
    got=$("$@" 2>"$work/stderr") || got_status=$?
    same "$name: status" "$status" "$got_status"
    same "$name: output" "$output" "$got"
}

# Makes an executable file $1 with the text of standard input.
script() {
    mkdir -p "${1%/*}"
    cat > "$1"
    chmod +x "$1"
}
