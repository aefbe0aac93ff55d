set -eu
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
export DEBCONF_NOWARNINGS=yes LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022

# No daemon starts inside a build.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

# awk is a link that mawk's own script makes, and other scripts want it before.
temporary_awk=
if ! [ -e /usr/bin/awk ] && [ -e /usr/bin/mawk ]; then
    ln -s mawk /usr/bin/awk
    temporary_awk=yes
fi

for script in /var/lib/dpkg/info/*.preinst; do
    [ -x "$script" ] || continue
    package=${script##*/}
    package=${package%.preinst}
    DPKG_MAINTSCRIPT_PACKAGE=${package%%:*} DPKG_MAINTSCRIPT_NAME=preinst \
        DPKG_MAINTSCRIPT_ARCH=$(dpkg --print-architecture) DPKG_ROOT='' \
        DPKG_ADMINDIR=/var/lib/dpkg DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 \
        DPKG_RUNNING_VERSION=$(dpkg-query --version | sed -n '1s/.*version \([^ ]*\).*/\1/p') \
        "$script" install || {
        echo "the preinst script of $package failed" >&2
        exit 1
    }
done

# Files of packages whose preinst script diverted the same file of another one.
late=/var/lib/dpkg/goldsmith-late
if [ -d "$late" ]; then
    for place in "$late"/*; do
        package=${place##*/}
        (cd "$place" && find . ! -type d) | while IFS= read -r path; do
            path=${path#.}
            if [ "$(dpkg-divert --listpackage "$path")" != "$package" ]; then
                echo "$path is in $package and in another package, and nothing diverts it" >&2
                exit 1
            fi
            mv "$path" "$(dpkg-divert --truename "$path")" && mv "$place$path" "$path" || exit 1
        done || exit 1
    done
    rm -r "$late"
fi

if [ -n "$temporary_awk" ]; then
    rm /usr/bin/awk
    update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5
fi

dpkg --force-unsafe-io --configure -a
dpkg --audit > /tmp/audit
if [ -s /tmp/audit ]; then
    cat /tmp/audit >&2
    exit 1
fi
rm -f /tmp/audit /usr/sbin/policy-rc.d
