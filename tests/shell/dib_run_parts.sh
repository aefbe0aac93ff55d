#!/bin/bash
# Order, environment and failures of dib-run-parts.
# The stand-ins expand their variables themselves, and names have no blanks.
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
run_parts=$repository/builder/lib/dib-run-parts
hooks=$work/hooks
mkdir -p "$hooks/install.d" "$hooks/environment.d" "$hooks/empty.d"

for name in zz-e 2-a 09-d 010-c 10-b 50-x 100-f; do
    script "$hooks/install.d/$name" <<< $'#!/bin/bash\necho "${0##*/} ${SEEN:-}"'
done
cp "$hooks/install.d/2-a" "$hooks/install.d/3-dotted.sh"
echo 'not executable' > "$hooks/install.d/4-plain"
mkdir "$hooks/install.d/60-directory"
ln -s 2-a "$hooks/install.d/70-link"
ln -s nowhere "$hooks/install.d/80-dangling"

order='zz-e 2-a 09-d 010-c 10-b 50-x 70-link 100-f'
listed=$(printf "$hooks/install.d/%s\n" $order)
expect 'list' 0 "$listed" "$run_parts" --list "$hooks/install.d"
expect 'slash' 0 "$listed" "$run_parts" --list "$hooks/install.d/"
expect 'order' 0 "$(printf '%s \n' $order)" "$run_parts" "$hooks/install.d"
same 'profile' "$(printf '%s\n' $order | LC_ALL=C sort)" \
    "$(sed -n -E 's/^dib-run-parts ([^ ]+) +[0-9]+\.[0-9]{3}$/\1/p' "$work/stderr")"
expect 'empty' 0 '' "$run_parts" "$hooks/empty.d"
expect 'missing' 1 '' "$run_parts" "$hooks/missing.d"
expect 'no argument' 1 '' "$run_parts"
expect 'regular expression' 0 '3-dotted.sh ' \
    env RUN_PARTS_REGEX='\.sh$' "$run_parts" "$hooks/install.d"

# Names of environment files go by bytes, whatever number they start with.
echo 'export SEEN=${SEEN:-}a' > "$hooks/environment.d/10-z.bash"
echo 'export SEEN=${SEEN:-}b' > "$hooks/environment.d/9-z"
echo 'export SEEN=${SEEN:-}never' > "$hooks/environment.d/bad name"
expect 'environment' 0 "$(printf '%s ab\n' $order)" "$run_parts" "$hooks/install.d"
echo ': "$NOT_SET"' > "$hooks/environment.d/99-unset"
expect 'unset variable' 1 '' "$run_parts" "$hooks/install.d"
rm "$hooks/environment.d/99-unset"

script "$hooks/install.d/09-e" <<< $'#!/bin/bash\nexit 37'
expect 'failure' 37 $'zz-e ab\n2-a ab\n09-d ab' "$run_parts" "$hooks/install.d"
