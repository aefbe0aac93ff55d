# Read by tests/run, tests/example and tests/benches/main_job: what they need of the machine.
# shellcheck shell=bash

# Prints what is missing of the commands and files named as COMMAND:PACKAGE.
missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%:*}" > /dev/null 2>&1 || [ -e "${pair%%:*}" ] || echo "${pair#*:}"
    done | sort -u
}

# Installs packages as root; as a user prints the root command that would and stops.
need_packages() {
    local packages
    packages=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "missing: $packages" >&2
        echo "as root: apt-get update && apt-get install -y --no-install-recommends $packages" >&2
        exit 4
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # A backport of qemu-utils and the release's emulator keep each other out: apt gives up, or
    # takes the installed one away. Then both come from the release.
    # shellcheck disable=SC2086
    if ! apt-get install -yq --no-install-recommends $packages || [ -n "$(missing_packages "$@")" ]; then
        local release
        release=$(. /etc/os-release && echo "$VERSION_CODENAME")
        # shellcheck disable=SC2046,SC2086
        apt-get install -yq --no-install-recommends --allow-downgrades \
            $packages $(missing_packages "$@") "qemu-utils/$release"
    fi
    packages=$(missing_packages "$@" | tr '\n' ' ')
    [ -z "$packages" ] || { echo "still missing once installed: $packages" >&2; exit 4; }
}

# Finds Debian's docker-registry, or unpacks it into the directory $1: installed, it would be a
# service that starts by itself.
need_docker_registry() {
    ! command -v docker-registry > /dev/null 2>&1 || return 0
    if [ ! -x "$1/usr/bin/docker-registry" ]; then
        [ "$(id -u)" != 0 ] || apt-get update -q
        rm -rf "$1" "$1.new"
        mkdir -p "$1.new"
        (cd "$1.new" && apt-get download -q docker-registry && dpkg-deb -x docker-registry_*.deb .)
        chmod -R a+rX "$1.new"
        mv "$1.new" "$1"
    fi
    export PATH=$PATH:$1/usr/bin
}

need_rust() {
    if ! command -v cargo > /dev/null 2>&1; then
        echo "missing: a Rust toolchain; see https://rustup.rs" >&2
        exit 4
    fi
}

DIB_VERSION=3.43.0
IRONIC_VERSION=39.0.0

# What elements take from PyPI, and what pip needs to install it.
WHEELS="dataclasses glean pbr pip proliantutils python-brick-cinderclient-ext setuptools wheel"

# Downloads packages from PyPI for the Python of Debian bookworm, and all they need, into the directory $1.
need_wheels() {
    [ ! -e "$1" ] || return 0
    need_packages python3:python3 pip3:python3-pip
    rm -rf "$1.new"
    # shellcheck disable=SC2086
    pip3 download --quiet --dest "$1.new" --python-version 3.11 --only-binary :all: $WHEELS &&
        chmod -R a+rX "$1.new" && mv "$1.new" "$1"
}

# Installs what reads images of registries for Ironic into the directory $1: its own code, and of
# what that needs only the parts that this touches.
need_ironic() {
    [ ! -e "$1" ] || return 0
    need_packages python3:python3 pip3:python3-pip
    rm -rf "$1.new"
    local install=(pip3 install --quiet --no-compile --root-user-action=ignore --target "$1.new")
    "${install[@]}" requests tenacity oslo.log oslo.utils &&
        "${install[@]}" --no-deps "ironic==$IRONIC_VERSION" &&
        chmod -R a+rX "$1.new" && mv "$1.new" "$1"
}

# Unpacks diskimage-builder into the directory $1, for its elements; what they take from PyPI is
# in $1/wheels, Ironic's code in $1/ironic.
need_upstream_elements() {
    [ ! -e "$1/diskimage_builder/elements" ] || { need_wheels "$1/wheels" && need_ironic "$1/ironic" && return 0; }
    need_packages python3:python3 pip3:python3-pip
    rm -rf "$1" "$1.new"
    pip3 install --quiet --no-deps --no-compile --root-user-action=ignore --target "$1.new" "diskimage-builder==$DIB_VERSION" &&
        chmod -R a+rX "$1.new" && mv "$1.new" "$1" && need_wheels "$1/wheels" && need_ironic "$1/ironic"
}

# Installs the diskimage-builder that goldsmith is compared with into the directory $1.
need_diskimage_builder() {
    need_packages mmdebstrap:mmdebstrap debootstrap:debootstrap sudo:sudo kpartx:kpartx losetup:mount mkfs.ext4:e2fsprogs \
        python3:python3 /usr/share/doc/python3-venv:python3-venv qemu-img:qemu-utils
    ! "$1/bin/python" -c 'import diskimage_builder, fixtures, testtools' 2> /dev/null || return 0
    # The last two are what its unit tests are written with.
    python3 -m venv "$1" &&
        "$1/bin/pip" install --quiet "diskimage-builder==$DIB_VERSION" fixtures testtools
}

# Has cargo make static programs from here on: what the tests run is then what the Containerfile
# ships. It is the C library of the host that is linked in; rustup's musl target cannot be had
# everywhere. Cargo keeps them below target/TRIPLE.
static_programs() {
    CARGO_BUILD_TARGET=$(rustc -vV | sed -n 's/^host: //p')
    export CARGO_BUILD_TARGET
    # Once only: with other flags everything is built anew.
    [[ ${RUSTFLAGS:-} == *" -C target-feature=+crt-static" ]] ||
        export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
}

# Names the ordinary user of the tests; as root makes it, with subordinate ids.
need_test_user() {
    export GOLDSMITH_TEST_USER=${GOLDSMITH_TEST_USER:-goldsmith-test}
    [ "$(id -u)" != 0 ] || make_user "$GOLDSMITH_TEST_USER"
}

# Makes an ordinary user of that name, with subordinate ids, unless there is one.
make_user() {
    id "$1" > /dev/null 2>&1 || useradd --create-home "$1"
    local file next
    for file in /etc/subuid /etc/subgid; do
        if ! grep -q "^$1:" "$file" 2> /dev/null; then
            next=$(awk -F: 'BEGIN { n = 100000 } $2 + $3 > n { n = $2 + $3 } END { print n }' "$file" 2> /dev/null || echo 100000)
            echo "$1:$next:65536" >> "$file"
        fi
    done
}
