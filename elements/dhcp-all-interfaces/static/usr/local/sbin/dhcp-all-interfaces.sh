#!/bin/bash
# Describes network interfaces that nobody has described yet, so that they ask
# for addresses.
#
# usage: dhcp-all-interfaces.sh [INTERFACE]
#
# Without a name, all interfaces that are there. What was described is noted in
# /run/dhcp-all-interfaces, one file for each.
# It runs in the booted image.
# dib-lint: disable=dibdebugtrace
set -eu
set -o pipefail

readonly SYS=${DHCP_ALL_SYS:-/sys/class/net}
readonly ETC=${DHCP_ALL_ETC:-/etc}
readonly RUN=${DHCP_ALL_RUN:-/run/dhcp-all-interfaces}
# Types of interfaces, as the kernel numbers them.
readonly ETHERNET=1 INFINIBAND=32

if [ -d "$ETC/network" ]; then
    format=interfaces
elif [ -d "$ETC/sysconfig/network-scripts" ]; then
    format=ifcfg directory=$ETC/sysconfig/network-scripts
elif [ -d "$ETC/sysconfig/network" ]; then
    format=wicked directory=$ETC/sysconfig/network
else
    echo "dhcp-all-interfaces: this system describes interfaces in a way that is not known" >&2
    exit 1
fi

# Says why the interface $1 is left alone; silent if it is not.
reason_against() {
    local interface=$1 type
    type=$(cat "$SYS/$interface/type" 2>/dev/null || echo 0)
    if [ "$type" != $ETHERNET ] && [ "$type" != $INFINIBAND ]; then
        echo "its type is $type"
    elif grep -qsE '^DEVTYPE=(vlan|bond|bridge|vxlan|wlan)$' "$SYS/$interface/uevent"; then
        echo "it is $(sed -n 's/^DEVTYPE=/a /p' "$SYS/$interface/uevent")"
    elif [ -e "$SYS/$interface/bonding" ] || [ -e "$SYS/$interface/bridge" ]; then
        echo "others are joined in it"
    elif [ -e "$SYS/$interface/master" ]; then
        echo "it is a part of another"
    elif is_described "$interface"; then
        echo "it is described already"
    fi
}

is_described() {
    case $format in
        interfaces)
            grep -qsE "^[[:space:]]*iface[[:space:]]+$1([[:space:]]|$)" \
                "$ETC/network/interfaces" "$ETC"/network/interfaces.d/*
            ;;
        *) [ -e "$directory/ifcfg-$1" ] ;;
    esac
}

# Waits for the link of the interface $1.
has_link() {
    local interface=$1 second
    ip link set dev "$interface" up 2>/dev/null || true
    for second in 1 2 3 4 5 6 7 8 9 10; do
        if [ "$(cat "$SYS/$interface/carrier" 2>/dev/null)" = 1 ]; then
            return 0
        fi
        if [ "$second" -lt 10 ]; then
            sleep 1
        fi
    done
    return 1
}

# Prints how routers on the interface $1 want IPv6 addresses to be made.
method_of_ipv6() {
    local answer
    if ! type -P rdisc6 >/dev/null; then
        echo auto
        return 0
    fi
    answer=$(rdisc6 --retry 3 --wait 1000 --single "$1" 2>/dev/null || true)
    if [ -z "$answer" ]; then
        echo none
    elif grep -qE 'Stateful address conf.*: +Yes' <<< "$answer"; then
        echo dhcp
    else
        echo auto
    fi
}

# Describes the interface $1; its IPv6 addresses come as $2 says.
describe() {
    local interface=$1 ipv6=$2
    case $format in
        interfaces)
            mkdir -p "$ETC/network/interfaces.d"
            {
                printf 'auto %s\niface %s inet dhcp\n' "$interface" "$interface"
                if [ "$(cat "$SYS/$interface/type")" = $INFINIBAND ]; then
                    echo '    pre-up modprobe ib_ipoib'
                fi
                if [ "$ipv6" != none ]; then
                    printf 'iface %s inet6 %s\n' "$interface" "$ipv6"
                fi
            } > "$ETC/network/interfaces.d/$interface"
            if ! grep -qs '^source.*interfaces\.d' "$ETC/network/interfaces"; then
                printf '\nsource /etc/network/interfaces.d/*\n' >> "$ETC/network/interfaces"
            fi
            ;;
        ifcfg)
            {
                printf 'DEVICE=%s\nBOOTPROTO=dhcp\nONBOOT=yes\nTYPE=%s\n' "$interface" "$(type_word "$interface")"
                # The release of addresses makes servers forget the machine.
                echo 'PERSISTENT_DHCLIENT=1'
                if [ "$ipv6" != none ]; then
                    echo 'IPV6INIT=yes'
                fi
                if [ "$ipv6" = dhcp ]; then
                    printf 'IPV6_AUTOCONF=no\nDHCPV6C=yes\n'
                fi
            } > "$directory/ifcfg-$interface"
            ;;
        wicked) printf 'BOOTPROTO=dhcp\nSTARTMODE=auto\n' > "$directory/ifcfg-$interface" ;;
    esac
}

type_word() {
    if [ "$(cat "$SYS/$1/type")" = $INFINIBAND ]; then
        echo InfiniBand
    else
        echo Ethernet
    fi
}

interfaces=("$@")
if [ "${#interfaces[@]}" -eq 0 ]; then
    for path in "$SYS"/*; do
        interfaces+=("${path##*/}")
    done
fi
mkdir -p "$RUN"
for interface in "${interfaces[@]}"; do
    reason=$(reason_against "$interface")
    if [ -z "$reason" ] && ! has_link "$interface"; then
        reason='it has no link'
    fi
    if [ -n "$reason" ]; then
        echo "dhcp-all-interfaces: $interface is left alone, $reason"
        continue
    fi
    describe "$interface" "$(method_of_ipv6 "$interface")"
    : > "$RUN/$interface"
    echo "dhcp-all-interfaces: $interface asks for addresses"
done
