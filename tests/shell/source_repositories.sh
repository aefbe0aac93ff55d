#!/bin/bash
# What source-repositories lays down, its cache, and sources that mean harm
# (case I29 of the attack list).
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
# A git that runs tests, as in a rebase, leads to its own repository by these.
unset "${!GIT_@}"
cd "$work" || exit 1
hook=$repository/elements/source-repositories/extra-data.d/98-source-repositories
export HOME=$work/home GIT_CONFIG_NOSYSTEM=1 DIB_MANIFEST_IMAGE_DIR=/etc/dib-manifests IMAGE_NAME=some/image
export DIB_IMAGE_CACHE=$work/cache TMP_HOOKS_PATH=$work/hooks
mkdir -p "$HOME"
git config --global user.name tester
git config --global user.email tester@example.invalid
git config --global init.defaultBranch master
# shellcheck disable=SC2016  # the stand-ins expand their variables themselves
{
    script "$work/bin/sudo" <<< $'#!/bin/bash\nexec "$@"'
    script "$work/bin/sleep" <<< $'#!/bin/bash\necho "$1" >> "$NAPS"'
    script "$TMP_HOOKS_PATH/bin/cache-url" <<< $'#!/bin/bash\nmkdir -p "${2%/*}"\necho "$1" >> "$FETCHED"\ncp "$1" "$2"'
}
export PATH=$work/bin:$PATH NAPS=$work/naps FETCHED=$work/fetched

# Runs the hook for one file with the lines of standard input, on the image $1.
fetch() {
    export TMP_MOUNT_PATH=$work/$1
    mkdir -p "$TMP_MOUNT_PATH/etc" "$TMP_MOUNT_PATH/tmp"
    cat > "$TMP_HOOKS_PATH/source-repository-x"
    : > "$NAPS"
    "$hook" > "$work/log" 2>&1
}
# The same must fail and say $2.
refused() {
    local status=0
    fetch "$1" || status=$?
    same "$2: status" 1 "$status"
    grep -qF "$2" "$work/log" || same "$2: message" "$2" "$(tail -3 "$work/log")"
}

# Two commits, a tag, a branch, and a commit that nothing names but a change ref.
origin=$work/origin
git init -q "$origin"
commit() {
    echo "$1" > "$origin/file"
    git -C "$origin" add -A
    git -C "$origin" commit -q -m "$1"
}
commit one
git -C "$origin" tag -a -m v1 v1
commit two
git -C "$origin" branch other v1
git -C "$origin" checkout -q --detach
commit change
git -C "$origin" update-ref refs/changes/01/1/1 HEAD
git -C "$origin" checkout -q master
one=$(git -C "$origin" rev-parse 'v1^{commit}')
two=$(git -C "$origin" rev-parse master)

fetch image <<EOT || same 'git' 0 "$(cat "$work/log")"
# a comment, and an empty line

plain git /opt/plain $origin
\${NAME_OF-tagged} git /opt/tagged $origin v1
change git /opt/deep/change file://$origin refs/changes/01/1/1
commit git /opt/commit $origin $one
all git /opt/all $origin *
EOT
content() { cat "$work/image/opt/$1/file"; }
same 'master is the default' two "$(content plain)"
same 'a tag' one "$(content tagged)"
same 'a change' change "$(content deep/change)"
same 'a commit' one "$(content commit)"
same 'all branches' "$one" "$(git -C "$work/image/opt/all" rev-parse other)"
same 'the manifest' "plain git /opt/plain $origin $two
tagged git /opt/tagged $origin $one" "$(head -2 "$work/image/etc/dib-manifests/dib-manifest-git-image")"
same 'the list' /opt/plain,/opt/tagged,/opt/deep/change,/opt/commit,/opt/all \
    "$(paste -sd, "$work/image/etc/dib-source-repositories")"
cache=$(printf 'git_%s\n' "$origin" | sha1sum)
same 'the cache by its name' yes "$([ -d "$work/cache/source-repositories/plain_${cache%% *}" ] && echo yes)"

# The same line twice is fine, another ref or repository is not.
fetch image <<< "plain git /opt/plain $origin master" || same 'twice' 0 "$(cat "$work/log")"
refused image 'with another ref than v1' <<< "plain git /opt/plain $origin v1"
refused image 'from another repository' <<< "other git /opt/plain $origin"
refused image 'has no branch, tag or commit nowhere' <<< "plain git /opt/n $origin nowhere"
refused image 'failed five times' <<< "gone git /opt/gone $work/nothing-here"
same 'patience' 4 "$(wc -l < "$NAPS")"

# Offline, what is cached will do; online, the new commit arrives.
commit three
export DIB_OFFLINE=1
fetch offline <<< "plain git /opt/plain $origin"
same 'offline' two "$(cat "$work/offline/opt/plain/file")"
export DIB_OFFLINE=
fetch online <<< "plain git /opt/plain $origin"
same 'online' three "$(cat "$work/online/opt/plain/file")"

