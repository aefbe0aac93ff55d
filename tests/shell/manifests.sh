#!/bin/bash
# What the manifests element publishes about a build, and what it does not.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
hook=$repository/elements/manifests/cleanup.d/01-copy-manifests-dir

# sudo for a test that must not be root's: ownership is left alone.
script "$work/bin/sudo" <<'STUB'
#!/bin/bash
case $1 in
    chown|find) exit 0 ;;
    install) shift; while [[ $1 == -[mog] ]]; do shift 2; done; exec install "$@" ;;
esac
exec "$@"
STUB
mkdir -p "$work/root/etc/dib-manifests"
echo 'kept' > "$work/root/etc/dib-manifests/other"
publish() {
    env PATH="$work/bin:$PATH" TARGET_ROOT="$work/root" DIB_MANIFEST_IMAGE_DIR=/etc/dib-manifests \
        DIB_MANIFEST_SAVE_DIR="$work/save.d/" DIB_ENV="$1" DIB_ARGS="$2" "$hook"
}
environment='declare -x DIB_RELEASE="bookworm"
declare -x DIB_DEV_USER_PASSWORD="hunter2"
declare -x DIB_IMAGE_CACHE="/home/me/.cache"
declare -x DIB_MIRROR="http://me:hunter2@mirror.example/debian"
declare -x DIB_LINES="one
two"
declare -x DIB_API_TOKEN="hunter2
hunter2"
declare -x DIB_EMPTY=""'
expect 'publishes' 0 '' publish "$environment" '-o /home/me/out/image -t raw,qcow2 --logfile=/var/log/x vm http://a:b@c/d'
same 'environment' 'declare -x DIB_RELEASE="bookworm"
declare -x DIB_MIRROR="http://mirror.example/debian"
declare -x DIB_LINES="one
two"
declare -x DIB_EMPTY=""' "$(cat "$work/root/etc/dib_environment")"
same 'arguments' '-o image -t raw,qcow2 --logfile=x vm http://c/d' "$(cat "$work/root/etc/dib_arguments")"
same 'copy' 'dib_arguments dib_environment other' "$(cd "$work/save.d/dib-manifests" && echo *)"
expect 'again' 0 '' publish 'declare -x DIB_A="b"' 'vm'
same 'replaced' 'vm' "$(cat "$work/save.d/dib-manifests/dib_arguments")"
