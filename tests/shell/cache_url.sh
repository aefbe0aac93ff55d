#!/bin/bash
# Conditions and failures of cache-url, with a stand-in for curl.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
cache_url=$repository/elements/cache-url/bin/cache-url

# Answers with CODE and BODY, and notes its arguments.
# shellcheck disable=SC2016  # the stand-in expands its variables itself
script "$work/bin/curl" <<'STUB'
#!/bin/bash
echo "$*" > "$CALLS"
while (( $# > 0 )); do
    [[ $1 != --output ]] || printf '%s' "$BODY" > "$2"
    shift
done
printf '%s' "$CODE"
exit "${STATUS:-0}"
STUB
export PATH=$work/bin:$PATH CALLS=$work/calls
fetch() {
    CODE=$1 BODY=$2 "$cache_url" "${@:3}" http://example.invalid/f "$work/cache/f"
}
expect 'first' 0 '' fetch 200 one
same 'first content' one "$(cat "$work/cache/f")"
same 'first is not conditional' 0 "$(grep -c time-cond "$work/calls")"
expect 'unchanged' 0 '' fetch 304 ''
same 'conditional' 1 "$(grep -c -- "--time-cond $work/cache/f" "$work/calls")"
expect 'unchanged, without saying so' 0 '' fetch 200 ''
expect 'absent' 44 '' fetch 404 'not found'
expect 'broken' 1 '' fetch 500 'sorry'
expect 'no connection' 1 '' env STATUS=7 CODE=000 BODY='' "$cache_url" http://example.invalid/f "$work/cache/f"
same 'still the first' one "$(cat "$work/cache/f")"
expect 'newer, forced' 0 '' fetch 200 two -f
same 'newer content' two "$(cat "$work/cache/f")"
same 'forced' 1 "$(grep -c 'Cache-Control: no-cache' "$work/calls")"
same 'nothing left over' f "$(ls "$work/cache")"
expect 'usage' 1 '' "$cache_url" http://example.invalid/f