# Variables take the place of what the line says.
DIB_REPOLOCATION_a_b=$origin DIB_REPOREF_a_b=v1 fetch variables <<< 'a-b git /opt/x https://example.invalid/x main'
same 'location and ref' one "$(cat "$work/variables/opt/x/file")"
DIB_GITREPOBASE=$work/ fetch base <<< 'x git /opt/x https://example.invalid/origin'
same 'another host' three "$(cat "$work/base/opt/x/file")"
DIB_INSTALLTYPE_a_b=package fetch types <<< $'a-b git /opt/x https://example.invalid/x\na-b package'
same 'not from source' no "$([ -e "$work/types/opt" ] || echo no)"
refused types 'Unsupported repository type: package' <<< 'a-b package'
refused types "Couldn't parse" <<< 'a-b svn /opt/x https://example.invalid/x'
NO_SOURCE_REPOSITORIES=1 fetch none <<< 'nonsense'

# Archives and files.
mkdir -p "$work/pack/top-1/sub" "$work/pack/second"
echo a > "$work/pack/top-1/a"
echo b > "$work/pack/top-1/sub/b"
echo c > "$work/pack/second/c"
tar -C "$work/pack" -czf "$work/pack.tar.gz" top-1 second
fetch files <<EOT || same 'archives' 0 "$(cat "$work/log")"
p tar /opt/all $work/pack.tar.gz
p tar /opt/one $work/pack.tar.gz top-*
p tar /opt/whole $work/pack.tar.gz .
f file /etc/some/file $origin/file
EOT
same 'every directory' a,c,sub "$(cd "$work/files/opt/all" && echo * | tr ' ' ,)"
same 'one directory' a,sub "$(cd "$work/files/opt/one" && echo * | tr ' ' ,)"
same 'the whole' second,top-1 "$(cd "$work/files/opt/whole" && echo * | tr ' ' ,)"
same 'a file' three "$(cat "$work/files/etc/some/file")"
same 'nothing left over' '' "$(ls "$work/files/tmp")"
: > "$FETCHED"
DIB_OFFLINE=1 fetch files2 <<< "p tar /opt/all $work/pack.tar.gz"
same 'offline, from the cache' '' "$(cat "$FETCHED")"

# I29: links and .. that lead out, in the image and in archives.
mkdir -p "$work/evil"
ln -s "$work/home" "$work/evil/out"
tar -C "$work" -czf "$work/evil.tar.gz" evil
refused evil 'leads out of it through a link' <<< "p tar /opt/x $work/evil.tar.gz evil/out"
refused evil 'is no directory of an archive' <<< "p tar /opt/x $work/evil.tar.gz evil/../../.."
ln -s "$work/home" "$work/evil/link"
mkdir -p "$work/evil/var"
ln -s ../.. "$work/evil/var/up"
refused evil 'leads out of the image through a link' <<< "f file /link/file $origin/file"
refused evil 'leads out of the image through a link' <<< "f git /var/up/x $origin"
refused evil 'has .. in it' <<< "f file /etc/../../file $origin/file"
same 'nothing outside' '' "$(ls "$work/home")"

# I29: words that programs would take for options, and programs as transports.
refused evil 'begins with -' <<< "x git /opt/x --upload-pack=touch\${IFS}$work/pwned"
refused evil 'begins with -' <<< "x git /opt/x $origin --upload-pack=x"
refused evil 'cannot be the name' <<< "x git /opt/x $origin master:refs/heads/y"
script "$work/transport" <<< "#!/bin/sh
touch $work/pwned"
refused evil 'failed five times' <<< "x git /opt/x ext::$work/transport"
same 'no program ran' no "$([ -e "$work/pwned" ] || echo no)"

# I29: hooks, submodules and a .git file of the repository do nothing.
hostile=$work/hostile
git init -q "$hostile"
mkdir "$hostile/hooks"
script "$hostile/.git/hooks/post-checkout" <<< "#!/bin/sh
touch $work/pwned"
git -C "$hostile" -c protocol.file.allow=always submodule --quiet add "$origin" sub
ln -s "$work/home" "$hostile/link"
git -C "$hostile" add -A
git -C "$hostile" commit -q -m hostile
fetch tame <<< "h git /opt/h $hostile" || same 'hostile' 0 "$(cat "$work/log")"
same 'no hook ran' no "$([ -e "$work/pwned" ] || echo no)"
same 'no submodule' '' "$(ls "$work/tame/opt/h/sub")"
same 'links stay links' "$work/home" "$(readlink "$work/tame/opt/h/link")"
mkdir -p "$work/tame/opt/file"
echo "gitdir: $hostile/.git" > "$work/tame/opt/file/.git"
refused tame 'is no git repository' <<< "h git /opt/file $hostile"
